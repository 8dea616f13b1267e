//! The log store in memory keeps the contract.

use athena_application::contract;
use athena_memory::MemoryLog;

#[tokio::test]
async fn the_log_keeps_its_contract() {
    let log = MemoryLog::new();
    contract::batches_are_written_once(&log, &log).await;
    contract::statistics_follow_the_batches(&log, &log).await;
    contract::stores_have_names_of_their_own(&log, &MemoryLog::new()).await;
}
