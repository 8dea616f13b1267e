//! The client catalog in a real control database.

use std::sync::Arc;

use athena_application::contract;
use athena_postgres::control::PostgresClientStore;

use crate::snapshot::Control;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_of_client_catalogs() {
    let control = Control::migrated().await;
    contract::client_store(Arc::new(PostgresClientStore::new(control.database.clone()))).await;
}
