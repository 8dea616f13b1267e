//! Records as the admin routes show them.

use athena_application::ports::{KeyRecord, PolicyRecord, RightRecord};
use athena_application::use_cases::keys::Effective;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment as text.
pub(super) fn moment(moment: Option<OffsetDateTime>) -> Value {
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).map_or(Value::Null, Value::String)
}

/// JSON that is kept as text.
fn kept(text: Option<&String>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

/// A key; never its salt or hash.
pub(super) fn key(record: &KeyRecord) -> Value {
    let fields = &record.fields;
    json!({
        "id": record.id, "public_id": record.public_id, "name": fields.name, "description": fields.description,
        "client_name": fields.client_name, "clients": fields.clients, "expires_at": moment(fields.expires_at),
        "is_active": fields.is_active, "last_used_at": moment(record.last_used_at),
        "created_at": moment(Some(record.created_at)), "updated_at": moment(Some(record.updated_at)),
        "rights": record.rights, "operations": fields.operations, "tables": fields.tables,
        "columns": kept(fields.columns.as_ref()), "row_filters": kept(fields.row_filters.as_ref()),
        "budget": kept(fields.budget.as_ref()), "previous_valid_until": moment(record.previous_valid_until),
    })
}

/// What a key can reach.
pub(super) fn effective(reach: &Effective) -> Value {
    let fields = &reach.record.fields;
    let (global, clients) = &reach.enforced;
    let clients: Map<String, Value> =
        clients.iter().map(|(name, mode)| (name.clone(), mode.as_str().into())).collect();
    json!({
        "clients": reach.clients, "operations": reach.operations, "tables": fields.tables,
        "columns": kept(fields.columns.as_ref()), "row_filters": kept(fields.row_filters.as_ref()),
        "rights": reach.record.rights, "budget": kept(fields.budget.as_ref()),
        "expires_at": moment(fields.expires_at), "is_active": fields.is_active, "readable": reach.readable,
        "enforcement": { "global": global.as_str(), "clients": clients },
    })
}

/// A right.
pub(super) fn right(record: &RightRecord) -> Value {
    json!({
        "id": record.id, "name": record.name, "description": record.description,
        "created_at": moment(Some(record.created_at)), "updated_at": moment(Some(record.updated_at)),
    })
}

/// The policy for everybody.
pub(super) fn global_policy(record: &PolicyRecord) -> Value {
    json!({
        "enforce_api_keys": record.mode.enforces(), "mode": record.mode.as_str(),
        "updated_at": moment(Some(record.updated_at)),
    })
}

/// The policy for one client.
pub(super) fn client_policy(record: &PolicyRecord) -> Value {
    json!({
        "client_name": record.client_name, "enforce_api_keys": record.mode.enforces(), "mode": record.mode.as_str(),
        "created_at": moment(Some(record.created_at)), "updated_at": moment(Some(record.updated_at)),
    })
}
