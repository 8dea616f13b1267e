//! Which clients there are. Look-ups read an immutable snapshot; a change swaps in a new one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use athena_domain::ClientName;
use athena_domain::catalog::Source;
use tokio::sync::Notify;

use crate::circuit::Circuit;
use crate::error::{Absence, Error};
use crate::ports::{Backend, Obstacle, SchemaReader};

/// A client's database.
#[derive(Clone)]
pub enum ClientState {
    /// It has a target, reachable or not.
    Ready {
        /// Runs plans.
        backend: Arc<dyn Backend>,
        /// Knows the schema.
        schema: Arc<dyn SchemaReader>,
        /// Stands before both.
        circuit: Arc<Circuit>,
    },
    /// Its target cannot be read from the configuration.
    Misconfigured {
        /// Why, without a secret.
        reason: String,
    },
    /// An administrator has stopped it: to callers it does not exist.
    Frozen,
    /// An administrator has switched it off: to callers it does not exist.
    Inactive,
}

/// What the admin routes tell of a client; URIs without passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Who says that it exists.
    pub source: Source,
    /// Description.
    pub description: Option<String>,
    /// Connection URI.
    pub pg_uri: Option<String>,
    /// Name of the variable that holds one.
    pub pg_uri_env_var: Option<String>,
    /// What the configuration says.
    pub config_uri_template: Option<String>,
}

impl Default for ClientInfo {
    fn default() -> Self {
        Self {
            source: Source::Config,
            description: None,
            pg_uri: None,
            pg_uri_env_var: None,
            config_uri_template: None,
        }
    }
}

/// One client.
#[derive(Clone)]
pub struct Client {
    /// Name.
    pub name: ClientName,
    /// Database.
    pub state: ClientState,
    /// What is told of it.
    pub info: ClientInfo,
    /// Whether its database is one that the gateway keeps its own tables in.
    pub is_control: bool,
}

impl Client {
    /// A client of the configuration.
    pub fn new(name: ClientName, state: ClientState) -> Self {
        Self { name, state, info: ClientInfo::default(), is_control: false }
    }

    /// Why callers may not know of it; nothing when they may.
    pub fn absence(&self) -> Option<Absence> {
        match self.state {
            ClientState::Ready { .. } | ClientState::Misconfigured { .. } => None,
            ClientState::Frozen => Some(Absence::Frozen),
            ClientState::Inactive => Some(Absence::Inactive),
        }
    }

    /// What stands before its database, where it has one.
    pub fn circuit(&self) -> Option<&Arc<Circuit>> {
        match &self.state {
            ClientState::Ready { circuit, .. } => Some(circuit),
            ClientState::Misconfigured { .. } | ClientState::Frozen | ClientState::Inactive => None,
        }
    }

    /// What kind of database it has ([`Backend::system`]), where it has one.
    pub fn system(&self) -> Option<&'static str> {
        match &self.state {
            ClientState::Ready { backend, .. } => Some(backend.system()),
            ClientState::Misconfigured { .. } | ClientState::Frozen | ClientState::Inactive => None,
        }
    }

    /// Why its database cannot be used at present, in words without a secret; nothing when no reason is known.
    pub fn trouble(&self) -> Option<&str> {
        match &self.state {
            ClientState::Ready { circuit, .. } => circuit.obstacle().map(Obstacle::sentence),
            ClientState::Misconfigured { reason } => Some(reason),
            ClientState::Frozen | ClientState::Inactive => None,
        }
    }

    /// Whether its database answered when it was asked last.
    pub fn is_connected(&self) -> bool {
        match &self.state {
            ClientState::Ready { backend, .. } => backend.status().connected,
            ClientState::Misconfigured { .. } | ClientState::Frozen | ClientState::Inactive => false,
        }
    }
}

/// Clients by the name that look-ups use.
pub type Clients = HashMap<Box<str>, Arc<Client>>;

/// Every client, by name.
#[derive(Default)]
pub struct ClientRegistry {
    snapshot: ArcSwap<Clients>,
    /// Whether an administrator may have said something about the clients that nobody has read yet.
    is_unread: AtomicBool,
    /// Told when they are read.
    read: Notify,
    changed: Notify,
}

impl ClientRegistry {
    /// A registry of these clients; of two with one name the last counts.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let registry = Self::default();
        registry.replace(clients.into_iter().map(Arc::new));
        registry
    }

    /// Takes these clients for those of before, all at once. Requests that are under way keep the database they
    /// have begun with.
    pub fn replace(&self, clients: impl IntoIterator<Item = Arc<Client>>) {
        let by_key: Clients = clients.into_iter().map(|client| (client.name.key().into(), client)).collect();
        self.snapshot.store(Arc::new(by_key));
        self.changed.notify_one();
    }

    /// Resolves once other clients have been taken since it last did; for the one who watches over their databases.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether what an administrator has stopped is not known yet: then nobody is served.
    pub fn set_unread(&self, is_unread: bool) {
        self.is_unread.store(is_unread, Ordering::Release);
        if !is_unread {
            self.read.notify_waiters();
        }
    }

    /// Whether clients are known.
    pub fn is_read(&self) -> bool {
        !self.is_unread.load(Ordering::Acquire)
    }

    /// Waits until clients are known.
    pub async fn read(&self) {
        loop {
            let mut told = std::pin::pin!(self.read.notified());
            // Before the look, so that nothing is missed between the two.
            told.as_mut().enable();
            if self.is_read() {
                return;
            }
            told.await;
        }
    }

    /// Finds a client that callers may use.
    ///
    /// # Errors
    /// [`Error::UnknownClient`], [`Error::ClientsUnread`].
    pub fn find(&self, name: &ClientName) -> Result<Arc<Client>, Error> {
        // Before the clients, so that those of before are never taken for those that were read.
        let is_read = self.is_read();
        let snapshot = self.snapshot.load();
        let unknown = |absence| Error::UnknownClient { name: name.clone(), absence };
        let found = snapshot.get(name.key()).ok_or_else(|| unknown(Absence::Unknown))?;
        match found.absence() {
            Some(absence) => Err(unknown(absence)),
            None if is_read => Ok(found.clone()),
            None => Err(Error::ClientsUnread),
        }
    }

    /// Every client, stopped ones included, sorted by name without regard to case.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.snapshot.load().values().cloned().collect();
        clients.sort_by(|a, b| a.name.key().cmp(b.name.key()));
        clients
    }

    /// The clients of this moment.
    pub fn snapshot(&self) -> Arc<Clients> {
        self.snapshot.load_full()
    }
}
