//! Bringing the control database to the current schema.
//!
//! The migrations stand in `sql/migrations` and are compiled in. Each can be repeated, so that
//! `sql/provision.sql`, which is all of them in one transaction, works in any state of a database.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};
use tokio::time::timeout;

use super::ControlDatabase;
use crate::failure::is_rejection;

/// Number, name and text of every migration, in order. Only ever appended to: what ran somewhere is known
/// by its checksum.
pub(crate) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "control database", include_str!("../../../../sql/migrations/0001_control_database.sql")),
    (2, "dashboards", include_str!("../../../../sql/migrations/0002_dashboards.sql")),
    (
        3,
        "constraints and indexes",
        include_str!("../../../../sql/migrations/0003_constraints_and_indexes.sql"),
    ),
    (4, "keys and policy", include_str!("../../../../sql/migrations/0004_keys_and_policy.sql")),
    (5, "logs", include_str!("../../../../sql/migrations/0005_logs.sql")),
    (6, "change versions", include_str!("../../../../sql/migrations/0006_change_versions.sql")),
    (7, "cheaper auth log", include_str!("../../../../sql/migrations/0007_cheaper_auth_log.sql")),
    (8, "identity", include_str!("../../../../sql/migrations/0008_identity.sql")),
    (9, "sample times", include_str!("../../../../sql/migrations/0009_sample_times.sql")),
];

/// Held by whoever changes the schema of a control database; a number of our own ("athena" in ASCII).
pub(crate) const SCHEMA_LOCK: i64 = 0x6174_6865_6e61;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations that were run now.
    pub applied: usize,
    /// Migrations that there are.
    pub total: usize,
}

/// How far a database is behind this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Migrations that have run, oldest first.
    pub applied: Vec<i64>,
    /// Migrations of this program that have not, oldest first.
    pub pending: Vec<i64>,
    /// Migrations that a newer program has run and this one does not know.
    pub unknown: Vec<i64>,
}

