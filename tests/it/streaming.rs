//! Rows flow: large answers, other forms, limits, and statements whose caller leaves.

use std::time::{Duration, Instant};

use athena_rs::client::RemoteGateway;
use athena_rs::{AthenaClient, ErrorKind};
use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncReadExt as _;

use crate::harness::{CLIENT, Gateway};

const BIG: &str = "CREATE TABLE big (id int PRIMARY KEY, pad text, note json);
    INSERT INTO big SELECT n, repeat('x', 200), '{\"a\":\n null}' FROM generate_series(1, 20000) n;
    CREATE VIEW slow AS SELECT n AS id, pg_sleep(3600)::text AS v FROM generate_series(1, 2) n;
    CREATE VIEW endless AS SELECT generate_series(1, 100000000) AS id, repeat('y', 1000) AS v;
    CREATE VIEW broken AS SELECT n AS id, repeat('z', 100) AS v, 1 / (5000 - n) AS w FROM generate_series(1, 6000) n;";

fn accept(gateway: &Gateway, accept: &str, body: &str) -> reqwest::RequestBuilder {
    gateway.request(Method::POST, "/gateway/fetch").header("Accept", accept).body(body.to_owned())
}

#[tokio::test]
async fn large_json_arrives_whole() {
    let gateway = Gateway::with(BIG).await;
    let rows = gateway.fetch(r#"{"table_name":"big","limit":10000,"sort_by":{"field":"id"}}"#).await;
    assert_eq!(rows.json()["message"], "Fetched 10000 rows");
    let rows = rows.rows();
    let rows = rows.as_array().unwrap();
    assert_eq!((rows.len(), &rows[9999]["id"]), (10_000, &json!(10_000)));
}

#[tokio::test]
async fn lines_and_csv_have_no_bound() {
    let gateway = Gateway::with(BIG).await;
    let lines = gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"big"}"#)).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.text.lines().count(), 20_000);
    assert!(
        lines
            .text
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok_and(|row| row["note"]["a"].is_null()))
    );
    let csv = gateway
        .send(accept(
            &gateway,
            "text/csv",
            r#"{"table_name":"big","columns":"id,n:pad","limit":3,"sort_by":{"field":"id"}}"#,
        ))
        .await;
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(csv.text.split("\r\n").next(), Some("id,n"));
    assert_eq!(csv.text.split("\r\n").count(), 5);
    let empty =
        gateway.send(accept(&gateway, "text/csv", r#"{"table_name":"big","columns":"id","limit":0}"#)).await;
    assert_eq!(empty.text, "id\r\n");
    assert_eq!(gateway.send(accept(&gateway, "image/png", r#"{"table_name":"big"}"#)).await.status, 406);
    assert_eq!(
        gateway
            .send(accept(&gateway, "text/html, */*;q=0.1", r#"{"table_name":"big","limit":1}"#))
            .await
            .status,
        200
    );
    // Stripped and compressed lines are the same lines.
    let request =
        accept(&gateway, "application/x-ndjson", r#"{"table_name":"big","strip_nulls":true,"limit":2}"#);
    assert!(
        gateway
            .send(request)
            .await
            .text
            .lines()
            .all(|line| line.ends_with(r#""note":{}}"#) || line.ends_with(r#""note":{ }}"#))
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so() {
    let gateway = Gateway::with(BIG).await;
    let lines = gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"broken"}"#)).await;
    let last: Value = serde_json::from_str(lines.text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (lines.status, &last["status"], &last["code"]),
        (200, &json!("error"), &json!("data_exception"))
    );
    assert_eq!(last["status_code"], 400);
    // JSON cannot say it: the connection ends before the answer does.
    let response =
        accept(&gateway, "application/json", r#"{"table_name":"broken","limit":6000}"#).send().await.unwrap();
    assert!(response.text().await.is_err());
    // A fault before the first chunk is an answer like any other.
    gateway
        .fetch(r#"{"table_name":"broken","conditions":[{"gte_column":"id","gte_value":5000}]}"#)
        .await
        .refused(400, "data_exception");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_of_the_library() {
    let gateway = Gateway::with(BIG).await;
    let database = TestDatabase::with(BIG).await;
    let remote = RemoteGateway::new(gateway.base.as_str(), CLIENT).acting_for("acme", "acme-eu");
    let clients =
        [AthenaClient::new(database.uri(), "").await.unwrap(), AthenaClient::remote(remote).unwrap()];
    for athena in clients {
        let error = athena.select("broken").execute().await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Invalid, Some("data_exception")));
    }
}

#[tokio::test]
async fn limits_are_clear_refusals() {
    let gateway = Gateway::configured(BIG, "limits: {max_response_bytes: 10000, max_body_bytes: 5000}").await;
    let large = gateway.fetch(r#"{"table_name":"big","limit":100}"#).await.refused(400, "limit_exceeded");
    assert!(large["error"].as_str().unwrap().contains("max_response_bytes"), "{large}");
    let body = format!(r#"{{"table_name":"{}"}}"#, "x".repeat(6000));
    let large = gateway.fetch(&body).await.refused(413, "limit_exceeded");
    assert!(large["error"].as_str().unwrap().contains("max_body_bytes"), "{large}");
    gateway.fetch(r#"{"table_name":"big","limit":1}"#).await.ok();
}

/// Statements that run in the test's database, other than the asking one.
async fn running(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state IN ('active', 'idle in transaction') AND pid <> pg_backend_pid()",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

async fn until(connection: &mut PgConnection, wanted: i64, within: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if running(connection).await == wanted {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_statement() {
    let gateway = Gateway::with(BIG).await;
    let mut watch = PgConnection::connect(&gateway.database.as_ref().unwrap().uri()).await.unwrap();
    gateway.fetch(r#"{"table_name":"big","limit":1}"#).await.ok();
    for (form, table) in [
        ("application/json", "slow"),
        ("application/x-ndjson", "slow"),
        ("application/x-ndjson", "endless"),
        ("text/csv", "endless"),
    ] {
        let body = format!(r#"{{"table_name":"{table}"}}"#);
        let mut socket = gateway.fetch_unread(&[("Accept", form)], &body).await;
        if table == "endless" {
            let mut some = vec![0; 1 << 16];
            socket.read_exact(&mut some).await.unwrap();
            assert!(some.starts_with(b"HTTP/1.1 200"));
        }
        assert!(until(&mut watch, 1, Duration::from_secs(10)).await, "{form} {table} never ran");
        drop(socket);
        assert!(until(&mut watch, 0, Duration::from_secs(10)).await, "{form} {table} still runs");
    }
    gateway.fetch(r#"{"table_name":"big","limit":1}"#).await.ok();
}

#[tokio::test]
async fn statements_have_a_time_and_requests_a_longer_one() {
    let gateway = Gateway::configured(
        BIG,
        "limits: {statement_timeout_secs: 1, request_timeout_secs: 3}\npool: {acquire_timeout_secs: 2}",
    )
    .await;
    let mut watch = PgConnection::connect(&gateway.database.as_ref().unwrap().uri()).await.unwrap();
    gateway.fetch(r#"{"table_name":"slow"}"#).await.refused(504, "query_canceled");
    gateway.query("SELECT pg_sleep(60)").await.refused(504, "query_canceled");
    // Where the database's own timeout was taken away, the gateway's holds.
    gateway.query("SET statement_timeout = 0; SELECT pg_sleep(60)").await.refused(504, "query_canceled");
    gateway
        .send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"slow"}"#))
        .await
        .refused(504, "query_canceled");
    // Each of them would run for a minute.
    assert!(until(&mut watch, 0, Duration::from_secs(10)).await, "what was given up still runs");
    // Rows that keep flowing may take longer than both.
    let lines = gateway.query("CREATE VIEW steady AS SELECT n AS id, pg_sleep(0.2)::text AS v, repeat('s', 70000) AS p FROM generate_series(1, 25) n").await;
    lines.ok();
    let lines = gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"steady"}"#)).await;
    assert_eq!(lines.text.lines().count(), 25);
}

#[tokio::test]
async fn slow_readers_leave_connections_to_the_others() {
    let gateway = Gateway::configured(BIG, "pool: {max_connections: 4, acquire_timeout_secs: 3}").await;
    gateway.fetch(r#"{"table_name":"big","limit":1}"#).await.ok();
    let endless = r#"{"table_name":"endless"}"#;
    let mut readers = Vec::new();
    for form in ["application/x-ndjson", "text/csv", "application/x-ndjson", "text/csv"] {
        readers.push(gateway.fetch_unread(&[("Accept", form)], endless).await);
    }
    // They fill what lies between, and are slow for a moment before they count as such.
    let began = Instant::now();
    let further = r#"{"table_name":"big","limit":2000}"#;
    while !gateway.send(accept(&gateway, "text/csv", further)).await.text.contains("slow_readers") {
        assert!(began.elapsed() < Duration::from_secs(60), "no reader was found to be slow");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"big"}"#)).await;
    refused.refused(503, "slow_readers");
    assert_eq!(refused.header("retry-after"), Some("5"));
    // Whoever asks for what fits into one piece is served as ever.
    for _ in 0..50 {
        gateway.fetch(r#"{"table_name":"big","limit":10}"#).await.ok();
    }
    drop(readers);
    let left = Instant::now();
    while gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"big"}"#)).await.status
        != 200
    {
        assert!(left.elapsed() < Duration::from_secs(5), "the places are free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn many_fast_readers_are_not_taken_for_slow_ones() {
    let gateway = std::sync::Arc::new(
        Gateway::configured(BIG, "pool: {max_connections: 4, acquire_timeout_secs: 30}").await,
    );
    let readers: Vec<_> = (0..12)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                gateway.send(accept(&gateway, "application/x-ndjson", r#"{"table_name":"big"}"#)).await
            })
        })
        .collect();
    for reader in readers {
        let answer = reader.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.text.lines().count(), 20_000);
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_take_no_more_than_their_share_of_the_memory() {
    let limits = "limits: {max_response_bytes: 25000000, max_held_bytes: 52000000}";
    let gateway = Gateway::configured(BIG, limits).await;
    // More than the sockets of both sides take.
    let large = r#"{"query":"SELECT repeat('x', 24000000) AS v"}"#;
    let mut readers = Vec::new();
    for _ in 0..2 {
        let mut reader =
            gateway.unread("/gateway/query", &[("Content-Type", "application/json")], large).await;
        let mut some = [0; 15];
        reader.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 200 OK");
        readers.push(reader);
    }
    let refused = gateway.raw(large).await;
    refused.refused(503, "slow_readers");
    assert_eq!(refused.header("retry-after"), Some("5"));
    let grouped = r#"{"table_name":"big","limit":10000,"group_by":"pad"}"#;
    gateway.fetch(grouped).await.refused(503, "slow_readers");
    let page = r#"{"table_name":"big","page_size":10000,"cursor":""}"#;
    let write =
        "INSERT INTO big SELECT n, repeat('x', 1000) FROM generate_series(100001, 109000) n RETURNING *";
    gateway.query(write).await.refused(503, "slow_readers");
    let update = r#"{"table_name":"big","set":{"pad":"y"},"conditions":[{"operator":"gt","column":"id","value":12000}]}"#;
    gateway.query("UPDATE big SET note = '1'").await.ok();
    // What is small is answered, and what was refused has not happened.
    let count = gateway.query("SELECT count(*) AS n, max(length(pad)) AS pad FROM big").await.ok();
    assert_eq!(count["data"], json!([{"n":20_000,"pad":200}]));
    drop(readers);
    let left = Instant::now();
    while gateway.raw(large).await.status != 200 {
        assert!(left.elapsed() < Duration::from_secs(5), "the memory is free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.fetch(page).await.ok();
    gateway.update(update).await.ok();
    gateway.fetch(grouped).await.ok();
}
