//! The ledger in memory does what every ledger must.

use athena_application::contract;
use athena_memory::MemoryBudgets;

#[tokio::test]
async fn the_contract_holds() {
    let first = MemoryBudgets::new();
    let second = first.beside(1);
    contract::budgets_are_shared(&first, &second).await;
    contract::silent_gateways_are_forgotten(&first, &second).await;
}
