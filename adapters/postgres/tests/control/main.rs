//! The control database on a real PostgreSQL: its schema, how it comes about, and how changes are seen.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod changes;
mod clients;
mod keys;
mod logs;
mod migrations;
mod old_databases;
mod policy;
mod provisioning;
mod silence;
mod snapshot;
mod watching;
