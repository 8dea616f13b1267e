//! API keys, rights and policy in memory, for tests of what administers and obeys them.

mod policy;
mod rights;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use athena_application::ports::{
    KeyFields, KeyRecord, KeyStore, KeyStoreError, LoadedKey, PolicyRecord, PortError, PortErrorKind,
    RightRecord, StoredSecret,
};
use athena_domain::access::NewCredential;
use time::OffsetDateTime;

/// A key store in memory, with the rights that every control database begins with.
#[derive(Debug)]
pub struct MemoryKeyStore(Mutex<State>);

#[derive(Debug)]
struct State {
    keys: Vec<Kept>,
    rights: Vec<RightRecord>,
    /// The policy for everybody, then exceptions.
    policy: Vec<PolicyRecord>,
    /// Number of the last thing that was made.
    last: i64,
    unreachable: bool,
}

/// A key; its record holds the ids of its rights, which are turned into names when it is read.
#[derive(Debug)]
struct Kept {
    record: KeyRecord,
    secret: (String, String),
    previous: Option<(String, String)>,
    archived: bool,
}

impl Default for MemoryKeyStore {
    fn default() -> Self {
        let mut state = State {
            keys: Vec::new(),
            rights: Vec::new(),
            policy: vec![policy::off(None)],
            last: 0,
            unreachable: false,
        };
        for name in rights::SEEDED {
            state.add_right(name, None);
        }
        Self(Mutex::new(state))
    }
}

impl MemoryKeyStore {
    /// Decides whether the store answers at all.
    pub fn set_reachable(&self, reachable: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unreachable = !reachable;
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, PortError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unreachable {
            return Err(PortError::new("memory", PortErrorKind::Unavailable));
        }
        Ok(state)
    }
}

impl State {
    /// A number and an id that nothing else has.
    fn next(&mut self) -> (i64, String) {
        self.last += 1;
        (self.last, format!("00000000-0000-4000-8000-{:012x}", self.last))
    }

    /// Where a key stands that is not archived.
    fn place(&self, id: &str) -> Option<usize> {
        self.keys.iter().position(|key| !key.archived && key.record.id.eq_ignore_ascii_case(id))
    }

    /// Ids of rights by their names.
    fn ids(&self, names: &[String]) -> Result<Vec<String>, KeyStoreError> {
        let found = |name: &String| self.rights.iter().find(|right| right.name == *name);
        let mut unknown: Vec<String> = names.iter().filter(|name| found(name).is_none()).cloned().collect();
        if unknown.is_empty() {
            return Ok(names.iter().filter_map(found).map(|right| right.id.clone()).collect());
        }
        unknown.sort_unstable();
        unknown.dedup();
        Err(KeyStoreError::UnknownRights(unknown))
    }

    /// The record as it is told.
    fn told(&self, record: &KeyRecord) -> KeyRecord {
        let mut told = record.clone();
        let held = self.rights.iter().filter(|right| record.rights.contains(&right.id));
        told.rights = held.map(|right| right.name.clone()).collect();
        told.rights.sort_unstable();
        told
    }

    fn alive(&self) -> impl Iterator<Item = &Kept> {
        self.keys.iter().filter(|key| !key.archived)
    }
}

/// What a secret is stored as.
fn stored((salt, hash): &(String, String)) -> StoredSecret {
    StoredSecret { salt: salt.clone(), hash: hash.clone() }
}

#[async_trait::async_trait]
impl KeyStore for MemoryKeyStore {
    async fn load(&self, take: &mut (dyn FnMut(LoadedKey) + Send)) -> Result<Vec<PolicyRecord>, PortError> {
        let state = self.state()?;
        let keys = state.alive().map(|key| {
            let KeyRecord { internal_id, id, public_id, fields, rights, .. } = state.told(&key.record);
            LoadedKey {
                internal_id,
                id,
                public_id,
                fields: KeyFields { name: String::new(), description: None, ..fields },
                rights,
                secret: stored(&key.secret),
                previous: key.previous.as_ref().map(stored).zip(key.record.previous_valid_until),
            }
        });
        keys.for_each(take);
        Ok(state.policy.clone())
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, PortError> {
        let state = self.state()?;
        let mut keys: Vec<KeyRecord> = state.alive().map(|key| state.told(&key.record)).collect();
        keys.reverse();
        Ok(keys)
    }

    async fn key(&self, id: &str) -> Result<Option<KeyRecord>, PortError> {
        let state = self.state()?;
        Ok(state.place(id).map(|place| state.told(&state.keys[place].record)))
    }

    async fn create(
        &self,
        credential: &NewCredential,
        fields: &KeyFields,
        rights: &[String],
    ) -> Result<KeyRecord, KeyStoreError> {
        let mut state = self.state()?;
        if state.keys.iter().any(|key| key.record.public_id == credential.public_id) {
            return Err(KeyStoreError::Duplicate);
        }
        let rights = state.ids(rights)?;
        let (internal_id, id) = state.next();
        let now = OffsetDateTime::now_utc();
        let record = KeyRecord {
            internal_id,
            id,
            public_id: credential.public_id.clone(),
            fields: fields.clone(),
            rights,
            last_used_at: None,
            previous_valid_until: None,
            created_at: now,
            updated_at: now,
        };
        let told = state.told(&record);
        let secret = (credential.salt.clone(), credential.hash.clone());
        state.keys.push(Kept { record, secret, previous: None, archived: false });
        Ok(told)
    }

    async fn update(
        &self,
        id: &str,
        change: &(dyn for<'a> Fn(&'a mut KeyFields) + Send + Sync),
        rights: Option<&[String]>,
    ) -> Result<Option<KeyRecord>, KeyStoreError> {
        let mut state = self.state()?;
        let Some(place) = state.place(id) else { return Ok(None) };
        let rights = rights.map(|names| state.ids(names)).transpose()?;
        let record = &mut state.keys[place].record;
        change(&mut record.fields);
        if let Some(rights) = rights {
            record.rights = rights;
        }
        record.updated_at = OffsetDateTime::now_utc();
        Ok(Some(state.told(&state.keys[place].record)))
    }

    async fn rotate(
        &self,
        id: &str,
        credential: &NewCredential,
        overlap_secs: u64,
    ) -> Result<Option<KeyRecord>, KeyStoreError> {
        let mut state = self.state()?;
        let Some(place) = state.place(id) else { return Ok(None) };
        let now = OffsetDateTime::now_utc();
        let key = &mut state.keys[place];
        let new = (credential.salt.clone(), credential.hash.clone());
        key.previous = Some(std::mem::replace(&mut key.secret, new));
        key.record.previous_valid_until = Some(now + Duration::from_secs(overlap_secs));
        key.record.updated_at = now;
        Ok(Some(state.told(&state.keys[place].record)))
    }

    async fn archive(&self, id: &str) -> Result<bool, PortError> {
        let mut state = self.state()?;
        let Some(place) = state.place(id) else { return Ok(false) };
        let key = &mut state.keys[place];
        key.archived = true;
        key.record.fields.is_active = false;
        key.record.updated_at = OffsetDateTime::now_utc();
        Ok(true)
    }
}
