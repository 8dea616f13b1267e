//! Connections of one client.
//!
//! sqlx is the driver, not the pool: its pool makes a round trip and a task of every return, and cannot
//! say which server process a statement runs in, which is what stopping it needs.
//!
//! A pool that nobody uses costs its settings: it is built and connects when a connection is asked for, and has a
//! task only while one is open.

mod keeper;
mod manager;
mod running;
mod transaction;

pub(crate) use manager::{Manager, Process, Session};
pub(crate) use running::Running;
pub(crate) use transaction::Begin;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use athena_application::ports::{BackendStatus, PortError, PortErrorKind, Reason};
use athena_application::stopwatch::Stopwatch;
use deadpool::managed::{self, Object, PoolError, QueueMode, TimeoutType, Timeouts};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::cancel::Canceller;
use crate::failure::{PORT, is_crowded, port_error, session_survives};
use crate::settings::{Pooler, PostgresSettings};
use transaction::Opening;

/// Prepared statements kept by a connection.
const CACHED_STATEMENTS: usize = 256;

/// Makes the server stop a statement whose connection has gone (PostgreSQL 14 and later).
pub(crate) const WATCH_THE_CLIENT: &str = "SET client_connection_check_interval = '1s'";

/// After so long without use, a connection is tested before a write goes through it: a server that was
/// restarted in between would fail the write, and a write must not be tried twice.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// How often the log is told that a database is still out of reach.
const REMINDER: Duration = Duration::from_secs(60);

/// The pool of one kind of connection.
pub(crate) struct Sessions {
    settings: Arc<PostgresSettings>,
    /// Whether for raw queries.
    raw: bool,
    connected: AtomicBool,
    keeping: AtomicBool,
    keeper: Mutex<Option<AbortHandle>>,
    /// When the log was last told that no connection can be made.
    complained: Mutex<Option<Instant>>,
    /// Made when a connection is first asked for: most of many clients may be at rest.
    built: OnceLock<Box<Built>>,
}

/// What a pool needs once it is used.
struct Built {
    pool: managed::Pool<Manager>,
    timeouts: Timeouts,
    generation: Arc<AtomicU64>,
    /// How transactions begin behind a transaction pooler.
    opening: Option<Opening>,
    canceller: Canceller,
}

