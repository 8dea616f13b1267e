//! The control database: keys, clients, logs and statistics, and how its schema comes about.

mod database;
mod key_store;
mod migrate;
mod provision;
mod watch;

pub use database::ControlDatabase;
pub use key_store::PostgresKeyStore;
pub use migrate::{MigrateFailure, Migrated, MigrationStatus, migrate, migration_status, provision_script};
pub use provision::{EXPECTED_TABLES, PostgresProvisioner};
pub use watch::{ControlWatch, WatchSettings};
