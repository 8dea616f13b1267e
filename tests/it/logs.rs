//! What is kept of requests: logs, statistics, live callers.

use std::time::Duration;

use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};

use crate::enforcement::Plane;
use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};
use crate::witness;

const SQL: &str =
    "CREATE TABLE things (id bigint PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one');";

/// Rows of a query on the control database, read directly.
pub async fn control(plane: &Plane, sql: &str) -> Value {
    rows(&plane.control, sql).await
}

async fn connect(database: &TestDatabase) -> sqlx::PgConnection {
    use sqlx::Connection as _;
    sqlx::PgConnection::connect(&database.uri()).await.expect("a connection")
}

/// Rows of a query, read directly.
pub async fn rows(database: &TestDatabase, sql: &str) -> Value {
    let mut connection = connect(database).await;
    let sql = format!("SELECT coalesce(json_agg(row_to_json(found)), '[]')::text FROM ({sql}) found");
    let text: String =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("rows");
    serde_json::from_str(&text).expect("JSON")
}

/// Waits until the condition holds, ten seconds at most.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 10 s");
}

async fn fetch(plane: &Plane, body: Value, headers: &[(&str, &str)]) -> Answer {
    let mut request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    plane.gateway.send(request.json(&body)).await
}

#[tokio::test]
async fn successes_and_failures_are_counted_as_they_were_answered() {
    let plane = Plane::start(SQL).await;
    let before = plane.admin(Method::POST, "/admin/clients/statistics/refresh", json!(null)).await;
    assert_eq!(before.status, 200, "{}", before.text);
    // What starting the plane left behind is in the past.
    let statistics = async |refresh: bool| {
        if refresh {
            plane.admin(Method::POST, "/admin/clients/statistics/refresh", json!(null)).await.ok();
        }
        let answer = plane.admin(Method::GET, "/admin/clients/MAIN/statistics", json!(null)).await;
        answer.json()["data"].clone()
    };
    let count = |data: &Value, field: &str| data["statistics"][field].as_i64().unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(800)).await;
    let base = statistics(true).await;
    let (succeeding, failing) = (7, 4);
    for _ in 0..succeeding {
        assert_eq!(fetch(&plane, json!({"table_name": "things"}), &[]).await.status, 200);
    }
    for _ in 0..failing {
        assert_eq!(
            fetch(&plane, json!({"table_name": "things", "columns": ["nope"]}), &[]).await.status,
            400
        );
    }
    let total = succeeding + failing;
    until("the counts are in", async || {
        count(&statistics(false).await, "total_requests") - count(&base, "total_requests") == total
    })
    .await;
    for refresh in [false, true] {
        let now = statistics(refresh).await;
        let grown = |field| count(&now, field) - count(&base, field);
        assert_eq!(
            (grown("successful_requests"), grown("failed_requests")),
            (succeeding, failing),
            "{refresh}"
        );
        assert_eq!(grown("total_cached_requests"), 0);
        assert_eq!(grown("total_operations"), succeeding, "a refused plan is no operation");
        let tables = now["tables"].as_array().expect("tables");
        assert!(
            tables.iter().any(|table| table["table_name"] == "things" && table["operation"] == "fetch"),
            "{now}"
        );
    }
    let unknown = plane.admin(Method::GET, "/admin/clients/nobody/statistics", json!(null)).await;
    assert_eq!(unknown.refused(404, "not_found")["error"], "No statistics exist for 'nobody'.");
    let listed = plane.admin(Method::GET, "/admin/clients/statistics", json!(null)).await.ok();
    assert_eq!(listed["message"], "Listed client statistics");
}

