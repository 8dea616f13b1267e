//! PostgREST keeps the contract that every database behind the gateway keeps, or refuses.

use std::time::Duration;

use athena_application::contract;
use athena_postgres::PostgresSettings;
use athena_supabase::SupabaseSettings;

use super::*;

/// What it cannot do with the same meaning.
const REFUSED: &[&str] = &[];

#[tokio::test]
async fn postgrest_keeps_the_contract_or_refuses() {
    let database = TestDatabase::with(contract::FIXTURE_SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let uri = rest_uri(server.address(), "");
    let key = |_: &str| Some(SUPABASE_KEY.to_owned());
    let settings = SupabaseSettings::from_uri(&uri, Duration::from_secs(20), key).unwrap();
    let (backend, schema) = athena_supabase::open(&settings).unwrap();
    let (known, catalog) = athena_postgres::open(&PostgresSettings::from_uri(&database.uri()).unwrap());
    let refused = contract::all_of_open((&*backend, &*schema), (&*known, &*catalog)).await;
    assert_eq!(refused, REFUSED);
}
