//! From keys as they are stored to keys as they are asked.
//!
//! What cannot be read permits nothing: a key whose scope, budget or secret is broken stays known, so that its use
//! is logged under its name, and opens no door.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use athena_domain::RequestError;
use athena_domain::access::{ApiKey, Budget, KeySecret, Keys, Mode, Policy, RightSet, Scope};
use athena_domain::query::JsonText;
use time::OffsetDateTime;

use crate::ports::{KeyFields, LoadedAccess, LoadedKey, StoredSecret};

/// Keys and policy, ready to be asked.
pub fn keys(loaded: LoadedAccess) -> Keys {
    let global = loaded.policy.iter().find(|record| record.client_name.is_none());
    let clients =
        loaded.policy.iter().filter_map(|record| Some((record.client_name.as_deref()?, record.mode)));
    let policy = Policy::new(global.map_or(Mode::Off, |record| record.mode), clients);
    Keys::new(loaded.keys.into_iter().map(|key| Arc::new(one(key))), policy)
}

fn one(loaded: LoadedKey) -> ApiKey {
    let LoadedKey { record, secret, previous } = loaded;
    let (scope, budget) = match (scope(&record.fields), budget(&record.fields)) {
        (Ok(scope), Ok(budget)) => (scope, budget),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(public_id = %record.public_id, %error, "a stored API key cannot be read and permits nothing");
            (Scope::nothing(), None)
        }
    };
    let secret_of = |stored: &StoredSecret| KeySecret::stored(&stored.salt, &stored.hash);
    let until = record.previous_valid_until.map(system_time);
    ApiKey {
        id: record.internal_id,
        external_id: record.id.into(),
        public_id: record.public_id.into(),
        name: record.fields.name.as_str().into(),
        secret: secret_of(&secret),
        previous: previous.as_ref().and_then(secret_of).zip(until),
        is_active: record.fields.is_active,
        expires_at: record.fields.expires_at.map(system_time),
        clients: bound_to(&record.fields),
        rights: RightSet::new(record.rights.iter().map(String::as_str)),
        scope,
        budget,
    }
}

/// Lower-case names of the clients that a key is bound to.
pub fn bound_to(fields: &KeyFields) -> Option<HashSet<Box<str>>> {
    if fields.client_name.is_none() && fields.clients.is_none() {
        return None;
    }
    let names = fields.client_name.iter().chain(fields.clients.iter().flatten());
    Some(names.map(|name| name.trim().to_lowercase().into()).collect())
}

/// The scope that stored fields mean.
///
/// # Errors
/// When a part of it cannot be read.
pub fn scope(fields: &KeyFields) -> Result<Scope, RequestError> {
    Scope::from_parts(
        fields.operations.as_deref(),
        fields.tables.as_deref(),
        fields.columns.as_deref(),
        fields.row_filters.as_deref(),
    )
}

/// The budget that stored fields mean.
///
/// # Errors
/// When it cannot be read.
pub fn budget(fields: &KeyFields) -> Result<Option<Budget>, RequestError> {
    let parse = |text: &String| Budget::parse(JsonText::parse(text.as_bytes())?, "budget");
    fields.budget.as_ref().map(parse).transpose()
}

fn system_time(moment: OffsetDateTime) -> SystemTime {
    moment.into()
}
