//! Administration of API keys, rights and policy (contract 5.6 and 29.4).

mod body;
mod warnings;

pub use body::{KeyBody, PolicyBody, RightBody, RotateBody};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use athena_domain::access::{KeyOperation, Missing, Mode, NewCredential, RANDOM_BYTES};

use time::OffsetDateTime;

use crate::access_loader;
use crate::authenticator::Authenticator;
use crate::ports::{
    EnforcementStore, Entropy, KeyRecord, KeyStore, KeyStoreError, PolicyRecord, PortError, RightRecord,
    RightStore,
};
use crate::registry::ClientRegistry;

/// Longest wait until this gateway itself obeys a change it has just made; the watch brings it in any case.
const OBEY_WITHIN: Duration = Duration::from_secs(2);

/// Why an administrator's request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is nothing of that id or name.
    #[error("not found")]
    NotFound,
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

impl From<KeyStoreError> for AdminError {
    fn from(error: KeyStoreError) -> Self {
        match error {
            KeyStoreError::Duplicate => Self::Duplicate,
            KeyStoreError::UnknownRights(names) => Self::UnknownRights(names),
            KeyStoreError::Port(error) => Self::Port(error),
        }
    }
}

/// A key that has just got a secret; the text is shown once.
#[derive(Debug)]
pub struct Issued {
    /// The credential.
    pub credential: NewCredential,
    /// The key.
    pub record: KeyRecord,
    /// What its scope names that its clients do not have.
    pub warnings: Vec<Missing>,
}

/// What a key can reach, as it applies now.
#[derive(Debug)]
pub struct Effective {
    /// The key.
    pub record: KeyRecord,
    /// Lower-case names of the clients it is bound to; none means every one.
    pub clients: Option<Vec<String>>,
    /// What it may be used for, given rights and scope.
    pub operations: Vec<&'static str>,
    /// What its scope names that its clients do not have.
    pub warnings: Vec<Missing>,
    /// Whether what is stored can be read; if not, the key permits nothing.
    pub readable: bool,
    /// Where keys are demanded: for everybody, and exceptions.
    pub enforced: (Mode, BTreeMap<String, Mode>),
}

/// Administers keys, rights and policy.
pub struct ManageKeys {
    /// Name of the client whose database keeps them, for whoever hears that it is away.
    pub client: String,
    /// Keys.
    pub keys: Arc<dyn KeyStore>,
    /// Rights.
    pub rights: Arc<dyn RightStore>,
    /// Policy.
    pub policy: Arc<dyn EnforcementStore>,
    /// Makes secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Obeys changes.
    pub authenticator: Arc<Authenticator>,
    /// Knows what tables and columns there are.
    pub registry: Arc<ClientRegistry>,
}

