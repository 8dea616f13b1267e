//! The example of the product's description, on every kind of database: in this process and through a gateway.

use athena_rs::SupabaseBackend;
use athena_test_support::{Postgrest, TestKeyspace};

use super::*;
use crate::harness::{SUPABASE_KEY, SUPABASE_KEY_ENV};

const SQL: &str = "
    CREATE TABLE orders (status text, total int, id int PRIMARY KEY);
    INSERT INTO orders SELECT CASE i % 3 WHEN 0 THEN 'open' ELSE 'paid' END, i * 10, i FROM generate_series(1, 60) i;
    CREATE TABLE customers (id int PRIMARY KEY);";

const CQL: &str = "CREATE TABLE orders (status text, total int, id int, PRIMARY KEY (status, total, id));
    CREATE TABLE customers (id int PRIMARY KEY)";

#[derive(Debug, Deserialize, PartialEq)]
struct Sold {
    id: i64,
    total: i64,
}

/// Select with filters, an order and a limit.
async fn example(athena: &AthenaClient, kind: &str) {
    let select = || {
        athena
            .select("orders")
            .columns(["id", "total"])
            .where_eq("status", "paid")
            .where_gt("total", 100)
            .order_by("total", OrderDirection::Desc)
            .limit(3)
    };
    let found = select().execute().await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    let rows =
        [json!({"id": 59, "total": 590}), json!({"id": 58, "total": 580}), json!({"id": 56, "total": 560})];
    assert_eq!(
        (found.columns, &found.rows[..]),
        (vec!["id".to_owned(), "total".to_owned()], &rows[..]),
        "{kind}"
    );
    let typed: Vec<Sold> = select().execute_as().await.unwrap();
    assert_eq!(typed[2], Sold { id: 56, total: 560 }, "{kind}");
    // Nothing is known of relations between tables, so that rows of another one are refused rather than left out.
    let related = athena.select("orders").raw_select("id,customer:customers(id,orders(id))").execute().await;
    let error = related.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (ErrorKind::Invalid, Some("unsupported_select")),
        "{kind}"
    );
    assert!(error.message.contains("customer:customers(id,orders(id))") && error.hint.is_some(), "{error:?}");
    let raw =
        athena.select("orders").raw_select("id, sum:total").where_eq("status", "open").where_eq("total", 30);
    assert_eq!(raw.execute().await.unwrap().rows, [json!({"id": 3, "sum": 30})], "{kind}");
    assert_eq!(athena.health_check().await.unwrap(), Health::Healthy, "{kind}");
}

#[tokio::test]
async fn the_example_runs_on_postgresql() {
    let gateway = Gateway::with(SQL).await;
    let uri = gateway.database.as_ref().unwrap().uri();
    for kind in ["native", "postgresql", "postgres"] {
        example(&AthenaClient::new_with_backend_name(&uri, "", kind).await.unwrap(), kind).await;
    }
    let remote = RemoteGateway::new(gateway.base.as_str(), CLIENT).backend(BackendType::PostgreSQL);
    example(&AthenaClient::remote(remote).unwrap(), "a gateway over PostgreSQL").await;
}

#[tokio::test]
async fn the_example_runs_on_cql() {
    let Some(keyspace) = TestKeyspace::with(CQL).await else { return };
    let insert = async |athena: &AthenaClient| {
        for id in 1..=60 {
            let status = if id % 3 == 0 { "open" } else { "paid" };
            let row = json!({"status": status, "total": id * 10, "id": id});
            athena.insert("orders").payload(row).execute().await.unwrap();
        }
    };
    let athena = AthenaClient::builder()
        .backend(BackendType::Scylla)
        .url(keyspace.contact())
        .database(keyspace.name())
        .build()
        .await
        .unwrap();
    insert(&athena).await;
    example(&athena, "CQL").await;
    let one = athena.execute_cql_with(
        "SELECT id FROM orders WHERE status = ? AND total = ?",
        vec!["open".into(), 30.into()],
    );
    assert_eq!(one.await.unwrap().rows, [json!({"id": 3})]);
    let refused = athena.rpc("now", Value::Null).execute().await.unwrap_err();
    assert_eq!(refused.code.as_deref(), Some("not_supported_by_backend"));
    let gateway = Gateway::over(&[(CLIENT, &keyspace.uri())], "").await;
    let remote = RemoteGateway::new(gateway.base.as_str(), CLIENT).backend(BackendType::Scylla);
    example(&AthenaClient::remote(remote).unwrap(), "a gateway over CQL").await;
}

