//! DELETE `/gateway/delete`.

use super::body::{Decoding, JsonText};
use super::columns::Selection;
use super::condition::Condition;
use super::fetch::{self, Count};
use super::identifier::RelationName;
use super::stamp::take_timestamp;
use super::tuning::Tuning;
use super::value::Value;
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;

/// A removal of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Table.
    pub relation: RelationName,
    /// Value of the id column.
    pub resource_id: Option<Value>,
    /// Filters, ANDed.
    pub conditions: Vec<Condition>,
    /// Whether `conditions` was given, so that the answer holds an array.
    pub many: bool,
    /// Columns of the answer.
    pub columns: Selection,
    /// Whether keys with null values are left out; a header may say otherwise.
    pub strip_nulls: Option<bool>,
    /// Whether the removed rows are counted in the answer.
    pub count: Option<Count>,
    /// Whether the answer has no rows.
    pub head: bool,
    /// Most rows that may go.
    pub max_affected: Option<u64>,
    /// Whether everything is undone after it was done.
    pub dry_run: bool,
    /// What the one row must be, or the answer says that it was not removed; none asks only that it is there.
    pub only_if: Option<Vec<Condition>>,
    /// Microseconds since 1970: only what was written until then goes.
    pub timestamp: Option<i64>,
    /// How it is to be carried out.
    pub tuning: Tuning,
}

impl DeleteRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown; in particular neither an id nor a condition.
    pub fn decode(body: JsonText<'_>, limits: &Limits, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let relation = fetch::take_table(&mut body, decoding)?;
        let resource_id =
            match body.take("resource_id").map(|value| value.value("resource_id")).transpose()? {
                Some(Value::Text(text)) if text.is_empty() => {
                    return Err(RequestError::invalid(
                        "resource_id",
                        "`resource_id` is empty; leave it out or give the row's id",
                    ));
                }
                Some(value @ (Value::Text(_) | Value::Number(_))) => Some(value),
                Some(other) => {
                    return Err(RequestError::invalid(
                        "resource_id",
                        format!("`resource_id` must be a string or a number, not {}", other.kind()),
                    ));
                }
                None => None,
            };
        let conditions = fetch::take_conditions(&mut body, limits, decoding)?;
        let many = !conditions.is_empty();
        let request = Self {
            relation,
            resource_id,
            conditions,
            many,
            columns: fetch::take_columns(&mut body)?,
            strip_nulls: body.take_bool("strip_nulls")?,
            count: fetch::take_count(&mut body)?,
            head: body.take_bool("head")?.unwrap_or(false),
            max_affected: body.take_count("max_affected")?,
            dry_run: body.take_bool("dry_run")?.unwrap_or(false),
            only_if: fetch::take_only_if(&mut body, limits, decoding)?,
            timestamp: take_timestamp(&mut body)?,
            tuning: Tuning::take(&mut body)?,
        };
        body.finish(decoding)?;
        if request.resource_id.is_none() && request.conditions.is_empty() {
            return Err(RequestError::field(
                RequestCode::MissingField,
                "resource_id",
                "resource_id or at least one condition is required for delete",
            ));
        }
        Ok(request)
    }
}
