//! The control plane, composed: keys and policy from the control database, brought up in the background.

use std::sync::Arc;
use std::time::Duration;

use athena_application::Authenticator;
use athena_application::ports::{Entropy, PortError, PortErrorKind};
use athena_application::use_cases::keys::ManageKeys;
use athena_http::StoreAbsence;
use athena_postgres::control::{ControlDatabase, ControlWatch, PostgresKeyStore, WatchSettings, migrate};
use tokio::task::JoinHandle;

use crate::config::Config;

/// Shortest and longest pause between two attempts to bring the control database to the current schema.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Keys and policy of a running gateway. Dropped, it stops following changes.
pub struct ControlPlane {
    /// Judges credentials.
    pub authenticator: Arc<Authenticator>,
    /// Administers keys, or why nobody does.
    pub keys: Result<Arc<ManageKeys>, StoreAbsence>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl ControlPlane {
    /// Starts what the configuration asks for; nothing is waited for. Needs a running runtime.
    pub fn start(config: &Config) -> Self {
        let Some(name) = &config.gateway.auth_client else { return Self::absent() };
        match database_of(name, config) {
            Ok(database) => Self::over(name, database, config.gateway.auto_migrate),
            Err(reason) => {
                tracing::error!(
                    client = %name, %reason,
                    "API keys cannot be checked: every request is refused until gateway.auth_client can be used"
                );
                Self {
                    authenticator: Arc::new(Authenticator::unavailable()),
                    keys: Err(StoreAbsence::NotConnected(name.clone())),
                    tasks: Vec::new(),
                }
            }
        }
    }

    /// No store: keys are not demanded.
    fn absent() -> Self {
        tracing::warn!(
            "API keys are not checked: name the control database in gateway.logging_client to check them, or let only \
             trusted networks reach the listener"
        );
        Self { authenticator: Arc::default(), keys: Err(StoreAbsence::NotConfigured), tasks: Vec::new() }
    }

    fn over(client: &str, database: ControlDatabase, auto_migrate: bool) -> Self {
        let store = Arc::new(PostgresKeyStore::new(database.clone()));
        let authenticator = Arc::new(Authenticator::over(store.clone()));
        let keys = ManageKeys {
            client: client.to_owned(),
            keys: store.clone(),
            rights: store.clone(),
            policy: store,
            entropy: Arc::new(SystemEntropy),
            authenticator: authenticator.clone(),
        };
        let follower = authenticator.clone();
        let task = tokio::spawn(async move {
            if auto_migrate {
                bring_up(&database).await;
            }
            let watch = ControlWatch::start(database, WatchSettings::default());
            follower.follow(watch.versions()).await;
        });
        Self { authenticator, keys: Ok(Arc::new(keys)), tasks: vec![task] }
    }
}

/// The database behind a client of the configuration.
fn database_of(name: &str, config: &Config) -> Result<ControlDatabase, String> {
    let key = name.trim().to_lowercase();
    let client = config.clients.iter().find(|client| client.name.key() == key);
    let client = client.ok_or("there is no such client in `postgres_clients`")?;
    let uri = client.target.as_ref().map_err(String::clone)?;
    ControlDatabase::open(uri.expose()).map_err(|error| error.to_string())
}

/// Brings the control database to the current schema, for as long as that takes.
async fn bring_up(database: &ControlDatabase) {
    let (mut pause, longest) = PAUSES;
    let mut told = false;
    loop {
        match migrate(database).await {
            Ok(migrated) => {
                tracing::info!(
                    applied = migrated.applied,
                    total = migrated.total,
                    "the control database is current"
                );
                return;
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(error = %Chain(&error), "the control database cannot be brought to the current schema; trying again");
                }
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(longest);
            }
        }
    }
}

/// An error and its sources, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

/// The operating system's random numbers.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PortError> {
        getrandom::fill(bytes)
            .map_err(|error| PortError::new("entropy", PortErrorKind::Internal).caused_by(error))
    }
}