#[tokio::test]
async fn a_request_leaves_its_true_trace_and_no_secret() {
    let plane = Plane::start(SQL).await;
    plane.policy("enforce").await;
    plane.admin(Method::PUT, "/admin/api-key-clients/athena_logging", json!({"mode": "off"})).await.ok();
    let made = plane.admin(Method::POST, "/admin/api-key-rights", json!({"name": "things.read"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (key, _) = plane.key(json!({"name": "k", "rights": ["things.read"]})).await;
    let secret = key.split_once('.').expect("a dot").1.to_owned();
    let headers = [
        ("X-Athena-Key", key.as_str()),
        ("X-Request-Id", "trace-1"),
        ("X-User-Id", "u1"),
        ("User-Agent", "agent"),
        ("Cookie", "secret-marker"),
        ("X-Supabase-Key", "secret-marker"),
    ];
    assert_eq!(fetch(&plane, json!({"table_name": "things"}), &headers).await.status, 200);
    let refused = [("X-Athena-Key", "ath_0123456789abcdef.secret-marker"), ("X-Request-Id", "trace-2")];
    assert_eq!(fetch(&plane, json!({"table_name": "things"}), &refused).await.status, 401);
    let lacking = [("X-Athena-Key", key.as_str()), ("X-Request-Id", "trace-3")];
    let request = plane
        .gateway
        .bare(Method::DELETE, "/gateway/delete?api_key=secret-marker")
        .header("X-Athena-Client", CLIENT);
    let request = lacking.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = plane.gateway.send(request.json(&json!({"table_name": "things", "resource_id": "1"}))).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    until("three requests are in", async || {
        control(&plane, "select count(*) as n from gateway_request_log where request_id like 'trace-%'").await
            [0]["n"]
            == 3
    })
    .await;
    let rows = control(
        &plane,
        "select request_id, client, method, path, query_string, status_code, user_id, user_agent, ipv4, api_key_authenticated, \
         api_key_authorized, api_key_enforced, api_key_auth_reason, cached from gateway_request_log \
         where request_id like 'trace-%' order by request_id",
    )
    .await;
    assert_eq!(rows[0]["status_code"], 200, "{rows}");
    assert_eq!(
        (&rows[0]["client"], &rows[0]["user_id"], &rows[0]["user_agent"]),
        (&json!("main"), &json!("u1"), &json!("agent"))
    );
    assert_eq!(
        (&rows[0]["api_key_auth_reason"], &rows[0]["ipv4"]),
        (&json!("api_key_authenticated"), &json!("127.0.0.1"))
    );
    assert_eq!(
        (&rows[1]["status_code"], &rows[1]["api_key_auth_reason"]),
        (&json!(401), &json!("unknown_api_key"))
    );
    assert_eq!(
        (&rows[2]["status_code"], &rows[2]["api_key_auth_reason"]),
        (&json!(403), &json!("missing_api_key_rights"))
    );
    assert_eq!(rows[2]["query_string"], "api_key=[REDACTED]");
    let reasons = control(
        &plane,
        "select request_id, failure_reason, required_rights, authenticated, authorized, enforced from api_key_auth_log \
         where request_id like 'trace-%' order by request_id",
    )
    .await;
    assert_eq!(reasons[0]["required_rights"], json!(["things.read"]), "{reasons}");
    assert_eq!(reasons[2]["required_rights"], json!(["things.delete"]));
    assert_eq!((&reasons[2]["authenticated"], &reasons[2]["authorized"]), (&json!(true), &json!(false)));
    let live = control(
        &plane,
        "select total_hits, api_key_authenticated from gateway_connection_registry_realtime \
                                where client_name = 'main' and api_key_authenticated",
    )
    .await;
    assert_eq!(live.as_array().map(Vec::len), Some(1), "one caller, one row: {live}");
    let used =
        control(&plane, "select last_used_at is not null as used from api_keys where name = 'k'").await;
    assert_eq!(used[0]["used"], true);
    for table in [
        "gateway_request_log",
        "gateway_operation_log",
        "api_key_auth_log",
        "gateway_connection_registry_realtime",
        "client_statistics",
        "api_keys",
        "athena_clients",
    ] {
        let text = control(&plane, &format!("select t::text as t from {table} t")).await.to_string();
        assert!(!text.contains("secret-marker") && !text.contains(&secret), "{table}: {text}");
    }
}

#[tokio::test]
async fn what_only_the_database_finds_out_of_scope_is_logged_as_refused() {
    // The row's owner is the database's doing, so no plan can know it.
    let plane =
        Plane::start("CREATE TABLE things (id bigint PRIMARY KEY, owner text DEFAULT 'other');").await;
    plane.policy("enforce").await;
    let filters = json!({"things": [{"eq_column": "owner", "eq_value": "me"}]});
    let (key, _) = plane.key(json!({"name": "k", "rights": ["*"], "row_filters": filters})).await;
    let request = plane.gateway.bare(Method::PUT, "/gateway/insert").header("X-Athena-Client", CLIENT);
    let request = request.header("apikey", &key).header("X-Request-Id", "row-out-of-scope");
    let body = json!({"table_name": "things", "insert_body": {"id": 1}});
    plane.gateway.send(request.json(&body)).await.refused(403, "api_key_row_out_of_scope");
    let sql = "SELECT authenticated, authorized, failure_reason FROM api_key_auth_log \
               WHERE request_id = 'row-out-of-scope'";
    until("the refusal is logged", async || control(&plane, sql).await != json!([])).await;
    let expected =
        json!([{"authenticated": true, "authorized": false, "failure_reason": "api_key_row_out_of_scope"}]);
    assert_eq!(control(&plane, sql).await, expected);
}

#[tokio::test]
async fn slow_operations_are_told_with_where_the_time_went_and_no_value() {
    let sql = "CREATE TABLE things (id bigint PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one'); \
               CREATE VIEW late AS SELECT id, name, pg_sleep(0.2)::text AS slept FROM things;";
    let plane = Plane::configured(sql, "logging: {slow_query_ms: 100}").await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (table, id) in [("late", "slow-one"), ("things", "quick-one")] {
        let body = json!({"table_name": table, "conditions": [{"eq_column": "name", "eq_value": "one"}]});
        let headers = [("X-Request-Id", id), ("traceparent", trace)];
        assert_eq!(fetch(&plane, body, &headers).await.rows()[0]["id"], 1);
    }
    let told = |id: &str| {
        let mut lines = witness::lines("slow operation");
        lines.retain(|line| line.contains(id));
        lines
    };
    until("the slow one is told", async || !told("slow-one").is_empty()).await;
    let lines = told("slow-one");
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    for field in [
        "WARN",
        r#"trace_id="0af7651916cd43dd8448eb211c80319c""#,
        r#"route="/gateway/fetch""#,
        r#"client="Main""#,
        r#"operation="fetch""#,
        r#"table="late""#,
        "rows=1",
        "status=200",
        "decode_ms=0",
        "auth_ms=0",
        "plan_ms=",
        "pool_ms=",
        "shape_ms=",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    let millis = |field: &str| -> u64 {
        let (_, rest) = line.split_once(&format!("{field}=")).unwrap_or_else(|| panic!("{field} in {line}"));
        rest.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    };
    assert!(millis("duration_ms") >= 200 && millis("db_ms") >= 200, "{line}");
    assert!(!line.contains("'one'") && !line.contains("SELECT") && !line.contains("eq_value"), "{line}");
    assert!(told("quick-one").is_empty());
}

#[tokio::test]
async fn how_full_the_pools_are_is_noted_every_so_often() {
    let plane = Plane::configured(SQL, "pool: {monitor_interval_secs: 1, max_connections: 7}").await;
    assert_eq!(fetch(&plane, json!({"table_name": "things"}), &[]).await.status, 200);
    let sql = "SELECT client_name, host <> '' AS host, pool_size, idle_connections, active_connections, max_connections \
               FROM client_connections WHERE client_name = 'main' AND pool_size > 0";
    until("a sample is there", async || control(&plane, sql).await != json!([])).await;
    let sample = &control(&plane, sql).await[0];
    assert_eq!((&sample["max_connections"], &sample["host"]), (&json!(7), &json!(true)), "{sample}");
    let number = |field: &str| sample[field].as_i64().expect("a number");
    assert_eq!(number("idle_connections") + number("active_connections"), number("pool_size"), "{sample}");
    let gateways = async || {
        let sql = "SELECT count(DISTINCT instance_id) AS n FROM client_connections WHERE client_name = 'athena_logging'";
        control(&plane, sql).await[0]["n"].clone()
    };
    assert_eq!(gateways().await, 1);
    let _sibling = plane.sibling("pool: {monitor_interval_secs: 1}").await;
    until("the other gateway notes its own", async || gateways().await == 2).await;
}

#[tokio::test]
async fn what_belongs_to_keys_is_written_where_the_keys_are() {
    let (data, logging, auth) =
        (TestDatabase::with(SQL).await, TestDatabase::fresh().await, TestDatabase::fresh().await);
    let uris = [(CLIENT, data.uri()), ("athena_logging", logging.uri()), ("keys", auth.uri())];
    let clients: Vec<(&str, &str)> = uris.iter().map(|(name, uri)| (*name, uri.as_str())).collect();
    let yaml = "gateway: {logging_client: athena_logging, auth_client: keys, require_audit_headers: lenient}";
    let gateway = Gateway::over(&clients, yaml).await;
    let admin = async |method: Method, path: &str, body: Value| {
        gateway.send(gateway.bare(method, path).header("X-Athena-Key", ADMIN_KEY).json(&body)).await
    };
    until("the keys can be administered", async || {
        admin(Method::PUT, "/admin/api-key-config", json!({"mode": "enforce"})).await.status == 200
    })
    .await;
    let made = admin(Method::POST, "/admin/api-keys", json!({"name": "k", "rights": ["*"]})).await.json();
    // A key of the same number in the other database is another key.
    until("the other database is migrated", async || {
        rows(&logging, "SELECT to_regclass('api_keys') IS NOT NULL AS there").await[0]["there"] == true
    })
    .await;
    let key =
        "INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('other', 'other', 's', 'h')";
    sqlx::query(key).execute(&mut connect(&logging).await).await.expect("a key");
    until("the catalog is read", async || {
        let bare = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        gateway.send(bare.json(&json!({"table_name": "things"}))).await.status == 401
            && gateway.send(gateway.bare(Method::GET, "/admin/clients").bearer_auth(ADMIN_KEY)).await.json()["data"]
                ["clients"][0]["source"]
                == "config"
    })
    .await;
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    let request = request.header("apikey", made["data"]["api_key"].as_str().expect("a credential"));
    let request = request.header("X-Request-Id", "elsewhere").json(&json!({"table_name": "things"}));
    gateway.send(request).await.ok();
    let logged = async |database: &TestDatabase, table: &str| {
        let sql = format!("SELECT count(*) AS n FROM {table} WHERE request_id = 'elsewhere'");
        rows(database, &sql).await[0]["n"].as_i64().expect("a number")
    };
    until("both have their part", async || {
        logged(&auth, "api_key_auth_log").await == 1 && logged(&logging, "gateway_request_log").await == 1
    })
    .await;
    assert_eq!(logged(&logging, "api_key_auth_log").await, 0);
    assert_eq!(logged(&auth, "gateway_request_log").await, 0);
    assert_eq!(logged(&logging, "gateway_operation_log").await, 1);
    let sql = "SELECT api_key_id IS NOT NULL AS known FROM api_key_auth_log WHERE request_id = 'elsewhere'";
    assert_eq!(rows(&auth, sql).await, json!([{"known": true}]));
    let used = "SELECT count(*) AS n FROM api_keys WHERE last_used_at IS NOT NULL";
    assert_eq!(
        (&rows(&auth, used).await[0]["n"], &rows(&logging, used).await[0]["n"]),
        (&json!(1), &json!(0))
    );
}