/// Why the schema is not the current one.
#[derive(Debug, thiserror::Error)]
pub enum MigrateFailure {
    /// The database does not answer.
    #[error("the control database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// A migration was refused; nothing of it stays.
    #[error("migration {version} failed")]
    Refused {
        /// Its number.
        version: i64,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// What ran there is not what this program holds under that number.
    #[error("migration {0} has run there with another text")]
    Altered(i64),
    /// The database answers, and refuses what the migrations need before the first of them.
    #[error("the database refuses to be migrated")]
    Forbidden(#[source] sqlx::Error),
    /// Migrations are missing, and nobody was asked to run them.
    #[error("the migrations {0:?} have not run")]
    Pending(Vec<i64>),
    /// Something else, of the bookkeeping itself.
    #[error("the migrations cannot be run")]
    Bookkeeping(#[source] MigrateError),
}

/// Brings the database to the schema of this program. Any number of gateways may call this at once: one
/// works, the others wait for it. Migrations that only a newer program knows are left alone.
///
/// # Errors
/// [`MigrateFailure`]; migrations before the one that failed stay.
pub async fn migrate(database: &ControlDatabase) -> Result<Migrated, MigrateFailure> {
    let mut connection = connect(database).await?;
    let outcome = run(&mut connection).await;
    // Gives back the lock as well, should anything have gone wrong while it was held.
    drop(connection.close().await);
    outcome
}

/// Checks that the database has the schema of this program, and changes nothing.
///
/// # Errors
/// [`MigrateFailure`], [`MigrateFailure::Pending`] among them.
pub async fn check_schema(database: &ControlDatabase) -> Result<Migrated, MigrateFailure> {
    let mut connection = connect(database).await?;
    let is_current = is_current(&mut connection, &migrations()).await;
    drop(connection.close().await);
    match is_current? {
        true => Ok(Migrated { applied: 0, total: MIGRATIONS.len() }),
        false => Err(MigrateFailure::Pending(migration_status(database).await?.pending)),
    }
}

/// Tells which migrations have run.
///
/// # Errors
/// When the database cannot be read.
pub async fn migration_status(database: &ControlDatabase) -> Result<MigrationStatus, MigrateFailure> {
    let mut connection = connect(database).await?;
    let applied = applied(&mut connection).await;
    drop(connection.close().await);
    let applied: Vec<i64> = applied?.into_iter().map(|(version, _)| version).collect();
    let known = |version: &i64| MIGRATIONS.iter().any(|(number, ..)| number == version);
    Ok(MigrationStatus {
        pending: MIGRATIONS.iter().map(|(number, ..)| *number).filter(|n| !applied.contains(n)).collect(),
        unknown: applied.iter().copied().filter(|version| !known(version)).collect(),
        applied,
    })
}

/// Pieces of migrations that a later one takes back. A script that is run again on a large log must not build them just
/// to drop them.
const TAKEN_BACK: [&str; 2] = [
    "            ('api_key_auth_log', 'api_key_auth_log_api_key_id_fkey',\n                \
     'FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE SET NULL'),\n",
    "CREATE INDEX IF NOT EXISTS api_key_auth_log_created_at_idx ON api_key_auth_log (created_at);\n",
];

/// The text of `sql/provision.sql`: every migration, in one transaction, and the note that they have run.
pub fn provision_script() -> String {
    let mut script = format!("{PROVISION_HEAD}\nBEGIN;\nSELECT pg_advisory_xact_lock({SCHEMA_LOCK});\n");
    for (number, _, text) in MIGRATIONS {
        let text = TAKEN_BACK.iter().fold((*text).to_owned(), |text, taken| text.replace(taken, ""));
        script.push_str(&format!("\n-- Migration {number}\n\n{text}"));
    }
    script.push_str(&format!("\n{}\nCOMMIT;\n", bookkeeping()));
    script
}

/// Notes that every migration has run, as the migrator notes it. A gateway whose role may not create
/// anything then starts on a database that an operator has set up.
pub(crate) fn bookkeeping() -> String {
    let mut script = String::from(
        "-- What the gateways find when they look for migrations to run.\n\n\
         CREATE TABLE IF NOT EXISTS _sqlx_migrations (\n    version bigint PRIMARY KEY,\n    description text NOT NULL,\n    \
         installed_on timestamptz NOT NULL DEFAULT now(),\n    success boolean NOT NULL,\n    checksum bytea NOT NULL,\n    \
         execution_time bigint NOT NULL\n);\n\
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)\nVALUES\n",
    );
    let rows: Vec<String> = migrations()
        .iter()
        .map(|migration| {
            let checksum: String = migration.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("    ({}, '{}', true, '\\x{checksum}', -1)", migration.version, migration.description)
        })
        .collect();
    script.push_str(&rows.join(",\n"));
    script.push_str("\nON CONFLICT (version) DO NOTHING;\n");
    script
}

fn migrations() -> Vec<Migration> {
    MIGRATIONS
        .iter()
        .map(|(number, name, text)| {
            Migration::new(*number, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
        })
        .collect()
}

const PROVISION_HEAD: &str = "\
-- The control database of Athena, for those who set it up by hand:
--
--     psql -v ON_ERROR_STOP=1 -f sql/provision.sql \"$URI\"
--
-- It can be run as often as you like, on an empty database or on one of any older version: it adds what is
-- missing, or changes nothing at all. A gateway does the same when it starts (gateway.auto_migrate).
--
-- Made of sql/migrations; change those. `ATHENA_WRITE_PROVISION=1 cargo test -p athena-postgres --test control`
-- writes this file anew.
";

async fn connect(database: &ControlDatabase) -> Result<PgConnection, MigrateFailure> {
    let connecting = async {
        let mut connection = database.options().connect().await?;
        // An index on a large log takes its time, and so does waiting for another gateway.
        sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut connection).await?;
        Ok(connection)
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connection) => connection.map_err(unmigrated),
        Err(_) => Err(MigrateFailure::Unreachable(sqlx::Error::PoolTimedOut)),
    }
}

async fn run(connection: &mut PgConnection) -> Result<Migrated, MigrateFailure> {
    let migrations = migrations();
    let total = migrations.len();
    // The migrator creates its table again and again, which a role that only reads and writes may not.
    if is_current(connection, &migrations).await? {
        return Ok(Migrated { applied: 0, total });
    }
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *connection)
        .await
        .map_err(unmigrated)?;
    // Whoever waits for a table that somebody holds keeps everybody else from it as well.
    sqlx::raw_sql("SET lock_timeout = '30s'").execute(&mut *connection).await.map_err(unmigrated)?;
    let before = applied(connection).await?.len();
    let mut migrator = Migrator::with_migrations(migrations);
    // A newer gateway may have been here; an older one must still start.
    migrator.set_ignore_missing(true);
    // The lock of the migrator depends on the database's name alone; ours is shared with provisioning.
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(failure)?;
    let after = applied(connection).await?.len();
    Ok(Migrated { applied: after - before, total })
}

/// Whether every migration has run, with the text that this program holds.
async fn is_current(connection: &mut PgConnection, migrations: &[Migration]) -> Result<bool, MigrateFailure> {
    let applied = applied(connection).await?;
    for migration in migrations {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => return Ok(false),
            Some((version, checksum)) if *checksum != *migration.checksum => {
                return Err(MigrateFailure::Altered(*version));
            }
            Some(_) => {}
        }
    }
    Ok(true)
}

/// What an error outside of the migrations means: the database is away, or it answers and says no.
fn unmigrated(error: sqlx::Error) -> MigrateFailure {
    match is_rejection(&error) {
        true => MigrateFailure::Forbidden(error),
        false => MigrateFailure::Unreachable(error),
    }
}

fn failure(error: MigrateError) -> MigrateFailure {
    match error {
        MigrateError::ExecuteMigration(source, version) if source.as_database_error().is_some() => {
            MigrateFailure::Refused { version, source }
        }
        MigrateError::ExecuteMigration(source, _) => MigrateFailure::Unreachable(source),
        MigrateError::Execute(source) => unmigrated(source),
        MigrateError::VersionMismatch(version) => MigrateFailure::Altered(version),
        other => MigrateFailure::Bookkeeping(other),
    }
}

/// Numbers and checksums of the migrations that have run, oldest first.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, MigrateFailure> {
    let found = async {
        let kept: bool = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
        if !kept {
            return Ok(Vec::new());
        }
        sqlx::query_as("SELECT version, checksum FROM public._sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(&mut *connection)
            .await
    };
    match timeout(CONNECT_TIMEOUT, found).await {
        Ok(found) => found.map_err(unmigrated),
        Err(_) => Err(MigrateFailure::Unreachable(sqlx::Error::PoolTimedOut)),
    }
}
