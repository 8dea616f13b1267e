//! PUT `/gateway/insert`.

use std::fmt;
use std::sync::Arc;

use super::body::{Decoding, Elements, JsonText, Object};
use super::columns::{MAX_COLUMNS, Selection};
use super::condition::{self, Condition};
use super::fetch::{self, Count};
use super::identifier::{Identifier, RelationName};
use super::stamp::Stamp;
use super::tuning::Tuning;
use super::value::Value;
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;

/// A column and its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Column as the caller spells it.
    pub column: Identifier,
    /// Value; JSON null is SQL NULL.
    pub value: Value,
    /// Where it stands in the body.
    pub place: Place,
}

impl Assignment {
    /// A view of it.
    pub fn cell(&self) -> Cell<'_> {
        Cell { column: &self.column, value: &self.value, place: self.place }
    }
}

/// A column and its new value, where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Column as the caller spells it.
    pub column: &'a Identifier,
    /// Value; JSON null is SQL NULL.
    pub value: &'a Value,
    /// Where it stands in the body.
    pub place: Place,
}

impl Cell<'_> {
    /// Path of the value in the body, for messages.
    pub fn field(&self) -> String {
        format!("{}.{}", self.place, self.column)
    }
}

/// An object of column → value in a body. It becomes a path only where a message tells of it: there is one for every
/// value, and hardly one is ever read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The object that a field of the body holds.
    Field(&'static str),
    /// One of the objects in the array that a field of the body holds.
    Element(&'static str, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field),
            Self::Element(field, index) => write!(f, "{field}[{index}]"),
        }
    }
}

/// Most rows of one insert that hold no value: three bytes each, they would make a short body many rows.
const MAX_EMPTY_ROWS: usize = 10_000;

/// One row to insert. Rows that name the same columns in the same order, as most do, share the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    names: Arc<[Identifier]>,
    values: Vec<Value>,
    place: Place,
}

impl Row {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The columns as the caller spells them; a name stands where its value does.
    pub fn names(&self) -> &[Identifier] {
        &self.names
    }

    /// Whether it is known to have the names of the other one, in their order.
    pub fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names)
    }

    /// The columns and their values, as the caller has them.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell<'_>> + Clone {
        let place = self.place;
        self.names.iter().zip(&self.values).map(move |(column, value)| Cell { column, value, place })
    }

    /// The `nth` column and its value.
    pub fn cell(&self, nth: usize) -> Option<Cell<'_>> {
        Some(Cell { column: self.names.get(nth)?, value: self.values.get(nth)?, place: self.place })
    }
}

/// What a conflict is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictTarget {
    /// The columns of a unique index, and the predicate of a partial one.
    Columns {
        /// Columns.
        columns: Vec<Identifier>,
        /// Predicate, ANDed.
        predicate: Vec<Condition>,
    },
    /// A constraint by name.
    Constraint(Identifier),
}

/// What happens on a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upsert {
    /// What the conflict is about, when the caller says it.
    pub target: Option<ConflictTarget>,
    /// New values of the row that is there; the inserted ones when absent, nothing when empty.
    pub set: Option<Vec<Assignment>>,
}

/// New rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertRequest {
    /// Table.
    pub relation: RelationName,
    /// Rows, at least one.
    pub rows: Vec<Row>,
    /// Whether the body held an array, so that the answer does too.
    pub many: bool,
    /// Insert-or-update, when asked for.
    pub upsert: Option<Upsert>,
    /// Columns of the answer.
    pub columns: Selection,
    /// Whether keys with null values are left out; a header may say otherwise.
    pub strip_nulls: Option<bool>,
    /// Whether the rows are counted in the answer.
    pub count: Option<Count>,
    /// Whether the answer has no rows.
    pub head: bool,
    /// For several rows: whether a missing key is NULL or the column's default.
    pub default_to_null: bool,
    /// Most rows that may change.
    pub max_affected: Option<u64>,
    /// Whether everything is undone after it was done.
    pub dry_run: bool,
    /// Whether a row that is there already is an answer, not a failure.
    pub if_not_exists: bool,
    /// How long the values live and when they were written.
    pub stamp: Stamp,
    /// How it is to be carried out.
    pub tuning: Tuning,
}

impl InsertRequest {
    /// Decodes a body.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown.
    pub fn decode(body: JsonText<'_>, limits: &Limits, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let relation = fetch::take_table(&mut body, decoding).map_err(|mut error| {
            match error.code {
                RequestCode::MissingField => {
                    error.message = "table_name is required in the request body".into()
                }
                RequestCode::InvalidTableName => error.message = "table name is invalid".into(),
                _ => {}
            }
            error
        })?;
        let payload = body.take("insert_body").ok_or_else(|| {
            RequestError::field(
                RequestCode::MissingField,
                "insert_body",
                "insert_body is required in the request body",
            )
        })?;
        let many = payload.is_array();
        let rows = parse_rows(payload)?;
        let request = Self {
            relation,
            rows,
            many,
            upsert: take_upsert(&mut body, limits, decoding)?,
            columns: fetch::take_columns(&mut body)?,
            strip_nulls: body.take_bool("strip_nulls")?,
            count: fetch::take_count(&mut body)?,
            head: body.take_bool("head")?.unwrap_or(false),
            default_to_null: body.take_bool("default_to_null")?.unwrap_or(true),
            max_affected: body.take_count("max_affected")?,
            dry_run: body.take_bool("dry_run")?.unwrap_or(false),
            if_not_exists: body.take_bool("if_not_exists")?.unwrap_or(false),
            stamp: Stamp::take(&mut body)?,
            tuning: Tuning::take(&mut body)?,
        };
        body.finish(decoding)?;
        if request.if_not_exists {
            request.goes_with_if_not_exists()?;
        }
        Ok(request)
    }
}

