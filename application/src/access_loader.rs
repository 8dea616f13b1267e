//! From keys as they are stored to keys as they are asked.
//!
//! What cannot be read permits nothing: a key whose scope, budget or secret is broken stays known, so that its use
//! is logged under its name, and opens no door.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use athena_domain::RequestError;
use athena_domain::access::{ApiKey, Budget, KeySecret, Keys, Mode, Policy, RightSet, Scope};
use athena_domain::query::JsonText;
use time::OffsetDateTime;

use crate::ports::{KeyFields, KeyStore, LoadedKey, PortError, StoredSecret};

/// Keys and policy of `store`, ready to be asked.
///
/// # Errors
/// When the store cannot be read.
pub async fn load(store: &(impl KeyStore + ?Sized)) -> Result<Keys, PortError> {
    let (mut keys, mut alike) = (Vec::new(), Alike::default());
    let policy = store.load(&mut |key| keys.push(Arc::new(one(key, &mut alike)))).await?;
    let global = policy.iter().find(|record| record.client_name.is_none());
    let clients = policy.iter().filter_map(|record| Some((record.client_name.as_deref()?, record.mode)));
    let policy = Policy::new(global.map_or(Mode::Off, |record| record.mode), clients);
    Ok(Keys::new(keys, policy))
}

/// What keys have in common is read once and kept once: many thousands of keys have a handful of roles.
#[derive(Default)]
struct Alike {
    rights: HashMap<Vec<String>, Arc<RightSet>>,
    scopes: HashMap<ScopeTexts, Arc<Scope>>,
    clients: HashSet<Arc<[Box<str>]>>,
}

/// A scope as it is stored.
#[derive(PartialEq, Eq, Hash)]
struct ScopeTexts {
    operations: Option<Vec<String>>,
    tables: Option<Vec<String>>,
    columns: Option<String>,
    row_filters: Option<String>,
}

impl Alike {
    fn rights(&mut self, names: Vec<String>) -> Arc<RightSet> {
        if let Some(known) = self.rights.get(&names) {
            return known.clone();
        }
        let set = Arc::new(RightSet::new(names.iter().map(String::as_str)));
        self.rights.insert(names, set.clone());
        set
    }

    fn scope(&mut self, fields: &mut KeyFields) -> Result<Arc<Scope>, RequestError> {
        let texts = ScopeTexts {
            operations: fields.operations.take(),
            tables: fields.tables.take(),
            columns: fields.columns.take(),
            row_filters: fields.row_filters.take(),
        };
        if let Some(known) = self.scopes.get(&texts) {
            return Ok(known.clone());
        }
        let ScopeTexts { operations, tables, columns, row_filters } = &texts;
        let scope = Scope::from_parts(
            operations.as_deref(),
            tables.as_deref(),
            columns.as_deref(),
            row_filters.as_deref(),
        )?;
        let scope = Arc::new(scope);
        self.scopes.insert(texts, scope.clone());
        Ok(scope)
    }

    fn clients(&mut self, fields: &KeyFields) -> Option<Arc<[Box<str>]>> {
        let mut names: Vec<Box<str>> = bound_to(fields)?.into_iter().collect();
        names.sort_unstable();
        if let Some(known) = self.clients.get(&*names) {
            return Some(known.clone());
        }
        let names: Arc<[Box<str>]> = names.into();
        self.clients.insert(names.clone());
        Some(names)
    }
}

fn one(loaded: LoadedKey, alike: &mut Alike) -> ApiKey {
    let LoadedKey { mut record, secret, previous } = loaded;
    let (scope, budget) = match (alike.scope(&mut record.fields), budget(&record.fields)) {
        (Ok(scope), Ok(budget)) => (scope, budget),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(public_id = %record.public_id, %error, "a stored API key cannot be read and permits nothing");
            (Arc::new(Scope::nothing()), None)
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
        clients: alike.clients(&record.fields),
        rights: alike.rights(record.rights),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::KeyRecord;

    fn loaded(id: i64, client: &str, tables: &[&str], rights: &[&str]) -> LoadedKey {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let at = OffsetDateTime::UNIX_EPOCH;
        LoadedKey {
            record: KeyRecord {
                internal_id: id,
                id: id.to_string(),
                public_id: id.to_string(),
                fields: KeyFields {
                    name: "key".to_owned(),
                    description: None,
                    client_name: Some(client.to_owned()),
                    clients: None,
                    expires_at: None,
                    is_active: true,
                    operations: None,
                    tables: Some(texts(tables)),
                    columns: None,
                    row_filters: None,
                    budget: None,
                },
                rights: texts(rights),
                last_used_at: None,
                previous_valid_until: None,
                created_at: at,
                updated_at: at,
            },
            secret: StoredSecret { salt: "salt".to_owned(), hash: "0".repeat(64) },
            previous: None,
        }
    }

    #[test]
    fn what_keys_have_in_common_is_kept_once_and_nothing_else_is() {
        let mut alike = Alike::default();
        let mut key = |id, client, tables: &[&str], rights: &[&str]| {
            one(loaded(id, client, tables, rights), &mut alike)
        };
        let first = key(1, "Shop", &["users"], &["users.read"]);
        let second = key(2, " shop", &["users"], &["users.read"]);
        assert!(Arc::ptr_eq(&first.scope, &second.scope) && Arc::ptr_eq(&first.rights, &second.rights));
        assert!(Arc::ptr_eq(first.clients.as_ref().expect("bound"), second.clients.as_ref().expect("bound")));
        let other = key(3, "farm", &["orders"], &["users.write"]);
        assert!(other.scope.allows_table("public", "orders", "public"));
        assert!(!other.scope.allows_table("public", "users", "public"));
        assert_eq!(other.rights.names().collect::<Vec<_>>(), ["users.write"]);
        assert!(other.is_for(Some("farm")) && !other.is_for(Some("shop")) && !other.is_for(None));
        // One that cannot be read permits nothing, and is nobody's pattern.
        for _ in 0..2 {
            let broken = key(4, "shop", &["no table"], &["users.read"]);
            assert_eq!(*broken.scope, Scope::nothing());
        }
    }
}
