//! Values as they are kept: parsed once, compared by their type's own order.

mod array;
mod cast;
mod json;
mod moment;

use std::cmp::Ordering;
use std::str::FromStr;

use athena_application::ports::{PortError, PortErrorKind};
use athena_domain::plan::{Bind, Datum};
use athena_domain::rows::{CellRef, escape_into};
use athena_domain::schema::{ColumnType, TypeKind};
use bigdecimal::{BigDecimal, RoundingMode};

use crate::reject;
use json::Json;

/// Largest integer that every JSON reader keeps, 2^53.
const LARGEST_SAFE: u64 = 1 << 53;

/// Most digits of a `numeric`, before and after its point.
const NUMERIC_DIGITS: i64 = 16_383;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Numeric(BigDecimal),
    /// Text, and every type that is compared by its text in canonical form.
    Text(Box<str>),
    Jsonb(Json),
    Array(Vec<Stored>),
}

impl Stored {
    pub(crate) fn from_bind(bind: &Bind) -> Result<Self, PortError> {
        match &bind.datum {
            Datum::Null => Ok(Self::Null),
            Datum::Bool(flag) => Ok(Self::Bool(*flag)),
            Datum::Int(number) => Ok(Self::Int(*number)),
            Datum::Float(number) => Ok(Self::Float(*number)),
            Datum::Text(text) => Self::parse(text, &bind.ty),
            Datum::Cql(_) => {
                Err(PortError::new(reject::PORT, PortErrorKind::Internal).caused_by("a value of CQL"))
            }
        }
    }

    /// What a value of type `ty` is compared with: one that no precision of the column's has rounded.
    pub(crate) fn parse_operand(text: &str, ty: &ColumnType) -> Result<Self, PortError> {
        match ty.base().kind {
            TypeKind::Numeric => Self::parse(text, &ColumnType::new("numeric", TypeKind::Numeric)),
            _ => Self::parse(text, ty),
        }
    }

    /// As [`Stored::parse_operand`], for a bound value.
    pub(crate) fn operand(bind: &Bind) -> Result<Self, PortError> {
        match &bind.datum {
            Datum::Text(text) => Self::parse_operand(text, &bind.ty),
            _ => Self::from_bind(bind),
        }
    }

