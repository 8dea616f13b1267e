//! The client library, in the program's own process and over HTTP: the same requests, the same rows.

mod backends;
mod examples;
mod settings;
mod steps;

use std::time::Duration;

use athena_rs::client::query_builder::OrderDirection;
use athena_rs::client::{Health, RemoteGateway};
use athena_rs::{AthenaClient, BackendType, ErrorKind};
use athena_test_support::TestDatabase;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::{CLIENT, Gateway};

const ORDERS: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, status text NOT NULL, total numeric(30,2), note text);
    INSERT INTO orders VALUES (1, 'paid', 10.50, 'a'), (2, 'open', 20, NULL), (3, 'paid', 12345678901234567890.25, 'c'),
      (4, 'paid', 7, 'd');
    CREATE FUNCTION of_status(wanted text) RETURNS SETOF orders LANGUAGE sql STABLE
      AS 'SELECT * FROM orders WHERE status = wanted ORDER BY id';";

/// A row of `orders`, its total to the last digit.
#[derive(Debug, Deserialize)]
struct Order {
    id: i64,
    total: Box<serde_json::value::RawValue>,
}

/// One client in this process and one at a gateway, over databases with the same rows.
async fn both() -> (Gateway, TestDatabase, [(&'static str, AthenaClient); 2]) {
    let database = TestDatabase::with(ORDERS).await;
    let embedded = AthenaClient::new(database.uri(), "").await.unwrap();
    let gateway = Gateway::with(ORDERS).await;
    let remote = RemoteGateway::new(gateway.base.as_str(), CLIENT).acting_for("acme", "acme-eu");
    let remote = AthenaClient::remote(remote).unwrap();
    (gateway, database, [("embedded", embedded), ("remote", remote)])
}

#[tokio::test]
async fn the_same_requests_give_the_same_rows() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        let paid = athena
            .select("orders")
            .columns(["id", "note"])
            .where_eq("status", "paid")
            .where_lt("id", 4)
            .order_by("id", OrderDirection::Desc)
            .limit(2)
            .execute()
            .await
            .unwrap();
        assert_eq!(paid.columns, ["id", "note"], "{kind}");
        assert_eq!(paid.rows, [json!({"id": 3, "note": "c"}), json!({"id": 1, "note": "a"})], "{kind}");

        let some = athena.select("orders").where_in("id", vec![2, 4]).order_by("id", OrderDirection::Asc);
        assert_eq!(some.offset(1).execute().await.unwrap().rows[0]["id"], 4, "{kind}");
        let none = athena
            .select("orders")
            .where_in("id", Vec::<i64>::new())
            .columns(["id"])
            .execute()
            .await
            .unwrap();
        assert_eq!((none.rows.len(), none.columns), (0, vec!["id".to_owned()]), "{kind}");
        let or = athena.select("orders").or("id.eq.1,note.is.null").execute().await.unwrap();
        assert_eq!(or.rows.len(), 2, "{kind}");
    }
}

#[tokio::test]
async fn typed_rows_keep_every_digit() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        let rows: Vec<Order> =
            athena.select("orders").columns(["id", "total"]).where_eq("id", 3).execute_as().await.unwrap();
        assert_eq!((rows[0].id, rows[0].total.get()), (3, "12345678901234567890.25"), "{kind}");
        let wrong =
            athena.select("orders").columns(["id", "total"]).execute_as::<(bool,)>().await.unwrap_err();
        assert_eq!(wrong.kind, ErrorKind::Row, "{kind}");
    }
}

#[tokio::test]
async fn writes_give_what_they_wrote() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        let added =
            athena.insert("orders").payload(json!({"id": 9, "status": "open"})).execute().await.unwrap();
        assert_eq!(added.rows, [json!({"id": 9, "status": "open", "total": null, "note": null})], "{kind}");
        let twice =
            athena.insert("orders").payload(json!({"id": 9, "status": "open"})).execute().await.unwrap_err();
        assert_eq!(
            (twice.kind, twice.code.as_deref()),
            (ErrorKind::Conflict, Some("unique_violation")),
            "{kind}"
        );
        let many = json!([{"id": 10, "status": "x"}, {"id": 11, "status": "x"}]);
        assert_eq!(athena.insert("orders").payload(many).execute().await.unwrap().rows.len(), 2, "{kind}");

        let changed = athena
            .update("orders", Some(json!(9)))
            .payload(json!({"note": "n"}))
            .columns(["id", "note"])
            .execute()
            .await
            .unwrap();
        assert_eq!(changed.rows, [json!({"id": 9, "note": "n"})], "{kind}");
        let by_filter = athena.update("orders", None).where_eq("status", "x").payload(json!({"note": "y"}));
        assert_eq!(by_filter.execute().await.unwrap().rows.len(), 2, "{kind}");

        let gone = athena.delete("orders", Some(json!(9))).execute_as::<Value>().await.unwrap();
        assert_eq!(gone[0]["note"], "n", "{kind}");
        assert_eq!(
            athena.delete("orders", None).where_gt("id", 9).execute().await.unwrap().rows.len(),
            2,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn nothing_is_written_without_an_id_or_a_filter() {
    let (_gateway, database, clients) = both().await;
    for (kind, athena) in clients {
        let update = athena.update("orders", None).payload(json!({"note": "x"})).execute().await.unwrap_err();
        assert_eq!(
            (update.kind, update.code.as_deref()),
            (ErrorKind::Invalid, Some("missing_field")),
            "{kind}"
        );
        let delete = athena.delete("orders", None).execute().await.unwrap_err();
        assert_eq!(delete.kind, ErrorKind::Invalid, "{kind}");
        let unknown = athena.select("orders").where_eq("nope", 1).execute().await.unwrap_err();
        assert_eq!(unknown.code.as_deref(), Some("undefined_column"), "{kind}");
        let quoted = athena.select("orders\"; drop table orders").execute().await.unwrap_err();
        assert_eq!(quoted.kind, ErrorKind::Invalid, "{kind}");
    }
    let athena = AthenaClient::new(database.uri(), "").await.unwrap();
    assert_eq!(athena.select("orders").execute().await.unwrap().rows.len(), 4);
}

#[tokio::test]
async fn a_stream_is_read_as_far_as_wanted() {
    let database = TestDatabase::with(
        "CREATE TABLE n AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 200000) i",
    )
    .await;
    let athena = AthenaClient::new(database.uri(), "").await.unwrap();
    let mut rows = athena
        .select("n")
        .columns(["i"])
        .order_by("i", OrderDirection::Asc)
        .stream_as::<Value>()
        .await
        .unwrap();
    for i in 1..=5 {
        assert_eq!(rows.next().await.unwrap().unwrap()["i"], i);
    }
    drop(rows);
    let mut rows = athena.select("n").stream_as::<Value>().await.unwrap();
    let mut count = 0;
    while rows.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 200_000);
}

