//! Circuit breakers: a database that is away is answered at once, and asked again when it is back.

use std::sync::Arc;
use std::time::Duration;

use athena_test_support::{Mode, TcpProxy, TestDatabase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway, SUPABASE_KEY_ENV};

const SQL: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one');";

const FETCH: &str = r#"{"table_name":"t","conditions":[{"eq_column":"id","eq_value":1}]}"#;

/// Options of the client whose database goes away.
const OPTIONS: &str = "&connect_timeout=1&circuit_breaker_threshold=3&circuit_breaker_timeout_secs=2\
                       &circuit_breaker_check_interval_secs=1";

/// Nobody waits long.
const SHORT: &str =
    "limits: {request_timeout_secs: 3, statement_timeout_secs: 2}\npool: {acquire_timeout_secs: 2}";

/// A gateway with one client behind a proxy, and `calm` straight at the same database.
async fn bench(yaml: &str) -> (TcpProxy, Gateway) {
    let database = TestDatabase::with(SQL).await;
    let proxy = database.proxied().await;
    let uri = format!("{}{OPTIONS}", proxy.uri());
    let mut gateway = Gateway::over(&[(CLIENT, &uri), ("calm", &database.uri())], yaml).await;
    for client in [CLIENT, "calm"] {
        fetch(&gateway, client).await.ok();
    }
    gateway.database = Some(database);
    (proxy, gateway)
}

async fn fetch(gateway: &Gateway, client: &str) -> Answer {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", client);
    gateway.send(request.header("Content-Type", "application/json").body(FETCH)).await
}

async fn admin(gateway: &Gateway, path: &str, body: Value) -> Answer {
    gateway.send(gateway.bare(Method::POST, path).bearer_auth(ADMIN_KEY).json(&body)).await
}

/// What operators are told of a client's breaker.
async fn breaker(gateway: &Gateway, client: &str) -> Value {
    let told = gateway.send(gateway.bare(Method::GET, "/readyz").bearer_auth(ADMIN_KEY)).await.ok();
    let clients = told["clients"].as_array().expect("clients").clone();
    let mut found = clients.into_iter().find(|known| known["client_name"] == client).expect("a client");
    found["circuit_breaker"].take()
}

/// Whether the database works on the statement.
async fn runs(gateway: &Gateway, statement: &str) -> bool {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                 AND query = $1";
    let request = gateway.bare(Method::POST, "/gateway/query").header("X-Athena-Client", "calm");
    let found = gateway.send(request.json(&json!({"query": query, "params": [statement]}))).await.ok();
    found["data"].as_array().is_some_and(|found| !found.is_empty())
}

#[track_caller]
fn turned_away(answer: &Answer, within: u64) {
    answer.refused(503, "circuit_open");
    let wait: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=within).contains(&wait), "{wait}");
}

/// How many of 25 requests fail, once the fault has ended.
async fn errors_of_25(gateway: &Gateway) -> usize {
    gateway.errors_of_25(FETCH, Duration::from_secs(60), &json!([{"id":1,"v":"one"}])).await
}

