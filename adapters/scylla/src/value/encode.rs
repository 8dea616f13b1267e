//! JSON's words → CQL values, by the type that the server wants bound.

use std::borrow::Cow;
use std::net::IpAddr;

use athena_domain::plan::Datum;
use athena_domain::query::{JsonText, Value};
use scylla::frame::response::result::{CollectionType, ColumnType, NativeType};
use scylla::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlValue, CqlVarint,
};
use uuid::Uuid;

use super::{calendar, duration, number};

/// A value that is not one of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unfit {
    /// Text for the caller.
    pub message: String,
    /// The column, or the place inside of its value.
    pub field: Box<str>,
}

/// A value as it was given.
#[derive(Clone, Copy)]
enum Given<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number or a string.
    Word(&'a str),
    /// An array or an object.
    Json(&'a str),
}

/// Converts a planned value; `None` is null.
///
/// # Errors
/// [`Unfit`] when it cannot be one of the type without loss.
pub(crate) fn encode(datum: &Datum, ty: &ColumnType<'_>, field: &str) -> Result<Option<CqlValue>, Unfit> {
    let given = match datum {
        Datum::Null => Given::Null,
        Datum::Bool(flag) => Given::Bool(*flag),
        Datum::Int(number) => Given::Int(*number),
        Datum::Float(number) => Given::Float(*number),
        Datum::Text(text) if matches!(ty, ColumnType::Native(_)) => Given::Word(text),
        Datum::Text(text) => Given::Json(text),
    };
    convert(given, ty, field)
}

/// Converts a value of a request; `None` is null.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_value(
    value: &Value,
    ty: &ColumnType<'_>,
    field: &str,
) -> Result<Option<CqlValue>, Unfit> {
    let given = match value {
        Value::Null => Given::Null,
        Value::Bool(flag) => Given::Bool(*flag),
        Value::Number(text) | Value::Text(text) => Given::Word(text),
        Value::Json(text) => Given::Json(text),
    };
    convert(given, ty, field)
}

fn convert(given: Given<'_>, ty: &ColumnType<'_>, field: &str) -> Result<Option<CqlValue>, Unfit> {
    if matches!(given, Given::Null) {
        return Ok(None);
    }
    let value = match ty {
        ColumnType::Native(native) => scalar(given, native),
        _ => match given {
            Given::Json(text) => return structured(text, ty, field).map(Some),
            _ => None,
        },
    };
    value.map(Some).ok_or_else(|| refuse(given, ty, field))
}

fn refuse(given: Given<'_>, ty: &ColumnType<'_>, field: &str) -> Unfit {
    let shown: Cow<'_, str> = match given {
        Given::Word(text) if text.len() <= 40 => format!("`{text}`").into(),
        Given::Bool(flag) => format!("`{flag}`").into(),
        Given::Int(number) => format!("`{number}`").into(),
        Given::Float(number) => format!("`{number}`").into(),
        Given::Null => "null".into(),
        Given::Word(_) => "a string".into(),
        Given::Json(text) if text.starts_with('[') => "an array".into(),
        Given::Json(_) => "an object".into(),
    };
    let finer = match ty {
        ColumnType::Native(NativeType::Timestamp) => " (an ISO 8601 moment, to the millisecond)",
        ColumnType::Native(NativeType::Timeuuid) => " (a uuid of version 1)",
        ColumnType::Native(NativeType::Duration) => " (an ISO 8601 duration whose parts have one sign)",
        ColumnType::Native(NativeType::Blob) => " (0x and an even number of hex digits)",
        _ => "",
    };
    unfit(field, format!("{shown} is not a value of type {}{finer} for '{field}'", name(ty)))
}

fn unfit(field: &str, message: String) -> Unfit {
    Unfit { message, field: field.into() }
}

