//! JSON values → values of CQL's types, without loss or not at all.

use std::collections::HashSet;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;

use super::members::identity;
use super::{CqlValue, moment};
use crate::error::RequestError;
use crate::plan::{number, refusal};
use crate::query::{JsonText, Value};
use crate::schema::CqlType;

/// Most digits of a `varint` and of a `decimal`, on either side of its point: what PostgreSQL keeps, and few enough to
/// calculate with.
const MAX_DIGITS: usize = 131_072;

/// Converts `value` to `ty` for the column or field named `field`.
///
/// # Errors
/// [`RequestCode::DataException`](crate::error::RequestCode::DataException) when the value cannot be one of the type without loss.
pub fn read(value: &Value, ty: &CqlType, field: &str) -> Result<CqlValue, RequestError> {
    if *value == Value::Null {
        return Ok(CqlValue::Null);
    }
    if ty.is_compound() {
        return compound(value, ty, field);
    }
    scalar(value, ty).ok_or_else(|| refuse(value, ty, field))
}

/// The refusal of a value.
fn refuse(value: &Value, ty: &CqlType, field: &str) -> RequestError {
    let form = match ty {
        CqlType::Timestamp => "; write 2024-05-31T10:20:30.123Z, with milliseconds at most",
        CqlType::Date => "; write 2024-05-31",
        CqlType::Time => "; write 10:20:30.123456789",
        CqlType::Duration => "; write an ISO 8601 duration such as P1M2DT3H, all of one sign",
        CqlType::Blob => "; write bytes as 0x and two hexadecimal digits each",
        CqlType::Map { .. } => "; write an object, or an array of [key, value] pairs",
        CqlType::Udt { .. } => "; write an object",
        CqlType::List { .. } | CqlType::Set { .. } | CqlType::Tuple(_) | CqlType::Vector { .. } => {
            "; write an array"
        }
        _ => "",
    };
    refusal::not_of_type(value, ty, field, form)
}

fn scalar(value: &Value, ty: &CqlType) -> Option<CqlValue> {
    match (ty, value) {
        (CqlType::Text, Value::Text(text) | Value::Number(text)) => {
            return Some(CqlValue::Text(text.clone()));
        }
        (CqlType::Ascii, Value::Text(text) | Value::Number(text)) => {
            return text.is_ascii().then(|| CqlValue::Text(text.clone()));
        }
        _ => {}
    }
    let text = match value {
        Value::Text(text) | Value::Number(text) => &**text,
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Null | Value::Json(_) => return None,
    };
    let is_text = matches!(value, Value::Text(_));
    let is_number = !matches!(value, Value::Bool(_));
    let word = text.trim();
    match ty {
        CqlType::Text | CqlType::Ascii => Some(CqlValue::Text(text.into())),
        CqlType::Bool if matches!(value, Value::Number(_)) => None,
        CqlType::Bool => match word.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(CqlValue::Bool(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(CqlValue::Bool(false)),
            _ => None,
        },
        CqlType::Int(bits) if is_number => {
            let number: i64 = word.parse().ok()?;
            let unused = 64 - u32::from(*bits).min(64);
            (number << unused >> unused == number).then_some(CqlValue::Int(number))
        }
        CqlType::Counter if is_number => word.parse().ok().map(CqlValue::Int),
        CqlType::Varint if is_number => {
            let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
            // Before they are read: that takes the square of their number.
            let whole = digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = whole.then(|| BigInt::from_str(word).ok()).flatten()?;
            Some(CqlValue::Varint(number.to_signed_bytes_be().into()))
        }
        CqlType::Decimal if is_number => decimal(word),
        CqlType::Float(bits) if is_number => number::float(word, *bits).map(CqlValue::Float),
        CqlType::Uuid if is_text => uuid(text).map(CqlValue::Uuid),
        CqlType::TimeUuid if is_text => uuid(text).filter(|bytes| bytes[6] >> 4 == 1).map(CqlValue::Uuid),
        CqlType::Timestamp if is_text => moment::timestamp(word).map(CqlValue::Timestamp),
        CqlType::Date if is_text => {
            moment::date(word).and_then(|days| i32::try_from(days).ok()).map(CqlValue::Date)
        }
        CqlType::Time if is_text => moment::time(word).map(CqlValue::Time),
        CqlType::Duration if is_text => {
            moment::duration(word).map(|(months, days, nanos)| CqlValue::Duration { months, days, nanos })
        }
        CqlType::Inet if is_text => word.parse().ok().map(CqlValue::Inet),
        CqlType::Blob if is_text => blob(text).map(CqlValue::Blob),
        _ => None,
    }
}

/// The usual decimal, digits with or without a point, which needs no big numbers.
fn short_decimal(word: &str) -> Option<CqlValue> {
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || digits.ends_with('.') || digits.len() > 18 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let number =
        whole.bytes().chain(fraction.bytes()).fold(0, |n: i64, byte| n * 10 + i64::from(byte - b'0'));
    let bytes = (sign * number).to_be_bytes();
    // No byte that only repeats the sign of the one behind it.
    let spare =
        bytes.windows(2).take_while(|pair| matches!((pair[0], pair[1] & 0x80), (0, 0) | (0xff, 0x80)));
    let spare = spare.count();
    Some(CqlValue::Decimal { unscaled: bytes[spare..].into(), scale: i32::try_from(fraction.len()).ok()? })
}

fn decimal(word: &str) -> Option<CqlValue> {
    let plain = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if !plain || word.len() > 2 * MAX_DIGITS {
        return None;
    }
    if let Some(short) = short_decimal(word) {
        return Some(short);
    }
    let (unscaled, scale) = BigDecimal::from_str(word).ok()?.into_bigint_and_exponent();
    let scale = i32::try_from(scale).ok()?;
    if scale.unsigned_abs() as usize > MAX_DIGITS {
        return None;
    }
    Some(CqlValue::Decimal { unscaled: unscaled.to_signed_bytes_be().into(), scale })
}

/// The hyphenated form or 32 hex digits.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let hyphens = [8, 13, 18, 23];
    let digits = match bytes.len() {
        32 => text.to_owned(),
        36 if hyphens.iter().all(|at| bytes[*at] == b'-') => text.replace('-', ""),
        _ => return None,
    };
    hex(&digits)?.try_into().ok()
}

