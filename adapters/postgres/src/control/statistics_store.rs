//! Statistics out of the control database (contract 16.5).

use std::time::Duration;

use athena_application::ports::{
    ClientStatistics, PortError, PortErrorKind, StatisticsStore, TableStatistics,
};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::time::timeout;

use super::ControlDatabase;

/// Counts of one client.
const CLIENTS: &str = "SELECT client_name, total_requests, successful_requests, failed_requests, \
     total_cached_requests, total_operations, last_request_at, last_operation_at, updated_at \
     FROM client_statistics ORDER BY total_requests DESC, client_name";

const ONE_CLIENT: &str = "SELECT client_name, total_requests, successful_requests, failed_requests, \
     total_cached_requests, total_operations, last_request_at, last_operation_at, updated_at \
     FROM client_statistics WHERE client_name = lower(btrim($1)) OR client_name = $1 \
     ORDER BY client_name <> lower(btrim($1)) LIMIT 1";

const TABLES: &str = "SELECT client_name, table_name, operation, total_operations, error_operations, \
     last_operation_at, updated_at FROM client_table_statistics WHERE client_name = $1 \
     ORDER BY total_operations DESC, table_name, operation";

/// Whoever writes a batch holds a lock on the counts that conflicts with this one from its first upsert to
/// its end, and its rows become visible at that end. So with the lock, every batch is either wholly in the
/// logs or adds its counts after us.
const LOCK: &str = "BEGIN; SET LOCAL lock_timeout = 60000; SET LOCAL statement_timeout = 600000; \
     LOCK TABLE client_statistics, client_table_statistics IN SHARE ROW EXCLUSIVE MODE; \
     DELETE FROM client_table_statistics; DELETE FROM client_statistics;";

const REBUILD: &str = "INSERT INTO client_statistics (client_name, total_requests, successful_requests, \
         failed_requests, total_cached_requests, total_operations, last_request_at, last_operation_at) \
     SELECT COALESCE(requests.name, operations.name), COALESCE(requests.total, 0), COALESCE(good, 0), \
         COALESCE(failed, 0), COALESCE(from_cache, 0), COALESCE(operations.total, 0), requests.latest, \
         operations.latest \
     FROM (SELECT lower(client) AS name, count(*) AS total, \
               count(*) FILTER (WHERE status_code BETWEEN 200 AND 399) AS good, \
               count(*) FILTER (WHERE status_code >= 400) AS failed, \
               count(*) FILTER (WHERE cached) AS from_cache, max(created_at) AS latest \
           FROM gateway_request_log WHERE client <> '' GROUP BY 1) AS requests \
     FULL JOIN (SELECT lower(client) AS name, count(*) AS total, max(created_at) AS latest \
           FROM gateway_operation_log WHERE client <> '' GROUP BY 1) AS operations USING (name); \
     INSERT INTO client_table_statistics (client_name, table_name, operation, total_operations, \
         error_operations, last_operation_at) \
     SELECT lower(client), table_name, operation, count(*), \
         count(*) FILTER (WHERE error OR status_code >= 400), max(created_at) \
     FROM gateway_operation_log WHERE client <> '' AND table_name <> '' AND operation <> '' \
     GROUP BY 1, 2, 3; COMMIT";

/// Longest rebuild. The server ends its statements before; this is for one that says nothing any more.
const LONGEST_REBUILD: Duration = Duration::from_secs(900);

/// The statistics of the control database.
#[derive(Clone)]
pub struct PostgresStatistics {
    database: ControlDatabase,
}

impl PostgresStatistics {
    /// Statistics over these connections.
    pub fn new(database: ControlDatabase) -> Self {
        Self { database }
    }

    async fn rebuild(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.database.hold().await?;
        sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
        sqlx::raw_sql(REBUILD).execute(&mut *connection).await?;
        connection.done();
        Ok(())
    }
}

#[async_trait::async_trait]
impl StatisticsStore for PostgresStatistics {
    async fn list(&self) -> Result<Vec<ClientStatistics>, PortError> {
        let read = async {
            let mut connection = self.database.hold().await?;
            let rows = sqlx::query(CLIENTS).fetch_all(&mut *connection).await?;
            connection.done();
            rows.iter().map(client).collect::<Result<Vec<_>, _>>()
        };
        self.database.patiently(async { read.await.map_err(|error| self.database.error(error)) }).await
    }

    async fn of_client(
        &self,
        client_name: &str,
    ) -> Result<Option<(ClientStatistics, Vec<TableStatistics>)>, PortError> {
        if client_name.contains('\0') {
            return Ok(None);
        }
        let read = async {
            let mut connection = self.database.hold().await?;
            let found = sqlx::query(ONE_CLIENT).bind(client_name).fetch_optional(&mut *connection).await?;
            let Some(found) = found else {
                connection.done();
                return Ok(None);
            };
            let found = client(&found)?;
            let rows = sqlx::query(TABLES).bind(&found.client_name).fetch_all(&mut *connection).await?;
            connection.done();
            Ok(Some((found, rows.iter().map(table).collect::<Result<_, _>>()?)))
        };
        self.database.patiently(async { read.await.map_err(|error| self.database.error(error)) }).await
    }

    async fn refresh(&self) -> Result<(), PortError> {
        // In a task of its own: a caller who leaves must not leave a session behind in the middle.
        let store = self.clone();
        match tokio::spawn(async move { timeout(LONGEST_REBUILD, store.rebuild()).await }).await {
            Ok(Ok(rebuilt)) => rebuilt.map_err(|error| self.database.error(error)),
            Ok(Err(_)) => Err(PortError::new("statistics", PortErrorKind::TimedOut)),
            Err(error) => Err(PortError::new("statistics", PortErrorKind::Internal).caused_by(error)),
        }
    }
}

fn client(row: &PgRow) -> Result<ClientStatistics, sqlx::Error> {
    Ok(ClientStatistics {
        client_name: row.try_get("client_name")?,
        total_requests: row.try_get("total_requests")?,
        successful_requests: row.try_get("successful_requests")?,
        failed_requests: row.try_get("failed_requests")?,
        total_cached_requests: row.try_get("total_cached_requests")?,
        total_operations: row.try_get("total_operations")?,
        last_request_at: row.try_get("last_request_at")?,
        last_operation_at: row.try_get("last_operation_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn table(row: &PgRow) -> Result<TableStatistics, sqlx::Error> {
    Ok(TableStatistics {
        client_name: row.try_get("client_name")?,
        table_name: row.try_get("table_name")?,
        operation: row.try_get("operation")?,
        total_operations: row.try_get("total_operations")?,
        error_operations: row.try_get("error_operations")?,
        last_operation_at: row.try_get("last_operation_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
