//! How a request asks to be carried out, within what the client's connection URI allows.

use reqwest::Method;
use serde_json::{Value, json};

use athena_test_support::{Mode, TestKeyspace};

use super::with;
use crate::harness::{Answer, CLIENT, Gateway};

const TABLES: &str = "CREATE TABLE users (id int PRIMARY KEY, age int);\n";

/// A request of every kind, with more fields.
async fn every(gateway: &Gateway, more: &Value) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path, body) in [
        (Method::POST, "/gateway/fetch", json!({"table_name": "users", "count": "exact"})),
        (
            Method::PUT,
            "/gateway/insert",
            json!({"table_name": "users", "insert_body": {"id": 1}, "on_conflict": "id"}),
        ),
        (
            Method::POST,
            "/gateway/update",
            json!({"table_name": "users", "set": {"age": 1}, "conditions": [{"eq_column": "id", "eq_value": 1}]}),
        ),
        (Method::DELETE, "/gateway/delete", json!({"table_name": "users", "resource_id": 1})),
    ] {
        let mut body = body;
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answers.push(gateway.send(gateway.request(method, path).json(&body)).await);
    }
    answers
}

#[tokio::test]
async fn consistency_is_asked_for_within_bounds() {
    let Some((gateway, _keyspace)) = with(TABLES, "?max_consistency=quorum").await else { return };
    for level in ["local_one", "ONE", "local_quorum", "quorum"] {
        every(&gateway, &json!({"consistency": level})).await.iter().for_each(|answer| drop(answer.ok()));
    }
    // There is one replica.
    for level in ["two", "three"] {
        for answer in every(&gateway, &json!({"consistency": level})).await {
            // The level reaches the server, and what is in the way is said.
            let refused = answer.refused(503, "connection_error");
            assert_eq!(refused["details"]["reason"], "too_few_replicas", "{refused}");
            assert!(refused["hint"].as_str().unwrap().contains("`consistency`"), "{refused}");
        }
    }
    for (level, text) in
        [("all", "quorum at most"), ("each_quorum", "quorum at most"), ("most", "local_one, one, two")]
    {
        for answer in every(&gateway, &json!({"consistency": level})).await {
            let refused = answer.refused(400, "invalid_field");
            assert!(refused["error"].as_str().unwrap().contains(text), "{refused}");
            assert_eq!(refused["details"]["field"], "consistency");
        }
    }
}

