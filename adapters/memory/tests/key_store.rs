//! The key store in memory keeps the contract that every key store keeps.

use std::sync::Arc;

use athena_application::contract;
use athena_memory::MemoryKeyStore;

#[tokio::test]
async fn memory_keeps_the_contract_of_key_stores() {
    contract::key_store(Arc::new(MemoryKeyStore::default())).await;
}
