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

#[tokio::test]
async fn moments_that_nobody_lives_to_see_stop_no_reading() {
    use athena_application::ports::ClientStore as _;
    let control = Control::migrated().await;
    control
        .run(
            "INSERT INTO athena_clients (client_name, pg_uri, last_seen_at, created_at, updated_at) \
             VALUES ('a', 'postgres://h/a', 'infinity', '-infinity', '20000-01-01'), ('b', 'postgres://h/b', NULL, now(), now())",
        )
        .await;
    let clients = PostgresClientStore::new(control.database.clone()).load().await.unwrap();
    assert_eq!(clients.len(), 2);
    let first = clients.iter().find(|client| client.name == "a").unwrap();
    assert_eq!(
        (first.last_seen_at.unwrap().year(), first.created_at.year(), first.updated_at.year()),
        (9999, 1, 9999)
    );
}
