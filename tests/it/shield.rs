//! The tables that decide about callers, by whichever way they are reached.

use athena_test_support::{Fault, Postgrest, Reply, TestDatabase};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::enforcement::Plane;
use crate::harness::{Answer, SUPABASE_KEY, SUPABASE_KEY_ENV};

/// A table of a caller's own that happens to have the name of one of ours.
const OWN: &str = "CREATE TABLE api_keys (id int); INSERT INTO api_keys VALUES (7)";

const INSECURE: &str = "gateway: {supabase_allowed_hosts: '127.0.0.1', supabase_allow_insecure: true, \
     logging_client: athena_logging, require_audit_headers: lenient}";

async fn send(plane: &Plane, client: &str, key: Option<&str>, path: &str, body: Value) -> Answer {
    let method = if path.ends_with("insert") { Method::PUT } else { Method::POST };
    let mut request = plane.gateway.bare(method, path).header("X-Athena-Client", client);
    if let Some(key) = key {
        request = request.header("apikey", key);
    }
    plane.gateway.send(request.json(&body)).await
}

async fn fetch(plane: &Plane, client: &str, table: &str) -> Answer {
    send(plane, client, None, "/gateway/fetch", json!({ "table_name": table })).await
}

async fn add(plane: &Plane, client: &str, uri: &str) {
    let body = json!({"client_name": client, "pg_uri": uri});
    let added = plane.admin(Method::POST, "/admin/clients", body).await;
    assert_eq!(added.status, 201, "{}", added.text);
}

fn rest(server: &Postgrest) -> String {
    format!("supabase+http://{}?key_env={SUPABASE_KEY_ENV}", server.address())
}

#[tokio::test]
async fn another_address_of_the_control_database_leads_no_further() {
    let plane = Plane::start(OWN).await;
    let (free, _) = plane.key(json!({"name": "free", "rights": ["*"]})).await;
    let (bound, _) = plane.key(json!({"name": "bound", "rights": ["*"], "clients": ["alias"]})).await;
    // Another port of another host, as far as anybody can read.
    let proxy = plane.control.proxied().await;
    add(&plane, "alias", proxy.uri()).await;
    for mode in ["off", "enforce"] {
        plane.policy(mode).await;
        for (path, body) in [
            ("/gateway/fetch", json!({"table_name": "api_keys"})),
            ("/gateway/fetch", json!({"table_name": "public.athena_clients", "columns": ["pg_uri"]})),
            (
                "/gateway/insert",
                json!({"table_name": "api_key_rights", "insert_body": {"name": "mine.read"}}),
            ),
            ("/gateway/query", json!({"query": "select * from api_keys"})),
            ("/query/sql", json!({"query": "select 1", "driver": "native", "db_name": "x"})),
        ] {
            let answer = send(&plane, "alias", Some(&free), path, body).await;
            answer.refused(403, "control_database_shielded");
        }
        let read =
            send(&plane, "alias", Some(&free), "/gateway/fetch", json!({"table_name": "query_history"}))
                .await;
        assert_eq!(read.status, 200, "{}", read.text);
    }
    let query = json!({"query": "select count(*) from api_keys"});
    assert_eq!(send(&plane, "alias", Some(&bound), "/gateway/query", query).await.status, 200);
    // A name alone shuts nobody out.
    plane.policy("off").await;
    assert_eq!(fetch(&plane, "main", "api_keys").await.rows(), json!([{"id": 7}]));
}

/// What shows a closed table under another name, and what nobody can follow; then what is as open as ever.
const BESIDE: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.things (id int PRIMARY KEY, note text);
    INSERT INTO app.things VALUES (1, 'a');
    CREATE VIEW app.plain AS SELECT id, upper(note) AS note FROM app.things;
    CREATE MATERIALIZED VIEW app.kept AS SELECT * FROM app.plain;
    CREATE TABLE app.measured (id int, day date) PARTITION BY RANGE (day);
    CREATE TABLE app.measured_all PARTITION OF app.measured DEFAULT;

    CREATE VIEW app.names AS SELECT name, key_hash FROM public.api_keys;
    CREATE VIEW app.over_names AS SELECT n.name FROM app.names n JOIN app.things t ON true;
    CREATE MATERIALIZED VIEW app.kept_names AS SELECT * FROM app.over_names;
    CREATE VIEW app.by_condition AS SELECT t.id FROM app.things t WHERE EXISTS (SELECT FROM public.athena_clients);
    CREATE TABLE app.heir () INHERITS (public.api_keys);
    CREATE TABLE app.above (name text NOT NULL);
    ALTER TABLE public.api_keys INHERIT app.above;
    CREATE FUNCTION app.secrets() RETURNS SETOF public.api_keys LANGUAGE sql AS 'SELECT * FROM public.api_keys';
    CREATE VIEW app.by_function AS SELECT name FROM app.secrets();
    CREATE FUNCTION app.secret(int, int) RETURNS text LANGUAGE sql AS 'SELECT min(key_hash) FROM public.api_keys';
    CREATE OPERATOR app.@@@ (FUNCTION = app.secret, LEFTARG = int, RIGHTARG = int);
    CREATE VIEW app.by_operator AS SELECT 1 OPERATOR(app.@@@) 2 AS secret;
    CREATE VIEW app.by_text AS SELECT query_to_xml('SELECT * FROM api_keys', true, true, '')::text AS all;
    CREATE VIEW app.by_statistics AS SELECT tablename, most_common_vals::text AS vals FROM pg_stats;
    CREATE FOREIGN DATA WRAPPER nowhere;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
    CREATE FOREIGN TABLE app.foreign_keys (name text) SERVER elsewhere;
    CREATE TABLE app.inbox (name text);
    CREATE RULE forward AS ON INSERT TO app.inbox DO ALSO
        INSERT INTO public.api_key_rights (name) VALUES (NEW.name);

    CREATE VIEW app.requests AS SELECT request_id, client FROM public.gateway_request_log;
    CREATE VIEW app.notes AS SELECT id, name, query FROM public.saved_queries";

