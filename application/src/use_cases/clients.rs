//! Administration of the client catalog (contract 16.4).

mod body;

pub use body::{ClientBody, FreezeBody, OfflineBody};

use std::sync::Arc;
use std::time::Duration;

use athena_domain::ClientName;
use athena_domain::catalog::{ClientRecord, check_borrowed};

use crate::catalog::Catalog;
use crate::circuit::Circuit;
use crate::ports::{
    ClientFields, ClientStore, ClientStoreError, NewClient, Obstacle, OpenFailure, PortError,
};
use crate::registry::{Client, ClientState};

/// Longest wait for the first answer of a client's database, before it is said that there was none.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// Why a client was not administered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no store.
    #[error("no catalog")]
    NoStore,
    /// No client of that name.
    #[error("not found")]
    NotFound,
    /// A client of that name is already there.
    #[error("already there")]
    Duplicate,
    /// The client is stopped, or its target cannot be used.
    #[error("not served")]
    NotServed,
    /// The gateway itself needs the client.
    #[error("needed by the gateway")]
    Essential,
    /// The target is of a kind that this build does not speak.
    #[error("{0}")]
    Target(String),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A client after a change, and what should be known about it.
#[derive(Debug)]
pub struct Administered {
    /// The row.
    pub record: ClientRecord,
    /// Whether its database answered.
    pub connected: bool,
    /// Why it cannot be used at the moment.
    pub warning: Option<String>,
}

/// What is said of a database that gave no answer.
fn unanswered(obstacle: Option<Obstacle>) -> String {
    let why = obstacle.map_or(String::new(), |obstacle| format!(" ({})", obstacle.sentence()));
    format!("its database did not answer{why}; the gateway keeps trying to connect")
}

/// Administers the client catalog.
pub struct ManageClients {
    catalog: Arc<Catalog>,
}

impl ManageClients {
    /// Administration of `catalog`.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    fn store(&self) -> Result<&Arc<dyn ClientStore>, ClientError> {
        self.catalog.store().ok_or(ClientError::NoStore)
    }

    /// Every client as it runs, stopped ones included.
    pub fn runtime(&self) -> Vec<Arc<Client>> {
        self.catalog.registry().all()
    }

    /// Names of clients that callers may use and whose database answered.
    pub fn connected(&self) -> Vec<String> {
        let clients = self.runtime();
        clients.iter().filter(|client| client.is_connected()).map(|client| client.name.to_string()).collect()
    }

    /// What stands before the database of a client that is served by this gateway.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::NotServed`].
    pub fn circuit(&self, name: &ClientName) -> Result<Arc<Circuit>, ClientError> {
        let clients = self.catalog.registry().snapshot();
        let client = clients.get(name.key()).ok_or(ClientError::NotFound)?;
        client.circuit().cloned().ok_or(ClientError::NotServed)
    }

    /// Rows of the catalog, by name.
    ///
    /// # Errors
    /// [`ClientError::NoStore`].
    pub async fn list(&self) -> Result<Vec<ClientRecord>, ClientError> {
        let mut rows = self.store()?.load().await?;
        rows.retain(|row| row.deleted_at.is_none());
        rows.sort_by_key(ClientRecord::key);
        Ok(rows)
    }

    /// Adds a client, reachable or not.
    ///
    /// # Errors
    /// [`ClientError::Duplicate`], [`ClientError::Target`].
    pub async fn create(&self, client: &NewClient) -> Result<Administered, ClientError> {
        self.check_target(&client.name, client.target.pg_uri.as_deref())?;
        let record = match self.store()?.create(client).await {
            Ok(record) => record,
            Err(ClientStoreError::Duplicate) => return Err(ClientError::Duplicate),
            Err(ClientStoreError::Port(error)) => return Err(error.into()),
        };
        self.administered(record).await
    }

    /// Changes a client: what is absent stays, null clears.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Essential`], [`ClientError::Target`].
    pub async fn update(&self, key: &str, body: &ClientBody) -> Result<Administered, ClientError> {
        if body.deactivates() || body.changes_target() {
            self.check_essential(key)?;
        }
        self.check_target(key, body.pg_uri())?;
        self.change(key, &|fields| body.apply(fields)).await
    }

    /// Stops a client, or lets it go on.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Essential`].
    pub async fn freeze(&self, key: &str, is_frozen: bool) -> Result<Administered, ClientError> {
        if is_frozen {
            self.check_essential(key)?;
        }
        self.change(key, &|fields| fields.is_frozen = is_frozen).await
    }

    /// Deletes a client; its row stays for the record.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Essential`].
    pub async fn delete(&self, key: &str) -> Result<Administered, ClientError> {
        self.check_essential(key)?;
        self.change(key, &|fields| {
            fields.is_deleted = true;
            fields.is_active = false;
        })
        .await
    }

    async fn change(
        &self,
        key: &str,
        change: &(dyn for<'a> Fn(&'a mut ClientFields) + Send + Sync),
    ) -> Result<Administered, ClientError> {
        let record = self.store()?.update(key, change).await?.ok_or(ClientError::NotFound)?;
        self.administered(record).await
    }

    /// Obeys the change, and finds out whether the client can be used now.
    async fn administered(&self, record: ClientRecord) -> Result<Administered, ClientError> {
        if let Err(error) = self.catalog.reload().await {
            tracing::warn!(%error, "a change of the catalog is stored, but could not be read back yet");
            let warning =
                "the change is stored, but not yet in force here: the catalog could not be read back";
            return Ok(Administered { record, connected: false, warning: Some(warning.to_owned()) });
        }
        let name = ClientName::parse(&record.name);
        let found = name.and_then(|name| self.catalog.registry().find(&name).ok());
        let (connected, warning) = match found.map(|client| client.state.clone()) {
            Some(ClientState::Ready { backend, .. }) => {
                let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
                match backend.ping(deadline).await {
                    Ok(()) => (true, None),
                    Err(error) => (false, Some(unanswered(error.obstacle))),
                }
            }
            Some(ClientState::Misconfigured { reason }) => (false, Some(reason)),
            Some(ClientState::Frozen | ClientState::Inactive) | None => (false, None),
        };
        Ok(Administered { record, connected, warning })
    }

    fn check_essential(&self, key: &str) -> Result<(), ClientError> {
        if self.catalog.is_essential(key) { Err(ClientError::Essential) } else { Ok(()) }
    }

    fn check_target(&self, name: &str, uri: Option<&str>) -> Result<(), ClientError> {
        let (Some(uri), Some(name)) = (uri, ClientName::parse(name)) else { return Ok(()) };
        check_borrowed(uri).map_err(ClientError::Target)?;
        match self.catalog.connector().open(&name, uri) {
            // It may come later, as one that is named instead of a URI may; until then the answer has a warning.
            Ok(_) | Err(OpenFailure::Unset(_)) => Ok(()),
            Err(OpenFailure::Invalid(reason)) => Err(ClientError::Target(reason)),
        }
    }
}
