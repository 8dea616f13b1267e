//! The use cases over a database in memory.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

#[path = "use_cases/bench.rs"]
mod bench;
#[path = "use_cases/bulkhead.rs"]
mod bulkhead;
#[path = "use_cases/catalog.rs"]
mod catalog;
#[path = "use_cases/clients.rs"]
mod clients;
#[path = "use_cases/cql.rs"]
mod cql;
#[path = "use_cases/direct_hosts.rs"]
mod direct_hosts;
#[path = "use_cases/guarded.rs"]
mod guarded;
#[path = "use_cases/paging.rs"]
mod paging;
#[path = "use_cases/reading.rs"]
mod reading;
#[path = "use_cases/streaming.rs"]
mod streaming;
#[path = "use_cases/writing.rs"]
mod writing;
