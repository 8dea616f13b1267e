//! The database in memory keeps the contract that every database keeps.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use athena_application::contract;
use athena_memory::{MemoryDatabase, Table};

fn fixture() -> MemoryDatabase {
    MemoryDatabase::new(contract::fixture().into_iter().map(|spec| {
        let mut table = Table::new(spec.relation);
        for (column, json) in spec.defaults {
            table = table.with_default(column, json).unwrap();
        }
        for column in spec.not_null {
            table = table.with_not_null(column).unwrap();
        }
        table.with_rows(spec.rows).unwrap()
    }))
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let database = fixture();
    contract::all(&database, &database).await;
}
