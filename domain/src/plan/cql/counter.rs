//! Counters: they are added to, and nothing else.

use super::{CqlValue, refuse};
use crate::error::{RequestCode, RequestError};
use crate::query::body::Decoding;
use crate::query::{JsonText, Value};
use crate::schema::Relation;

/// What is added to a counter: `{"increment": 5}`.
///
/// # Errors
/// Any other value: a counter cannot be set.
pub(in crate::plan) fn increment(value: &Value, column: &str, field: &str) -> Result<CqlValue, RequestError> {
    let json = match value {
        Value::Json(text) if text.starts_with('{') => JsonText::parse(text.as_bytes())?,
        _ => {
            return Err(refuse(
                column,
                format!("'{column}' is a counter, which can be added to but not set"),
                format!("write {{\"{column}\": {{\"increment\": 5}}}}, with a number below 0 to take away"),
            ));
        }
    };
    let mut object = json.expect_object(field)?;
    let path = object.path("increment");
    let number = object.take("increment").map(|number| number.value(&path)).transpose()?;
    object.finish(Decoding::default())?;
    let number = match &number {
        Some(Value::Number(text) | Value::Text(text)) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(CqlValue::Int).ok_or_else(|| {
        let message = format!("`{path}` must be a whole number of 64 bits, such as 5 or -5");
        RequestError::field(RequestCode::DataException, path.as_str(), message)
    })
}

/// Checks that rows can be inserted into the relation: counters have none that could be written.
///
/// # Errors
/// A table of counters.
pub(in crate::plan) fn counts_nothing(relation: &Relation) -> Result<(), RequestError> {
    if !relation.cql.as_ref().is_some_and(|table| table.counter) {
        return Ok(());
    }
    Err(refuse(
        "table_name",
        format!("the values of '{}' are counters, which begin at 0 with the first addition", relation.name),
        "add to them with an update: \"set\": {\"column\": {\"increment\": 5}}, and the row's key in `conditions`"
            .to_owned(),
    ))
}