#[tokio::test]
async fn another_name_of_a_table_of_the_control_database_leads_no_further() {
    let plane = Plane::start(OWN).await;
    let mut control = sqlx::PgConnection::connect(&plane.control.uri()).await.expect("a connection");
    sqlx::raw_sql(BESIDE).execute(&mut control).await.expect("other names");
    let (free, _) = plane.key(json!({"name": "free", "rights": ["*"]})).await;
    let (bound, _) =
        plane.key(json!({"name": "bound", "rights": ["*"], "clients": ["athena_logging"]})).await;
    plane.policy("enforce").await;
    let ask = async |key: &str, path: &str, body: Value| {
        send(&plane, "athena_logging", Some(key), path, body).await
    };
    let read =
        async |key: &str, table: &str| ask(key, "/gateway/fetch", json!({ "table_name": table })).await;
    for table in [
        "names",
        "over_names",
        "kept_names",
        "by_condition",
        "heir",
        "above",
        "by_function",
        "by_operator",
        "by_text",
        "by_statistics",
        "foreign_keys",
        "inbox",
    ] {
        let table = format!("app.{table}");
        read(&free, &table).await.refused(403, "control_database_shielded");
    }
    read(&free, "backup_schedules").await.refused(403, "control_database_shielded");
    let through = json!({"table_name": "app.inbox", "insert_body": {"name": "mine.read"}});
    ask(&free, "/gateway/insert", through).await.refused(403, "control_database_shielded");
    for table in ["plain", "kept", "measured", "measured_all", "requests", "notes"] {
        let answer = read(&free, &format!("app.{table}")).await;
        assert_eq!(answer.status, 200, "{table}: {}", answer.text);
    }
    let forged = json!({"table_name": "app.requests", "insert_body": {"request_id": "r", "client": "c"}});
    ask(&free, "/gateway/insert", forged).await.refused(403, "control_database_shielded");
    let note = json!({"table_name": "app.notes", "insert_body": {"name": "n", "query": "select 1"}});
    assert_eq!(ask(&free, "/gateway/insert", note).await.status, 200);
    assert_eq!(read(&bound, "app.names").await.status, 200, "a key that is bound to the client reaches it");
}

#[tokio::test]
async fn another_gateways_control_database_is_one_too() {
    let (plane, other) = (Plane::start("").await, Plane::start("").await);
    add(&plane, "neighbour", &other.control.uri()).await;
    fetch(&plane, "neighbour", "api_keys").await.refused(403, "control_database_shielded");
}

#[tokio::test]
async fn an_interface_before_the_control_database_leads_no_further() {
    let plane = Plane::start(OWN).await;
    let ours = Postgrest::over(&plane.control.uri(), SUPABASE_KEY).await;
    let theirs = Postgrest::over(&plane.data.uri(), SUPABASE_KEY).await;
    add(&plane, "ours", &rest(&ours)).await;
    add(&plane, "theirs", &rest(&theirs)).await;
    for table in ["api_keys", "public.athena_clients", "api_key_rights"] {
        fetch(&plane, "ours", table).await.refused(403, "control_database_shielded");
    }
    assert_eq!(fetch(&plane, "ours", "query_history").await.status, 200);
    assert_eq!(fetch(&plane, "theirs", "api_keys").await.rows(), json!([{"id": 7}]));
    let asked =
        || theirs.seen().iter().filter(|seen| format!("{seen:?}").contains("control_version")).count();
    let before = asked();
    assert!(before > 0);
    fetch(&plane, "theirs", "things").await.refused(400, "undefined_table");
    assert_eq!(asked(), before, "other tables cost no question");
    fetch(&plane, "theirs", "api_keys").await.ok();
    assert_eq!(asked(), before, "asked once a minute at most");
    // Who says neither yes nor no lets nobody through.
    for unknown in ["unknown", "unsaid"] {
        add(&plane, unknown, &rest(&theirs)).await;
    }
    let away = || Fault::Answer(Reply::new(503, ""));
    theirs.next([away(), away(), away()]);
    fetch(&plane, "unknown", "api_keys").await.refused(503, "connection_error");
    theirs.next([Fault::Answer(Reply::new(403, r#"{"code":"42501","message":"permission denied"}"#))]);
    fetch(&plane, "unsaid", "api_keys").await.refused(403, "control_database_shielded");
}

#[tokio::test]
async fn a_request_that_names_the_control_database_itself_leads_no_further() {
    let control = TestDatabase::with(&athena_postgres::control::provision_script()).await;
    let (data, uri) = (TestDatabase::with(OWN).await, control.uri());
    let gateway = crate::harness::Gateway::over(&[("athena_logging", &uri)], INSECURE).await;
    let ask = async |server: &Postgrest| {
        let request =
            gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "custom_supabase");
        let request = request.header("x-supabase-url", format!("http://{}", server.address()));
        gateway
            .send(request.header("x-supabase-key", SUPABASE_KEY).json(&json!({"table_name": "api_keys"})))
            .await
    };
    let (ours, theirs) =
        (Postgrest::over(&uri, SUPABASE_KEY).await, Postgrest::over(&data.uri(), SUPABASE_KEY).await);
    while ask(&theirs).await.status == 503 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    ask(&ours).await.refused(403, "control_database_shielded");
    assert_eq!(ask(&theirs).await.rows(), json!([{"id": 7}]));
}