    /// Reads the database's own text of a value.
    ///
    /// `NaN` and the infinities of `numeric` are refused: no test needs them.
    pub(crate) fn parse(text: &str, ty: &ColumnType) -> Result<Self, PortError> {
        let ty = ty.base();
        let parsed = match &ty.kind {
            TypeKind::Bool => match text {
                "true" | "t" => Some(Self::Bool(true)),
                "false" | "f" => Some(Self::Bool(false)),
                _ => None,
            },
            TypeKind::Int(bits) => text
                .trim()
                .parse::<i64>()
                .ok()
                .filter(|number| {
                    let room = 64 - u32::from(*bits);
                    (number << room) >> room == *number
                })
                .map(Self::Int),
            TypeKind::Float(_) => text.trim().parse().ok().map(Self::Float),
            TypeKind::Numeric => numeric(text.trim(), ty).map(Self::Numeric),
            TypeKind::Uuid => uuid(text).map(Self::Text),
            TypeKind::Json => Json::parse(text).map(|_| Self::Text(text.into())),
            TypeKind::Jsonb => Json::parse(text).map(Self::Jsonb),
            TypeKind::Date => moment::date(text).map(Self::Text),
            TypeKind::Timestamp => moment::timestamp(text).map(Self::Text),
            TypeKind::TimestampTz => moment::timestamp_tz(text).map(Self::Text),
            TypeKind::Array(element) => array::parse(text, element)?.map(Self::Array),
            TypeKind::Text
            | TypeKind::Bytes
            | TypeKind::Composite(_)
            | TypeKind::Domain(_)
            | TypeKind::Range
            | TypeKind::Cql(_)
            | TypeKind::Other
            | TypeKind::Dynamic => Some(Self::Text(text.into())),
        };
        parsed.ok_or_else(|| reject::bad_value(text, ty))
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Order of two values of one type that are not null; null, inside of arrays, is the greatest.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Greater,
            (_, Self::Null) => Ordering::Less,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Numeric(a), Self::Numeric(b)) => a.cmp(b),
            // All NaNs are equal and greater than every number, as in PostgreSQL.
            (Self::Float(a), Self::Float(b)) => {
                a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }
            (Self::Jsonb(a), Self::Jsonb(b)) => a.compare(b),
            (Self::Array(a), Self::Array(b)) => {
                let unequal = a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
                unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (a, b) => a.text().as_bytes().cmp(b.text().as_bytes()),
        }
    }

    /// Whether `self @> part`.
    pub(crate) fn contains(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Array(whole), Self::Array(part)) => {
                // Nested arrays count as their elements; null is equal to nothing.
                let (whole, part) = (array::flat(whole), array::flat(part));
                part.iter().all(|p| !p.is_null() && whole.iter().any(|w| w.compare(p).is_eq()))
            }
            (Self::Jsonb(whole), Self::Jsonb(part)) => whole.contains(part),
            _ => false,
        }
    }

    /// The database's own text; empty for null.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => float_text(*number),
            Self::Numeric(number) => number.to_plain_string(),
            Self::Text(text) => text.to_string(),
            Self::Jsonb(json) => json.to_string(),
            Self::Array(elements) => array::text(elements),
        }
    }

    /// Text that is equal for equal values.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Numeric(number) => number.normalized().to_plain_string(),
            Self::Array(elements) => format!("{:?}", elements.iter().map(Self::key).collect::<Vec<_>>()),
            other => other.text(),
        }
    }

    /// Hands the value to `take` in the form of its type.
    pub(crate) fn with_cell(&self, ty: &ColumnType, big_as_text: bool, take: impl FnOnce(CellRef<'_>)) {
        let ty = ty.base();
        match self {
            Self::Null => take(CellRef::Null),
            Self::Bool(flag) => take(CellRef::Bool(*flag)),
            Self::Int(number) if big_as_text && number.unsigned_abs() > LARGEST_SAFE => {
                take(CellRef::Plain(&number.to_string()));
            }
            Self::Int(number) => take(CellRef::Int(*number)),
            Self::Float(number) if !number.is_finite() => take(CellRef::Plain(&float_text(*number))),
            Self::Float(number) if ty.kind == TypeKind::Float(32) => {
                take(CellRef::Number(&(*number as f32).to_string()));
            }
            Self::Float(number) => take(CellRef::Number(&float_text(*number))),
            Self::Numeric(number) if big_as_text => take(CellRef::Plain(&number.to_plain_string())),
            Self::Numeric(number) => take(CellRef::Number(&number.to_plain_string())),
            Self::Text(text) => match ty.kind {
                TypeKind::Json => take(CellRef::Json(text)),
                TypeKind::Uuid | TypeKind::Date | TypeKind::Timestamp | TypeKind::TimestampTz => {
                    take(CellRef::Plain(text));
                }
                _ => take(CellRef::Text(text)),
            },
            Self::Jsonb(json) => take(CellRef::Json(&json.to_string())),
            Self::Array(_) => {
                let mut out = Vec::new();
                self.write_json(ty, big_as_text, &mut out);
                take(CellRef::Json(&String::from_utf8_lossy(&out)));
            }
        }
    }

    fn write_json(&self, ty: &ColumnType, big_as_text: bool, out: &mut Vec<u8>) {
        if let (Self::Array(elements), TypeKind::Array(element)) = (self, &ty.base().kind) {
            out.push(b'[');
            for (place, value) in elements.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                // An inner dimension has the type of the whole.
                let ty = if matches!(value, Self::Array(_)) { ty } else { element };
                value.write_json(ty, big_as_text, out);
            }
            out.push(b']');
            return;
        }
        self.with_cell(ty, big_as_text, |cell| match cell {
            CellRef::Null => out.extend_from_slice(b"null"),
            CellRef::Bool(flag) => out.extend_from_slice(flag.to_string().as_bytes()),
            CellRef::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            CellRef::Number(text) | CellRef::Json(text) => out.extend_from_slice(text.as_bytes()),
            CellRef::Plain(text) | CellRef::Text(text) => {
                out.push(b'"');
                escape_into(text, out);
                out.push(b'"');
            }
        });
    }
}

fn float_text(number: f64) -> String {
    if number == f64::INFINITY {
        "Infinity".to_owned()
    } else if number == f64::NEG_INFINITY {
        "-Infinity".to_owned()
    } else {
        number.to_string()
    }
}

/// An exact decimal, rounded half away from zero to the scale of `numeric(precision,scale)`.
fn numeric(text: &str, ty: &ColumnType) -> Option<BigDecimal> {
    let number = BigDecimal::from_str(text).ok()?;
    if number.fractional_digit_count().abs() > NUMERIC_DIGITS {
        return None;
    }
    let modifiers = ty.sql.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let Some(modifiers) = modifiers else {
        return Some(if number.fractional_digit_count() < 0 { number.with_scale(0) } else { number });
    };
    let (precision, scale) = modifiers.split_once(',').unwrap_or((modifiers, "0"));
    let (precision, scale): (i64, i64) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let rounded = number.with_scale_round(scale, RoundingMode::HalfUp);
    let fits = rounded.abs() < BigDecimal::new(1.into(), scale - precision);
    fits.then_some(rounded)
}

fn uuid(text: &str) -> Option<Box<str>> {
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let parts = [hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..32)?];
    (hex.len() == 32).then(|| parts.join("-").into())
}

#[cfg(test)]
mod tests;