#[tokio::test]
async fn functions_are_called_where_there_are_some() {
    const FUNCTIONS: &str = "
        CREATE FUNCTION sold(floor_of int) RETURNS SETOF orders LANGUAGE sql STABLE
          AS 'SELECT * FROM orders WHERE total >= floor_of ORDER BY id';
        CREATE FUNCTION clear(floor_of int) RETURNS bigint LANGUAGE sql AS
          'WITH gone AS (DELETE FROM orders WHERE total >= floor_of RETURNING 1) SELECT count(*) FROM gone';";
    let database = TestDatabase::with(&format!("{SQL}{FUNCTIONS}")).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let sql = AthenaClient::new(database.uri(), "").await.unwrap();
    let rest = AthenaClient::new_with_backend(
        format!("http://{}", server.address()),
        SUPABASE_KEY,
        BackendType::Supabase,
    );
    for (kind, athena, gone) in [("PostgreSQL", sql, 1), ("Supabase", rest.await.unwrap(), 2)] {
        let sold =
            athena.rpc("sold", json!({"floor_of": 600 - 10 * gone})).read_only().execute().await.unwrap();
        assert_eq!(
            (sold.rows.len(), sold.columns),
            (2, vec!["status".into(), "total".into(), "id".into()]),
            "{kind}"
        );
        let typed: Vec<Sold> =
            athena.rpc("public.sold", json!({"floor_of": 600 - 10 * gone})).execute_as().await.unwrap();
        assert_eq!(typed.last().map(|sold| sold.id), Some(61 - gone), "{kind}");
        let refused = athena.rpc("clear", json!({"floor_of": 0})).read_only().execute().await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{kind}: {refused}");
        let cleared =
            athena.rpc("clear", json!({"floor_of": 610 - 10 * gone})).execute_as::<i64>().await.unwrap();
        assert_eq!(cleared, 1, "{kind}");
        let unknown = athena.rpc("nope", Value::Null).execute().await.unwrap_err();
        assert_eq!(unknown.code.as_deref(), Some("undefined_function"), "{kind}");
        let wrong = athena.rpc("sold", json!([1])).execute().await.unwrap_err();
        assert_eq!(wrong.code.as_deref(), Some("invalid_field"), "{kind}");
    }
}

#[tokio::test]
async fn the_example_runs_on_supabase() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let address = server.address();
    let athena = AthenaClient::new_with_backend_name(format!("http://{address}"), SUPABASE_KEY, "Supabase");
    example(&athena.await.unwrap(), "Supabase").await;
    let uri = format!("supabase+http://{address}?key_env={SUPABASE_KEY_ENV}");
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    let remote = RemoteGateway::new(gateway.base.as_str(), CLIENT).backend(BackendType::Supabase);
    example(&AthenaClient::remote(remote).unwrap(), "a gateway over Supabase").await;
}

/// What the program below finds in its environment.
const PROJECT: [&str; 2] = ["ATHENA_TEST_PROJECT_URL", "ATHENA_TEST_PROJECT_KEY"];

#[tokio::test]
#[ignore = "a program of its own, which the test below starts"]
async fn a_program_of_a_project() {
    let project = SupabaseBackend::from_env(PROJECT[0], PROJECT[1]).expect("a project");
    example(&project, "Supabase").await;
}

#[tokio::test]
async fn a_project_is_named_by_the_environment() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "sdk::backends::a_program_of_a_project", "--ignored", "--nocapture"]);
    program.env(PROJECT[0], format!("http://{}", server.address())).env(PROJECT[1], SUPABASE_KEY);
    // The server answers from this thread.
    let ran = tokio::task::spawn_blocking(move || crate::child::output(&mut program)).await.unwrap();
    assert!(ran.0 && ran.1.contains("1 passed"), "{}\n{}", ran.1, ran.2);

    let missing = SupabaseBackend::from_env("ATHENA_SUPABASE_URL_THAT_IS_NOT_SET", "HOME").err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Configuration);
    assert!(missing.message.contains("ATHENA_SUPABASE_URL_THAT_IS_NOT_SET"), "{missing}");
    // What every process has; this one is no URL, and another one no key that a project would take.
    let wrong = SupabaseBackend::from_env("PATH", "PATH").err().unwrap();
    assert!(wrong.message.contains("https://"), "{wrong}");
}
