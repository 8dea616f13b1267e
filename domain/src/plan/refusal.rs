//! Refusals of values, in the same words for every database.

use std::fmt::Display;

use crate::error::{RequestCode, RequestError};
use crate::query::Value;

/// A value that cannot be stored as it was given.
pub(super) fn of_value(field: &str, message: String) -> RequestError {
    RequestError::field(RequestCode::DataException, field, message)
}

/// A value that is none of its column's type; `form` says how one is written.
pub(super) fn not_of_type(
    value: &Value,
    ty: &(impl Display + ?Sized),
    field: &str,
    form: &str,
) -> RequestError {
    let shown: String = match value {
        Value::Text(text) | Value::Number(text) if text.len() <= 40 => format!("`{text}`"),
        Value::Bool(flag) => format!("`{flag}`"),
        other => other.kind().to_owned(),
    };
    of_value(field, format!("{shown} is not a value of type {ty} for '{field}'{form}"))
}
