//! Refusals, with the codes that PostgreSQL gives them.

use athena_application::ports::{PortError, PortErrorKind, Reason, Rejection};
use athena_domain::schema::{ColumnType, Relation};

/// The port's name in errors.
pub(crate) const PORT: &str = "memory";

pub(crate) fn error(kind: PortErrorKind) -> PortError {
    PortError::new(PORT, kind)
}

pub(crate) fn refused(rejection: Rejection) -> PortError {
    PortError::rejected(PORT, rejection)
}

fn coded(reason: Reason, sql_state: &str, message: String) -> Rejection {
    Rejection { sql_state: Some(sql_state.into()), ..Rejection::new(reason, message) }
}

fn of_table(relation: &Relation, rejection: Rejection) -> Rejection {
    Rejection {
        table: Some(relation.name.as_ref().into()),
        schema: Some(relation.schema.as_ref().into()),
        ..rejection
    }
}

pub(crate) fn undefined_table(relation: &Relation) -> PortError {
    let message = format!("the relation '{}' does not exist", relation.name);
    refused(coded(Reason::UndefinedTable, "42P01", message))
}

pub(crate) fn undefined_column(relation: &Relation, column: &str) -> PortError {
    let message = format!("the column '{column}' of '{}' does not exist", relation.name);
    let rejection = coded(Reason::UndefinedColumn, "42703", message);
    refused(Rejection { column: Some(column.into()), ..rejection })
}

pub(crate) fn stale(relation: &Relation) -> PortError {
    refused(Rejection::new(Reason::Stale, format!("'{}' has changed since it was read", relation.name)))
}

pub(crate) fn unique(relation: &Relation, constraint: &str) -> PortError {
    let message = format!("a row with this value of '{constraint}' is there already");
    let rejection = coded(Reason::Unique, "23505", message);
    refused(of_table(relation, Rejection { constraint: Some(constraint.into()), ..rejection }))
}

pub(crate) fn not_null(relation: &Relation, column: &str) -> PortError {
    let rejection = coded(Reason::NotNull, "23502", format!("'{column}' must have a value"));
    refused(of_table(relation, Rejection { column: Some(column.into()), ..rejection }))
}

pub(crate) fn bad_value(text: &str, ty: &ColumnType) -> PortError {
    let shown: String = text.chars().take(40).collect();
    refused(coded(Reason::BadValue, "22P02", format!("`{shown}` is not a value of type {}", ty.sql)))
}

pub(crate) fn bad_pattern() -> PortError {
    refused(coded(Reason::BadValue, "22025", "a pattern must not end with its escape character".to_owned()))
}

pub(crate) fn twice(relation: &Relation) -> PortError {
    let message = format!("two of the rows meet the same row of '{}'", relation.name);
    refused(coded(Reason::Statement, "21000", message))
}

pub(crate) fn no_target(relation: &Relation) -> PortError {
    let message = format!("'{}' has no unique index for this conflict", relation.name);
    refused(coded(Reason::Statement, "42P10", message))
}

pub(crate) fn no_operator(ty: &ColumnType, what: &str) -> PortError {
    refused(coded(Reason::TypeMismatch, "42883", format!("type {} has no {what}", ty.sql)))
}

pub(crate) fn too_many(reason: Reason, limit: &'static str, most: u64) -> PortError {
    let message = format!("more than {most} rows; nothing was changed");
    refused(Rejection { limit: Some((limit, most)), ..Rejection::new(reason, message) })
}

pub(crate) fn stopped() -> PortError {
    refused(Rejection::new(Reason::LimitExceeded, "the answer is too large; nothing was changed"))
}

/// A row that the caller's key does not allow to be written.
pub(crate) fn row_out_of_scope() -> PortError {
    refused(Rejection::new(
        Reason::RowOutOfScope,
        "a row does not meet the row filter of the API key; nothing was changed",
    ))
}
