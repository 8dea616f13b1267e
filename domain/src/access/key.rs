//! API keys as they are asked on every request: verified secrets, rights and scope, read once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use super::budget::Budget;
use super::credential::{Credential, KeySecret};
use super::policy::Policy;
use super::right::RightSet;
use super::scope::Scope;

/// Number of a key in the store's own table.
pub type KeyId = i64;

/// An API key that is not archived. Many thousands stand in memory, so what most of them have not, or have in common,
/// stands behind a pointer.
#[derive(Clone)]
pub struct ApiKey {
    /// Number in the store.
    pub id: KeyId,
    /// The id that operators use: a UUID.
    pub external_id: Box<str>,
    /// The id that callers present.
    pub public_id: Box<str>,
    /// The secret; none when what is stored cannot be one.
    pub secret: Option<KeySecret>,
    /// The secret before the last rotation, and until when it is taken.
    pub previous: Option<Box<(KeySecret, SystemTime)>>,
    /// Whether it may be used.
    pub is_active: bool,
    /// From when on it may not be used.
    pub expires_at: Option<SystemTime>,
    /// Lower-case names of the clients it is bound to.
    pub clients: Option<Arc<[Box<str>]>>,
    /// Rights; keys that have the same may share them.
    pub rights: Arc<RightSet>,
    /// What it is limited to; keys that are limited alike may share it.
    pub scope: Arc<Scope>,
    /// How much it may do; keys that may do as much may share it.
    pub budget: Option<Arc<Budget>>,
}

impl ApiKey {
    /// A key in force that permits nothing yet: it has no secret that could be presented and no rights.
    pub fn new(id: KeyId, public_id: impl Into<Box<str>>) -> Self {
        Self {
            id,
            external_id: Box::default(),
            public_id: public_id.into(),
            secret: None,
            previous: None,
            is_active: true,
            expires_at: None,
            clients: None,
            rights: Arc::default(),
            scope: Arc::default(),
            budget: None,
        }
    }

    /// Whether the credential is this key's, now. The time it takes depends neither on the answer nor on whether
    /// the key was rotated.
    pub fn fits(&self, credential: Credential<'_>, now: SystemTime) -> bool {
        let previous = self.previous.as_deref();
        let secrets = [self.secret.as_ref(), previous.map(|(secret, _)| secret)];
        let [is_current, is_previous] = credential.fits(secrets);
        let overlaps = previous.is_some_and(|(_, until)| now < *until);
        is_current | (is_previous & overlaps)
    }

    /// Whether it may be used for the client, by its lower-case name.
    pub fn is_for(&self, client_key: Option<&str>) -> bool {
        match client_key {
            _ if self.clients.is_none() => true,
            Some(key) => self.names(key),
            None => false,
        }
    }

    /// Whether it is bound to the client, by its lower-case name, among others or alone.
    pub fn names(&self, client_key: &str) -> bool {
        self.clients.as_ref().is_some_and(|bound| bound.iter().any(|name| **name == *client_key))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("public_id", &self.public_id)
            .field("is_active", &self.is_active)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

/// A key that is found by the id that callers present.
#[derive(Debug)]
struct ByPublicId(Arc<ApiKey>);

impl Borrow<str> for ByPublicId {
    fn borrow(&self) -> &str {
        &self.0.public_id
    }
}

impl Hash for ByPublicId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.public_id.hash(state);
    }
}

impl PartialEq for ByPublicId {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_id == other.0.public_id
    }
}

impl Eq for ByPublicId {}

/// Every key and the policy, at one moment.
#[derive(Debug, Default)]
pub struct Keys {
    by_public_id: HashSet<ByPublicId, foldhash::fast::RandomState>,
    /// Whether keys are demanded.
    pub policy: Policy,
}

impl Keys {
    /// The keys that are not archived, and the policy; of two keys with one public id, which no store has, the first
    /// counts.
    pub fn new(keys: impl IntoIterator<Item = Arc<ApiKey>>, policy: Policy) -> Self {
        let mut by_public_id: HashSet<_, _> = keys.into_iter().map(ByPublicId).collect();
        by_public_id.shrink_to_fit();
        Self { by_public_id, policy }
    }

    /// Finds a key by the id that callers present.
    pub fn find(&self, public_id: &str) -> Option<&Arc<ApiKey>> {
        self.by_public_id.get(public_id).map(|ByPublicId(key)| key)
    }

    /// Every key, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.by_public_id.iter().map(|ByPublicId(key)| key)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.by_public_id.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.by_public_id.is_empty()
    }
}