impl InsertRequest {
    fn goes_with_if_not_exists(&self) -> Result<(), RequestError> {
        let refuse = |field: &str, message: &str| Err(RequestError::invalid(field, message));
        match &self.upsert {
            Some(_) => refuse(
                "if_not_exists",
                "`if_not_exists` leaves a row that is there as it is, `on_conflict` and `update_body` say what becomes of \
                 it; give one of them",
            ),
            None if self.rows.len() > 1 => refuse(
                "insert_body",
                "`if_not_exists` goes with one row, as its answer is of one; send the rows one by one",
            ),
            None => Ok(()),
        }
    }
}

fn parse_rows(payload: JsonText<'_>) -> Result<Vec<Row>, RequestError> {
    let invalid = |field: &str, reason: &str| {
        RequestError::field(
            RequestCode::InvalidPayload,
            field,
            format!("insert payload is invalid: {reason}"),
        )
    };
    let rows: Vec<Row> = match payload.elements() {
        Some(mut elements) => {
            let (mut rows, mut empty) = (Vec::<Row>::new(), 0);
            loop {
                let place = Place::Element("insert_body", rows.len());
                let before = rows.last();
                let row = match before.and_then(|before| like(&mut elements, place, before)) {
                    Some(row) => row,
                    None => {
                        let Some(element) = elements.next() else { break };
                        if !element.is_object() {
                            let reason = "every element of the array must be an object";
                            return Err(invalid(&place.to_string(), reason));
                        }
                        row(element, place, before.map_or(&[], Row::names))?
                    }
                };
                empty += usize::from(row.is_empty());
                if empty > MAX_EMPTY_ROWS {
                    let reason =
                        format!("more than {MAX_EMPTY_ROWS} rows hold no value; send fewer of them at once");
                    return Err(invalid("insert_body", &reason));
                }
                rows.push(row);
            }
            rows
        }
        None if payload.is_object() => vec![row(payload, Place::Field("insert_body"), &[])?],
        None => {
            return Err(invalid("insert_body", "insert payload must be an object or an array of objects"));
        }
    };
    if rows.is_empty() {
        return Err(invalid("insert_body", "the array is empty"));
    }
    if rows.iter().all(Row::is_empty) {
        return Err(RequestError::field(
            RequestCode::NoColumns,
            "insert_body",
            "no valid columns provided for insert",
        ));
    }
    Ok(rows)
}

/// Reads the object of column → value that a field of the body holds.
pub(super) fn parse_assignments(
    object: JsonText<'_>,
    field: &'static str,
) -> Result<Vec<Assignment>, RequestError> {
    assignments(object, Place::Field(field))
}

/// Reads an object of column → value.
pub(super) fn assignments(object: JsonText<'_>, place: Place) -> Result<Vec<Assignment>, RequestError> {
    let (names, values) = read(object, place, &[])?;
    let both = names.into_iter().zip(values);
    Ok(both.map(|(column, value)| Assignment { column, value, place }).collect())
}

/// Reads a row, which may have some of the names of the row before.
fn row(object: JsonText<'_>, place: Place, before: &[Identifier]) -> Result<Row, RequestError> {
    let (names, values) = read(object, place, before)?;
    Ok(Row { names: names.into(), values, place })
}

/// The names and values of an object of column → value. Names that stand where they stood before are shared.
fn read(
    object: JsonText<'_>,
    place: Place,
    before: &[Identifier],
) -> Result<(Vec<Identifier>, Vec<Value>), RequestError> {
    // What fails is read again with its path.
    let fields = object.expect_fields("").or_else(|_| object.expect_fields(&place.to_string()))?;
    refuse_too_many(fields.len(), place)?;
    let (mut names, mut values) = (Vec::with_capacity(fields.len()), Vec::with_capacity(fields.len()));
    for (index, (name, value)) in fields.into_iter().enumerate() {
        let path = || format!("{place}.{name}");
        names.push(match before.get(index) {
            Some(known) if known.as_str() == name => known.clone(),
            _ if Identifier::is_valid(&name) => Identifier::parse(&name, "")?,
            _ => Identifier::parse(&name, &path())?,
        });
        values.push(value.value("").or_else(|_| value.value(&path()))?);
    }
    Ok((names, values))
}

