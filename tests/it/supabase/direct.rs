//! `custom_supabase`: the project stands in the request.

use athena_test_support::{Fault, Reply};
use serde_json::json;

use super::*;

const FETCH: &str = r#"{"table_name":"secrets","sort_by":{"field":"id"}}"#;
const INSECURE: &str = "gateway: {supabase_allowed_hosts: '127.0.0.1, localhost', supabase_allow_insecure: true, \
     require_audit_headers: lenient}";

async fn ask(
    gateway: &Gateway,
    method: Method,
    route: &str,
    body: &str,
    url: Option<&str>,
    key: Option<&str>,
) -> Answer {
    let request = gateway.bare(method, &format!("/gateway/{route}"));
    let mut request = request.header("X-Athena-Client", "Custom_Supabase").body(body.to_owned());
    if let Some(url) = url {
        request = request.header("x-supabase-url", url);
    }
    if let Some(key) = key {
        request = request.header("x-supabase-key", key);
    }
    gateway.send(request).await
}

#[tokio::test]
async fn requests_name_their_project() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let gateway = Gateway::over(&[("sql", &database.uri())], INSECURE).await;
    let url = format!("http://{}", server.address());
    let send = |method, route, body| ask(&gateway, method, route, body, Some(&url), Some(SUPABASE_KEY));
    let rows = json!([{"id": 1, "owner": 7, "body": "seven"}, {"id": 2, "owner": 8, "body": "eight"}]);
    assert_eq!(send(Method::POST, "fetch", FETCH).await.rows(), rows);
    let insert = r#"{"table_name":"secrets","insert_body":{"id":3,"body":"x"}}"#;
    assert_eq!(send(Method::PUT, "insert", insert).await.ok()["resource_id"], "3");
    let update =
        r#"{"table_name":"secrets","set":{"body":"y"},"conditions":[{"eq_column":"id","eq_value":3}]}"#;
    assert_eq!(send(Method::POST, "update", update).await.rows()[0]["body"], "y");
    let delete = send(Method::DELETE, "delete", r#"{"table_name":"secrets","resource_id":3}"#).await;
    assert_eq!(delete.ok()["deleted_count"], 1);
    // Another key is another caller: nothing of the last one is kept.
    let wrong = ask(&gateway, Method::POST, "fetch", FETCH, Some(&url), Some("other")).await;
    wrong.refused(403, "insufficient_privilege");
    for (url, key) in [(None, None), (Some(&*url), None), (None, Some(SUPABASE_KEY)), (Some(" "), Some("k"))]
    {
        let missing = ask(&gateway, Method::POST, "fetch", FETCH, url, key).await;
        assert_eq!(missing.status, 400, "{}", missing.text);
        assert_eq!(missing.json()["error"], "Missing x-supabase-url or x-supabase-key headers");
    }
    // The headers mean nothing to another client.
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "sql");
    let request = request.header("x-supabase-url", "http://169.254.169.254").header("x-supabase-key", "k");
    assert_eq!(gateway.send(request.body(FETCH)).await.rows(), rows);
}

#[tokio::test]
async fn a_request_goes_nowhere_but_to_allowed_hosts() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let port = server.address().port();
    let usual = Gateway::over(&[("sql", &database.uri())], "").await;
    let secure =
        Gateway::over(&[("sql", &database.uri())], "gateway: {supabase_allowed_hosts: 'localhost'}").await;
    let insecure = Gateway::over(&[("sql", &database.uri())], INSECURE).await;
    for host in [
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f000001:{port}"),
        format!("http://0177.0.0.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://[64:ff9b::7f00:1]:{port}"),
        format!("http://localhost:{port}"),
        "https://169.254.169.254".to_owned(),
        "https://supabase.co.example".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        for gateway in [&usual, &secure] {
            let answer = ask(gateway, Method::POST, "fetch", FETCH, Some(&host), Some("k")).await;
            assert_eq!(
                answer.refused(400, "invalid_header")["details"]["header"],
                "x-supabase-url",
                "{host}"
            );
        }
    }
    // Listed by its name, but the name leads here: the connection itself is refused.
    let named = ask(&secure, Method::POST, "fetch", FETCH, Some("https://localhost"), Some("k")).await;
    named.refused(400, "not_supported_by_backend");
    let other =
        ask(&insecure, Method::POST, "fetch", FETCH, Some(&format!("http://[::1]:{port}")), Some("k")).await;
    other.refused(400, "invalid_header");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let inside = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let gateway = Gateway::over(&[("sql", &database.uri())], INSECURE).await;
    let url = format!("http://{}", server.address());
    let elsewhere = format!("http://{}/secrets", inside.address());
    for status in [301, 302, 303, 307, 308] {
        let away = || Fault::Answer(Reply::new(status, "").header("location", &elsewhere));
        // A call asks first whether there are tables of a control database.
        let none = || Fault::Answer(Reply::new(404, r#"{"code":"PGRST205","message":"no such table"}"#));
        for (method, route, body, replies) in [
            (Method::POST, "fetch", FETCH, vec![away()]),
            (Method::PUT, "insert", r#"{"table_name":"secrets","insert_body":{"id":9}}"#, vec![away()]),
            (Method::POST, "rpc", r#"{"function":"one"}"#, vec![none(), away()]),
        ] {
            let (before, asked) = (server.seen().len(), replies.len());
            server.next(replies);
            let answer = ask(&gateway, method, route, body, Some(&url), Some(SUPABASE_KEY)).await;
            assert_eq!(answer.status, 503, "{status} {route}: {}", answer.text);
            assert!(!answer.text.contains(&inside.address().to_string()), "{}", answer.text);
            assert_eq!(server.seen().len(), before + asked, "{status} {route}");
        }
    }
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn functions_are_called_there_too() {
    let sql =
        format!("{SQL} CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';");
    let database = TestDatabase::with(&sql).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let gateway = Gateway::over(&[("sql", &database.uri())], INSECURE).await;
    let url = format!("http://{}", server.address());
    let call = r#"{"function":"twice","args":{"n":21}}"#;
    let here = ask(&gateway, Method::POST, "rpc", call, Some(&url), Some(SUPABASE_KEY)).await.ok();
    let request = gateway.bare(Method::POST, "/gateway/rpc").header("X-Athena-Client", "sql");
    assert_eq!(here["data"], gateway.send(request.body(call)).await.ok()["data"]);
    let keyless = ask(&gateway, Method::POST, "rpc", call, Some(&url), Some("other")).await;
    // What nobody may look at may have the tables of a control database.
    keyless.refused(403, "control_database_shielded");
}

#[tokio::test]
async fn keys_are_demanded_for_it_by_its_name() {
    let plane = Plane::configured("", "").await;
    let (bound, _) = plane.key(json!({"name": "a", "rights": ["*"], "client_name": "custom_supabase"})).await;
    let (other, _) = plane.key(json!({"name": "b", "rights": ["*"], "client_name": "elsewhere"})).await;
    plane.policy("enforce").await;
    let send = |key: Option<String>| {
        let request = plane.gateway.bare(Method::POST, "/gateway/fetch");
        let mut request = request.header("X-Athena-Client", "custom_supabase").body(FETCH);
        if let Some(key) = key {
            request = request.header("X-Athena-Key", key);
        }
        plane.gateway.send(request)
    };
    assert_eq!(send(None).await.status, 401);
    assert_eq!(send(Some(other)).await.status, 403);
    let missing = send(Some(bound)).await;
    assert_eq!(
        missing.json()["error"],
        "Missing x-supabase-url or x-supabase-key headers",
        "{}",
        missing.text
    );
}
