//! Values on their way in: checked against the column's type before the database sees them.

use smol_str::SmolStr;

use super::cql::{self, CqlValue};
use super::{number, refusal};
use crate::error::{RequestError, excerpt};
use crate::query::{JsonText, Value};
use crate::schema::{ColumnType, TypeKind};

/// A value in the form it is bound in.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// SQL NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of the type's width.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text that the database converts to the type.
    Text(SmolStr),
    /// A value of CQL.
    Cql(CqlValue),
}

/// A value and the type it is bound as.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// Value.
    pub datum: Datum,
    /// Type.
    pub ty: ColumnType,
}

impl Bind {
    /// Text bound as text, for patterns.
    pub fn text(text: &str) -> Self {
        Self { datum: Datum::Text(text.into()), ty: ColumnType::new("text", TypeKind::Text) }
    }

    /// The value as the database's own text; `None` for null, and for CQL, which takes no text.
    pub fn into_text(self) -> Option<SmolStr> {
        match self.datum {
            Datum::Null | Datum::Cql(_) => None,
            Datum::Bool(true) => Some("true".into()),
            Datum::Bool(false) => Some("false".into()),
            Datum::Int(number) => Some(itoa::Buffer::new().format(number).into()),
            Datum::Float(number) => Some(number.to_string().into()),
            Datum::Text(text) => Some(text),
        }
    }
}

/// Converts `value` to `ty` for the column or field named `field`.
///
/// # Errors
/// [`RequestCode::DataException`](crate::error::RequestCode::DataException) when the value cannot be one of the type without loss.
pub fn bind(value: &Value, ty: &ColumnType, field: &str) -> Result<Bind, RequestError> {
    let datum = datum(value, ty.base(), field)?;
    Ok(Bind { datum, ty: ty.clone() })
}

fn datum(value: &Value, ty: &ColumnType, field: &str) -> Result<Datum, RequestError> {
    let refused = || refusal::not_of_type(value, &ty.sql, field, "");
    if let TypeKind::Cql(ty) = &ty.kind {
        return cql::read(value, ty, field).map(Datum::Cql);
    }
    if let Value::Text(text) = value
        && text.contains('\0')
    {
        let message = format!("'{field}' contains a NUL character, which the database cannot store as text");
        return Err(refusal::of_value(field, message));
    }
    match (&ty.kind, value) {
        (_, Value::Null) => Ok(Datum::Null),
        (TypeKind::Dynamic, value) => Ok(Datum::Text(json_text(value))),
        (TypeKind::Bool, Value::Bool(flag)) => Ok(Datum::Bool(*flag)),
        (TypeKind::Bool, Value::Text(word)) => match word.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Datum::Bool(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(Datum::Bool(false)),
            _ => Err(refused()),
        },
        (TypeKind::Int(bits), Value::Number(text) | Value::Text(text)) => {
            let number: i64 = text.trim().parse().map_err(|_| refused())?;
            let fits = match bits {
                16 => i16::try_from(number).is_ok(),
                32 => i32::try_from(number).is_ok(),
                _ => true,
            };
            if fits { Ok(Datum::Int(number)) } else { Err(refused()) }
        }
        (TypeKind::Float(bits), Value::Number(text) | Value::Text(text)) => {
            number::float(text.trim(), *bits).map(Datum::Float).ok_or_else(refused)
        }
        (TypeKind::Numeric, Value::Number(text)) => Ok(Datum::Text(text.clone())),
        (TypeKind::Numeric, Value::Text(text)) => {
            let word = text.trim();
            let special = ["nan", "infinity", "-infinity", "inf", "-inf"];
            let number = word.strip_prefix(['-', '+']).unwrap_or(word);
            let digits = number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
                && number.bytes().any(|b| b.is_ascii_digit());
            if digits || special.contains(&word.to_ascii_lowercase().as_str()) {
                Ok(Datum::Text(word.into()))
            } else {
                Err(refused())
            }
        }
        (TypeKind::Uuid, Value::Text(text)) if is_uuid(text) => Ok(Datum::Text(text.clone())),
        (TypeKind::Uuid, _) => Err(refused()),
        (TypeKind::Json | TypeKind::Jsonb, value) => Ok(Datum::Text(json_text(value))),
        (TypeKind::Array(element), Value::Json(text)) if text.starts_with('[') => {
            let mut literal = String::with_capacity(text.len() + 2);
            array_literal(text, element, field, &mut literal)?;
            Ok(Datum::Text(literal.into()))
        }
        // An array in the database's own notation.
        (TypeKind::Array(_), Value::Text(text)) if text.trim_start().starts_with(['{', '[']) => {
            Ok(Datum::Text(text.clone()))
        }
        (TypeKind::Composite(fields), Value::Json(text)) if text.starts_with('{') => {
            let mut literal = String::with_capacity(text.len() + 2);
            row_literal(text, fields, field, &mut literal)?;
            Ok(Datum::Text(literal.into()))
        }
        (TypeKind::Composite(_), Value::Text(text)) => Ok(Datum::Text(text.clone())),
        (TypeKind::Text | TypeKind::Other, Value::Text(text) | Value::Number(text)) => {
            Ok(Datum::Text(text.clone()))
        }
        (TypeKind::Text | TypeKind::Other, Value::Bool(flag)) => {
            Ok(Datum::Text(if *flag { "true".into() } else { "false".into() }))
        }
        (
            TypeKind::Bytes | TypeKind::Date | TypeKind::Timestamp | TypeKind::TimestampTz | TypeKind::Range,
            Value::Text(text),
        ) => Ok(Datum::Text(text.clone())),
        _ => Err(refused()),
    }
}

