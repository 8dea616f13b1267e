//! The schema of a control database: brought to the current one, or served as it is until somebody else does that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use athena_application::error::Chain;
use athena_application::ports::Versions;
use athena_postgres::control::{ControlDatabase, MigrateFailure, Migrated, check_schema, migrate};
use tokio::sync::watch;

/// Shortest and longest pause between two attempts to bring the control database to the current schema.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// After which a schema that is behind is said not to do.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the schema of one control database.
#[derive(Clone)]
pub(crate) struct ControlSchema {
    database: ControlDatabase,
    auto_migrate: bool,
    state: Arc<AtomicU8>,
}

impl ControlSchema {
    const UNKNOWN: u8 = 0;
    const BEHIND: u8 = 1;
    const CURRENT: u8 = 2;

    /// The schema of `database`, which is only looked at unless `auto_migrate`.
    pub(crate) fn new(database: ControlDatabase, auto_migrate: bool) -> Self {
        Self { database, auto_migrate, state: Arc::new(AtomicU8::new(Self::UNKNOWN)) }
    }

    /// The database itself.
    pub(crate) fn database(&self) -> &ControlDatabase {
        &self.database
    }

    /// Whether it is the one of this program; nothing as long as nobody knows.
    pub(crate) fn is_current(&self) -> Option<bool> {
        match self.state.load(Ordering::Relaxed) {
            Self::UNKNOWN => None,
            state => Some(state == Self::CURRENT),
        }
    }

    /// Brings it to the current one, for as long as the database does not answer; whether it is that then.
    pub(crate) async fn settle(&self) -> bool {
        let (mut pause, longest) = PAUSES;
        let mut told = false;
        loop {
            match self.attempt().await {
                Ok(()) => return true,
                Err(error @ MigrateFailure::Unreachable(_)) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(error = %Chain(&error), "the control database does not answer; trying again");
                    }
                }
                Err(error) => {
                    self.state.store(Self::BEHIND, Ordering::Relaxed);
                    tracing::error!(
                        error = %Chain(&error),
                        "the control database does not have the schema of this gateway: run sql/provision.sql as its \
                         owner (psql -v ON_ERROR_STOP=1 -f sql/provision.sql \"$URI\"), or let the gateway's role do so \
                         with gateway.auto_migrate; it is looked at again and again"
                    );
                    return false;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
    }

    /// Tries on until it is the current one.
    pub(crate) async fn catch_up(&self) {
        let (mut pause, longest) = PAUSES;
        loop {
            tokio::time::sleep(pause).await;
            match self.attempt().await {
                Ok(()) => return,
                Err(error) => tracing::debug!(error = %Chain(&error), "the control database is still behind"),
            }
            pause = (2 * pause).min(longest);
        }
    }

    async fn attempt(&self) -> Result<(), MigrateFailure> {
        let Migrated { applied, total } = match self.auto_migrate {
            true => migrate(&self.database).await?,
            false => check_schema(&self.database).await?,
        };
        self.state.store(Self::CURRENT, Ordering::Relaxed);
        tracing::info!(applied, total, "the control database is current");
        Ok(())
    }
}

/// Waits until the versions of a database that is behind can be read: without them no change would ever be heard of, so
/// nothing else is read before.
pub(crate) async fn readable(mut versions: watch::Receiver<Versions>) {
    let mut reachable = async || versions.wait_for(|versions| versions.reachable).await.is_ok();
    match tokio::time::timeout(PATIENCE, reachable()).await {
        Ok(_) => tracing::warn!("the control database is behind, and read and served as it is"),
        Err(_) => {
            tracing::error!(
                "the control database cannot be read with the schema that it has; requests are refused until \
                 sql/provision.sql has run there"
            );
            reachable().await;
        }
    }
}
