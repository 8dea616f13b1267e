//! Credentials against keys and policy kept in memory: no round trip, no lock.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use athena_domain::access::{AccessState, Judgement, Keys, Presented, judge};
use tokio::sync::{Mutex, watch};

use crate::access_loader;
use crate::follow::follow;
use crate::ports::{KeyStore, PortError, Versions};

/// Hears of every new set of keys.
type Listener = Box<dyn Fn(&Arc<Keys>) + Send + Sync>;

/// Judges credentials by the last reading of the key store.
pub struct Authenticator {
    state: ArcSwap<AccessState>,
    store: Option<Arc<dyn KeyStore>>,
    /// Held while reading, so that an older reading never replaces a newer one.
    reading: Mutex<()>,
    /// Whether keys and policy were read.
    known: watch::Sender<bool>,
    /// Told of every new set of keys.
    listeners: Vec<Listener>,
}

impl Default for Authenticator {
    /// No store: keys are never demanded.
    fn default() -> Self {
        Self {
            state: ArcSwap::from_pointee(AccessState::NotConfigured),
            store: None,
            reading: Mutex::new(()),
            known: watch::Sender::new(true),
            listeners: Vec::new(),
        }
    }
}

impl Authenticator {
    /// An authenticator that knows nothing until its store is read, and refuses everybody until then.
    pub fn over(store: Arc<dyn KeyStore>) -> Self {
        Self { store: Some(store), ..Self::unavailable() }
    }

    /// An authenticator whose store is configured and cannot be reached at all: refuses everybody.
    pub fn unavailable() -> Self {
        let (state, known) = (ArcSwap::from_pointee(AccessState::Unavailable), watch::Sender::new(false));
        Self { state, known, ..Self::default() }
    }

    /// Tells `listener` of every new set of keys.
    #[must_use]
    pub fn telling(mut self, listener: impl Fn(&Arc<Keys>) + Send + Sync + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Judges a credential for a client, by its lower-case name.
    pub fn judge(&self, presented: Presented<'_>, client_key: Option<&str>) -> Judgement {
        judge(&self.state.load(), presented, client_key, SystemTime::now())
    }

    /// What is known of keys and policy.
    pub fn state(&self) -> AccessState {
        AccessState::clone(&self.state.load())
    }

    /// Waits until keys and policy were read; for ever where they cannot be.
    pub async fn known(&self) {
        // The sender is this authenticator's own, so that it cannot be gone.
        drop(self.known.subscribe().wait_for(|known| *known).await);
    }

    /// Reads keys and policy anew; what was read before stays in force when that fails.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh(&self) -> Result<(), PortError> {
        let Some(store) = &self.store else { return Ok(()) };
        let _turn = self.reading.lock().await;
        let keys = Arc::new(access_loader::load(&**store).await?);
        // Listeners first: a new key's budget is known before the key is accepted.
        self.listeners.iter().for_each(|listener| listener(&keys));
        self.state.store(Arc::new(AccessState::Loaded(keys)));
        self.known.send_replace(true);
        Ok(())
    }

    /// Reads keys and policy now and whenever `versions` says that they have changed, for ever.
    pub async fn follow(self: Arc<Self>, versions: watch::Receiver<Versions>) {
        if self.store.is_none() {
            return;
        }
        follow("key store", versions, |versions| versions.keys, || self.refresh()).await;
    }
}
