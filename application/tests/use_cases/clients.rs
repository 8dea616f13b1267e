//! Which client is asked, and whether it can be.

use athena_application::Error;
use athena_application::ports::PortErrorKind;

use super::bench::{Bench, JSON, name};

#[tokio::test]
async fn an_unknown_client_is_named() {
    let bench = Bench::new();
    let error = bench.fetch_as("nobody", r#"{"table_name":"users"}"#, JSON).await.unwrap_err();
    assert!(matches!(&error, Error::UnknownClient { name, .. } if name.key() == "nobody"), "{error}");
    assert_eq!(bench.database.schema_readings(), 0, "no database is asked");
}

#[tokio::test]
async fn a_misconfigured_client_says_why() {
    let bench = Bench::new();
    let error = bench.fetch_as("broken", r#"{"table_name":"users"}"#, JSON).await.unwrap_err();
    assert!(error.to_string().contains("PG_URI is not set"), "{error}");
    assert!(matches!(error, Error::ClientUnavailable { .. }));
}

#[tokio::test]
async fn names_are_found_without_regard_to_case() {
    let bench = Bench::new();
    bench.gateway.check_client(&name("MAIN")).unwrap();
    let known: Vec<String> =
        bench.gateway.registry.all().iter().map(|client| client.name.to_string()).collect();
    assert_eq!(known, ["broken", "main"]);
}

#[tokio::test]
async fn an_unreachable_database_is_unavailable() {
    let bench = Bench::new();
    bench.database.set_reachable(false);
    let error = bench.fetch(r#"{"table_name":"users"}"#).await.unwrap_err();
    assert!(matches!(&error, Error::Port(fault) if fault.kind == PortErrorKind::Unavailable), "{error}");
}
