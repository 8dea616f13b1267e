//! Throwing logs away by age, in small bites, by one gateway at a time.

use std::time::Duration;

use athena_application::ports::PortError;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::time::timeout;

use super::ControlDatabase;

/// Held by the gateway that throws away; a number of our own ("retain" in ASCII).
const LOCK: i64 = 0x7265_7461_696e;

/// Rows of one transaction.
const BITE: i64 = 5_000;

/// Longest transaction. The server ends its statement before; this is for one that says nothing any more.
const LONGEST_BITE: Duration = Duration::from_secs(60);

/// Rest between two transactions, so that others get to the disk.
const REST: Duration = Duration::from_millis(50);

/// After which the name of a batch is forgotten. A batch whose receipt was lost is sent again when the database is back,
/// and a gateway may have been off over a long weekend meanwhile.
const BATCHES: Duration = Duration::from_secs(7 * 86_400);

/// How old rows may grow, table by table; `None` keeps them for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionWindows {
    /// `gateway_request_log`.
    pub request_log: Option<Duration>,
    /// `gateway_operation_log`.
    pub operation_log: Option<Duration>,
    /// `api_key_auth_log`.
    pub auth_log: Option<Duration>,
    /// `client_connections`.
    pub connections: Option<Duration>,
    /// `client_alert_queries`.
    pub alerts: Option<Duration>,
}

/// What one run did to a table, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// The table.
    pub table: &'static str,
    /// Rows thrown away; in a dry run, rows that would be.
    pub rows: u64,
}

/// Table, its key, the column that tells its age, and its window.
type Plan = (&'static str, &'static str, &'static str, Duration);

impl RetentionWindows {
    fn plans(&self) -> Vec<Plan> {
        let windows = [
            ("gateway_request_log", "id", "created_at", self.request_log),
            ("gateway_operation_log", "id", "created_at", self.operation_log),
            ("api_key_auth_log", "id", "\"time\"", self.auth_log),
            ("client_connections", "id", "recorded_at", self.connections),
            ("client_alert_queries", "id", "created_at", self.alerts),
            ("gateway_log_batches", "batch_id", "written_at", Some(BATCHES)),
        ];
        windows.into_iter().filter_map(|(table, key, age, window)| Some((table, key, age, window?))).collect()
    }
}

/// Throws away what is older than its window. `None` when another gateway is at it.
///
/// # Errors
/// When the database does not answer; what was thrown away before that stays away.
pub async fn retain(
    database: &ControlDatabase,
    windows: &RetentionWindows,
    dry_run: bool,
) -> Result<Option<Vec<Retained>>, PortError> {
    let run = async {
        // The lock belongs to the session, which is closed whatever happens.
        let mut connection = database.pool().acquire().await?;
        connection.close_on_drop();
        let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await?;
        if !ours {
            return Ok(None);
        }
        let mut done = Vec::new();
        for plan in windows.plans() {
            let rows = if dry_run {
                count(&mut connection, plan).await?
            } else {
                delete(&mut connection, plan).await?
            };
            done.push(Retained { table: plan.0, rows });
        }
        Ok(Some(done))
    };
    run.await.map_err(|error| database.error(error))
}

/// Counts in one statement, which on a large table takes longer than a statement may elsewhere.
async fn count(connection: &mut PgConnection, (table, _, age, window): Plan) -> Result<u64, sqlx::Error> {
    sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection).await?;
    let sql = format!("SELECT count(*) FROM {table} WHERE {age} < now() - $1 * interval '1 second'");
    let rows: i64 =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(seconds(window)).fetch_one(connection).await?;
    Ok(rows.unsigned_abs())
}

async fn delete(connection: &mut PgConnection, (table, key, age, window): Plan) -> Result<u64, sqlx::Error> {
    let sql = format!(
        "DELETE FROM {table} WHERE {key} = ANY(ARRAY(SELECT {key} FROM {table} \
         WHERE {age} < now() - $1 * interval '1 second' ORDER BY {age} LIMIT {BITE}))"
    );
    let mut total = 0;
    loop {
        let bite = sqlx::query(AssertSqlSafe(sql.clone())).bind(seconds(window)).execute(&mut *connection);
        let rows = match timeout(LONGEST_BITE, bite).await {
            Ok(done) => done?.rows_affected(),
            Err(_) => return Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        };
        total += rows;
        if rows < BITE.unsigned_abs() {
            return Ok(total);
        }
        tokio::time::sleep(REST).await;
    }
}

/// Removes connections from the live registry that have been silent for `inactive`.
///
/// # Errors
/// When the database does not answer.
pub async fn purge_realtime(database: &ControlDatabase, inactive: Duration) -> Result<u64, PortError> {
    // Rows that a batch is about to renew are skipped, and cannot lock anybody out.
    let purge = sqlx::query(
        "DELETE FROM gateway_connection_registry_realtime WHERE id IN (\
         SELECT id FROM gateway_connection_registry_realtime \
         WHERE last_seen_at < now() - $1 * interval '1 second' FOR UPDATE SKIP LOCKED)",
    )
    .bind(seconds(inactive));
    let work = async {
        let mut connection = database.hold().await?;
        let done = purge.execute(&mut *connection).await?;
        connection.done();
        Ok(done.rows_affected())
    };
    database.patiently(async { work.await.map_err(|error| database.error(error)) }).await
}

/// When what is old is looked for.
#[derive(Debug, Clone, Copy)]
pub struct TidySettings {
    /// How old rows may grow.
    pub windows: RetentionWindows,
    /// Pause before the first retention. Not at once: after an outage the spool is to be written first, whose batches
    /// are known by name.
    pub first: Duration,
    /// Time between two retentions.
    pub every: Duration,
    /// Silence after which a caller is no live connection any more.
    pub inactive: Duration,
    /// Time between two purges of those.
    pub purge_every: Duration,
}

impl TidySettings {
    /// Retention every hour, first after a few minutes.
    pub fn hourly(windows: RetentionWindows, inactive: Duration, purge_every: Duration) -> Self {
        let (first, every) = (Duration::from_secs(300), Duration::from_secs(3600));
        Self { windows, first, every, inactive, purge_every }
    }
}

/// Runs both for as long as the future is polled, neither in the way of the other: retention may take its time. Failures
/// are told in the log and tried again at the next turn.
pub async fn keep_tidy(database: ControlDatabase, settings: TidySettings) {
    tokio::join!(keep_purged(&database, settings), keep_retained(&database, settings));
}

async fn keep_purged(database: &ControlDatabase, settings: TidySettings) {
    let mut ticks = ticks(settings.purge_every, settings.purge_every);
    loop {
        ticks.tick().await;
        if let Err(error) = purge_realtime(database, settings.inactive).await {
            tracing::debug!(%error, "the registry of live connections was not purged");
        }
    }
}

async fn keep_retained(database: &ControlDatabase, settings: TidySettings) {
    let mut ticks = ticks(settings.first, settings.every);
    loop {
        ticks.tick().await;
        match retain(database, &settings.windows, false).await {
            Ok(Some(done)) => {
                for Retained { table, rows } in done.iter().filter(|done| done.rows > 0) {
                    tracing::info!(table, rows, "old log rows were removed");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "old log rows were not removed"),
        }
    }
}

fn ticks(first: Duration, every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