impl Built {
    fn new(settings: &PostgresSettings, raw: bool) -> Self {
        let (cached, size) = if raw {
            (0, settings.max_raw_connections)
        } else {
            (CACHED_STATEMENTS, settings.max_connections)
        };
        let generation = Arc::new(AtomicU64::new(0));
        let manager = Manager {
            generation: generation.clone(),
            options: settings.options(cached),
            pooler: settings.pooler,
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
        Self {
            pool,
            timeouts,
            generation,
            opening: Opening::new(settings),
            canceller: Canceller::new(settings.options(1), settings.pooler),
        }
    }
}

impl Sessions {
    /// A pool for prepared statements, or for raw queries when `raw`; built when it is first used.
    pub(crate) fn new(settings: &Arc<PostgresSettings>, raw: bool) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            raw,
            connected: AtomicBool::new(false),
            keeping: AtomicBool::new(false),
            keeper: Mutex::new(None),
            complained: Mutex::new(None),
            built: OnceLock::new(),
        })
    }

    fn built(&self) -> &Built {
        self.built.get_or_init(|| Box::new(Built::new(&self.settings, self.raw)))
    }

    /// Connections that are kept open once there was one.
    fn min_connections(&self) -> usize {
        if self.raw { 0 } else { self.settings.min_connections.min(self.settings.max_connections) }
    }

    /// Whether a pooler lends server sessions for one transaction at a time.
    pub(crate) fn behind_transaction_pooler(&self) -> bool {
        self.settings.pooler == Pooler::Transaction
    }

    /// Whether nothing of the pool is there yet, and a look at the database needs nothing of it.
    pub(crate) fn rests(&self) -> bool {
        self.built.get().is_none() && !self.behind_transaction_pooler() && self.min_connections() == 0
    }

    /// Asks whether the database answers, over a connection of its own: a client that nobody uses needs no pool.
    pub(crate) async fn knock(&self, deadline: Instant) -> Result<(), PortError> {
        let settings = &self.settings;
        let until = deadline.min(Instant::now() + settings.connect_timeout);
        let options = settings.options(0);
        let mut connection = match tokio::time::timeout_at(until, options.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(self.failed(PoolError::Backend(error))),
            Err(_) => return Err(self.failed(PoolError::Timeout(TimeoutType::Create))),
        };
        if let Err(error) = sqlx::raw_sql("SELECT 1").execute(&mut connection).await {
            let error = port_error(error);
            self.complain(&error);
            return Err(error);
        }
        self.answered();
        // The answer is known; how the connection ends says nothing.
        drop(tokio::time::timeout_at(until, connection.close()).await);
        Ok(())
    }

    /// Takes a connection and begins on it; `waits` runs until there is one, of the server itself. With `tested`, one
    /// that has long been unused is tested first.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        deadline: Instant,
        tested: bool,
        begin: Begin,
        waits: &Stopwatch,
    ) -> Result<Running, PortError> {
        loop {
            let waiting = waits.start();
            let mut object = match self.built().pool.timeout_get(&self.timeouts_until(deadline)).await {
                Ok(object) => object,
                Err(error) => return Err(self.failed(error)),
            };
            self.keep_in_bounds();
            // Behind a pooler the beginning of the transaction is test enough.
            if tested && !self.behind_transaction_pooler() && object.last_used.elapsed() > STALE_AFTER {
                let test = tokio::time::timeout(Duration::from_secs(2), object.connection.ping());
                if !matches!(test.await, Ok(Ok(()))) {
                    drop(Object::take(object));
                    self.forget_idle();
                    continue;
                }
            }
            let fresh = Object::metrics(&object).recycle_count == 0;
            let mut running = Running::new(object, self.clone());
            // A pooler lets a transaction begin once it has a server process to lend.
            let waiting = self.behind_transaction_pooler().then_some(waiting);
            let begun = self.begin(&mut running, begin, deadline).await;
            drop(waiting);
            match begun {
                Ok(()) => {}
                // The caller's statement has not been sent yet, and one more connection may be alive.
                Err(Unbegun::Driver(error)) if !fresh && !session_survives(&error) && !is_crowded(&error) => {
                    running.discard();
                    self.forget_idle();
                    continue;
                }
                Err(Unbegun::Driver(error)) => {
                    let error = running.not_begun(error);
                    self.complain(&error);
                    return Err(error);
                }
                Err(Unbegun::Late) => {
                    // It waits for a server process in the pooler's queue.
                    running.discard();
                    return Err(PortError::new(PORT, PortErrorKind::Exhausted));
                }
            }
            self.answered();
            return Ok(running);
        }
    }

    /// Notes that the database has answered.
    fn answered(&self) {
        if !self.connected.load(Ordering::Relaxed) {
            self.connected.store(true, Ordering::Relaxed);
            *self.complained.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    async fn begin(&self, running: &mut Running, begin: Begin, deadline: Instant) -> Result<(), Unbegun> {
        if !self.behind_transaction_pooler() {
            return running.begin(begin).await.map_err(Unbegun::Driver);
        }
        let left = deadline.saturating_duration_since(Instant::now()).min(self.settings.acquire_timeout);
        match tokio::time::timeout(left, running.begin(begin)).await {
            Ok(outcome) => outcome.map_err(Unbegun::Driver),
            Err(_) => Err(Unbegun::Late),
        }
    }

    fn timeouts_until(&self, deadline: Instant) -> Timeouts {
        let left = deadline.saturating_duration_since(Instant::now());
        let cut = |timeout: Option<Duration>| timeout.map(|timeout| timeout.min(left));
        let whole = self.built().timeouts;
        Timeouts { wait: cut(whole.wait), create: cut(whole.create), recycle: cut(whole.recycle) }
    }

    fn failed(&self, error: PoolError<sqlx::Error>) -> PortError {
        let error = match error {
            PoolError::Timeout(TimeoutType::Wait) => return PortError::new(PORT, PortErrorKind::Exhausted),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                PortError::new(PORT, PortErrorKind::Unavailable).caused_by("connecting took too long")
            }
            PoolError::Backend(error) => {
                let error = port_error(error);
                // Nothing the caller sent has reached the database yet.
                match error.kind {
                    PortErrorKind::TooManyConnections => error,
                    _ => PortError { kind: PortErrorKind::Unavailable, ..error },
                }
            }
            other => return PortError::new(PORT, PortErrorKind::Internal).caused_by(other.to_string()),
        };
        self.complain(&error);
        error
    }

    /// Tells the log why no connection can be made: at once, and then now and again.
    fn complain(&self, error: &PortError) {
        if error.kind != PortErrorKind::TooManyConnections {
            self.connected.store(false, Ordering::Relaxed);
        }
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() > REMINDER) {
            *complained = Some(Instant::now());
            let cause = error.source.as_ref().map(ToString::to_string);
            // A pooler says this, no PostgreSQL does.
            let fix = cause.as_deref().filter(|cause| cause.contains("unsupported startup parameter"));
            let fix = fix.map(|_| "it is behind a pooler: add pooler=transaction to the client's URI");
            tracing::warn!(client = %self.settings.name, cause, fix, "no connection to the client's database");
        }
    }

    /// Drops every connection that waits: the server they belong to has gone.
    fn forget_idle(&self) {
        if let Some(built) = self.built.get() {
            built.pool.retain(|_, _| false);
        }
    }

    /// Says that prepared statements are older than the tables they read: no connection of now is used again.
    fn outdated(&self) {
        if let Some(built) = self.built.get() {
            built.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says that the database did not answer in time.
    pub(crate) fn unanswered(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    /// Draws from a failure what it says about the other connections.
    pub(crate) fn learn(&self, error: &PortError) {
        if error.kind == PortErrorKind::Unavailable {
            self.connected.store(false, Ordering::Relaxed);
            self.forget_idle();
        }
        if error.reason() == Some(Reason::Stale) {
            self.outdated();
        }
    }

    /// How the pool is doing.
    pub(crate) fn status(&self) -> BackendStatus {
        let connected = self.connected.load(Ordering::Relaxed);
        let Some(built) = self.built.get() else {
            let max =
                if self.raw { self.settings.max_raw_connections } else { self.settings.max_connections };
            return BackendStatus { connected, max: max.max(1), ..BackendStatus::default() };
        };
        let status = built.pool.status();
        BackendStatus {
            connected,
            open: status.size,
            idle: status.available,
            max: status.max_size,
            waiting: status.waiting,
            ..BackendStatus::default()
        }
    }
}

/// Why a use could not begin.
enum Unbegun {
    Driver(sqlx::Error),
    /// No server process became free in time.
    Late,
}
