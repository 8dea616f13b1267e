//! Records as the admin routes show them.

use athena_application::ports::{KeyRecord, PolicyRecord, RightRecord};
use athena_application::use_cases::keys::Effective;
use athena_domain::access::Missing;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment as text.
pub(super) fn moment(moment: Option<OffsetDateTime>) -> Value {
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).map_or(Value::Null, Value::String)
}

/// JSON that is kept as text, digit by digit.
fn kept(text: Option<&String>) -> Option<&RawValue> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

#[derive(Serialize)]
struct KeyView<'a> {
    budget: Option<&'a RawValue>,
    client_name: &'a Option<String>,
    clients: &'a Option<Vec<String>>,
    columns: Option<&'a RawValue>,
    created_at: Value,
    description: &'a Option<String>,
    expires_at: Value,
    id: &'a str,
    is_active: bool,
    last_used_at: Value,
    name: &'a str,
    operations: &'a Option<Vec<String>>,
    previous_valid_until: Value,
    public_id: &'a str,
    rights: &'a [String],
    row_filters: Option<&'a RawValue>,
    tables: &'a Option<Vec<String>>,
    updated_at: Value,
}

/// Written at once: numbers of a filter have more digits than a JSON value in memory would keep.
fn written(view: &impl Serialize) -> Box<RawValue> {
    to_raw_value(view).unwrap_or_default()
}

/// A key as it is shown; never its salt or hash.
pub(super) fn key(record: &KeyRecord) -> Box<RawValue> {
    let fields = &record.fields;
    written(&KeyView {
        budget: kept(fields.budget.as_ref()),
        client_name: &fields.client_name,
        clients: &fields.clients,
        columns: kept(fields.columns.as_ref()),
        created_at: moment(Some(record.created_at)),
        description: &fields.description,
        expires_at: moment(fields.expires_at),
        id: &record.id,
        is_active: fields.is_active,
        last_used_at: moment(record.last_used_at),
        name: &fields.name,
        operations: &fields.operations,
        previous_valid_until: moment(record.previous_valid_until),
        public_id: &record.public_id,
        rights: &record.rights,
        row_filters: kept(fields.row_filters.as_ref()),
        tables: &fields.tables,
        updated_at: moment(Some(record.updated_at)),
    })
}

#[derive(Serialize)]
struct EffectiveView<'a> {
    budget: Option<&'a RawValue>,
    clients: &'a Option<Vec<String>>,
    columns: Option<&'a RawValue>,
    enforcement: Value,
    expires_at: Value,
    is_active: bool,
    operations: &'a [&'static str],
    readable: bool,
    rights: &'a [String],
    row_filters: Option<&'a RawValue>,
    tables: &'a Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
}

/// What a key can reach.
pub(super) fn effective(reach: &Effective) -> Box<RawValue> {
    let fields = &reach.record.fields;
    let (global, clients) = &reach.enforced;
    let clients: Map<String, Value> =
        clients.iter().map(|(name, mode)| (name.clone(), mode.as_str().into())).collect();
    written(&EffectiveView {
        budget: kept(fields.budget.as_ref()),
        clients: &reach.clients,
        columns: kept(fields.columns.as_ref()),
        enforcement: json!({ "global": global.as_str(), "clients": clients }),
        expires_at: moment(fields.expires_at),
        is_active: fields.is_active,
        operations: &reach.operations,
        readable: reach.readable,
        rights: &reach.record.rights,
        row_filters: kept(fields.row_filters.as_ref()),
        tables: &fields.tables,
        warnings: told(&reach.warnings),
    })
}

/// What a scope names in vain.
pub(super) fn told(warnings: &[Missing]) -> Vec<Value> {
    let told = warnings.iter();
    told.map(|one| json!({ "field": one.field, "message": one.message, "nearest": one.nearest })).collect()
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