/// The hyphenated form or 32 hex digits; the database takes more, but no client writes more.
fn is_uuid(text: &str) -> bool {
    let hex = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = text.bytes().filter(|b| *b == b'-').count();
    hex == 32 && hex + hyphens == text.len() && (hyphens == 0 || hyphens == 4)
}

/// A value as JSON text: a string stays a string.
fn json_text(value: &Value) -> SmolStr {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(text) | Value::Json(text) => text.clone(),
        Value::Text(text) => {
            let mut quoted = Vec::with_capacity(text.len() + 2);
            quoted.push(b'"');
            crate::rows::escape_into(text, &mut quoted);
            quoted.push(b'"');
            String::from_utf8(quoted).unwrap_or_default().into()
        }
    }
}

/// Deepest array a database keeps (PostgreSQL's `MAXDIM`); deeper input is refused before recursion.
const MAX_ARRAY_DEPTH: usize = 6;

/// JSON array text → PostgreSQL's `{a,"b"}` notation.
fn array_literal(
    json: &str,
    element: &ColumnType,
    field: &str,
    out: &mut String,
) -> Result<(), RequestError> {
    fn level(
        array: JsonText<'_>,
        element: &ColumnType,
        field: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<(), RequestError> {
        if depth > MAX_ARRAY_DEPTH {
            let message = format!("'{field}' has more than {MAX_ARRAY_DEPTH} array dimensions");
            return Err(refusal::of_value(field, message));
        }
        out.push('{');
        for (index, item) in array.expect_array(field)?.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let json_element = matches!(element.base().kind, TypeKind::Json | TypeKind::Jsonb);
            if item.is_array() && !json_element {
                level(item, element, field, depth + 1, out)?;
                continue;
            }
            match bind(&item.value(field)?, element, field)?.into_text() {
                None => out.push_str("NULL"),
                Some(text) => quoted(&text, out),
            }
        }
        out.push('}');
        Ok(())
    }
    level(JsonText::parse(json.as_bytes())?, element, field, 1, out)
}

/// JSON object text → PostgreSQL's `(a,"b",)` notation.
fn row_literal(
    json: &str,
    fields: &[crate::schema::Field],
    field: &str,
    out: &mut String,
) -> Result<(), RequestError> {
    let given = JsonText::parse(json.as_bytes())?.expect_object(field)?.rest();
    if let Some((name, _)) = given.iter().find(|(name, _)| !fields.iter().any(|f| &*f.name == name.as_ref()))
    {
        let path = format!("{field}.{}", excerpt(name));
        return Err(refusal::of_value(&path, format!("'{path}' is not a field of the column's type")));
    }
    out.push('(');
    for (index, known) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let Some((_, value)) = given.iter().find(|(name, _)| name.as_ref() == &*known.name) else { continue };
        let path = format!("{field}.{}", known.name);
        if let Some(text) = bind(&value.value(&path)?, &known.ty, &path)?.into_text() {
            quoted(&text, out);
        }
    }
    out.push(')');
    Ok(())
}

/// A member in double quotes, so that no text can be taken for a delimiter or for NULL.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