#[tokio::test]
async fn raw_statements_and_functions() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        let rows = athena.execute_sql("SELECT 1 AS b, 'x' AS a WHERE false").await.unwrap();
        assert_eq!((rows.columns, rows.rows.len()), (vec!["b".to_owned(), "a".to_owned()], 0), "{kind}");
        let rows =
            athena.execute_sql_with("SELECT note FROM orders WHERE id = $1", vec![json!(3)]).await.unwrap();
        assert_eq!(rows.rows, [json!({"note": "c"})], "{kind}");
        let called = athena.rpc("of_status", json!({"wanted": "paid"})).execute().await.unwrap();
        assert_eq!(called.rows.len(), 3, "{kind}");
        assert_eq!(athena.execute_cql("SELECT 1").await.unwrap_err().kind, ErrorKind::Invalid, "{kind}");
        let wrong = athena.execute_sql("SELEC 1").await.unwrap_err();
        assert_eq!((wrong.kind, wrong.code.as_deref()), (ErrorKind::Invalid, Some("syntax_error")), "{kind}");
    }
}

#[tokio::test]
async fn numbers_come_as_strings_when_asked() {
    let database = TestDatabase::with(ORDERS).await;
    let athena = AthenaClient::builder()
        .backend(BackendType::PostgreSQL)
        .url(database.uri())
        .max_connections(2)
        .min_connections(0)
        .big_numbers_as_text(true)
        .build()
        .await
        .unwrap();
    let rows = athena.select("orders").columns(["total"]).where_eq("id", 3).execute().await.unwrap();
    assert_eq!(rows.rows, [json!({"total": "12345678901234567890.25"})]);
    assert_eq!(athena.config().pool.max_connections, 2);
}

#[tokio::test]
async fn a_database_that_fails_is_left_alone_as_the_settings_say() {
    // Nobody listens on port 1.
    let build = |enabled: bool| {
        AthenaClient::builder()
            .backend(BackendType::Native)
            .url("postgres://u@127.0.0.1:1/db")
            .health_tracking(enabled)
            .circuit_breaker_threshold(2)
            .circuit_breaker_timeout(Duration::from_secs(300))
            .build()
    };
    let codes = async |athena: AthenaClient| {
        let mut codes = Vec::new();
        for _ in 0..4 {
            let error = athena.select("orders").execute().await.unwrap_err();
            codes.push((error.code.unwrap().into_string(), error.retry_after.is_some()));
        }
        codes
    };
    let away = ("connection_error".to_owned(), true);
    let left_alone = ("circuit_open".to_owned(), true);
    let tracked = codes(build(true).await.unwrap()).await;
    assert_eq!(tracked, [away.clone(), away.clone(), left_alone.clone(), left_alone]);
    assert_eq!(codes(build(false).await.unwrap()).await, vec![away; 4]);
}

#[tokio::test]
async fn health_is_told_and_a_database_that_is_away_is_no_configuration_error() {
    let database = TestDatabase::with(ORDERS).await;
    let athena = AthenaClient::new_with_backend_name(database.uri(), "", "POSTGRES").await.unwrap();
    assert_eq!(athena.health_check().await.unwrap(), Health::Healthy);
    // Nobody listens on port 1.
    let away = AthenaClient::new("postgres://u:secret@127.0.0.1:1/db", "").await.unwrap();
    let error = away.select("orders").execute().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!format!("{error:?} {:?}", away.config()).contains("secret"));
    assert!(matches!(away.health_check().await.unwrap(), Health::Offline { .. }));
    let error = AthenaClient::new("mysql://host/db", "").await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Configuration);
}
