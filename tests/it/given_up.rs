//! Requests whose caller leaves: what they pay, and what is kept of them.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::enforcement::{Plane, ROUTES};
use crate::harness::CLIENT;
use crate::logs::{control, rows, until};
use crate::witness;

const SQL: &str =
    "CREATE TABLE things (id bigint PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one');
    CREATE VIEW slow AS SELECT n AS id, pg_sleep(3600)::text AS v FROM generate_series(1, 2) n;
    CREATE VIEW endless AS SELECT generate_series(1, 100000000) AS id, repeat('y', 1000) AS v;";

/// A gateway that asks for keys and tells of everything that takes a tenth of a second, and a key of this budget.
async fn plane(budget: Value) -> (Plane, String) {
    let plane = Plane::configured(SQL, "logging: {slow_query_ms: 100, flush_interval_ms: 20}").await;
    plane.policy("enforce").await;
    let (key, _) = plane.key(json!({"name": "k", "rights": ["gateway.read"], "budget": budget})).await;
    (plane, key)
}

/// The only row of this request in a log.
async fn only(plane: &Plane, table: &str, columns: &str, request: &str) -> Value {
    let sql = format!("SELECT {columns} FROM {table} WHERE request_id = '{request}'");
    until(table, async || control(plane, &sql).await != json!([])).await;
    let found = control(plane, &sql).await;
    let [row] = found.as_array().expect("rows").as_slice() else { panic!("{table}: {found}") };
    row.clone()
}

/// What the metrics say of this family and these labels; 0 when they say nothing.
async fn counted(plane: &Plane, name: &str) -> u64 {
    let text = plane.gateway.metrics().await.text;
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0, |number| number.parse().expect("a number"))
}

const OPERATIONS: &str = r#"athena_operation_seconds_count{client="main",operation="fetch"}"#;
const GIVEN_UP: &str =
    r#"athena_http_requests_total{client="main",method="POST",route="/gateway/fetch",status="499"}"#;
const BROKEN: &str = "athena_http_broken_answers_total";
const ROWS: &str = r#"athena_rows_total{client="main",operation="fetch"}"#;

#[tokio::test]
async fn who_leaves_pays_for_what_was_handed_out() {
    for part in ["rows_per_minute", "bytes_per_minute"] {
        let (plane, key) = plane(json!({ (part): 300 })).await;
        let headers = [("apikey", key.as_str()), ("Accept", "application/x-ndjson")];
        let mut caller = plane.gateway.fetch_unread(&headers, r#"{"table_name":"endless"}"#).await;
        let mut some = vec![0; 1 << 20];
        caller.read_exact(&mut some).await.unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200"));
        drop(caller);
        until("the next request is refused", async || {
            let next = plane.send(&ROUTES[0], CLIENT, Some(&key)).await;
            next.status == 429 && next.json()["details"]["part"] == part
        })
        .await;
    }
}

#[tokio::test]
async fn a_request_given_up_before_its_answer_is_told_once() {
    let (plane, key) = plane(json!({"concurrent": 1})).await;
    let before = counted(&plane, OPERATIONS).await;
    let headers = [("apikey", key.as_str()), ("X-Request-Id", "given-up-early")];
    let caller = plane.gateway.fetch_unread(&headers, r#"{"table_name":"slow"}"#).await;
    let sleeping = "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database() AND \
                    state = 'active' AND now() - query_start > interval '0.2 s' AND pid <> pg_backend_pid()";
    until("the statement runs", async || rows(&plane.data, sleeping).await != json!([])).await;
    drop(caller);
    let columns = "client, status_code, api_key_id IS NOT NULL AS known, api_key_auth_reason";
    let request = only(&plane, "gateway_request_log", columns, "given-up-early").await;
    let reason = "api_key_authenticated";
    let expected =
        json!({"client": "main", "status_code": 499, "known": true, "api_key_auth_reason": reason});
    assert_eq!(request, expected);
    let columns = "operation, table_name, client, status_code, error, message, details->>'error_code' AS code, \
                   duration_ms >= 200 AS measured";
    let operation = only(&plane, "gateway_operation_log", columns, "given-up-early").await;
    let expected = json!({
        "operation": "fetch", "table_name": "slow", "client": "main", "status_code": 499, "error": true,
        "message": "The request was given up before its answer began.", "code": "given_up", "measured": true,
    });
    assert_eq!(operation, expected);
    let columns = "failure_reason, required_rights, authenticated, authorized";
    let auth = only(&plane, "api_key_auth_log", columns, "given-up-early").await;
    let right = json!(["slow.read"]);
    let expected = json!({"failure_reason": reason, "required_rights": right, "authenticated": true, "authorized": true});
    assert_eq!(auth, expected);
    let counts = control(
        &plane,
        "SELECT total_operations AS n, error_operations AS bad FROM client_table_statistics WHERE table_name = 'slow'",
    );
    assert_eq!(counts.await, json!([{"n": 1, "bad": 1}]));
    let told = witness::lines("given-up-early").into_iter().filter(|line| line.contains("slow operation"));
    let told: Vec<String> = told.collect();
    let [line] = told.as_slice() else { panic!("{told:?}") };
    assert!(line.contains("status=499") && line.contains("pool_ms=0"), "{line}");
    assert_eq!(counted(&plane, GIVEN_UP).await, 1);
    assert_eq!(counted(&plane, OPERATIONS).await, before + 1);
    assert_eq!(counted(&plane, BROKEN).await, 0, "no answer had begun");
    // Its place is free again.
    assert_eq!(plane.send(&ROUTES[0], CLIENT, Some(&key)).await.status, 200);
}

#[tokio::test]
async fn a_request_given_up_in_the_middle_of_its_answer_is_told_once() {
    let (plane, key) = plane(json!(null)).await;
    let headers =
        [("apikey", key.as_str()), ("X-Request-Id", "given-up-late"), ("Accept", "application/x-ndjson")];
    let mut caller = plane.gateway.fetch_unread(&headers, r#"{"table_name":"endless"}"#).await;
    let mut some = vec![0; 1 << 20];
    caller.read_exact(&mut some).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    drop(caller);
    let request = only(&plane, "gateway_request_log", "client, status_code", "given-up-late").await;
    assert_eq!(request, json!({"client": "main", "status_code": 200}), "what the caller was told");
    let columns =
        "status_code, error, message, details->>'error_code' AS code, duration_ms >= 200 AS measured";
    let operation = only(&plane, "gateway_operation_log", columns, "given-up-late").await;
    let expected = json!({
        "status_code": 200, "error": false, "message": "The answer broke off before its end.",
        "code": "answer_broken", "measured": true,
    });
    assert_eq!(operation, expected);
    let auth = only(&plane, "api_key_auth_log", "failure_reason", "given-up-late").await;
    assert_eq!(auth, json!({"failure_reason": "api_key_authenticated"}));
    let told = witness::lines("given-up-late").into_iter().filter(|line| line.contains("slow operation"));
    let told: Vec<String> = told.collect();
    let [line] = told.as_slice() else { panic!("{told:?}") };
    assert!(line.contains("status=200") && !line.contains(" rows=0 "), "{line}");
    assert_eq!((counted(&plane, BROKEN).await, counted(&plane, GIVEN_UP).await), (1, 0));
    assert!(counted(&plane, ROWS).await >= 900, "rows that were handed out");
}