/// The next element, where it has just the names of the row before, in their order. Those are known to be good and to
/// differ, so that nothing but the values has to be read. What is different stays the next element.
fn like(elements: &mut Elements<'_>, place: Place, before: &Row) -> Option<Row> {
    let mut fields = elements.next_fields()?;
    let mut values = Vec::with_capacity(before.len());
    for known in before.names() {
        let (name, value) = fields.next()?;
        // No column has a backslash in its name, so that a name which is written like one means it.
        if name != known.as_str() {
            return None;
        }
        values.push(value.value("").ok()?);
    }
    elements.pass(fields).then(|| Row { names: before.names.clone(), values, place })
}

/// Refuses more columns than any table has: each is looked for among all others.
pub(super) fn refuse_too_many(columns: usize, object: Place) -> Result<(), RequestError> {
    if columns > MAX_COLUMNS {
        let field = object.to_string();
        let message = format!("`{field}` sets {columns} columns; a table has {MAX_COLUMNS} at most");
        return Err(RequestError::field(RequestCode::InvalidPayload, field, message));
    }
    Ok(())
}

fn take_upsert(
    body: &mut Object<'_>,
    limits: &Limits,
    decoding: Decoding,
) -> Result<Option<Upsert>, RequestError> {
    let target = match body.take("on_conflict") {
        None => None,
        Some(value) => Some(parse_target(value, limits, decoding)?),
    };
    let set = body.take("update_body").map(|value| parse_assignments(value, "update_body")).transpose()?;
    Ok((target.is_some() || set.is_some()).then_some(Upsert { target, set }))
}

fn parse_target(
    value: JsonText<'_>,
    limits: &Limits,
    decoding: Decoding,
) -> Result<ConflictTarget, RequestError> {
    const FIELD: &str = "on_conflict";
    if !value.is_object() {
        return Ok(ConflictTarget::Columns { columns: parse_names(value, FIELD)?, predicate: Vec::new() });
    }
    let mut object = value.expect_object(FIELD)?;
    let columns = object.take("columns");
    let constraint = object.take_string("constraint")?;
    let predicate = match object.take("where") {
        Some(list) => condition::parse_list(list, "on_conflict.where", limits, decoding)?,
        None => Vec::new(),
    };
    object.finish(decoding)?;
    match (columns, constraint) {
        (Some(columns), None) => {
            Ok(ConflictTarget::Columns { columns: parse_names(columns, "on_conflict.columns")?, predicate })
        }
        (None, Some(_)) if !predicate.is_empty() => {
            Err(RequestError::invalid("on_conflict.where", "`on_conflict.where` goes with `columns` only"))
        }
        (None, Some(name)) => {
            Ok(ConflictTarget::Constraint(Identifier::parse(&name, "on_conflict.constraint")?))
        }
        _ => Err(RequestError::invalid(FIELD, "`on_conflict` takes either `columns` or `constraint`")),
    }
}

fn parse_names(value: JsonText<'_>, field: &str) -> Result<Vec<Identifier>, RequestError> {
    let texts: Vec<String> = if value.is_array() {
        let entries = value.expect_array(field)?;
        entries
            .into_iter()
            .map(|e| e.expect_string(field).map(|t| t.trim().to_owned()))
            .collect::<Result<_, _>>()?
    } else {
        value.expect_string(field)?.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let names: Vec<Identifier> =
        texts.iter().map(|name| Identifier::parse(name, field)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(RequestError::invalid(field, format!("`{field}` names no column")));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    /// The columns and values of each row, or the field that is refused.
    fn rows(list: &str) -> Result<Vec<Vec<(String, Value)>>, Option<String>> {
        let rows = parse_rows(JsonText::parse(list.as_bytes()).unwrap()).map_err(|error| error.field)?;
        let told = |row: &Row| row.cells().map(|a| (a.column.as_str().to_owned(), a.value.clone())).collect();
        Ok(rows.iter().map(told).collect())
    }

    #[test]
    fn a_row_is_read_alike_whatever_stands_before_it() {
        let first = r#"{"a": 1, "b": "x"}"#;
        for row in [
            r#"{"a": "y", "b": null}"#,
            r#"{"a": "y", "b\n": null}"#,
            r#"{"b": 1, "a": 2}"#,
            r#"{"\u0061": true, "b": 2}"#,
            r#"{"a": 1}"#,
            r#"{"a": 1, "b": 2, "d": {"e": [1, "}"]}}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": 1, "b": "\ud800"}"#,
            "{}",
        ] {
            let alone = rows(&format!("[{row}]"));
            let behind = rows(&format!("[{first},{row}]"));
            match (alone, behind) {
                (Ok(alone), Ok(behind)) => assert_eq!(alone[0], behind[1], "{row}"),
                (Err(alone), Err(behind)) if row != "{}" => {
                    assert_eq!(alone.map(|field| field.replace("[0]", "[1]")), behind, "{row}");
                }
                // No row holds a value.
                (Err(_), Ok(behind)) => assert!(row == "{}" && behind[1].is_empty(), "{row}"),
                other => panic!("{row}: {other:?}"),
            }
        }
    }
}
