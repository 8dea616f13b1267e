//! The database ports in memory: every plan but the caller's own SQL runs over tables that a test builds.
//!
//! It keeps the contract that PostgreSQL keeps, so that a use case tested here behaves the same there.
//! Nothing here reaches a network or a disk, and no lock is held while a sink waits.

mod backend;
mod budget_ledger;
mod client_store;
mod database;
mod filter;
mod key_store;
mod log_store;
mod pattern;
mod reject;
mod select;
mod table;
mod value;
mod write;

pub use budget_ledger::MemoryBudgets;
pub use client_store::MemoryClientStore;
pub use database::MemoryDatabase;
pub use key_store::MemoryKeyStore;
pub use log_store::MemoryLog;
pub use table::{BadFixture, Table};
