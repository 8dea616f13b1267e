//! What decides about callers stands in a database that is a client too: who reaches it could make itself a key. So
//! these tables, what shows them under another name, and SQL that could touch them, are for keys that name that client,
//! and for nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use super::authority::denied;
use super::decision::AuthReason;
use super::scope::KeyOperation;
use crate::error::RequestError;

/// How far a table of the control database is open to callers whose key is not bound to it. The stricter, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Openness {
    /// To be read and written like any other table: dashboards keep their things there.
    Open,
    /// To be read, not to be forged or emptied by those it tells of.
    ReadOnly,
    /// Not at all: it holds secrets or decides about callers.
    Closed,
}

/// Every table of the control database (contract 19). A table that is added to it gets its line here.
const TABLES: [(&str, Openness); 30] = [
    ("_sqlx_migrations", Openness::Closed),
    ("api_key_auth_log", Openness::ReadOnly),
    ("api_key_client_config", Openness::Closed),
    ("api_key_client_config_superseded", Openness::Closed),
    ("api_key_config", Openness::Closed),
    ("api_key_right_grants", Openness::Closed),
    ("api_key_rights", Openness::Closed),
    ("api_keys", Openness::Closed),
    ("api_registry", Openness::ReadOnly),
    ("athena_clients", Openness::Closed),
    ("athena_control_identity", Openness::Closed),
    ("athena_control_version", Openness::Closed),
    // What is restored is found by these.
    ("backup_job_logs", Openness::ReadOnly),
    ("backup_jobs", Openness::ReadOnly),
    // Its URIs hold passwords.
    ("backup_schedules", Openness::Closed),
    ("client_alert_queries", Openness::ReadOnly),
    ("client_connections", Openness::ReadOnly),
    ("client_statistics", Openness::ReadOnly),
    ("client_table_statistics", Openness::ReadOnly),
    ("feedback", Openness::Open),
    ("gateway_connection_registry_realtime", Openness::ReadOnly),
    ("gateway_log_batches", Openness::ReadOnly),
    ("gateway_operation_log", Openness::ReadOnly),
    ("gateway_request_log", Openness::ReadOnly),
    ("organization_requests", Openness::Open),
    ("project_requests", Openness::Open),
    ("query_history", Openness::Open),
    ("saved_queries", Openness::Open),
    // Where objects are sent, and by which variables of the gateway's environment.
    ("storage_profiles", Openness::ReadOnly),
    ("ui_request_log", Openness::Open),
];

/// How far a table of this name is open in a control database; nothing for a table that is not the gateway's. Where no
/// catalog is known, whoever finds the table may not care for case.
pub fn openness(table: &str) -> Option<Openness> {
    TABLES.iter().find(|(name, _)| name.eq_ignore_ascii_case(table)).map(|(_, openness)| *openness)
}

/// Every table of the control database.
pub fn control_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name)
}

/// A relation, and one that is read or written through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Schema and name of a view, a table with rules, a partition or what is inherited from or by another.
    pub from: RelationKey,
    /// What it leads to. Nothing for what no catalog tells: another server, a function, the system catalogs.
    pub to: Option<RelationKey>,
}

/// Schema and name of a relation.
pub type RelationKey = (Arc<str>, Arc<str>);

/// How far relations are open that lead to others: as far as the strictest of those. What nobody can follow is closed.
pub(crate) fn led(links: &[Link]) -> HashMap<RelationKey, Openness> {
    let mut found: HashMap<RelationKey, Openness> = HashMap::new();
    // Every round either makes one relation stricter or is the last.
    loop {
        let mut changed = false;
        for Link { from, to } in links {
            let strictness = match to {
                None => Openness::Closed,
                Some(to) => {
                    found.get(to).copied().into_iter().chain(openness(&to.1)).max().unwrap_or(Openness::Open)
                }
            };
            let known = found.entry(from.clone()).or_insert(Openness::Open);
            if *known < strictness {
                *known = strictness;
                changed = true;
            }
        }
        if !changed {
            found.retain(|_, strictness| *strictness > Openness::Open);
            return found;
        }
    }
}

/// Refuses a table that decides about callers, and changes of one that tells of them. `led` is how far what it leads to
/// is open.
///
/// # Errors
/// [`crate::RequestCode::Denied`].
pub(crate) fn shield(
    table: &str,
    led: Option<Openness>,
    operation: KeyOperation,
) -> Result<(), RequestError> {
    let reads = matches!(operation, KeyOperation::Fetch | KeyOperation::Schema);
    match openness(table).max(led) {
        Some(Openness::Closed) => Err(shielded("table_name", &format!("the table '{table}'"))),
        Some(Openness::ReadOnly) if !reads => {
            Err(shielded("table_name", &format!("a change of the table '{table}'")))
        }
        Some(Openness::ReadOnly | Openness::Open) | None => Ok(()),
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
    fn tables_are_as_open_as_their_lines_say() {
        for (table, openness) in TABLES {
            let may = |operation| shield(&table.to_uppercase(), None, operation).is_ok();
            assert_eq!(may(KeyOperation::Fetch), openness < Openness::Closed, "{table}");
            for change in [KeyOperation::Insert, KeyOperation::Update, KeyOperation::Delete] {
                assert_eq!(may(change), openness == Openness::Open, "{table} {}", change.as_str());
            }
        }
        assert_eq!(openness("backup_schedules"), Some(Openness::Closed));
        assert!(shield("things", None, KeyOperation::Delete).is_ok());
    }

    #[test]
    fn what_leads_to_a_table_is_no_more_open_than_the_table() {
        let key = |name: &str| -> RelationKey { ("public".into(), name.into()) };
        let link =
            |from: &str, to: &str| Link { from: key(from), to: Some(key(to)).filter(|_| !to.is_empty()) };
        let links = [
            // In an order that takes several rounds.
            link("third", "second"),
            link("second", "first"),
            link("first", "api_keys"),
            link("first", "things"),
            link("logs", "gateway_request_log"),
            link("foreign", ""),
            link("over_foreign", "foreign"),
            link("harmless", "things"),
            link("notes", "saved_queries"),
            link("round", "about"),
            link("about", "round"),
        ];
        let found = led(&links);
        let check = |table: &str, expected: Option<Openness>| {
            assert_eq!(found.get(&key(table)).copied(), expected, "{table}");
        };
        for table in ["first", "second", "third", "foreign", "over_foreign"] {
            check(table, Some(Openness::Closed));
        }
        check("logs", Some(Openness::ReadOnly));
        for table in ["harmless", "notes", "round", "about", "things"] {
            check(table, None);
        }
        assert!(shield("third", found.get(&key("third")).copied(), KeyOperation::Fetch).is_err());
        assert!(shield("logs", found.get(&key("logs")).copied(), KeyOperation::Fetch).is_ok());
        assert!(shield("logs", found.get(&key("logs")).copied(), KeyOperation::Delete).is_err());
    }
}
