//! New rows: what becomes of those that are there already, and whether each has a key of its own.

use super::members::{Identity, identity};
use super::{CqlValue, Existing, refuse};
use crate::error::{RequestCode, RequestError};
use crate::plan::{Conflict, SetValue, Target};
use crate::schema::{CqlTable, Relation};

pub(super) fn invalid(reason: &str) -> RequestError {
    RequestError::field(
        RequestCode::InvalidPayload,
        "insert_body",
        format!("insert payload is invalid: {reason}"),
    )
}

pub(super) fn existing(relation: &Relation, conflict: Option<&Conflict>) -> Result<Existing, RequestError> {
    let Some(Conflict { target, set }) = conflict else { return Ok(Existing::Refuses) };
    if let Target::Columns(_, Some(_)) = target {
        return Err(refuse(
            "on_conflict",
            format!("the primary key of '{}' holds for every row", relation.name),
            "leave `where` out".to_owned(),
        ));
    }
    if set.iter().any(|(_, value)| matches!(value, SetValue::Given(_))) {
        return Err(refuse(
            "update_body",
            "the database cannot choose in one statement between the values of a new row and those of one that is \
             there"
                .to_owned(),
            "leave `update_body` out to write `insert_body` in either case, or send an insert and, on 409, an update"
                .to_owned(),
        ));
    }
    let stays = set.iter().all(|(_, value)| *value == SetValue::Same);
    Ok(if stays { Existing::Stays } else { Existing::Changes })
}

/// Checks that every row has a whole key, then that it is its own; gives the number of partitions.
pub(super) fn keys(
    relation: &Relation,
    table: &CqlTable,
    existing: Existing,
    columns: &[usize],
    rows: &[Vec<CqlValue>],
) -> Result<usize, RequestError> {
    let places: Vec<(usize, Option<usize>)> = relation
        .primary_key
        .iter()
        .map(|column| (*column, columns.iter().position(|written| written == column)))
        .collect();
    let mut keys = Vec::with_capacity(rows.len() * places.len());
    for row in rows {
        for (column, place) in &places {
            let value = place.and_then(|place| row.get(place));
            match value.filter(|value| !matches!(value, CqlValue::Null | CqlValue::Unset)) {
                Some(value) if value.is_empty() && *table.partition == [*column] => {
                    let name = &relation.columns[*column].name;
                    let message = format!(
                        "'{name}' says where a row is kept, and the database takes no empty value for it"
                    );
                    return Err(RequestError::field(RequestCode::DataException, &**name, message));
                }
                Some(value) => keys.push(KeyPart::of(value)),
                None => {
                    let name = &relation.columns[*column].name;
                    return Err(RequestError {
                        field: Some(name.to_string()),
                        ..invalid(&format!(
                            "every row needs a value for '{name}', which is of the primary key"
                        ))
                    });
                }
            }
        }
    }
    let keys: Vec<&[KeyPart<'_>]> = keys.chunks(places.len().max(1)).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    // Mostly they come in order. Of equal keys the earlier one stays in front.
    if !keys.is_sorted() {
        order.sort_by_key(|nth| keys[*nth]);
    }
    let pairs = || order.array_windows().map(|[a, b]| (keys[*a], keys[*b], *b));
    if let Some(nth) = pairs().filter(|(one, next, _)| one == next).map(|(.., nth)| nth).min() {
        let twice = format!("row {nth} has the primary key of an earlier one");
        return Err(match existing {
            Existing::Refuses => RequestError::field(RequestCode::UniqueViolation, "insert_body", twice),
            Existing::Stays | Existing::Told | Existing::Changes => invalid(&twice),
        });
    }
    let partition = table.partition.len();
    let changes = pairs().filter(|(one, next, _)| one[..partition] != next[..partition]).count();
    Ok(changes + usize::from(!keys.is_empty()))
}

/// What tells a value of a key from others of its type.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart<'a> {
    Int(i64),
    Text(&'a str),
    Other(Identity),
}

impl<'a> KeyPart<'a> {
    fn of(value: &'a CqlValue) -> Self {
        match value {
            CqlValue::Int(number) => Self::Int(*number),
            CqlValue::Text(text) => Self::Text(text),
            value => Self::Other(identity(value)),
        }
    }
}
