//! The order of an answer.

use super::body::{Decoding, JsonText, Object};
use super::identifier::Identifier;
use crate::error::RequestError;

/// Where nulls stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nulls {
    /// Before every value.
    First,
    /// After every value.
    Last,
}

/// One sort key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// Column.
    pub column: Identifier,
    /// Whether the greatest value comes first.
    pub descending: bool,
    /// Where nulls stand; the database's default when absent.
    pub nulls: Option<Nulls>,
}

/// Most sort keys of one request.
pub const MAX_SORT_KEYS: usize = 32;

/// Takes `sort_by` (or `sortBy`) out of a body: one object or an array of them.
///
/// # Errors
/// A key without a column, a direction other than `asc…`/`desc…`, in either spelling.
pub fn take(body: &mut Object<'_>, decoding: Decoding) -> Result<Vec<SortKey>, RequestError> {
    let (preferred, other) = (body.take("sort_by"), body.take("sortBy"));
    let read = |value: JsonText<'_>, name: &str| parse(value, &body.path(name), decoding);
    let other = other.map(|value| read(value, "sortBy")).transpose()?;
    // Contract 6.4: `sort_by` is preferred when both exist; what is not used is read all the same.
    match preferred {
        Some(value) => read(value, "sort_by"),
        None => Ok(other.unwrap_or_default()),
    }
}

fn parse(value: JsonText<'_>, field: &str, decoding: Decoding) -> Result<Vec<SortKey>, RequestError> {
    if !value.is_array() {
        return Ok(vec![parse_key(value, field, decoding)?]);
    }
    let keys = value.expect_array_of(MAX_SORT_KEYS, field)?;
    keys.into_iter()
        .enumerate()
        .map(|(index, key)| parse_key(key, &format!("{field}[{index}]"), decoding))
        .collect()
}

fn parse_key(key: JsonText<'_>, path: &str, decoding: Decoding) -> Result<SortKey, RequestError> {
    let mut object = key.expect_object(path)?;
    let (name, field) = match (object.take_string("field")?, object.take_string("column")?) {
        (Some(name), None) => (name, object.path("field")),
        (None, Some(name)) => (name, object.path("column")),
        (Some(_), Some(_)) => {
            return Err(RequestError::invalid(
                path,
                format!("`{path}` has both `field` and `column`; give one"),
            ));
        }
        (None, None) => {
            return Err(RequestError::invalid(
                path,
                format!("`{path}.field` is required: the column's name"),
            ));
        }
    };
    let column = Identifier::parse(&name, &field)?;
    let descending = match object.take_string("direction")?.map(|d| d.to_ascii_lowercase()).as_deref() {
        None | Some("asc" | "ascending") => false,
        Some("desc" | "descending") => true,
        Some(_) => {
            let field = object.path("direction");
            return Err(RequestError::invalid(&field, format!("`{field}` must be asc or desc")));
        }
    };
    let nulls = match object.take_string("nulls")?.map(|n| n.to_ascii_lowercase()).as_deref() {
        None => None,
        Some("first") => Some(Nulls::First),
        Some("last") => Some(Nulls::Last),
        Some(_) => {
            let field = object.path("nulls");
            return Err(RequestError::invalid(&field, format!("`{field}` must be first or last")));
        }
    };
    object.finish(decoding)?;
    Ok(SortKey { column, descending, nulls })
}
