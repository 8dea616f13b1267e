//! End to end: real HTTP, a real PostgreSQL that the tests start themselves, a database per test.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod architecture;
mod breaker;
mod budgets;
mod catalog;
mod client_tls;
mod control_schema;
mod cql;
mod cursors;
mod deploy;
mod enforcement;
mod given_up;
mod harness;
mod injection;
mod keys_admin;
mod limits;
mod logs;
mod matrix;
mod operating;
mod outage;
mod pgbouncer;
mod process;
mod queries;
mod reads;
mod reload;
mod schema_changes;
mod sdk;
mod spec;
mod sql;
mod streaming;
mod supabase;
mod traces;
mod two_gateways;
mod values;
mod witness;
mod writes;
