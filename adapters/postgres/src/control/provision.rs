//! Making any PostgreSQL database into a control database (contract 17).

use std::time::Duration;

use athena_application::ports::sql_state::sanitise;
use athena_application::ports::{
    PortError, PortErrorKind, ProvisionFailure, ProvisionStatus, Provisioned, Provisioner,
};
use athena_domain::plan::statements;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::migrate::{MIGRATIONS, SCHEMA_LOCK, bookkeeping};
use crate::failure::{PORT, port_error};
use crate::settings::PostgresSettings;

/// Tables whose presence says that a database is provisioned: the 19 of the reference, and the six that it
/// forgets.
pub const EXPECTED_TABLES: &[&str] = &[
    "gateway_request_log",
    "gateway_operation_log",
    "api_keys",
    "api_key_rights",
    "api_key_right_grants",
    "api_key_config",
    "api_key_client_config",
    "api_key_auth_log",
    "athena_clients",
    "client_statistics",
    "client_table_statistics",
    "client_alert_queries",
    "query_history",
    "saved_queries",
    "ui_request_log",
    "feedback",
    "organization_requests",
    "project_requests",
    "storage_profiles",
    "gateway_connection_registry_realtime",
    "api_registry",
    "client_connections",
    "backup_jobs",
    "backup_job_logs",
    "backup_schedules",
];

/// Tables that this gateway needs beside them.
const FURTHER_TABLES: &[&str] = &[
    "api_key_client_config_superseded",
    "athena_control_identity",
    "athena_control_version",
    "gateway_log_batches",
];

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Creates the tables of a control database, in one transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostgresProvisioner;

#[async_trait::async_trait]
impl Provisioner for PostgresProvisioner {
    async fn provision(&self, uri: &str) -> Result<Provisioned, ProvisionFailure> {
        let mut connection = connect(uri).await?;
        let outcome = run(&mut connection).await;
        drop(connection.close().await);
        outcome
    }

    async fn status(&self, uri: &str) -> Result<ProvisionStatus, ProvisionFailure> {
        let mut connection = connect(uri).await?;
        let present = async {
            let mut transaction = connection.begin().await?;
            tables(&mut transaction, EXPECTED_TABLES).await
        };
        let present = present.await.map_err(unreachable);
        drop(connection.close().await);
        let found = present?;
        let (present, missing) = EXPECTED_TABLES
            .iter()
            .map(|name| (*name).to_owned())
            .partition(|name| found.binary_search(name).is_ok());
        Ok(ProvisionStatus { present, missing })
    }
}

async fn connect(uri: &str) -> Result<PgConnection, ProvisionFailure> {
    let settings = PostgresSettings::from_uri(uri)
        .map_err(|error| ProvisionFailure::InvalidTarget(error.to_string()))?;
    // Nothing is prepared by name, so that a transaction pooler may stand in between.
    let options = settings.options(0).application_name("athena_provision");
    match timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connection) => connection.map_err(unreachable),
        Err(_) => Err(ProvisionFailure::Connect {
            message: "the server did not answer in time".to_owned(),
            source: PortError::new(PORT, PortErrorKind::Unavailable),
        }),
    }
}

/// All of it or nothing: a transaction that is not committed goes with the connection.
async fn run(connection: &mut PgConnection) -> Result<Provisioned, ProvisionFailure> {
    let bookkeeping = bookkeeping();
    let texts = MIGRATIONS.iter().map(|(_, _, text)| *text).chain([bookkeeping.as_str()]);
    let script: Vec<&str> = texts.flat_map(statements).collect();
    let total = script.len();
    let refused = |number: usize| move |error| statement_failed(number, total, error);
    let mut transaction = connection.begin().await.map_err(unreachable)?;
    // Somebody else who holds a table, or provisions, is waited for, but not for ever.
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'")
        .execute(&mut *transaction)
        .await
        .map_err(unreachable)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SCHEMA_LOCK)
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .map_err(refused(1))?;
    for (number, statement) in (1..).zip(script) {
        // Compiled in, but for what the migrations' checksums are.
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await.map_err(refused(number))?;
    }
    let made = [EXPECTED_TABLES, FURTHER_TABLES].concat();
    let tables = tables(&mut transaction, &made).await.map_err(refused(total))?;
    transaction.commit().await.map_err(refused(total))?;
    Ok(Provisioned { statements: total, tables })
}

/// Which of these tables are in the schema `public`, sorted.
async fn tables(connection: &mut PgConnection, names: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let mut found: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_catalog.pg_class \
         WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p') AND relname = ANY ($1)",
    )
    .bind(names)
    .persistent(false)
    .fetch_all(connection)
    .await?;
    found.sort_unstable();
    Ok(found)
}

fn unreachable(error: sqlx::Error) -> ProvisionFailure {
    let code = error.as_database_error().and_then(|error| error.code());
    let message = match code.as_deref() {
        Some(code) if code.starts_with("28") => "the server refuses this user or password",
        Some("3D000") => "the server has no such database",
        Some("53300") => "the server has no free connection",
        Some(code) if code.starts_with("57P") => "the server is starting or stopping",
        Some(_) => "the server refused the connection",
        None => match &error {
            sqlx::Error::Tls(_) => "no TLS connection could be made",
            _ => "the server cannot be reached",
        },
    };
    ProvisionFailure::Connect { message: message.to_owned(), source: port_error(error) }
}

fn statement_failed(number: usize, total: usize, error: sqlx::Error) -> ProvisionFailure {
    let message = match error.as_database_error() {
        Some(error) => sanitise(error.message()),
        None => "the connection was lost".to_owned(),
    };
    ProvisionFailure::Statement { number, total, message, source: port_error(error) }
}