fn scalar(given: Given<'_>, native: &NativeType) -> Option<CqlValue> {
    Some(match native {
        NativeType::Boolean => CqlValue::Boolean(match given {
            Given::Bool(flag) => flag,
            Given::Word("true") => true,
            Given::Word("false") => false,
            _ => return None,
        }),
        NativeType::TinyInt => CqlValue::TinyInt(integer(given)?.try_into().ok()?),
        NativeType::SmallInt => CqlValue::SmallInt(integer(given)?.try_into().ok()?),
        NativeType::Int => CqlValue::Int(integer(given)?.try_into().ok()?),
        NativeType::BigInt => CqlValue::BigInt(integer(given)?),
        NativeType::Counter => CqlValue::Counter(Counter(integer(given)?)),
        NativeType::Double => CqlValue::Double(match given {
            Given::Float(number) => number,
            _ => float(&word(given)?)?,
        }),
        NativeType::Float => CqlValue::Float(match given {
            Given::Float(number) => {
                let narrow = number as f32;
                if narrow.is_infinite() && number.is_finite() {
                    return None;
                }
                narrow
            }
            _ => float(&word(given)?)?,
        }),
        NativeType::Text => CqlValue::Text(word(given)?.into_owned()),
        NativeType::Ascii => {
            CqlValue::Ascii(word(given).filter(|text| text.is_ascii()).map(Cow::into_owned)?)
        }
        NativeType::Varint => {
            CqlValue::Varint(CqlVarint::from_signed_bytes_be(number::read_integer(word(given)?.trim())?))
        }
        NativeType::Decimal => {
            let (unscaled, scale) = number::read_decimal(word(given)?.trim())?;
            CqlValue::Decimal(CqlDecimal::from_signed_be_bytes_and_exponent(unscaled, scale))
        }
        _ => return text_form(given, native),
    })
}

/// The types that are strings in JSON.
fn text_form(given: Given<'_>, native: &NativeType) -> Option<CqlValue> {
    let Given::Word(text) = given else { return None };
    Some(match native {
        NativeType::Uuid => CqlValue::Uuid(Uuid::try_parse(text.trim()).ok()?),
        NativeType::Timeuuid => {
            let id = Uuid::try_parse(text.trim()).ok().filter(|id| id.get_version_num() == 1)?;
            CqlValue::Timeuuid(CqlTimeuuid::from(id))
        }
        NativeType::Date => CqlValue::Date(CqlDate(calendar::read_cql_date(text)?)),
        NativeType::Time => CqlValue::Time(CqlTime(calendar::read_time(text.trim())?)),
        NativeType::Timestamp => CqlValue::Timestamp(CqlTimestamp(calendar::read_timestamp(text)?)),
        NativeType::Duration => {
            let parts = duration::read(text)?;
            CqlValue::Duration(CqlDuration {
                months: parts.months,
                days: parts.days,
                nanoseconds: parts.nanos,
            })
        }
        NativeType::Inet => CqlValue::Inet(text.trim().parse::<IpAddr>().ok()?),
        NativeType::Blob => CqlValue::Blob(bytes(text)?),
        _ => return None,
    })
}

