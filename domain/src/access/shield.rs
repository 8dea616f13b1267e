//! What decides about callers stands in a database that is a client too: who reaches it could make itself a key. So
//! these tables, and SQL that could touch them, are for keys that name that client, and for nobody else.

use super::authority::denied;
use super::decision::AuthReason;
use crate::error::RequestError;

/// Tables of the control database that hold secrets or decide about callers.
const TABLES: [&str; 9] = [
    "api_keys",
    "api_key_rights",
    "api_key_right_grants",
    "api_key_config",
    "api_key_client_config",
    "api_key_client_config_superseded",
    "athena_clients",
    "athena_control_version",
    "_sqlx_migrations",
];

/// Refuses a table that decides about callers.
///
/// # Errors
/// [`crate::RequestCode::Denied`].
pub(crate) fn shield(table: &str) -> Result<(), RequestError> {
    match TABLES.contains(&table) {
        true => Err(shielded("table_name", &format!("the table '{table}'"))),
        false => Ok(()),
    }
}

/// The refusal of something in the control database.
pub(crate) fn shielded(field: &str, what: &str) -> RequestError {
    denied(
        AuthReason::ControlDatabase,
        field,
        format!("This is the gateway's own database: {what} needs an API key, demanded and bound to this client by name."),
    )
    .hint("Use the admin routes, or connect to the database directly.")
}
