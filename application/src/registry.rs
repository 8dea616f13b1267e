//! Which clients there are. Look-ups read an immutable snapshot; a change swaps in a new one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use athena_domain::ClientName;

use crate::error::Error;
use crate::ports::{Backend, SchemaReader};

/// A client's database.
#[derive(Clone)]
pub enum ClientState {
    /// It has a target, reachable or not.
    Ready {
        /// Runs plans.
        backend: Arc<dyn Backend>,
        /// Knows the schema.
        schema: Arc<dyn SchemaReader>,
    },
    /// Its target cannot be read from the configuration.
    Misconfigured {
        /// Why, without a secret.
        reason: String,
    },
}

/// One client.
#[derive(Clone)]
pub struct Client {
    /// Name.
    pub name: ClientName,
    /// Database.
    pub state: ClientState,
}

/// Every client, by name.
#[derive(Default)]
pub struct ClientRegistry {
    snapshot: ArcSwap<HashMap<Box<str>, Arc<Client>>>,
}

impl ClientRegistry {
    /// A registry of these clients; of two with one name the last counts.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        let by_key = clients.into_iter().map(|client| (client.name.key().into(), Arc::new(client))).collect();
        Self { snapshot: ArcSwap::from_pointee(by_key) }
    }

    /// Finds a client.
    ///
    /// # Errors
    /// [`Error::UnknownClient`].
    pub fn find(&self, name: &ClientName) -> Result<Arc<Client>, Error> {
        self.snapshot.load().get(name.key()).cloned().ok_or_else(|| Error::UnknownClient(name.clone()))
    }

    /// Every client, sorted by name without regard to case.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.snapshot.load().values().cloned().collect();
        clients.sort_by(|a, b| a.name.key().cmp(b.name.key()));
        clients
    }
}