impl ManageKeys {
    /// Waits until this gateway obeys the change, as long as that takes a moment only.
    async fn obeyed<T>(&self, done: T) -> T {
        match tokio::time::timeout(OBEY_WITHIN, self.authenticator.refresh()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "a change of keys is stored, but could not be read back yet")
            }
            Err(_) => tracing::warn!("a change of keys is stored, but reading it back takes long"),
        }
        done
    }

    fn random(&self) -> Result<[u8; RANDOM_BYTES], PortError> {
        let mut bytes = [0; RANDOM_BYTES];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Keys that are not archived, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, AdminError> {
        Ok(self.keys.keys().await?)
    }

    /// One key.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn find(&self, id: &str) -> Result<KeyRecord, AdminError> {
        self.keys.key(id).await?.ok_or(AdminError::NotFound)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`AdminError::UnknownRights`].
    pub async fn create(&self, body: &KeyBody) -> Result<Issued, AdminError> {
        let credential = NewCredential::new(&self.random()?);
        let rights = body.rights.clone().unwrap_or_default();
        let record = self.keys.create(&credential, &body.fields(), &rights).await?;
        let warnings = self.warnings(&record.fields).await;
        Ok(self.obeyed(Issued { credential, record, warnings }).await)
    }

    /// Changes a key: what is absent stays, null clears. Beside the key it gives what its scope names in vain.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::UnknownRights`].
    pub async fn update(&self, id: &str, body: &KeyBody) -> Result<(KeyRecord, Vec<Missing>), AdminError> {
        let updated = self.keys.update(id, &|fields| body.apply(fields), body.rights.as_deref()).await?;
        let record = self.obeyed(updated.ok_or(AdminError::NotFound)?).await;
        let warnings = self.warnings(&record.fields).await;
        Ok((record, warnings))
    }

    /// Gives a key a new secret; the old one works for `overlap_secs` more.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn rotate(&self, id: &str, overlap_secs: u64) -> Result<Issued, AdminError> {
        let public_id = self.find(id).await?.public_id;
        let credential = NewCredential::again(&public_id, &self.random()?);
        let record = self.keys.rotate(id, &credential, overlap_secs).await?.ok_or(AdminError::NotFound)?;
        let warnings = self.warnings(&record.fields).await;
        Ok(self.obeyed(Issued { credential, record, warnings }).await)
    }

    /// Archives a key.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn archive(&self, id: &str) -> Result<(), AdminError> {
        if !self.keys.archive(id).await? {
            return Err(AdminError::NotFound);
        }
        self.obeyed(()).await;
        Ok(())
    }

    /// What a key can reach.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn effective(&self, id: &str) -> Result<Effective, AdminError> {
        use athena_domain::access::{Action, Required, RightSet};
        let record = self.find(id).await?;
        let scope = access_loader::scope(&record.fields);
        let readable = scope.is_ok() && access_loader::budget(&record.fields).is_ok();
        let scope = scope.unwrap_or_else(|_| athena_domain::access::Scope::nothing());
        let rights = RightSet::new(record.rights.iter().map(String::as_str));
        // Management is asked for by name and opens no table.
        let any = |action: &str| {
            let mut names = rights.names().filter(|name| !name.starts_with("management."));
            names.any(|name| name == "*" || name.ends_with(action) || name.ends_with(".*"))
        };
        let named = |operation: KeyOperation| match operation {
            KeyOperation::Fetch => any(".read"),
            KeyOperation::Insert | KeyOperation::Update => any(".write"),
            KeyOperation::Delete => any(".delete"),
            KeyOperation::Query | KeyOperation::Rpc => rights.covers(Required::Named("gateway.query")),
            KeyOperation::Schema => {
                let read = Required::Table {
                    schema: "public",
                    table: "*",
                    default_schema: "public",
                    action: Action::Read,
                };
                rights.covers(read)
            }
        };
        let all = [
            KeyOperation::Fetch,
            KeyOperation::Insert,
            KeyOperation::Update,
            KeyOperation::Delete,
            KeyOperation::Query,
            KeyOperation::Rpc,
        ];
        let expired = record.fields.expires_at.is_some_and(|end| end <= OffsetDateTime::now_utc());
        let usable = readable && record.fields.is_active && !expired;
        let operations =
            all.into_iter().filter(|op| usable && named(*op) && scope.allows(*op)).map(KeyOperation::as_str);
        let clients = access_loader::bound_to(&record.fields);
        let clients = clients.map(|names| names.into_iter().map(String::from).collect());
        let exceptions = self.policy.clients().await?.into_iter();
        let exceptions = exceptions.filter_map(|record| Some((record.client_name?, record.mode))).collect();
        let enforced = (self.policy.global().await?.mode, exceptions);
        let warnings = self.warnings(&record.fields).await;
        Ok(Effective { operations: operations.collect(), clients, warnings, readable, enforced, record })
    }

    /// Every right, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_rights(&self) -> Result<Vec<RightRecord>, AdminError> {
        Ok(self.rights.rights().await?)
    }

    /// Adds a right.
    ///
    /// # Errors
    /// [`AdminError::Duplicate`].
    pub async fn create_right(&self, body: &RightBody) -> Result<RightRecord, AdminError> {
        Ok(self.rights.create_right(&body.name, body.description.as_deref()).await?)
    }

    /// Renames a right.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Duplicate`].
    pub async fn update_right(&self, id: &str, body: &RightBody) -> Result<RightRecord, AdminError> {
        let updated = self.rights.update_right(id, &body.name, body.description.as_deref()).await?;
        Ok(self.obeyed(updated.ok_or(AdminError::NotFound)?).await)
    }

    /// Removes a right and every grant of it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn delete_right(&self, id: &str) -> Result<(), AdminError> {
        if !self.rights.delete_right(id).await? {
            return Err(AdminError::NotFound);
        }
        self.obeyed(()).await;
        Ok(())
    }

    /// The policy for everybody, and the exceptions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn policy(&self) -> Result<(PolicyRecord, Vec<PolicyRecord>), AdminError> {
        Ok((self.policy.global().await?, self.policy.clients().await?))
    }

    /// Sets the policy for everybody.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_policy(&self, mode: Mode) -> Result<PolicyRecord, AdminError> {
        let record = self.policy.set_global(mode).await?;
        Ok(self.obeyed(record).await)
    }

    /// Sets the exception for a client.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_client_policy(&self, client: &str, mode: Mode) -> Result<PolicyRecord, AdminError> {
        let record = self.policy.set_client(client, mode).await?;
        Ok(self.obeyed(record).await)
    }

    /// Removes the exception for a client.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub async fn delete_client_policy(&self, client: &str) -> Result<(), AdminError> {
        if !self.policy.delete_client(client).await? {
            return Err(AdminError::NotFound);
        }
        self.obeyed(()).await;
        Ok(())
    }
}
