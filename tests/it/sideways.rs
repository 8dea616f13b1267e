//! What a caller must neither learn nor bring about by a way round the rules.

use reqwest::Method;
use serde_json::json;

use crate::enforcement::Plane;
use crate::harness::{CLIENT, Gateway};
use crate::logs::{control, until};

const SQL: &str = "CREATE TABLE pay (id int PRIMARY KEY, tenant int, note text); \
                   INSERT INTO pay SELECT n, 1 + n % 2, 'note ' || n FROM generate_series(1, 2000) AS n; \
                   ANALYZE pay;";

#[tokio::test]
async fn a_page_of_somebody_elses_brings_nothing_about() {
    let gateway = Gateway::with(SQL).await;
    let body = json!({"query": "DELETE FROM pay", "driver": "postgresql", "db_name": CLIENT}).to_string();
    // What a browser sends for any page without asking first, as it looks like a form.
    let page = |kind: Option<&str>| {
        let request = gateway.bare(Method::POST, "/query/sql").header("Origin", "https://evil.example");
        let request = request.header("Sec-Fetch-Mode", "no-cors").body(body.clone());
        match kind {
            Some(kind) => request.header("Content-Type", kind),
            None => request,
        }
    };
    for kind in [None, Some(""), Some(";"), Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        gateway.send(page(kind)).await.refused(400, "invalid_content_type");
    }
    let left = gateway.query("SELECT count(*) AS n FROM pay").await.ok();
    assert_eq!(left["data"], json!([{"n": 2000}]));
    // Programs need no declaration.
    let request = gateway.bare(Method::POST, "/query/sql").body(body.clone());
    gateway.send(request).await.ok();
}

#[tokio::test]
async fn estimates_tell_nothing_of_rows_behind_a_filter() {
    let plane = Plane::start(SQL).await;
    let (key, _) = plane
        .key(json!({"name": "one", "rights": ["*"], "row_filters": {"pay": [{"eq_column": "tenant", "eq_value": 1}]}}))
        .await;
    let (free, _) = plane.key(json!({"name": "all", "rights": ["*"]})).await;
    plane.policy("enforce").await;
    let count = async |key: &str, count: &str| {
        let body = json!({"table_name": "pay", "head": true, "count": count,
                          "conditions": [{"eq_column": "tenant", "eq_value": 2}]});
        let request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        plane.gateway.send(request.header("X-Athena-Key", key).json(&body)).await
    };
    for estimate in ["planned", "estimated"] {
        let refused = count(&key, estimate).await.refused(400, "invalid_field");
        assert_eq!(refused["details"]["field"], "count");
        count(&free, estimate).await.ok();
    }
    assert_eq!(count(&key, "exact").await.ok()["data"]["count"], 0);
}

#[tokio::test]
async fn casts_do_not_read_the_catalog() {
    let gateway = Gateway::with(SQL).await;
    for cast in ["regclass", "regrole", "REGPROC", "pg_catalog.regclass", "regclass[]", "regnamespace"] {
        for column in ["id", "note"] {
            let body = json!({"table_name": "pay", "columns": [format!("x:{column}::{cast}")], "limit": 1});
            let answer = gateway.fetch(&body.to_string()).await;
            answer.refused(400, "unsupported_select");
        }
    }
}

#[tokio::test]
async fn the_log_quotes_no_statement_and_no_value() {
    let plane = Plane::start(SQL).await;
    let send = async |id: &str, path: &str, body: serde_json::Value| {
        let request = plane.gateway.bare(Method::POST, path).header("X-Athena-Client", CLIENT);
        plane.gateway.send(request.header("X-Request-Id", id).json(&body)).await
    };
    for (id, path, body) in [
        ("quoted-1", "/gateway/query", json!({"query": "SELECT 'PATIENT'::int"})),
        ("quoted-2", "/gateway/query", json!({"query": "DO $$ BEGIN RAISE EXCEPTION 'PATIENT'; END $$"})),
        ("quoted-3", "/gateway/query", json!({"query": "SELECT 'PATIENT"})),
        (
            "quoted-4",
            "/gateway/fetch",
            json!({"table_name": "pay", "conditions": [{"eq_column": "id", "eq_value": "PATIENT"}]}),
        ),
    ] {
        let answer = send(id, path, body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let logged = "select request_id, message, details::text as details from gateway_operation_log \
                  where request_id like 'quoted-%' order by request_id";
    until("every operation is in", async || {
        control(&plane, logged).await.as_array().is_some_and(|rows| rows.len() >= 3)
    })
    .await;
    let rows = control(&plane, logged).await;
    assert!(!rows.to_string().contains("PATIENT"), "{rows}");
    assert!(rows[0]["message"].as_str().is_some_and(|code| !code.is_empty()), "the code stays: {rows}");
}

#[tokio::test]
async fn a_provisioned_database_is_shielded_at_once() {
    let plane = Plane::start(SQL).await;
    // Known, and known to keep no tables of a control database.
    plane.gateway.query("SELECT 1").await.ok();
    plane.admin(Method::POST, "/admin/provision", json!({"uri": plane.data.uri()})).await.ok();
    let change = plane.gateway.query("UPDATE api_key_config SET mode = 'off'").await;
    change.refused(403, "control_database_shielded");
}
