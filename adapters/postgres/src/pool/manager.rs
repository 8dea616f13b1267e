//! One connection: how it is made, and when it is worn out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::Instant;

use super::WATCH_THE_CLIENT;
use crate::settings::Pooler;

/// A connection and the server process behind it.
pub(crate) struct Session {
    pub connection: PgConnection,
    /// Where its statement runs; behind a transaction pooler known only while a transaction is surely open.
    pub process: Option<Process>,
    pub(super) last_used: Instant,
    generation: u64,
}

/// A server process that works for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub id: i32,
    /// Microseconds since 1970 at which the transaction began, where the process serves others before and
    /// after it.
    pub began: Option<i64>,
}

/// Makes the connections of one pool.
pub(crate) struct Manager {
    pub(super) options: PgConnectOptions,
    pub(super) pooler: Pooler,
    pub(super) max_lifetime: Duration,
    pub(super) test_before_acquire: bool,
    /// Raised when prepared statements turn out to be older than the tables they read.
    pub(super) generation: Arc<AtomicU64>,
}

impl Manager {
    async fn connect(&self) -> Result<Session, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let process = match self.pooler {
            Pooler::Transaction => None,
            Pooler::Session => {
                let id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
                    .persistent(false)
                    .fetch_one(&mut connection)
                    .await?;
                // Should the gateway die, the server stops its statements by itself. Not every platform can.
                if can_watch(&connection) {
                    drop(sqlx::raw_sql(WATCH_THE_CLIENT).execute(&mut connection).await);
                }
                Some(Process { id, began: None })
            }
        };
        let generation = self.generation.load(Ordering::Relaxed);
        Ok(Session { connection, process, last_used: Instant::now(), generation })
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = sqlx::Error;

    /// Boxed, as it is rare and large: the pool makes room for it three times over in every request's future.
    async fn create(&self) -> Result<Session, sqlx::Error> {
        Box::pin(self.connect()).await
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

/// Whether the server may know `client_connection_check_interval`.
pub(super) fn can_watch(connection: &PgConnection) -> bool {
    connection.server_version_num().is_some_and(|version| version >= 140_000)
}
