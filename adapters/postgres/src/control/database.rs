//! Connections to the control database.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{PortError, PortErrorKind};
use futures_util::future::BoxFuture;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::time::timeout;

use crate::failure::{PORT, port_error};
use crate::settings::{InvalidUri, Pooler, PostgresSettings};

/// Most connections of one gateway: no request waits for the control database, so a few are enough.
const MAX_CONNECTIONS: u32 = 6;

/// Longest wait for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// After which an unused connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// After which a connection is closed at its next return.
const MAX_LIFETIME: Duration = Duration::from_secs(900);

/// Time that one statement may take; migrations have none.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for what keys and clients are read from. The server's own timeout does not help when it, or the network,
/// has fallen silent.
const PATIENCE: Duration = Duration::from_secs(15);

/// Prepared statements kept by a connection.
const CACHED_STATEMENTS: usize = 100;

/// The control database of this gateway. Clones share the connections.
///
/// Every name is looked up in the schema `public` (contract 19), whatever the role's search path is.
#[derive(Clone)]
pub struct ControlDatabase {
    pool: PgPool,
    options: PgConnectOptions,
    address: Arc<str>,
    patience: Duration,
}

impl ControlDatabase {
    /// Takes note of where the database is. Connections are opened when they are needed; this must be
    /// called within a runtime, which looks after them.
    ///
    /// A transaction pooler cannot stand in between: prepared statements and the lock of the migrations
    /// belong to a session.
    ///
    /// # Errors
    /// [`InvalidUri`], also where the URI says `pooler=transaction`.
    pub fn open(uri: &str) -> Result<Self, InvalidUri> {
        let mut settings = PostgresSettings::from_uri(uri)?;
        if settings.pooler == Pooler::Transaction {
            return Err(InvalidUri::option("pooler", "absent or `session` for the control database"));
        }
        settings.statement_timeout = STATEMENT_TIMEOUT;
        let options = settings
            .options(CACHED_STATEMENTS)
            .application_name("athena_control")
            .options([("search_path", "public"), ("TimeZone", "UTC")]);
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .connect_lazy_with(options.clone());
        Ok(Self { pool, options, address: settings.address().into(), patience: PATIENCE })
    }

    /// The same database, of which keys and clients have to come within `patience` of getting a connection.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Works over a connection for as long as the patience lasts.
    ///
    /// # Errors
    /// What the database says; `Unavailable` when it says nothing.
    pub(crate) async fn in_time<T, W>(&self, work: W) -> Result<T, PortError>
    where
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut connection = self.pool.acquire().await.map_err(control_error)?;
        match timeout(self.patience, work(&mut connection)).await {
            Ok(done) => done.map_err(control_error),
            Err(_) => {
                // Given back, it would keep its place in the pool until it answers.
                connection.close_on_drop();
                Err(PortError::new(PORT, PortErrorKind::Unavailable).caused_by("no answer in time"))
            }
        }
    }

    /// Where it is: host or socket, port and database, as they are written.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Does what is bound by the patience, the wait for a connection included. Work that is broken off by it has to hold
    /// its connection by [`ControlDatabase::hold`], so that a silent one does not keep its place.
    ///
    /// # Errors
    /// What the work says; `Unavailable` when the database says nothing.
    pub(crate) async fn patiently<T, E: From<PortError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match timeout(self.patience, work).await {
            Ok(done) => done,
            Err(_) => {
                let silent = PortError::new(PORT, PortErrorKind::Unavailable).caused_by("no answer in time");
                Err(silent.into())
            }
        }
    }

    /// A connection, which is closed unless its work is [`Held::done`].
    ///
    /// # Errors
    /// When there is none in time.
    pub(crate) async fn hold(&self) -> Result<Held, sqlx::Error> {
        self.pool.acquire().await.map(|connection| Held(Some(connection)))
    }

    /// The connections, for statements of at most half a minute.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How to connect, for those who need a connection of their own. Never printed: it may hold a
    /// password.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Closes every connection once it is given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// What a driver's error means to the port. To wait for a connection in vain is `Unavailable` here:
    /// the pool tries for as long when the server refuses as when it is busy.
    pub fn error(&self, error: sqlx::Error) -> PortError {
        control_error(error)
    }
}

/// A connection in use. Dropped before its work is done, it is closed: nobody meets what is left of it, and one that
/// has fallen silent keeps no place in the pool.
pub(crate) struct Held(Option<PoolConnection<Postgres>>);

impl Held {
    /// Gives the connection back.
    pub(crate) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("only its end takes the connection")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("only its end takes the connection")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

/// See [`ControlDatabase::error`].
pub(crate) fn control_error(error: sqlx::Error) -> PortError {
    let error = port_error(error);
    match error.kind {
        PortErrorKind::Exhausted => PortError { kind: PortErrorKind::Unavailable, ..error },
        PortErrorKind::Rejected(_)
        | PortErrorKind::Conflict
        | PortErrorKind::QueueFull
        | PortErrorKind::SlowReaders
        | PortErrorKind::CircuitOpen { .. }
        | PortErrorKind::Unreadable
        | PortErrorKind::Throttled { .. }
        | PortErrorKind::TimedOut
        | PortErrorKind::TooManyConnections
        | PortErrorKind::Unavailable
        | PortErrorKind::Lost
        | PortErrorKind::Internal => error,
    }
}
