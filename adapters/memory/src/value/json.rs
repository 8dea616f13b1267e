//! Parsed JSON with exact numbers, and what `jsonb` does with it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use athena_domain::query::{JsonText, Value};
use athena_domain::rows::escape_into;
use bigdecimal::BigDecimal;

/// A JSON value. Objects are sorted as `jsonb` keeps them: by length of the key, then by its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Text(Box<str>),
    Number(BigDecimal),
    Bool(bool),
    Array(Vec<Json>),
    Object(Vec<Field>),
}

type Field = (Box<str>, Json);

impl Json {
    /// Reads JSON text; `None` when it is none, or when an object names a field twice.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::read(JsonText::parse(text.as_bytes()).ok()?)
    }

    fn read(json: JsonText<'_>) -> Option<Self> {
        if json.is_array() {
            let elements = json.expect_array("").ok()?;
            return elements.into_iter().map(Self::read).collect::<Option<_>>().map(Self::Array);
        }
        if json.is_object() {
            let fields = json.expect_object("").ok()?.rest();
            let field = |(name, value): (std::borrow::Cow<'_, str>, JsonText<'_>)| {
                Some((Box::from(name.as_ref()), Self::read(value)?))
            };
            let mut fields: Vec<Field> = fields.into_iter().map(field).collect::<Option<_>>()?;
            fields.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
            return Some(Self::Object(fields));
        }
        Some(match json.value("").ok()? {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(text) => Self::Number(BigDecimal::from_str(&text).ok()?),
            Value::Text(text) => Self::Text(text.as_str().into()),
            Value::Json(_) => return None,
        })
    }

    /// The order of `jsonb`: objects, arrays, booleans, numbers, texts, null, from the greatest down;
    /// more elements before their values.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => {
                let values = || a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
                a.len().cmp(&b.len()).then_with(|| values().unwrap_or(Ordering::Equal))
            }
            (Self::Object(a), Self::Object(b)) => {
                let keys = |(a, b): (&Field, &Field)| a.0.cmp(&b.0).then_with(|| a.1.compare(&b.1));
                let fields = || a.iter().zip(b).map(keys).find(|order| order.is_ne());
                a.len().cmp(&b.len()).then_with(|| fields().unwrap_or(Ordering::Equal))
            }
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Text(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }

    /// Whether `self @> part`. At the top an array contains a scalar that is one of its elements.
    pub(super) fn contains(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Array(_), Self::Array(_) | Self::Object(_)) => self.holds(part),
            (Self::Array(elements), scalar) => elements.iter().any(|element| element.holds(scalar)),
            _ => self.holds(part),
        }
    }

    fn holds(&self, part: &Self) -> bool {
        match (self, part) {
            (Self::Object(whole), Self::Object(part)) => part
                .iter()
                .all(|(key, value)| whole.iter().any(|(name, inner)| name == key && inner.holds(value))),
            (Self::Array(whole), Self::Array(part)) => {
                part.iter().all(|value| whole.iter().any(|inner| inner.holds(value)))
            }
            (a, b) => a.rank() == b.rank() && a.compare(b).is_eq(),
        }
    }
}

/// The text of `jsonb`: one space after each colon and comma.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => f.write_str(&number.to_plain_string()),
            Self::Text(text) => quoted(text, f),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (place, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if place > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (place, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if place > 0 { ", " } else { "" })?;
                    quoted(name, f)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut out = Vec::with_capacity(text.len());
    escape_into(text, &mut out);
    write!(f, "\"{}\"", String::from_utf8_lossy(&out))
}
