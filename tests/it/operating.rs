//! Operating the gateway over HTTP: metrics, provisioning, and that every operation asks for what it needs.

use std::time::Duration;

use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use crate::enforcement::{Plane, ROUTES};
use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};
use crate::logs::{rows, until};

const SQL: &str =
    "CREATE TABLE things (id bigint PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'one');";

#[tokio::test]
async fn metrics_count_what_was_asked() {
    let plane = Plane::start(SQL).await;
    plane.policy("enforce").await;
    plane.admin(Method::PUT, "/admin/api-key-clients/athena_logging", json!({"mode": "warn"})).await.ok();
    for _ in 0..5 {
        assert_eq!(plane.send(&ROUTES[0], CLIENT, None).await.status, 401);
    }
    for name in ["made-up-a", "made-up-b"] {
        assert_eq!(plane.send(&ROUTES[0], name, Some("secret-marker")).await.status, 401);
    }
    let warned =
        plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "athena_logging");
    plane.gateway.send(warned.json(&json!({"table_name": "gateway_request_log"}))).await.ok();
    let shut = plane.gateway.send(plane.gateway.bare(Method::GET, "/metrics")).await;
    shut.refused(401, "invalid_admin_key");
    let metrics = plane.gateway.metrics().await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let has = |line: &str| {
        assert!(metrics.text.lines().any(|found| found.starts_with(line)), "{line} in\n{}", metrics.text)
    };
    has(r#"athena_http_requests_total{client="main",method="POST",route="/gateway/fetch",status="401"} 5"#);
    has(r#"athena_http_requests_total{client="",method="POST",route="/gateway/fetch",status="401"} 2"#);
    has(r#"athena_http_request_seconds_count{client="main",route="/gateway/fetch",status="4xx"} 5"#);
    has(
        r#"athena_http_requests_total{client="",method="PUT",route="/admin/api-key-clients/{client_name}",status="200"} 1"#,
    );
    has(r#"athena_auth_refusals_total{client="main",reason="missing_api_key"} 5"#);
    has(r#"athena_auth_would_refuse_total{client="athena_logging",reason="missing_api_key"} 1"#);
    has(r#"athena_pool_connected{client="athena_logging"} 1"#);
    has(r#"athena_pool_max{client="main"} 50"#);
    for gauge in ["pool_open", "pool_idle", "pool_waiting", "bulkhead_queued"] {
        has(&format!("athena_{gauge}{{client=\"main\"}} "));
    }
    has("athena_log_dropped_queue_total 0");
    has("athena_log_dropped_spool_total 0");
    has("process_resident_memory_bytes ");
    has("process_cpu_seconds_total ");
    has("athena_http_requests_in_flight 1");
    has("athena_api_keys ");
    for hidden in ["made-up", "secret-marker", ADMIN_KEY] {
        assert!(!metrics.text.contains(hidden), "{hidden}");
    }
}

/// The number of a series whose line begins so.
fn number(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{series} in\n{metrics}"))
}

#[tokio::test]
async fn caches_tell_what_they_were_good_for() {
    let database = TestDatabase::with(SQL).await;
    let gateway = Gateway::over(&[(CLIENT, &database.uri())], "").await;
    let series = [
        r#"athena_cache_requests_total{cache="schema",result="hit"}"#,
        r#"athena_cache_requests_total{cache="schema",result="miss"}"#,
        r#"athena_cache_entries{cache="schema"}"#,
    ];
    let told = async || {
        let metrics = gateway.metrics().await.text;
        series.map(|series| number(&metrics, series))
    };
    assert_eq!(told().await, [0, 0, 0]);
    let fetch = async || {
        let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        gateway.send(request.json(&json!({"table_name": "things"}))).await.ok();
    };
    fetch().await;
    assert_eq!(told().await, [0, 1, 1], "the first request reads the schema");
    fetch().await;
    assert_eq!(told().await, [1, 1, 1], "the second one finds it");
    // Nobody has asked a database for control tables.
    let metrics = gateway.metrics().await.text;
    assert_eq!(number(&metrics, r#"athena_cache_entries{cache="control_tables"}"#), 0);
}

/// Milliseconds of a stage, as `Server-Timing` tells them.
fn stage(answer: &Answer, name: &str) -> f64 {
    let told = answer.header("server-timing").expect("a header");
    let stage = told.split(", ").find_map(|stage| stage.strip_prefix(name)?.strip_prefix(";dur="));
    stage.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} in {told}"))
}

#[tokio::test]
async fn a_wait_in_vain_is_told_as_a_wait() {
    let database = TestDatabase::with(&format!(
        "{SQL} CREATE VIEW slow AS SELECT id, pg_sleep(3)::text AS v FROM things;"
    ))
    .await;
    let uri = database.uri();
    let joined = if uri.contains('?') { '&' } else { '?' };
    let bulkhead = format!("{uri}{joined}max_concurrent=1&queue_wait_ms=500");
    let pool = format!("{uri}{joined}max_concurrent=9&max_connections=1&acquire_timeout_secs=1");
    let gateway = Gateway::over(&[("queued", &bulkhead), ("pooled", &pool)], "").await;
    let ask = async |client: &str, path: &str, body: Value| {
        let request = gateway.bare(Method::POST, path).header("X-Athena-Client", client);
        gateway.send(request.header("X-Athena-Timing", "true").json(&body)).await
    };
    let fetch = |table: &str| ("/gateway/fetch", json!({ "table_name": table }));
    let query = |sql: &str| ("/gateway/query", json!({ "query": sql }));
    let cases = [
        ("queued", fetch("slow"), fetch("things"), 500.0),
        ("pooled", fetch("slow"), fetch("things"), 1000.0),
        // Raw queries have connections of their own.
        ("pooled", query("select pg_sleep(3)"), query("select 1"), 1000.0),
    ];
    for (client, (slow_path, slow), (path, body), wait) in cases {
        // What is known of the database is read before.
        ask(client, "/gateway/fetch", json!({"table_name": "things"})).await.ok();
        let busy = ask(client, slow_path, slow);
        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ask(client, path, body).await
        };
        let (busy, late) = tokio::join!(busy, late);
        busy.ok();
        late.refused(503, "pool_timeout");
        let (pool, db) = (stage(&late, "pool"), stage(&late, "db"));
        assert!(pool >= wait && db < pool / 2.0, "{client} {path}: pool {pool}, db {db}");
        assert!(stage(&busy, "db") > stage(&busy, "pool"), "{client} {path}");
    }
    let metrics = gateway.metrics().await.text;
    let sums = metrics.lines().filter_map(|line| line.strip_prefix("athena_pool_wait_seconds_sum{client="));
    let waited: f64 = sums.map(|sum| sum.rsplit(' ').next().unwrap().parse::<f64>().expect("a number")).sum();
    assert!(waited >= 2.5, "{waited} in {metrics}");
}

#[tokio::test]
async fn a_database_is_provisioned_and_registered() {
    let (plane, fresh) = (Plane::start(SQL).await, TestDatabase::fresh().await);
    let status = async |name: &str| {
        plane.admin(Method::GET, &format!("/admin/provision/status?client_name={name}"), json!(null)).await
    };
    let before = status("main").await.ok()["data"].clone();
    assert_eq!((&before["provisioned"], &before["present_tables"]), (&json!(false), &json!([])));
    let body = json!({"uri": fresh.uri(), "register": true, "register_name": "Fresh"});
    let done = plane.admin(Method::POST, "/admin/provision", body.clone()).await.ok();
    assert_eq!((&done["data"]["client"], &done["data"]["registered"]), (&json!("Fresh"), &json!("Fresh")));
    let statements = done["data"]["statements_executed"].as_u64().expect("a number");
    assert_eq!(done["message"], format!("Provisioned {statements} statements"));
    assert_eq!(status("fresh").await.ok()["data"]["missing_tables"], json!([]));
    let again = plane.admin(Method::POST, "/admin/provision", json!({"client_name": "FRESH"})).await.ok();
    assert_eq!(again["data"]["client"], "FRESH");
    plane.admin(Method::POST, "/admin/provision", body).await.refused(409, "unique_violation");
    let check = async |body: Value, message: &str| {
        let answer = plane.admin(Method::POST, "/admin/provision", body.clone()).await;
        assert_eq!(
            (answer.status, &answer.json()["message"]),
            (400, &json!(message)),
            "{body}: {}",
            answer.text
        );
    };
    check(json!({}), "Missing target").await;
    check(json!({"uri": "x", "client_name": "y"}), "Ambiguous target").await;
    check(json!({"client_name": "nobody"}), "Unknown client").await;
    check(json!({"uri": "mysql://h/d"}), "Provisioning failed").await;
    let down = json!({"uri": "postgres://me:secret-marker@127.0.0.1:1/none"});
    let failed = plane.admin(Method::POST, "/admin/provision", down).await;
    assert_eq!(failed.refused(500, "provisioning_failed")["message"], "Provisioning failed");
    assert!(!failed.text.contains("secret-marker"));
}

/// Operations that ask for nobody's key.
const OPEN: [&str; 10] = [
    "/",
    "/ping",
    "/livez",
    "/health",
    "/readyz",
    "/ready",
    "/docs",
    "/reference",
    "/openapi.yaml",
    "/openapi-wss.yaml",
];

/// An operation of the gateway's own document.
pub struct Operation {
    pub method: Method,
    /// As the document has it.
    pub path: String,
    /// The schemes of its credentials, each with the rights that it demands.
    schemes: Vec<(String, Vec<String>)>,
}

impl Operation {
    /// The path with something for every parameter.
    pub fn filled(&self) -> String {
        self.path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{client_name}", "x")
    }
}

/// Every operation that the gateway offers.
pub async fn operations(gateway: &Gateway) -> Vec<Operation> {
    let text = gateway.send(gateway.bare(Method::GET, "/openapi.yaml")).await.text;
    let document = YamlLoader::load_from_str(&text).expect("YAML").remove(0);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_hash().expect("paths") {
        for (method, operation) in methods.as_hash().expect("methods") {
            let texts = |list: &Yaml| {
                list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned).collect()
            };
            let schemes = operation["security"].as_vec().into_iter().flatten().filter_map(Yaml::as_hash);
            let schemes = schemes
                .flatten()
                .map(|(name, rights)| (name.as_str().expect("a scheme").to_owned(), texts(rights)));
            operations.push(Operation {
                method: method.as_str().expect("a method").to_uppercase().parse().expect("a method"),
                path: path.as_str().expect("a path").to_owned(),
                schemes: schemes.collect(),
            });
        }
    }
    operations
}

#[tokio::test]
async fn without_an_admin_key_nobody_is_an_operator() {
    let gateway = Gateway::within(&[("ATHENA_KEY_12", "")], &[], "").await;
    let mut tried = 0;
    for operation in operations(&gateway).await {
        if operation.schemes.iter().all(|(scheme, _)| scheme != "AdminKey") {
            continue;
        }
        for key in [None, Some(""), Some("anything")] {
            let request = gateway.bare(operation.method.clone(), &operation.filled()).body("{}");
            let request = match key {
                Some(key) => request.header("X-Athena-Key", key),
                None => request,
            };
            gateway.send(request).await.refused(503, "admin_key_not_configured");
        }
        tried += 1;
    }
    assert!(tried >= 25, "{tried}");
}

#[tokio::test]
async fn every_operation_says_what_it_needs_and_refuses_without() {
    let plane = Plane::start(SQL).await;
    plane.policy("enforce").await;
    let (powerless, _) = plane.key(json!({"name": "powerless"})).await;
    let (mut admin, mut gateway) = (0, 0);
    for operation in operations(&plane.gateway).await {
        let Operation { method, path, schemes } = &operation;
        let bare = || plane.gateway.bare(method.clone(), &operation.filled());
        if OPEN.contains(&path.as_str()) {
            assert!(schemes.is_empty(), "{method} {path} is open and declares {schemes:?}");
            continue;
        }
        let [(scheme, rights)] = &schemes[..] else {
            panic!("{method} {path} declares {schemes:?} and is not known to be open");
        };
        match scheme.as_str() {
            "AdminKey" => {
                admin += 1;
                for request in [
                    bare(),
                    bare().header("X-Athena-Key", "wrong"),
                    bare().header("X-Athena-Key", &powerless),
                ] {
                    let answer = plane.gateway.send(request.body("{}")).await;
                    assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
                }
            }
            "ApiKey" => {
                gateway += 1;
                let route = ROUTES
                    .iter()
                    .find(|route| route.is(path))
                    .unwrap_or_else(|| panic!("{path} is not tried"));
                assert_eq!(plane.send(route, CLIENT, None).await.status, 401, "{path}");
                let denied = plane.send(route, CLIENT, Some(&powerless)).await;
                assert_eq!(denied.status, 403, "{path}");
                let needed = rights.first().expect("a right").replace("{table}", "things");
                assert_eq!(denied.json()["error"], format!("Missing required rights: {needed}"), "{path}");
            }
            other => panic!("{method} {path} declares {other}"),
        }
    }
    assert_eq!(gateway, ROUTES.len());
    assert!(admin >= 25, "{admin}");
}

#[tokio::test]
async fn callers_are_live_as_long_as_the_configuration_says() {
    let variables = [
        ("ATHENA_REALTIME_REGISTRY_INACTIVE_AFTER_SECS", "3"),
        ("ATHENA_REALTIME_REGISTRY_PURGE_INTERVAL_SECS", "1"),
    ];
    let (data, store) = (TestDatabase::with(SQL).await, TestDatabase::fresh().await);
    let clients = [(CLIENT, data.uri()), ("athena_logging", store.uri())];
    let clients = clients.each_ref().map(|(name, uri)| (*name, uri.as_str()));
    let yaml = "gateway: {logging_client: athena_logging, require_audit_headers: lenient}\n\
                logging: {flush_interval_ms: 300}";
    let gateway = Gateway::within(&variables, &clients, yaml).await;
    let hits = async || {
        let sql = format!(
            "SELECT total_hits FROM gateway_connection_registry_realtime WHERE client_name = '{}'",
            CLIENT.to_lowercase()
        );
        rows(&store, &sql).await
    };
    let fetch = async || {
        let fetch = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        gateway.send(fetch.json(&json!({"table_name": "things"}))).await.status
    };
    // Nobody gets in before the keys are read.
    until("the control database is read", async || fetch().await == 200).await;
    assert_eq!(fetch().await, 200);
    // The requests of one caller are one row, which goes when nothing more comes.
    let counted = async || {
        let rows = hits().await;
        rows.as_array().is_some_and(|rows| rows.len() == 1) && rows[0]["total_hits"].as_i64() >= Some(2)
    };
    until("both requests are counted", counted).await;
    until("the caller is gone", async || hits().await == json!([])).await;
}
