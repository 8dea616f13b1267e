//! Connections of one client.
//!
//! sqlx is the driver, not the pool: its pool makes a round trip and a task of every return, and cannot
//! say which server process a statement runs in, which is what stopping it needs.

mod running;

pub(crate) use running::Running;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use athena_application::ports::{BackendStatus, PortError, PortErrorKind, Reason};
use deadpool::managed::{
    self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType, Timeouts,
};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::Instant;

use crate::cancel::Canceller;
use crate::failure::{PORT, port_error};
use crate::settings::PostgresSettings;

/// Prepared statements kept by a connection.
const CACHED_STATEMENTS: usize = 256;

/// Makes the server stop a statement whose connection has gone (PostgreSQL 14 and later).
pub(crate) const WATCH_THE_CLIENT: &str = "SET client_connection_check_interval = '1s'";

/// After so long without use, a connection is tested before a write goes through it: a server that was
/// restarted in between would fail the write, and a write must not be tried twice.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// A connection and the server process behind it.
pub(crate) struct Session {
    pub connection: PgConnection,
    pub process_id: i32,
    last_used: Instant,
    generation: u64,
}

pub(crate) struct Manager {
    options: PgConnectOptions,
    max_lifetime: Duration,
    test_before_acquire: bool,
    /// Raised when prepared statements turn out to be older than the tables they read.
    generation: Arc<AtomicU64>,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let process_id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .persistent(false)
            .fetch_one(&mut connection)
            .await?;
        // Should the gateway die, the server stops its statements by itself. Not every platform can.
        if connection.server_version_num().is_some_and(|version| version >= 140_000) {
            drop(sqlx::raw_sql(WATCH_THE_CLIENT).execute(&mut connection).await);
        }
        let generation = self.generation.load(Ordering::Relaxed);
        Ok(Session { connection, process_id, last_used: Instant::now(), generation })
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let old = session.generation != self.generation.load(Ordering::Relaxed);
        if old || metrics.age() > self.max_lifetime {
            return Err(RecycleError::message("worn out"));
        }
        if self.test_before_acquire {
            session.connection.ping().await.map_err(RecycleError::Backend)?;
        }
        Ok(())
    }
}

/// The pool of one kind of connection.
pub(crate) struct Sessions {
    pool: managed::Pool<Manager>,
    timeouts: Timeouts,
    idle_timeout: Duration,
    min_connections: usize,
    connected: AtomicBool,
    generation: Arc<AtomicU64>,
    pub(crate) canceller: Arc<Canceller>,
}

impl Sessions {
    /// A pool for prepared statements, or for raw queries when `raw`.
    pub(crate) fn new(settings: &PostgresSettings, raw: bool, canceller: Arc<Canceller>) -> Arc<Self> {
        let (cached, size) = if raw {
            (0, settings.max_raw_connections)
        } else {
            (CACHED_STATEMENTS, settings.max_connections)
        };
        let generation = Arc::new(AtomicU64::new(0));
        let manager = Manager {
            generation: generation.clone(),
            options: settings.options(cached),
            max_lifetime: settings.max_lifetime,
            test_before_acquire: settings.test_before_acquire,
        };
        let timeouts = Timeouts {
            wait: Some(settings.acquire_timeout),
            create: Some(settings.connect_timeout),
            recycle: Some(settings.connect_timeout),
        };
        let pool = managed::Pool::builder(manager)
            .max_size(size.max(1))
            // The connection used last has its statements warm, and the others may age.
            .queue_mode(QueueMode::Lifo)
            .runtime(deadpool::Runtime::Tokio1)
            .timeouts(timeouts)
            .build()
            .expect("a runtime is given, which is all that timeouts need");
        let sessions = Arc::new(Self {
            pool,
            timeouts,
            idle_timeout: settings.idle_timeout,
            min_connections: if raw { 0 } else { settings.min_connections.min(size) },
            connected: AtomicBool::new(false),
            generation,
            canceller,
        });
        sessions.clone().keep_in_bounds();
        sessions
    }