#[tokio::test]
async fn a_datacenter_without_nodes_is_said_to_be_one() {
    let Some((gateway, _keyspace)) = with(TABLES, "?datacenter=nowhere").await else { return };
    let refused = gateway.fetch(r#"{"table_name":"users"}"#).await.refused(503, "connection_error");
    assert_eq!(refused["details"]["reason"], "no_node", "{refused}");
}

#[tokio::test]
async fn a_request_may_have_less_time_and_not_more() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let uri = format!("{}?timeout_ms=20000", proxy.uri());
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    every(&gateway, &json!({"timeout_ms": 20_000})).await.iter().for_each(|answer| drop(answer.ok()));
    for answer in every(&gateway, &json!({"timeout_ms": 20_001})).await {
        let refused = answer.refused(400, "invalid_field");
        assert!(refused["error"].as_str().unwrap().contains("20000 at most"), "{refused}");
    }
    proxy.set(Mode::Blackhole).await;
    let began = std::time::Instant::now();
    let read = gateway.fetch(r#"{"table_name":"users","timeout_ms":300}"#).await;
    assert_eq!(read.status, 504, "{}", read.text);
    let write = gateway.insert(r#"{"table_name":"users","insert_body":{"id":2},"timeout_ms":300}"#).await;
    let lost = write.refused(503, "connection_error");
    assert!(lost["hint"].as_str().unwrap().starts_with("No answer came in time"), "{lost}");
    // One that is new has to be prepared first.
    let new = gateway.fetch(r#"{"table_name":"users","columns":"age","timeout_ms":300}"#).await;
    assert_eq!(new.status, 504, "{}", new.text);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    proxy.set(Mode::Pass).await;
}

#[tokio::test]
async fn a_request_says_how_many_rows_come_at_once_within_bounds() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let gateway = Gateway::over(&[(CLIENT, &format!("{}?page_size=200", proxy.uri()))], "").await;
    for id in 0..100 {
        keyspace.run(&format!("INSERT INTO users (id, age) VALUES ({id}, 1)")).await;
    }
    // What it takes to ask for the rows, which is more for every page of them.
    let asked = async |size: Option<u32>| {
        let before = proxy.asked_bytes();
        let mut body = json!({"table_name": "users"});
        if let Some(size) = size {
            body["fetch_size"] = json!(size);
        }
        let rows = gateway.fetch(&body.to_string()).await.rows();
        assert_eq!(rows.as_array().map(Vec::len), Some(100), "{rows}");
        proxy.asked_bytes() - before
    };
    // The first one prepares the statement, and learns how large the rows are.
    asked(None).await;
    let (whole, singly) = (asked(Some(200)).await, asked(Some(1)).await);
    assert!(singly > 20 * whole, "{singly} and {whole} bytes");
    for (size, text) in [(201, "200 at most"), (10_001, "from 1 to 10000"), (0, "from 1 to 10000")] {
        let body = json!({"table_name": "users", "fetch_size": size});
        let refused = gateway.fetch(&body.to_string()).await.refused(400, "invalid_field");
        assert!(refused["error"].as_str().unwrap().contains(text), "{refused}");
        assert_eq!(refused["details"]["field"], "fetch_size");
    }
}

#[tokio::test]
async fn other_databases_have_none_of_it() {
    let gateway = Gateway::with("CREATE TABLE users (id int PRIMARY KEY, age int)").await;
    for more in [json!({"consistency": "one"}), json!({"timeout_ms": 100})] {
        for answer in every(&gateway, &more).await {
            answer.refused(400, "not_supported_by_backend");
        }
    }
    let sized = gateway.fetch(r#"{"table_name":"users","fetch_size":10}"#).await;
    sized.refused(400, "not_supported_by_backend");
}

/// What somebody writes by hand has the bounds of everything else.
#[tokio::test]
async fn cql_of_the_callers_own_runs_within_its_bounds() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let uri = format!("{}?timeout_ms=700", proxy.uri());
    let gateway = Gateway::over(&[(CLIENT, &uri)], "limits: {max_rows: 10}").await;
    for id in 0..12 {
        keyspace.run(&format!("INSERT INTO users (id, age) VALUES ({id}, 1)")).await;
    }
    let sql = |query: &str, extra: serde_json::Value| {
        let mut body = json!({"query": query, "driver": "scylla", "db_name": CLIENT});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        gateway.send(gateway.bare(reqwest::Method::POST, "/query/sql").json(&body))
    };
    let all = "SELECT id FROM users";
    sql(all, json!({})).await.refused(400, "limit_exceeded");
    gateway.query(all).await.refused(400, "limit_exceeded");
    sql("SELECT id FROM users LIMIT 3", json!({"max_rows": 2})).await.refused(400, "limit_exceeded");
    for driver in ["scylla", "athena", "cassandra", "CQL"] {
        let answer =
            sql("SELECT id, age FROM users LIMIT ?", json!({"params": [10], "driver": driver})).await.ok();
        assert_eq!(answer["data"]["rows"].as_array().map(Vec::len), Some(10), "{answer}");
        assert_eq!(answer["data"]["columns"], json!(["id", "age"]), "{answer}");
    }
    sql(all, json!({"driver": "postgresql"})).await.refused(400, "invalid_field");
    proxy.set(Mode::Blackhole).await;
    let began = std::time::Instant::now();
    assert_eq!(sql(all, json!({})).await.status, 504);
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    proxy.set(Mode::Pass).await;
}
