//! The tables that decide about callers, by whichever way they are reached.

use athena_test_support::{Fault, Postgrest, Reply, TestDatabase};
use reqwest::Method;
use serde_json::{Value, json};

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