    /// Closes connections that nobody used for a while, and keeps as many as are to be kept, until the pool
    /// is gone.
    fn keep_in_bounds(self: Arc<Self>) {
        let weak = Arc::downgrade(&self);
        let period = (self.idle_timeout / 4).max(Duration::from_secs(1));
        tokio::spawn(async move {
            loop {
                let Some(sessions) = weak.upgrade() else { return };
                let (idle, mut kept) = (sessions.idle_timeout, 0);
                sessions.pool.retain(|session, _| {
                    let keep = session.last_used.elapsed() < idle || kept < sessions.min_connections;
                    kept += usize::from(keep);
                    keep
                });
                sessions.fill().await;
                drop(sessions);
                tokio::time::sleep(period).await;
            }
        });
    }

    /// Opens connections up to the number that is to be kept.
    async fn fill(&self) {
        if self.pool.status().size >= self.min_connections {
            return;
        }
        // All are held until the last is open: one that is given back would be handed out again.
        let mut held = Vec::with_capacity(self.min_connections);
        for _ in 0..self.min_connections {
            match self.pool.timeout_get(&self.timeouts).await {
                Ok(object) => held.push(object),
                // The next round tries again.
                Err(_) => return,
            }
        }
    }

    /// Takes a connection. With `writes`, one that has long been unused is tested first.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        deadline: Instant,
        writes: bool,
    ) -> Result<Running, PortError> {
        loop {
            let mut object = match self.pool.timeout_get(&self.timeouts_until(deadline)).await {
                Ok(object) => object,
                Err(error) => return Err(self.failed(error)),
            };
            if writes && object.last_used.elapsed() > STALE_AFTER {
                let test = tokio::time::timeout(Duration::from_secs(2), object.connection.ping());
                if !matches!(test.await, Ok(Ok(()))) {
                    drop(Object::take(object));
                    self.forget_idle();
                    continue;
                }
            }
            object.last_used = Instant::now();
            self.connected.store(true, Ordering::Relaxed);
            return Ok(Running::new(object, self.clone()));
        }
    }

    fn timeouts_until(&self, deadline: Instant) -> Timeouts {
        let left = deadline.saturating_duration_since(Instant::now());
        let cut = |timeout: Option<Duration>| timeout.map(|timeout| timeout.min(left));
        Timeouts {
            wait: cut(self.timeouts.wait),
            create: cut(self.timeouts.create),
            recycle: cut(self.timeouts.recycle),
        }
    }

    fn failed(&self, error: PoolError<sqlx::Error>) -> PortError {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => PortError::new(PORT, PortErrorKind::Exhausted),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                self.connected.store(false, Ordering::Relaxed);
                PortError::new(PORT, PortErrorKind::Unavailable).caused_by("connecting took too long")
            }
            PoolError::Backend(error) => {
                let error = port_error(error);
                if error.kind != PortErrorKind::TooManyConnections {
                    self.connected.store(false, Ordering::Relaxed);
                }
                // Nothing the caller sent has reached the database yet.
                match error.kind {
                    PortErrorKind::TooManyConnections => error,
                    _ => PortError { kind: PortErrorKind::Unavailable, ..error },
                }
            }
            other => PortError::new(PORT, PortErrorKind::Internal).caused_by(other.to_string()),
        }
    }

    /// Drops every connection that waits: the server they belong to has gone.
    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Says that prepared statements are older than the tables they read: no connection of now is used again.
    fn outdated(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that the database did not answer.
    fn lost(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.forget_idle();
    }

    /// Draws from a failure what it says about the other connections.
    pub(crate) fn learn(&self, error: &PortError) {
        if error.kind == PortErrorKind::Unavailable {
            self.lost();
        }
        if error.reason() == Some(Reason::Stale) {
            self.outdated();
        }
    }

    /// How the pool is doing.
    pub(crate) fn status(&self) -> BackendStatus {
        let status = self.pool.status();
        BackendStatus {
            connected: self.connected.load(Ordering::Relaxed),
            open: status.size,
            idle: status.available,
            max: status.max_size,
            waiting: status.waiting,
        }
    }
}
