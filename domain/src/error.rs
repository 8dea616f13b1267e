//! What a caller did wrong, in words chosen for the caller.

use std::borrow::Cow;

use crate::access::AuthReason;

/// Most of a caller's text that an error repeats, in bytes.
const EXCERPT_MAX: usize = 200;

/// Longest message of a refusal, in bytes: room for every list of known names, and for a few excerpts.
const MESSAGE_MAX: usize = 1_500;

/// A text as an error repeats it: cut when it is long, since a body or a column may hold megabytes.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.len() <= EXCERPT_MAX {
        true => text.into(),
        false => format!("{}…", &text[..text.floor_char_boundary(EXCERPT_MAX)]).into(),
    }
}

/// Stable, machine-readable name of a refusal; a code is never reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestCode {
    /// The body is not JSON, or a JSON object names one field twice.
    InvalidJson,
    /// A field that no request of this kind has.
    UnknownField,
    /// A field with a value of the wrong type or outside its range.
    InvalidField,
    /// A required field is absent.
    MissingField,
    /// A name that is not `[A-Za-z_][A-Za-z0-9_]*` of at most 63 bytes.
    InvalidIdentifier,
    /// A table name that is neither `table` nor `schema.table`.
    InvalidTableName,
    /// An operator outside the condition grammar.
    UnknownOperator,
    /// A configured limit was passed.
    LimitExceeded,
    /// A relation the database does not have.
    UndefinedTable,
    /// A column the relation does not have.
    UndefinedColumn,
    /// A select token such as an embedded relation.
    UnsupportedSelect,
    /// An insert or update payload that cannot be written.
    InvalidPayload,
    /// Rows of one request that cannot stand beside each other.
    UniqueViolation,
    /// An insert payload without a column.
    NoColumns,
    /// A value that does not fit the column's type.
    DataException,
    /// An operator that the column's type does not have.
    TypeMismatch,
    /// More rows than the caller allowed to change.
    TooManyRows,
    /// Something this kind of database cannot do.
    NotSupportedByBackend,
    /// Grouping that cannot be computed over the rows.
    PostProcessing,
    /// A cursor that does not belong to the request, or not any more.
    InvalidCursor,
    /// The caller's key does not reach that far; [`RequestError::denied`] says why.
    Denied,
}

impl RequestCode {
    /// The `code` of the error body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::UnknownField => "unknown_field",
            Self::InvalidField => "invalid_field",
            Self::MissingField => "missing_field",
            Self::InvalidIdentifier => "invalid_identifier",
            Self::InvalidTableName => "invalid_table_name",
            Self::UnknownOperator => "unknown_operator",
            Self::LimitExceeded => "limit_exceeded",
            Self::UndefinedTable => "undefined_table",
            Self::UndefinedColumn => "undefined_column",
            Self::UnsupportedSelect => "unsupported_select",
            Self::InvalidPayload => "invalid_payload",
            Self::UniqueViolation => "unique_violation",
            Self::NoColumns => "no_columns",
            Self::DataException => "data_exception",
            Self::TypeMismatch => "type_mismatch",
            Self::TooManyRows => "too_many_rows",
            Self::NotSupportedByBackend => "not_supported_by_backend",
            Self::PostProcessing => "post_processing_failed",
            Self::InvalidCursor => "invalid_cursor",
            Self::Denied => "insufficient_api_key_rights",
        }
    }
}

/// A limit that a request passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedLimit {
    /// Configuration key below `limits.`.
    pub name: &'static str,
    /// The configured value.
    pub value: u64,
}

/// What a caller's key lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: AuthReason,
    /// Name of the right that is missing, where it is one.
    pub missing_right: Option<String>,
}

/// A refusal of a caller's request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// Machine-readable reason.
    pub code: RequestCode,
    /// Path of the offending field, such as `conditions[2].value`.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
    /// The next thing to try, where it is not said in the message.
    pub hint: Option<String>,
    /// The limit that was passed, for [`RequestCode::LimitExceeded`].
    pub limit: Option<PassedLimit>,
    /// What the caller's key lacks, for [`RequestCode::Denied`].
    pub denied: Option<Box<Denied>>,
}

impl RequestError {
    /// Whether it is refused for being about a control database.
    pub fn is_shielded(&self) -> bool {
        self.denied.as_ref().is_some_and(|denied| denied.reason == AuthReason::ControlDatabase)
    }

    /// A refusal with no field and no hint.
    pub fn new(code: RequestCode, message: impl Into<String>) -> Self {
        let message = shortened(message.into(), MESSAGE_MAX);
        Self { code, field: None, message, hint: None, limit: None, denied: None }
    }

    /// A refusal of one field.
    pub fn field(code: RequestCode, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(shortened(field.into(), EXCERPT_MAX)), ..Self::new(code, message) }
    }

    /// A value of the wrong type or range.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::field(RequestCode::InvalidField, field, message)
    }

    /// A limit named `name` below `limits.` was passed.
    pub fn limit(
        name: &'static str,
        value: u64,
        field: impl Into<String>,
        what: impl std::fmt::Display,
    ) -> Self {
        let mut error = Self::field(
            RequestCode::LimitExceeded,
            field,
            format!("{what}; the limit `limits.{name}` is {value}"),
        );
        error.limit = Some(PassedLimit { name, value });
        error
    }

    /// The same refusal with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whatever a refusal is made of, the answer is not as long as the body that it refuses.
fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let check = |text: String, expected: String| assert_eq!(excerpt(&text), expected);
        check("ä".repeat(100), "ä".repeat(100));
        check("ä".repeat(101), format!("{}…", "ä".repeat(100)));
        check(format!("a{}", "ä".repeat(100)), format!("a{}…", "ä".repeat(99)));
    }

    #[test]
    fn a_refusal_is_never_as_long_as_what_it_refuses() {
        let long = "x".repeat(1 << 20);
        let error = RequestError::invalid(long.as_str(), format!("`{long}` is no name"));
        assert!(error.field.is_some_and(|field| field.len() < 300 && field.ends_with('…')));
        assert!(error.message.len() < 2_000 && error.message.ends_with('…'));
    }
}