fn blob(text: &str) -> Option<Box<[u8]>> {
    hex(text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?).map(Into::into)
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn compound(value: &Value, ty: &CqlType, field: &str) -> Result<CqlValue, RequestError> {
    let literal;
    let json = match (value, ty) {
        (Value::Json(text), _) => &**text,
        (Value::Text(text), CqlType::List { .. } | CqlType::Set { .. }) if text.starts_with('{') => {
            literal = members(text).ok_or_else(|| refuse(value, ty, field))?;
            return listed(literal, ty, field);
        }
        // In the condition grammar an array or object is text.
        (Value::Text(text), _) if text.starts_with(['[', '{']) => text,
        _ => return Err(refuse(value, ty, field)),
    };
    let json = JsonText::parse(json.as_bytes()).map_err(|_| refuse(value, ty, field))?;
    let elements = |json: JsonText<'_>| -> Result<Vec<Value>, RequestError> {
        let members = json.expect_array(field).map_err(|_| refuse(value, ty, field))?;
        members.into_iter().enumerate().map(|(at, member)| member.value(&format!("{field}[{at}]"))).collect()
    };
    match ty {
        CqlType::Map { frozen, key, value: of } => {
            let mut pairs = Vec::new();
            if json.is_object() {
                for (name, member) in json.expect_object(field)?.rest() {
                    let path = format!("{field}.{name}");
                    let name = read(&Value::text(&name), key, &path)?;
                    pairs.push((name, present(&member.value(&path)?, of, &path)?));
                }
            } else {
                for (at, pair) in elements(json)?.iter().enumerate() {
                    let path = format!("{field}[{at}]");
                    let Value::Json(pair) = pair else { return Err(refuse(value, ty, field)) };
                    let pair = JsonText::parse(pair.as_bytes())?.expect_array(&path);
                    let Ok([name, member]) = pair.as_deref() else { return Err(refuse(value, ty, field)) };
                    let name = present(&name.value(&path)?, key, &path)?;
                    pairs.push((name, present(&member.value(&path)?, of, &path)?));
                }
            }
            not_twice(pairs.iter().map(|(key, _)| key), "key", field)?;
            not_empty(pairs.is_empty(), *frozen, ty, field)?;
            Ok(CqlValue::Map(pairs))
        }
        CqlType::Udt { frozen, fields, .. } => {
            let given = json.expect_object(field).map_err(|_| refuse(value, ty, field))?.rest();
            if let Some((name, _)) =
                given.iter().find(|(name, _)| !fields.iter().any(|(known, _)| **known == **name))
            {
                let path = format!("{field}.{name}");
                return Err(refusal::of_value(&path, format!("'{path}' is not a field of the type {ty}")));
            }
            let of = |(name, ty): &(Box<str>, CqlType)| {
                let path = format!("{field}.{name}");
                match given.iter().find(|(known, _)| **known == **name) {
                    Some((_, value)) => read(&value.value(&path)?, ty, &path),
                    None => Ok(CqlValue::Null),
                }
            };
            let values: Vec<CqlValue> = fields.iter().map(of).collect::<Result<_, _>>()?;
            not_empty(values.iter().all(|value| *value == CqlValue::Null), *frozen, ty, field)?;
            Ok(CqlValue::Udt(values))
        }
        _ => listed(elements(json)?, ty, field),
    }
}

