//! POST `/gateway/update`.

use std::collections::HashMap;

use super::body::{Decoding, JsonText, Object};
use super::columns::{MAX_COLUMNS, Selection};
use super::condition::Condition;
use super::fetch::{self, Count};
use super::identifier::{Identifier, RelationName};
use super::insert::{Assignment, Place, assignments, parse_assignments, refuse_too_many};
use super::stamp::Stamp;
use super::tuning::Tuning;
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;
use crate::shape::Grouping;

/// A change of existing rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRequest {
    /// Table.
    pub relation: RelationName,
    /// New values, at least one.
    pub set: Vec<Assignment>,
    /// Filters, ANDed, at least one.
    pub conditions: Vec<Condition>,
    /// Columns of the answer.
    pub columns: Selection,
    /// Whether keys with null values are left out; a header may say otherwise.
    pub strip_nulls: Option<bool>,
    /// Grouping of the changed rows.
    pub grouping: Option<Grouping>,
    /// Whether the changed rows are counted in the answer.
    pub count: Option<Count>,
    /// Whether the answer has no rows.
    pub head: bool,
    /// Most rows that may change.
    pub max_affected: Option<u64>,
    /// Whether everything is undone after it was done.
    pub dry_run: bool,
    /// What the one row must be, or the answer says that it was not changed; none asks only that it is there.
    pub only_if: Option<Vec<Condition>>,
    /// How long the new values live and when they were written.
    pub stamp: Stamp,
    /// How it is to be carried out.
    pub tuning: Tuning,
}

impl UpdateRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown; in particular no payload and no condition.
    pub fn decode(body: JsonText<'_>, limits: &Limits, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let relation = fetch::take_table(&mut body, decoding)?;
        let (set, columns) = take_payload(&mut body)?;
        let conditions = fetch::take_conditions(&mut body, limits, decoding)?;
        let request = Self {
            relation,
            set,
            columns,
            strip_nulls: body.take_bool("strip_nulls")?,
            grouping: fetch::take_grouping(&mut body)?,
            count: fetch::take_count(&mut body)?,
            head: body.take_bool("head")?.unwrap_or(false),
            max_affected: body.take_count("max_affected")?,
            dry_run: body.take_bool("dry_run")?.unwrap_or(false),
            only_if: fetch::take_only_if(&mut body, limits, decoding)?,
            stamp: Stamp::take(&mut body)?,
            tuning: Tuning::take(&mut body)?,
            conditions,
        };
        body.finish(decoding)?;
        if request.only_if.is_some() && request.grouping.is_some() {
            let message = "`group_by` cannot stand beside `if`, whose answer is of one row";
            return Err(RequestError::invalid("group_by", message));
        }
        if request.conditions.is_empty() {
            return Err(RequestError::field(
                RequestCode::MissingField,
                "conditions",
                "at least one condition is required for update (e.g. eq_column / eq_value)",
            ));
        }
        Ok(request)
    }
}

/// The new values, from `update_body`, `data`, `set` or object-valued `columns` (contract 7.1); giving
/// two of them is refused, since one would be dropped.
fn take_payload(body: &mut Object<'_>) -> Result<(Vec<Assignment>, Selection), RequestError> {
    let columns = body.take("columns");
    let mut set: Option<(Vec<Assignment>, &'static str)> = None;
    for name in ["update_body", "data", "set"] {
        if let Some(value) = body.take(name) {
            if let Some((_, first)) = &set {
                return Err(RequestError::invalid(
                    name,
                    format!("`{name}` and `{first}` both hold new values; give one of them"),
                ));
            }
            set = Some((parse_assignments(value, name)?, name));
        }
    }
    let entries = match columns.filter(|value| value.is_array()) {
        Some(value) => value.expect_array_of(MAX_COLUMNS, "columns").map_err(|mut error| {
            error.code = RequestCode::InvalidPayload;
            error
        })?,
        None => Vec::new(),
    };
    let mut selection = Selection::All;
    match columns {
        Some(_) if entries.iter().any(|entry| entry.is_object()) => {
            if let Some((_, first)) = &set {
                return Err(RequestError::invalid(
                    "columns",
                    format!("`columns` and `{first}` both hold new values; give one of them"),
                ));
            }
            let mut merged: Vec<Assignment> = Vec::new();
            let mut places: HashMap<Identifier, usize> = HashMap::new();
            for (index, entry) in entries.into_iter().enumerate() {
                for assignment in assignments(entry, Place::Element("columns", index))? {
                    match places.get(&assignment.column) {
                        Some(&place) => merged[place] = assignment,
                        None => {
                            places.insert(assignment.column.clone(), merged.len());
                            merged.push(assignment);
                        }
                    }
                }
                refuse_too_many(merged.len(), Place::Field("columns"))?;
            }
            set = Some((merged, "columns"));
        }
        Some(value) => selection = Selection::parse(value, "columns")?,
        None => {}
    }
    match set {
        Some((assignments, _)) if !assignments.is_empty() => Ok((assignments, selection)),
        _ => Err(RequestError::field(
            RequestCode::MissingField,
            "update_body",
            "update payload required: provide 'columns' (array of objects with column names and values), \
             or 'data' / 'set' object",
        )),
    }
}