fn integer(given: Given<'_>) -> Option<i64> {
    match given {
        Given::Int(number) => Some(number),
        Given::Word(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The value as text; numbers that are kept as text have every digit.
fn word(given: Given<'_>) -> Option<Cow<'_, str>> {
    match given {
        Given::Word(text) => Some(text.into()),
        Given::Bool(flag) => Some(if flag { "true" } else { "false" }.into()),
        Given::Int(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// A number of the type's own width, so that it is rounded once.
fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &str) -> Option<T> {
    let lower = text.trim().to_ascii_lowercase();
    let number: T = lower.parse().ok()?;
    let named = matches!(&*lower, "infinity" | "inf" | "-infinity" | "-inf" | "nan");
    (named || number.into().is_finite()).then_some(number)
}

/// `0x` and hex digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if digits.len() % 2 != 0 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Collections, tuples, vectors and types of the database's own, out of JSON.
fn structured(text: &str, ty: &ColumnType<'_>, field: &str) -> Result<CqlValue, Unfit> {
    let wrong = || refuse(Given::Json(text), ty, field);
    let json = JsonText::parse(text.as_bytes()).map_err(|_| wrong())?;
    match ty {
        ColumnType::Collection { typ: CollectionType::List(element), .. } => {
            elements(json, element, field, wrong).map(CqlValue::List)
        }
        ColumnType::Collection { typ: CollectionType::Set(element), .. } => {
            elements(json, element, field, wrong).map(CqlValue::Set)
        }
        ColumnType::Vector { typ, dimensions } => {
            let members = elements(json, typ, field, wrong)?;
            if members.len() != usize::from(*dimensions) {
                let found = members.len();
                return Err(unfit(field, format!("'{field}' takes {dimensions} numbers, not {found}")));
            }
            Ok(CqlValue::Vector(members))
        }
        ColumnType::Tuple(types) => {
            let items = json.expect_array(field).map_err(|_| wrong())?;
            if items.len() != types.len() {
                let (want, found) = (types.len(), items.len());
                return Err(unfit(field, format!("'{field}' is a tuple of {want} values, not {found}")));
            }
            let members = items.into_iter().zip(types).enumerate();
            members
                .map(|(at, (item, ty))| nested(item, ty, &format!("{field}[{at}]")))
                .collect::<Result<_, _>>()
                .map(CqlValue::Tuple)
        }
        ColumnType::Collection { typ: CollectionType::Map(key, value), .. } => {
            pairs(json, key, value, field, wrong).map(CqlValue::Map)
        }
        ColumnType::UserDefinedType { definition, .. } => {
            let given = json.expect_object(field).map_err(|_| wrong())?.rest();
            let unknown = |name: &str| !definition.field_types.iter().any(|(known, _)| known == name);
            if let Some((name, _)) = given.iter().find(|(name, _)| unknown(name)) {
                let path = format!("{field}.{name}");
                return Err(unfit(&path, format!("'{path}' is not a field of the type {}", definition.name)));
            }
            let mut fields = Vec::with_capacity(definition.field_types.len());
            for (name, ty) in &definition.field_types {
                let value = match given.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => nested(*value, ty, &format!("{field}.{name}"))?,
                    None => None,
                };
                fields.push((name.clone().into_owned(), value));
            }
            Ok(CqlValue::UserDefinedType {
                keyspace: definition.keyspace.clone().into_owned(),
                name: definition.name.clone().into_owned(),
                fields,
            })
        }
        _ => Err(wrong()),
    }
}

fn nested(json: JsonText<'_>, ty: &ColumnType<'_>, path: &str) -> Result<Option<CqlValue>, Unfit> {
    let value = json.value(path).map_err(|error| unfit(path, error.to_string()))?;
    encode_value(&value, ty, path)
}

/// A member of a collection, where CQL has no null.
fn member(json: JsonText<'_>, ty: &ColumnType<'_>, path: &str) -> Result<CqlValue, Unfit> {
    nested(json, ty, path)?
        .ok_or_else(|| unfit(path, format!("'{path}' is null, which a collection cannot hold")))
}

fn elements(
    json: JsonText<'_>,
    ty: &ColumnType<'_>,
    field: &str,
    wrong: impl Fn() -> Unfit,
) -> Result<Vec<CqlValue>, Unfit> {
    let items = json.expect_array(field).map_err(|_| wrong())?.into_iter().enumerate();
    items.map(|(at, item)| member(item, ty, &format!("{field}[{at}]"))).collect()
}

/// A map: an object, or an array of pairs for keys that are no text.
fn pairs(
    json: JsonText<'_>,
    key: &ColumnType<'_>,
    value: &ColumnType<'_>,
    field: &str,
    wrong: impl Fn() -> Unfit,
) -> Result<Vec<(CqlValue, CqlValue)>, Unfit> {
    if json.is_object() {
        let entries = json.expect_object(field).map_err(|_| wrong())?.rest();
        let entry = |(name, item): (Cow<'_, str>, JsonText<'_>)| {
            let path = format!("{field}.{name}");
            let name = convert(Given::Word(&name), key, &path)?.ok_or_else(&wrong)?;
            Ok((name, member(item, value, &path)?))
        };
        return entries.into_iter().map(entry).collect();
    }
    let items = json.expect_array(field).map_err(|_| wrong())?.into_iter().enumerate();
    let pair = |(at, item): (usize, JsonText<'_>)| {
        let path = format!("{field}[{at}]");
        let parts = item.expect_array(&path).map_err(|_| wrong())?;
        let [first, second] = parts[..] else {
            return Err(unfit(&path, format!("'{path}' is not a pair of a key and a value")));
        };
        Ok((member(first, key, &path)?, member(second, value, &path)?))
    };
    items.map(pair).collect()
}

/// A type as CQL writes it.
fn name(ty: &ColumnType<'_>) -> String {
    match ty {
        ColumnType::Native(native) => format!("{native:?}").to_ascii_lowercase(),
        ColumnType::Collection { typ: CollectionType::List(element), .. } => {
            format!("list<{}>", name(element))
        }
        ColumnType::Collection { typ: CollectionType::Set(element), .. } => format!("set<{}>", name(element)),
        ColumnType::Collection { typ: CollectionType::Map(key, value), .. } => {
            format!("map<{}, {}>", name(key), name(value))
        }
        ColumnType::Vector { typ, dimensions } => format!("vector<{}, {dimensions}>", name(typ)),
        ColumnType::UserDefinedType { definition, .. } => definition.name.clone().into_owned(),
        ColumnType::Tuple(types) => {
            format!("tuple<{}>", types.iter().map(name).collect::<Vec<_>>().join(", "))
        }
        _ => "unknown".to_owned(),
    }
}