/// Roles and databases that nobody gets into, each for its own reason.
async fn shut(database: &TestDatabase) -> (String, String) {
    use sqlx::Connection as _;
    let (role, closed) = (format!("{}_nobody", database.name()), format!("{}_closed", database.name()));
    let mut connection = sqlx::PgConnection::connect(&database.uri()).await.expect("a connection");
    for sql in [
        format!("CREATE ROLE {role} NOLOGIN"),
        format!("CREATE DATABASE {closed}"),
        format!("ALTER DATABASE {closed} ALLOW_CONNECTIONS false"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("set up");
    }
    (role, closed)
}

#[tokio::test]
async fn what_keeps_a_database_away_is_told_by_its_class() {
    let database = TestDatabase::with(SQL).await;
    let (role, closed) = shut(&database).await;
    let at = |name: &str| database.uri().replacen(&format!("/{}", database.name()), &format!("/{name}"), 1);
    let away = [
        ("refused", "postgres://secret-host@127.0.0.1:1/d".to_owned(), "connection_refused"),
        ("unknown", "postgres://u@no-such-host.invalid/d".to_owned(), "unknown_host"),
        ("missing", at("no_such_database"), "unknown_database"),
        ("closed", at(&closed), "not_accepting_connections"),
        (
            "stranger",
            database.uri().replacen("://postgres@", &format!("://{role}@"), 1),
            "authentication_failed",
        ),
        ("rest", format!("postgrest+http://127.0.0.1:1?key_env={SUPABASE_KEY_ENV}"), "connection_refused"),
        ("nodes", "cql://127.0.0.1:1/k".to_owned(), "connection_refused"),
    ];
    let clients: Vec<_> = away.iter().map(|(name, uri, _)| (*name, uri.as_str())).collect();
    let gateway = Gateway::over(&clients, "gateway: {circuit_breaker_threshold: 2}").await;
    for (name, _, reason) in &away {
        let mut answers = Vec::new();
        for _ in 0..20 {
            let answer = fetch(&gateway, name).await;
            assert_eq!(answer.status, 503, "{name}: {}", answer.text);
            let body = answer.json();
            assert_eq!(body["details"]["reason"], *reason, "{name}: {}", answer.text);
            assert!(
                !answer.text.contains("127.0.0.1") && !answer.text.contains(".invalid"),
                "{}",
                answer.text
            );
            answers.push(body);
            if answers.last().is_some_and(|body| body["code"] == "circuit_open") {
                break;
            }
        }
        // Open, it knows still why, and says when it is tried next.
        let open = answers.last().expect("an answer");
        assert_eq!(open["code"], "circuit_open", "{name}");
        assert!(open["details"]["retry_after_secs"].as_u64().is_some_and(|wait| wait > 0), "{open}");
    }
    let told = gateway.send(gateway.bare(Method::GET, "/readyz").bearer_auth(ADMIN_KEY)).await.ok();
    for (name, _, _) in &away {
        let mut clients = told["clients"].as_array().expect("clients").iter();
        let client = clients.find(|client| client["client_name"] == *name).expect(name);
        assert!(client["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{client}");
    }
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(&database.uri()).await.expect("one");
    let drop = format!("DROP DATABASE {closed}; ");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await.expect("dropped");
    let drop = format!("DROP ROLE {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await.expect("dropped");
}

#[tokio::test]
async fn a_dead_database_is_answered_at_once_until_it_is_back() {
    let (proxy, gateway) = bench("").await;
    proxy.down().await;
    for _ in 0..3 {
        gateway.fetch(FETCH).await.refused(503, "connection_error");
    }
    let lines = |kind: &str| {
        let request = gateway.request(Method::POST, "/gateway/fetch").header("Accept", kind);
        gateway.send(request.header("Content-Type", "application/json").body(FETCH))
    };
    for answer in [
        gateway.fetch(FETCH).await,
        gateway.insert(r#"{"table_name":"t","insert_body":{"id":2}}"#).await,
        gateway
            .update(r#"{"table_name":"t","conditions":[{"eq_column":"id","eq_value":1}],"data":{"v":"x"}}"#)
            .await,
        gateway.delete(r#"{"table_name":"t","resource_id":"1"}"#).await,
        gateway.query("SELECT 1").await,
        gateway.raw(r#"{"query":"SELECT $1::int","params":[1],"read_only":true}"#).await,
        lines("application/x-ndjson").await,
        lines("text/csv").await,
    ] {
        turned_away(&answer, 2);
    }
    // What is known of the tables does not have to be read anew to refuse a name.
    gateway.fetch(r#"{"table_name":"nowhere"}"#).await.refused(400, "undefined_table");
    assert_eq!(breaker(&gateway, CLIENT).await["state"], "open");
    assert_eq!(breaker(&gateway, "calm").await["state"], "closed");
    let metrics = gateway.metrics().await.text;
    for line in [
        r#"athena_breaker_state{client="main"} 2"#,
        r#"athena_breaker_state{client="calm"} 0"#,
        r#"athena_breaker_openings_total{client="main"} 1"#,
        r#"athena_breaker_openings_total{client="calm"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let root = gateway.send(gateway.bare(Method::GET, "/")).await.ok();
    assert_eq!(root["circuit_breakers"], json!({"closed": 1, "half_open": 0, "open": 1}));
    // Everybody may ask whether requests are taken, and a database has no say in that.
    let ready = gateway.send(gateway.bare(Method::GET, "/readyz")).await.ok();
    assert_eq!(ready, json!({"status": "ok"}));
    let ready = gateway.bare(Method::GET, "/readyz").header("X-Athena-Key", "wrong");
    assert_eq!(gateway.send(ready).await.ok(), json!({"status": "ok"}));
    // For as long as it is away nobody but the checks finds out.
    let mut since = 0;
    while since < 30 {
        turned_away(&gateway.fetch(FETCH).await, 2);
        fetch(&gateway, "calm").await.ok();
        since += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
    assert_eq!(breaker(&gateway, CLIENT).await["openings"], 1);
}

#[tokio::test]
async fn a_silent_database_is_noticed_and_nobody_waits_beyond_the_deadline() {
    let (proxy, gateway) = bench(SHORT).await;
    let gateway = Arc::new(gateway);
    proxy.set(Mode::Blackhole).await;
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    // Ample for a machine that is busy, and far from for ever.
                    let within = Duration::from_secs(2 * 3);
                    let answer = tokio::time::timeout(within, gateway.fetch(FETCH)).await;
                    let answer = answer.expect("an answer within the deadline");
                    match answer.json()["code"].as_str() {
                        Some("query_canceled" | "connection_error" | "pool_timeout") => {}
                        Some("circuit_open") => return,
                        _ => panic!("{} {}", answer.status, answer.text),
                    }
                }
                panic!("the breaker does not open");
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller that is turned away");
    }
    fetch(&gateway, "calm").await.ok();
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn a_connection_that_is_reset_or_slow_costs_the_request_on_it_and_no_other() {
    let (proxy, gateway) = bench(SHORT).await;
    // One that broke while nobody used it is replaced.
    proxy.reset().await;
    fetch(&gateway, CLIENT).await.ok();
    for statement in ["SELECT pg_sleep(30)", "UPDATE t SET v = v WHERE pg_sleep(30) IS NOT NULL"] {
        // The database works on it, so that it is the statement that breaks off.
        let reset = async {
            while !runs(&gateway, statement).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            proxy.reset().await;
        };
        let (answer, ()) = tokio::join!(gateway.query(statement), reset);
        let broken = answer.refused(503, "connection_error");
        assert!(broken["hint"].as_str().unwrap().contains("may have been carried out"), "{broken}");
        fetch(&gateway, CLIENT).await.ok();
    }
    proxy.set(Mode::Trickle(Duration::from_millis(1))).await;
    assert_eq!(fetch(&gateway, CLIENT).await.rows(), json!([{"id": 1, "v": "one"}]));
    proxy.set(Mode::Trickle(Duration::from_secs(3600))).await;
    fetch(&gateway, CLIENT).await.refused(504, "query_canceled");
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
    assert_eq!(breaker(&gateway, CLIENT).await["openings"], 0);
}

#[tokio::test]
async fn a_statement_that_ends_its_own_session_takes_the_database_from_nobody() {
    let (_proxy, gateway) = bench("").await;
    for body in [
        r#"{"query":"select pg_terminate_backend(pg_backend_pid())"}"#,
        r#"{"query":"select pg_terminate_backend(pg_backend_pid())","read_only":true}"#,
    ] {
        for _ in 0..4 {
            gateway.raw(body).await.refused(503, "connection_error");
        }
    }
    let die = "CREATE FUNCTION die() RETURNS boolean LANGUAGE sql AS 'SELECT pg_terminate_backend(pg_backend_pid())'";
    gateway.query(die).await.ok();
    for body in [r#"{"function":"die"}"#, r#"{"function":"die","read_only":true}"#] {
        for _ in 0..4 {
            let call =
                gateway.bare(Method::POST, "/gateway/rpc").header("X-Athena-Client", CLIENT).body(body);
            gateway.send(call).await.refused(503, "connection_error");
        }
    }
    fetch(&gateway, CLIENT).await.ok();
    assert_eq!(breaker(&gateway, CLIENT).await["openings"], 0);
}

#[tokio::test]
async fn slow_and_wrong_statements_take_the_database_from_nobody() {
    let database = TestDatabase::with(SQL).await;
    let uri = format!("{}&statement_timeout_secs=1&circuit_breaker_threshold=2", database.uri());
    let uri = if uri.contains('?') { uri } else { uri.replacen('&', "?", 1) };
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    for _ in 0..4 {
        gateway.query("SELECT pg_sleep(30)").await.refused(504, "query_canceled");
        gateway.query("SELEC").await.refused(400, "syntax_error");
        // Code in the database that only talks like a server that is away or full.
        for code in ["08006", "53300", "57P01"] {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$");
            assert_eq!(gateway.query(&raise).await.status, 400, "{code}");
        }
    }
    let slow: Vec<_> = (0..4).map(|_| gateway.query("SELECT pg_sleep(30)")).collect();
    for answer in futures_util::future::join_all(slow).await {
        answer.refused(504, "query_canceled");
    }
    gateway.fetch(FETCH).await.ok();
    let told = breaker(&gateway, CLIENT).await;
    assert_eq!((&told["state"], &told["openings"]), (&json!("closed"), &json!(0)));
}

#[tokio::test]
async fn administrators_take_a_database_off_and_back() {
    let database = TestDatabase::with(SQL).await;
    let clients = [(CLIENT, database.uri()), ("broken", "${NOT_SET_ANYWHERE}".to_owned())];
    let gateway = Gateway::over(&clients.each_ref().map(|(name, uri)| (*name, uri.as_str())), "").await;
    let (offline, reset) = ("/admin/clients/MAIN/offline", "/admin/clients/main/reset-health");
    for path in [offline, reset] {
        let answer = gateway.send(gateway.bare(Method::POST, path).json(&json!({"for_secs": 600}))).await;
        answer.refused(401, "invalid_admin_key");
    }
    gateway.fetch(FETCH).await.ok();
    for body in [json!({}), json!({"for_secs": 0}), json!({"for_secs": 604_801}), json!({"for_secs": 1.5})] {
        assert_eq!(admin(&gateway, offline, body).await.status, 400);
    }
    let unknown = admin(&gateway, offline, json!({"for_secs": 1, "until": 2})).await;
    unknown.refused(400, "unknown_field");
    let nobody = admin(&gateway, "/admin/clients/nobody/offline", json!({"for_secs": 1})).await;
    nobody.refused(404, "not_found");
    let broken = admin(&gateway, "/admin/clients/broken/reset-health", json!({})).await;
    broken.refused(409, "client_not_served");
    gateway.fetch(FETCH).await.ok();
    let done = admin(&gateway, offline, json!({"for_secs": 600})).await.ok();
    assert_eq!(done["data"]["circuit_breaker"]["state"], "open");
    // The checks find the database well, which is not what this is about.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        turned_away(&gateway.fetch(FETCH).await, 600);
    }
    let listed = gateway.bare(Method::GET, "/admin/clients").bearer_auth(ADMIN_KEY);
    let listed = gateway.send(listed).await.ok();
    let runtime = listed["data"]["runtime"].as_array().expect("clients").clone();
    let main = runtime.iter().find(|client| client["client_name"] == CLIENT).expect("a client");
    assert_eq!(main["circuit_breaker"]["state"], "open");
    assert!(main["circuit_breaker"]["retry_after_secs"].as_u64().is_some_and(|wait| wait > 500));
    let done = admin(&gateway, reset, json!({})).await.ok();
    assert_eq!(done["data"]["circuit_breaker"]["state"], "closed");
    gateway.fetch(FETCH).await.ok();
}