/// An array as the type that it is for.
fn listed(values: Vec<Value>, ty: &CqlType, field: &str) -> Result<CqlValue, RequestError> {
    let all = |element: &CqlType| -> Result<Vec<CqlValue>, RequestError> {
        let one = |(at, value): (usize, &Value)| present(value, element, &format!("{field}[{at}]"));
        values.iter().enumerate().map(one).collect()
    };
    let so_many = |expected: usize| {
        if values.len() == expected {
            return Ok(());
        }
        Err(refusal::of_value(
            field,
            format!("'{field}' is of type {ty}, which has {expected} elements, not {}", values.len()),
        ))
    };
    match ty {
        CqlType::List { frozen, element } => {
            not_empty(values.is_empty(), *frozen, ty, field)?;
            all(element).map(CqlValue::List)
        }
        CqlType::Set { frozen, element } => {
            not_empty(values.is_empty(), *frozen, ty, field)?;
            let elements = all(element)?;
            not_twice(elements.iter(), "element", field)?;
            Ok(CqlValue::Set(elements))
        }
        CqlType::Vector { element, dimensions } => {
            so_many(*dimensions)?;
            all(element).map(CqlValue::Vector)
        }
        CqlType::Tuple(types) => {
            so_many(types.len())?;
            let parts = values.iter().zip(types.iter()).enumerate();
            let part =
                |(at, (value, ty)): (usize, (&Value, &CqlType))| read(value, ty, &format!("{field}[{at}]"));
            parts.map(part).collect::<Result<_, _>>().map(CqlValue::Tuple)
        }
        _ => Err(refusal::of_value(field, format!("'{field}' is of type {ty}, which an array is not"))),
    }
}

/// A member of a collection, which is never null.
fn present(value: &Value, ty: &CqlType, field: &str) -> Result<CqlValue, RequestError> {
    match read(value, ty, field)? {
        CqlValue::Null => Err(refusal::of_value(
            field,
            format!("'{field}' is null, which no collection of this database holds"),
        )),
        value => Ok(value),
    }
}

fn not_twice<'a>(
    members: impl Iterator<Item = &'a CqlValue>,
    what: &str,
    field: &str,
) -> Result<(), RequestError> {
    let mut seen = HashSet::new();
    for member in members {
        if !seen.insert(identity(member)) {
            return Err(refusal::of_value(
                field,
                format!("'{field}' has one {what} twice, which its type cannot keep"),
            ));
        }
    }
    Ok(())
}

/// A collection without elements, or a user-defined type without values, is null as soon as it is written, unless it is
/// frozen.
fn not_empty(empty: bool, frozen: bool, ty: &CqlType, field: &str) -> Result<(), RequestError> {
    if empty && !frozen {
        let message = format!(
            "'{field}' is empty; the database keeps an empty {ty} as null, so write null if that is meant"
        );
        return Err(refusal::of_value(field, message));
    }
    Ok(())
}

/// The members of `{a,"b,c"}`, as arrays are written in the condition grammar.
fn members(text: &str) -> Option<Vec<Value>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    let (mut all, mut member, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = inner.chars();
    loop {
        match chars.next() {
            Some('\\') => member.push(chars.next()?),
            Some('"') => (quoted, was_quoted) = (!quoted, true),
            Some(c @ (',' | '{' | '}')) if !quoted => {
                if c != ',' {
                    return None;
                }
                all.push(member_of(std::mem::take(&mut member), std::mem::take(&mut was_quoted))?);
            }
            Some(c) => member.push(c),
            None if quoted => return None,
            None => {
                all.push(member_of(member, was_quoted)?);
                return Some(all);
            }
        }
    }
}

fn member_of(text: String, quoted: bool) -> Option<Value> {
    match (quoted, text.trim()) {
        (true, _) => Some(Value::Text(text.into())),
        (false, "") => None,
        (false, word) if word.eq_ignore_ascii_case("null") => Some(Value::Null),
        (false, word) => Some(Value::text(word)),
    }
}

#[cfg(test)]
mod tests;
