//! Log batches in the control database: rows by binary COPY, counts by one upsert a table.

mod counts;
mod origins;
mod tally;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_application::ports::{LogBatch, LogEntry, LogStore, PortError, PortErrorKind, Reason, StoreId};
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;

use self::origins::Origins;
use self::tally::Tally;
use super::ControlDatabase;
use super::log_copy::{self, Rows};

/// Time that one batch may take, the wait for a connection included.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server ends a session that has gone silent within a batch, so that nobody waits for its locks;
/// locks that others hold are waited for as long.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 15000; \
                     SET LOCAL lock_timeout = 15000; SET LOCAL statement_timeout = 15000";

/// Which tables a store writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Everything,
    Requests,
    Keys,
}

/// The log tables of the control database.
#[derive(Clone)]
pub struct PostgresLogStore {
    database: ControlDatabase,
    part: Part,
    /// Clones share them.
    origins: Arc<Mutex<Origins>>,
}

impl PostgresLogStore {
    /// Everything about requests, in the one database that holds the keys too.
    pub fn new(database: ControlDatabase) -> Self {
        Self::over(database, Part::Everything)
    }

    /// Everything but what belongs to the keys, where those are in another database.
    pub fn without_keys(database: ControlDatabase) -> Self {
        Self::over(database, Part::Requests)
    }

    /// Only what belongs to the keys (`api_key_auth_log`, and when a key was last used), in the database that holds
    /// them.
    pub fn of_keys(database: ControlDatabase) -> Self {
        Self::over(database, Part::Keys)
    }

    fn over(database: ControlDatabase, part: Part) -> Self {
        Self { database, part, origins: Arc::default() }
    }

    async fn write_in_time(&self, batch: &LogBatch<'_>) -> Result<(), sqlx::Error> {
        let mut connection = self.database.hold().await?;
        write(&mut connection, batch, self.part, &self.origins).await?;
        connection.done();
        Ok(())
    }
}

#[async_trait::async_trait]
impl LogStore for PostgresLogStore {
    async fn write(&self, batch: &LogBatch<'_>) -> Result<(), PortError> {
        match tokio::time::timeout(PATIENCE, self.write_in_time(batch)).await {
            Ok(written) => written.map_err(|error| self.database.error(error)),
            Err(_) => Err(PortError::new("log store", PortErrorKind::TimedOut)),
        }
    }

    async fn identity(&self) -> Result<Option<StoreId>, PortError> {
        let asked = self.database.in_time(|connection| {
            Box::pin(async {
                sqlx::query_scalar("SELECT id FROM athena_control_identity ORDER BY id LIMIT 1")
                    .fetch_optional(connection)
                    .await
            })
        });
        match asked.await {
            Ok(id) => Ok(id.map(|id: Uuid| StoreId(id.as_u128()))),
            // Its schema is older.
            Err(error) if error.reason() == Some(Reason::UndefinedTable) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn write(
    connection: &mut PgConnection,
    batch: &LogBatch<'_>,
    part: Part,
    origins: &Mutex<Origins>,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    // A batch of that name that is still being written by a session that we have lost is waited for here.
    let new = sqlx::query("INSERT INTO gateway_log_batches (batch_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(Uuid::from_u128(batch.id.0))
        .execute(&mut *connection)
        .await?
        .rows_affected()
        == 1;
    if !new {
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
        return Ok(());
    }
    let tally = Tally::of(batch.entries, part, origins);
    if part != Part::Requests {
        let known = counts::keys(&mut *connection, &tally).await?;
        if tally.has_authentications {
            let row = |rows: &mut Rows, number, entry: &LogEntry<'_>| {
                log_copy::authentication(rows, entry, batch.id, number, &known);
            };
            copy(connection, log_copy::AUTHENTICATIONS, batch.entries, row).await?;
        }
    }
    if part != Part::Keys {
        let row = |rows: &mut Rows, _, entry: &LogEntry<'_>| log_copy::request(rows, entry);
        copy(connection, log_copy::REQUESTS, batch.entries, row).await?;
        if tally.has_operations {
            let row = |rows: &mut Rows, _, entry: &LogEntry<'_>| log_copy::operation(rows, entry);
            copy(connection, log_copy::OPERATIONS, batch.entries, row).await?;
        }
        counts::clients(&mut *connection, &tally).await?;
        counts::tables(&mut *connection, &tally).await?;
        counts::connections(&mut *connection, &tally).await?;
        counts::seen_clients(&mut *connection, &tally).await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
    Ok(())
}

/// Copies what `row` makes of each entry and its number, counted from 1.
async fn copy(
    connection: &mut PgConnection,
    statement: &str,
    entries: &[LogEntry<'_>],
    row: impl Fn(&mut Rows, u128, &LogEntry<'_>) + Send,
) -> Result<(), sqlx::Error> {
    let mut copying = connection.copy_in_raw(statement).await?;
    let mut rows = Rows::new();
    for (number, entry) in (1..).zip(entries) {
        row(&mut rows, number, entry);
        if let Some(piece) = rows.piece() {
            copying.send(piece).await?;
            rows.sent();
        }
    }
    copying.send(rows.end()).await?;
    copying.finish().await?;
    Ok(())
}

/// Numbers of keys that exist.
type KnownKeys = HashSet<i64, foldhash::fast::RandomState>;
