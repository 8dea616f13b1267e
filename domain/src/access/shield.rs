//! What decides about callers stands in a database that is a client too: who reaches it could make itself a key. So
//! these tables, and SQL that could touch them, are for keys that name that client, and for nobody else.

use super::authority::denied;
use super::decision::AuthReason;
use super::scope::KeyOperation;
use crate::error::RequestError;

/// Tables of the control database that hold secrets or decide about callers.
const TABLES: [&str; 10] = [
    "api_keys",
    "api_key_rights",
    "api_key_right_grants",
    "api_key_config",
    "api_key_client_config",
    "api_key_client_config_superseded",
    "athena_clients",
    "athena_control_version",
    "athena_control_identity",
    "_sqlx_migrations",
];

/// Tables that say what callers have done, and which batches of that have been written: to be read, not to be forged
/// or emptied by those they tell of.
const RECORDS: [&str; 8] = [
    "gateway_request_log",
    "gateway_operation_log",
    "gateway_log_batches",
    "gateway_connection_registry_realtime",
    "api_key_auth_log",
    "client_connections",
    "client_statistics",
    "client_table_statistics",
];

/// Refuses a table that decides about callers, and changes of one that tells of them.
///
/// # Errors
/// [`crate::RequestCode::Denied`].
pub(crate) fn shield(table: &str, operation: KeyOperation) -> Result<(), RequestError> {
    let reads = matches!(operation, KeyOperation::Fetch | KeyOperation::Schema);
    // Where no catalog is known, whoever finds the table may not care for case.
    let among = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(table));
    if among(&TABLES) {
        Err(shielded("table_name", &format!("the table '{table}'")))
    } else if among(&RECORDS) && !reads {
        Err(shielded("table_name", &format!("a change of the table '{table}'")))
    } else {
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_can_be_read_and_nothing_else() {
        for table in RECORDS {
            assert!(shield(table, KeyOperation::Fetch).is_ok(), "{table}");
            for change in [KeyOperation::Insert, KeyOperation::Update, KeyOperation::Delete] {
                assert!(shield(table, change).is_err(), "{table} {}", change.as_str());
            }
        }
        for table in TABLES {
            assert!(shield(table, KeyOperation::Fetch).is_err(), "{table}");
            assert!(shield(&table.to_uppercase(), KeyOperation::Fetch).is_err(), "{table}");
        }
        assert!(shield("query_history", KeyOperation::Delete).is_ok());
    }
}
