//! The client catalog in memory keeps the contract that every client catalog keeps.

use std::sync::Arc;

use athena_application::contract;
use athena_memory::MemoryClientStore;

#[tokio::test]
async fn memory_keeps_the_contract_of_client_catalogs() {
    contract::client_store(Arc::new(MemoryClientStore::default())).await;
}
