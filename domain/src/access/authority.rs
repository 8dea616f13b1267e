//! What a caller may do, as the planner asks it: the rights and the scope of its key.

use super::decision::AuthReason;
use super::key::ApiKey;
use super::right::{Action, Required};
use super::scope::KeyOperation;
use crate::error::{Denied, RequestCode, RequestError};

/// The key whose rights and scope bound a request.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a>(&'a ApiKey);

/// Where a table really stands.
#[derive(Debug, Clone, Copy)]
pub struct TablePlace<'a> {
    /// Schema.
    pub schema: &'a str,
    /// Name.
    pub table: &'a str,
    /// Schema whose tables need no prefix in rights and patterns.
    pub default_schema: &'a str,
}

impl<'a> Authority<'a> {
    /// The authority of a key.
    pub fn of(key: &'a ApiKey) -> Self {
        Self(key)
    }

    /// Checks that the key may do this to the table: operation, table, right.
    ///
    /// # Errors
    /// [`RequestCode::Denied`].
    pub fn permit_table(&self, operation: KeyOperation, place: TablePlace<'_>) -> Result<(), RequestError> {
        let TablePlace { schema, table, default_schema } = place;
        let action = match operation {
            KeyOperation::Delete => Action::Delete,
            KeyOperation::Insert | KeyOperation::Update => Action::Write,
            KeyOperation::Fetch | KeyOperation::Query | KeyOperation::Rpc | KeyOperation::Schema => {
                Action::Read
            }
        };
        self.permit_right(Required::Table { schema, table, default_schema, action })?;
        self.permit_operation(operation)?;
        if !self.0.scope.allows_table(schema, table, default_schema) {
            return Err(denied(
                AuthReason::TableOutOfScope,
                "table_name",
                format!("The API key does not reach the table '{schema}.{table}'."),
            ));
        }
        Ok(())
    }

    /// Checks that the key may run the caller's own SQL.
    ///
    /// # Errors
    /// [`RequestCode::Denied`].
    pub fn permit_sql(&self) -> Result<(), RequestError> {
        self.permit_right(Required::Named("gateway.query"))?;
        self.permit_operation(KeyOperation::Query)
    }

    /// Checks that the key may call functions, which may touch anything that SQL could.
    ///
    /// # Errors
    /// [`RequestCode::Denied`].
    pub fn permit_call(&self) -> Result<(), RequestError> {
        self.permit_right(Required::Named("gateway.query"))?;
        self.permit_operation(KeyOperation::Rpc)
    }

    fn permit_right(&self, required: Required<'_>) -> Result<(), RequestError> {
        if self.0.rights.covers(required) {
            return Ok(());
        }
        let mut error =
            RequestError::new(RequestCode::Denied, format!("Missing required rights: {required}"));
        let missing_right = Some(required.to_string());
        error.denied = Some(Box::new(Denied { reason: AuthReason::MissingRights, missing_right }));
        Err(error)
    }

    /// Checks that the key may be used for this, whatever the table.
    ///
    /// # Errors
    /// [`RequestCode::Denied`].
    pub fn permit_operation(&self, operation: KeyOperation) -> Result<(), RequestError> {
        if self.0.scope.allows(operation) {
            return Ok(());
        }
        let mut error = RequestError::new(
            RequestCode::Denied,
            format!("The API key may not be used for the operation '{}'.", operation.as_str()),
        );
        error.denied =
            Some(Box::new(Denied { reason: AuthReason::OperationOutOfScope, missing_right: None }));
        Err(error)
    }

    /// Whether any rule names columns of the table.
    pub fn limits_columns(&self, place: TablePlace<'_>) -> bool {
        self.0.scope.limits_columns(place.schema, place.table, place.default_schema)
    }

    /// The columns of the table that any rule names.
    pub fn columns(&self, place: TablePlace<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.scope.columns(place.schema, place.table, place.default_schema)
    }

    /// Whether the key may see and name the column.
    pub fn allows_column(&self, place: TablePlace<'_>, column: &str) -> bool {
        self.0.scope.allows_column(place.schema, place.table, place.default_schema, column)
    }

    /// The refusal of a column; the same whether the column exists or not.
    pub fn column_denied(&self, column: &str) -> RequestError {
        denied(
            AuthReason::ColumnOutOfScope,
            column,
            format!("The API key does not reach the column '{column}', or there is no such column."),
        )
    }

    /// Whether the key sees only a part of the database, so that its user is not told what that quotes of rows.
    pub fn hides_values(&self) -> bool {
        let scope = &self.0.scope;
        scope.tables.is_some() || !scope.columns.is_empty() || !scope.row_filters.is_empty()
    }

    /// Whether what the key permits is planned as it would be without a key: it names neither columns nor rows.
    pub fn leaves_plans_alone(&self) -> bool {
        self.0.scope.columns.is_empty() && self.0.scope.row_filters.is_empty()
    }

    /// The conditions that rows of the table must meet.
    pub fn conditions(
        &self,
        place: TablePlace<'a>,
    ) -> impl Iterator<Item = &'a crate::query::Condition> + use<'a> {
        self.0.scope.conditions(place.schema, place.table, place.default_schema)
    }
}

/// A refusal by the scope of a key.
pub(crate) fn denied(reason: AuthReason, field: &str, message: String) -> RequestError {
    let mut error = RequestError::field(RequestCode::Denied, field, message);
    error.denied = Some(Box::new(Denied { reason, missing_right: None }));
    error
}
