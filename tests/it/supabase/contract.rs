//! PostgREST keeps the contract that every database behind the gateway keeps, or refuses.

use std::time::Duration;

use athena_application::contract;
use athena_postgres::PostgresSettings;
use athena_supabase::SupabaseSettings;

use super::*;

/// What it cannot do with the same meaning.
const REFUSED: &[&str] = &[
    // What an operator of PostgreSQL says of the column's type, or PostgREST's notation of arrays has no word for.
    "like over numbers",
    "like over dates",
    "in, arrays",
    "in, jsonb",
    "array contains nothing",
    "array eq",
    "array eq minds order",
    "array eq empty",
    "array eq with null",
    "jsonb contains an array",
    "jsonb eq text",
    // What only the catalog knows: names in another case, and keys to sort pages by.
    "a name in another case answers under the caller's",
    "pages without an order follow the key",
    "pages follow a key of two columns",
    "an offset past the end",
    // What PostgREST undoes for nobody, and conflicts it does not meet.
    "a dry insert answers",
    "an upsert with values of its own",
    "an upsert that changes nothing answers with the row that is there",
    "an upsert without a target takes the key",
    "an update of as many rows as allowed, dry",
    "a dry delete",
    // Written rows that no key's filter could be held against before they are kept.
    "nor changed",
    "a row cannot be moved to others",
    "not even without an answer",
    "a row cannot be made for others",
    "nor among one's own",
    "a row of others cannot be met by a conflict",
    "nor taken over",
    "one's own can",
    "without an answer too",
];

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
