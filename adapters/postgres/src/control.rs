//! The control database: keys, clients, logs and statistics, and how its schema comes about.

mod client_store;
mod database;
mod key_store;
mod log_copy;
mod log_store;
mod migrate;
mod moment;
mod pool_history;
mod provision;
mod retention;
mod statistics_store;
mod version;
mod watch;

pub use client_store::PostgresClientStore;
pub use database::ControlDatabase;
pub use key_store::PostgresKeyStore;
pub use log_store::PostgresLogStore;
pub use migrate::{
    MigrateFailure, Migrated, MigrationStatus, check_schema, migrate, migration_status, provision_script,
};
pub use pool_history::PostgresPoolHistory;
pub use provision::{EXPECTED_TABLES, PostgresProvisioner};
pub use retention::{Retained, RetentionWindows, TidySettings, keep_tidy, purge_realtime, retain};
pub use statistics_store::PostgresStatistics;
pub use watch::{ControlWatch, WatchSettings};
