//! API keys, rights and policy, where they are kept.

use athena_domain::access::{Mode, NewCredential};
use time::OffsetDateTime;

use super::PortError;

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord {
    /// Number in the store (`api_keys.id`).
    pub internal_id: i64,
    /// The id of the admin routes (`api_keys.api_keys_id`), a UUID as text.
    pub id: String,
    /// The id that callers present.
    pub public_id: String,
    /// What an operator may say about it.
    pub fields: KeyFields,
    /// Names of its rights, sorted.
    pub rights: Vec<String>,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// Until when the secret before the last rotation is taken.
    pub previous_valid_until: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

/// What an operator may say about a key. Scope and budget are kept as they were given, checked before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFields {
    /// Name for people.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// The client it is bound to.
    pub client_name: Option<String>,
    /// Further clients it is bound to.
    pub clients: Option<Vec<String>>,
    /// From when on it may not be used.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it may be used.
    pub is_active: bool,
    /// What it may be used for, words.
    pub operations: Option<Vec<String>>,
    /// Tables it may touch, patterns.
    pub tables: Option<Vec<String>>,
    /// Columns it may name, a JSON object.
    pub columns: Option<String>,
    /// Rows it may see, a JSON object.
    pub row_filters: Option<String>,
    /// How much it may do, a JSON object.
    pub budget: Option<String>,
}

/// A right as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightRecord {
    /// The id of the admin routes, a UUID as text.
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

/// Whether keys are demanded, for everybody (no client) or one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// The client; none for everybody.
    pub client_name: Option<String>,
    /// How strictly.
    pub mode: Mode,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

/// Salt and hash of a secret, for loading only.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Salt.
    pub salt: String,
    /// Hash, hex.
    pub hash: String,
}

/// A key with its secrets, as it is judged by.
#[derive(Clone)]
pub struct LoadedKey {
    /// Number in the store (`api_keys.id`).
    pub internal_id: i64,
    /// The id of the admin routes (`api_keys.api_keys_id`), a UUID as text.
    pub id: String,
    /// The id that callers present.
    pub public_id: String,
    /// What an operator may say about it; its name and description decide nothing and are left empty.
    pub fields: KeyFields,
    /// Names of its rights, in any order that is the same for the same rights.
    pub rights: Vec<String>,
    /// Its secret.
    pub secret: StoredSecret,
    /// The secret before the last rotation, and until when it is taken.
    pub previous: Option<(StoredSecret, OffsetDateTime)>,
}

/// Everything that decides about requests, read at one moment.
#[derive(Clone, Default)]
pub struct LoadedAccess {
    /// Keys that are not archived.
    pub keys: Vec<LoadedKey>,
    /// The policy for everybody, and for single clients.
    pub policy: Vec<PolicyRecord>,
}

impl LoadedAccess {
    /// Everything in `store` at once, where there is little of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(store: &(impl KeyStore + ?Sized)) -> Result<Self, PortError> {
        let mut keys = Vec::new();
        let policy = store.load(&mut |key| keys.push(key)).await?;
        Ok(Self { keys, policy })
    }
}

/// Why a change of keys was not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// Something of that name is already there.
    #[error("already there")]
    Duplicate,
    /// These rights do not exist.
    #[error("unknown rights: {0:?}")]
    UnknownRights(Vec<String>),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// API keys, where they are kept.
#[async_trait::async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Everything that decides about requests, in one consistent reading: hands over the keys that are not archived, one
    /// by one, and answers with the policy for everybody and for single clients.
    ///
    /// - MUST fail when the store says nothing for long: whoever follows its changes waits for this.
    /// - MUST NOT hold what it has handed over: there may be many thousands.
    ///
    /// # Errors
    /// When the store cannot be read; what was handed over until then counts for nothing.
    async fn load(&self, take: &mut (dyn FnMut(LoadedKey) + Send)) -> Result<Vec<PolicyRecord>, PortError>;

    /// Keys that are not archived, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn keys(&self) -> Result<Vec<KeyRecord>, PortError>;

    /// One key; `None` when there is no such key or it is archived. Ids meet without case, here and below.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn key(&self, id: &str) -> Result<Option<KeyRecord>, PortError>;

    /// Adds a key with its rights, all or nothing.
    ///
    /// # Errors
    /// [`KeyStoreError::UnknownRights`] naming every one that does not exist.
    async fn create(
        &self,
        credential: &NewCredential,
        fields: &KeyFields,
        rights: &[String],
    ) -> Result<KeyRecord, KeyStoreError>;

    /// Replaces the fields, and the rights where they are given; `None` when there is no such key.
    ///
    /// - MUST apply `change` to the fields as they are at that moment, under a lock on the row.
    ///
    /// # Errors
    /// [`KeyStoreError::UnknownRights`].
    async fn update(
        &self,
        id: &str,
        change: &(dyn for<'a> Fn(&'a mut KeyFields) + Send + Sync),
        rights: Option<&[String]>,
    ) -> Result<Option<KeyRecord>, KeyStoreError>;

    /// Gives the key a new secret; the old one is taken for `overlap_secs` more. A rotation during an overlap ends
    /// the older overlap. `None` when there is no such key.
    ///
    /// - MUST keep the key's public id; `credential` was made for it.
    ///
    /// # Errors
    /// When the store fails.
    async fn rotate(
        &self,
        id: &str,
        credential: &NewCredential,
        overlap_secs: u64,
    ) -> Result<Option<KeyRecord>, KeyStoreError>;

    /// Archives the key: it is kept, switched off and never listed or verified again. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    async fn archive(&self, id: &str) -> Result<bool, PortError>;
}

/// Rights that can be granted.
#[async_trait::async_trait]
pub trait RightStore: Send + Sync + 'static {
    /// Every right, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn rights(&self) -> Result<Vec<RightRecord>, PortError>;

    /// Adds a right.
    ///
    /// # Errors
    /// [`KeyStoreError::Duplicate`].
    async fn create_right(&self, name: &str, description: Option<&str>)
    -> Result<RightRecord, KeyStoreError>;

    /// Renames a right and replaces its description; `None` when there is no such right.
    ///
    /// # Errors
    /// [`KeyStoreError::Duplicate`].
    async fn update_right(
        &self,
        id: &str,
        name: &str,
        description: Option<&str>,
    ) -> Result<Option<RightRecord>, KeyStoreError>;

    /// Removes a right and every grant of it. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    async fn delete_right(&self, id: &str) -> Result<bool, PortError>;
}

/// Whether keys are demanded.
#[async_trait::async_trait]
pub trait EnforcementStore: Send + Sync + 'static {
    /// The policy for everybody.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn global(&self) -> Result<PolicyRecord, PortError>;

    /// Sets it.
    ///
    /// # Errors
    /// When the store fails.
    async fn set_global(&self, mode: Mode) -> Result<PolicyRecord, PortError>;

    /// Exceptions for single clients, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn clients(&self) -> Result<Vec<PolicyRecord>, PortError>;

    /// Sets the exception for a client; names meet without case and margins.
    ///
    /// # Errors
    /// When the store fails.
    async fn set_client(&self, client_name: &str, mode: Mode) -> Result<PolicyRecord, PortError>;

    /// Removes the exception for a client. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    async fn delete_client(&self, client_name: &str) -> Result<bool, PortError>;
}

/// Unpredictable bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// When the system has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PortError>;
}
