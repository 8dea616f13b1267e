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

/// A table of values by what they were read from.
type Known<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What keys have in common is read once and kept once: many thousands of keys have a handful of roles.
#[derive(Default)]
struct Alike {
    rights: Known<Vec<String>, Arc<RightSet>>,
    scopes: Known<ScopeTexts, Arc<Scope>>,
    budgets: Known<String, Arc<Budget>>,
    clients: HashSet<Arc<[Box<str>]>, foldhash::fast::RandomState>,
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

    fn budget(&mut self, fields: &KeyFields) -> Result<Option<Arc<Budget>>, RequestError> {
        let Some(text) = &fields.budget else { return Ok(None) };
        if let Some(known) = self.budgets.get(text) {
            return Ok(Some(known.clone()));
        }
        let budget = budget(fields)?.map(Arc::new);
        if let Some(budget) = &budget {
            self.budgets.insert(text.clone(), budget.clone());
        }
        Ok(budget)
    }

    fn clients(&mut self, fields: &KeyFields) -> Option<Arc<[Box<str>]>> {
        let names = bound_to(fields)?;
        if let Some(known) = self.clients.get(&*names) {
            return Some(known.clone());
        }
        let names: Arc<[Box<str>]> = names.into();
        self.clients.insert(names.clone());
        Some(names)
    }
}

fn one(loaded: LoadedKey, alike: &mut Alike) -> ApiKey {
    let LoadedKey { internal_id, id, public_id, mut fields, rights, secret, previous } = loaded;
    let (scope, budget) = match (alike.scope(&mut fields), alike.budget(&fields)) {
        (Ok(scope), Ok(budget)) => (scope, budget),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%public_id, %error, "a stored API key cannot be read and permits nothing");
            (Arc::new(Scope::nothing()), None)
        }
    };
    let secret_of = |stored: &StoredSecret| KeySecret::stored(&stored.salt, &stored.hash);
    let previous = previous.and_then(|(stored, until)| Some((secret_of(&stored)?, system_time(until))));
    ApiKey {
        id: internal_id,
        external_id: id.into(),
        public_id: public_id.into(),
        secret: secret_of(&secret),
        previous: previous.map(Box::new),
        is_active: fields.is_active,
        expires_at: fields.expires_at.map(system_time),
        clients: alike.clients(&fields),
        rights: alike.rights(rights),
        scope,
        budget,
    }
}

/// Lower-case names of the clients that a key is bound to, sorted, each once.
pub fn bound_to(fields: &KeyFields) -> Option<Vec<Box<str>>> {
    if fields.client_name.is_none() && fields.clients.is_none() {
        return None;
    }
    let names = fields.client_name.iter().chain(fields.clients.iter().flatten());
    let mut names: Vec<Box<str>> = names.map(|name| name.trim().to_lowercase().into()).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
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

    fn loaded(id: i64, client: &str, tables: &[&str], rights: &[&str]) -> LoadedKey {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        LoadedKey {
            internal_id: id,
            id: id.to_string(),
            public_id: id.to_string(),
            fields: KeyFields {
                client_name: Some(client.to_owned()),
                is_active: true,
                tables: Some(texts(tables)),
                budget: Some(r#"{"concurrent": 2}"#.to_owned()),
                ..KeyFields::default()
            },
            rights: texts(rights),
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
        assert!(Arc::ptr_eq(first.budget.as_ref().expect("one"), second.budget.as_ref().expect("one")));
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
