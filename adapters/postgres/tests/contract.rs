//! PostgreSQL keeps the contract that every database behind the gateway keeps.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use athena_application::contract;
use athena_postgres::PostgresSettings;
use athena_test_support::TestDatabase;

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let database = TestDatabase::with(contract::FIXTURE_SQL).await;
    let settings = PostgresSettings::from_uri(&database.uri()).unwrap();
    let (backend, schema) = athena_postgres::open(&settings);
    contract::all(&*backend, &*schema).await;
}
