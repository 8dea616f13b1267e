//! Starts the real servers the tests need, with a fresh database per test.
//!
//! No test runs here, and nothing here stands in for a server. Set
//! `ATHENA_TEST_POSTGRES` to the URI of a superuser to use a server of your
//! own, or `ATHENA_PG_BIN` to choose the programs of the one started here;
//! `ATHENA_TEST_CQL` (`host:port`) does the same for CQL.
//! Everything here panics when it fails: a test cannot go on without it.

mod cassandra;
mod cql;
mod database;
mod forgetful;
mod pgbouncer;
mod postgrest;
mod private;
mod program;
mod proxy;
mod redis;
mod server;

pub use cassandra::PrivateCassandra;
pub use cql::{TestKeyspace, left_out as cql_left_out};
pub use database::TestDatabase;
pub use forgetful::Forgetful;
pub use pgbouncer::PgBouncer;
pub use postgrest::{Fault, Postgrest, Preferences, Reply, Request};
pub use private::PrivateCluster;
pub use proxy::{Mode, TcpProxy};
pub use redis::Redis;
