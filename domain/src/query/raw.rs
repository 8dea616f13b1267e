//! The caller's own SQL, as POST `/gateway/query` and POST `/query/sql` take it.

use super::body::{Decoding, JsonText, Object};
use super::value::Value;
use crate::error::{RequestCode, RequestError};

/// Most parameters of one statement: PostgreSQL counts them in 16 bits.
pub const MAX_PARAMS: usize = 65_535;

/// A statement, or several without parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// The text, without trailing white space and semicolons.
    pub query: Box<str>,
    /// Values bound as `$1…`; `None` when the field was absent.
    pub params: Option<Vec<Value>>,
    /// Whether the database itself must refuse writes.
    pub read_only: bool,
    /// Most rows to return; the configured limit when absent.
    pub max_rows: Option<u64>,
    /// Whether a script of several is refused.
    pub one_statement: bool,
    /// Whether the answer names the columns, also where it has no row.
    pub tells_columns: bool,
}

impl RawRequest {
    /// Decodes the body of `/gateway/query`.
    ///
    /// # Errors
    /// Every field that is missing, malformed or unknown, and a statement that is empty.
    pub fn decode(body: JsonText<'_>, decoding: Decoding) -> Result<Self, RequestError> {
        let mut body = body.expect_object("")?;
        let request = Self::take(&mut body)?;
        body.finish(decoding)?;
        Ok(request)
    }

    /// Takes the fields of a statement out of a body.
    pub(super) fn take(body: &mut Object<'_>) -> Result<Self, RequestError> {
        let query = body.take_string("query")?.ok_or_else(|| {
            RequestError::field(RequestCode::MissingField, "query", "`query` is required: the SQL text")
        })?;
        let trimmed = query.trim_end_matches(|c: char| c.is_whitespace() || c == ';').trim_start();
        if trimmed.trim_start_matches(|c: char| c.is_whitespace() || c == ';').is_empty() {
            return Err(RequestError::field(
                RequestCode::InvalidField,
                "query",
                "Query cannot be empty or contain only semicolons.",
            ));
        }
        if trimmed.contains('\0') {
            return Err(RequestError::invalid(
                "query",
                "`query` contains a NUL character, which SQL text cannot",
            ));
        }
        let params = match body.take("params") {
            None => None,
            Some(list) => {
                let entries = list.expect_array_of(MAX_PARAMS, "params")?;
                let value = |(index, entry): (usize, JsonText<'_>)| entry.value(&format!("params[{index}]"));
                Some(entries.into_iter().enumerate().map(value).collect::<Result<Vec<_>, _>>()?)
            }
        };
        Ok(Self {
            query: trimmed.into(),
            params,
            read_only: body.take_bool("read_only")?.unwrap_or(false),
            max_rows: body.take_count("max_rows")?,
            one_statement: false,
            tells_columns: false,
        })
    }
}
