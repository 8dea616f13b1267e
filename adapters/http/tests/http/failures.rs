//! Errors: status, code and the words of each route.

use poem::http::{Method, StatusCode};
use serde_json::Value;

use crate::fake::{Reply, fetch, lenient, request, send, server};

fn check_envelope(reply: &Reply) -> Value {
    let body = reply.json();
    assert_eq!(body["status"], "error");
    for name in ["error", "message", "code", "trace_id"] {
        assert!(body[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {body}");
    }
    assert_eq!(body["status_code"], reply.status.as_u16());
    assert_eq!(body["details"]["trace_id"], body["trace_id"]);
    assert!(body["details"]["category"].is_string());
    assert_eq!(body["trace_id"], reply.header("x-request-id").unwrap());
    body
}

#[tokio::test]
async fn unknown_clients_are_named_in_the_routes_words() {
    let (app, _) = server(&lenient());
    let general = "X-Athena-Client does not match a configured client.";
    for (method, path, message, error) in [
        (Method::POST, "/gateway/fetch", general, general),
        (Method::DELETE, "/gateway/delete", general, general),
        (Method::POST, "/gateway/update", general, "Postgres client 'Nobody' is not configured"),
        (
            Method::PUT,
            "/gateway/insert",
            "unknown Supabase client 'Nobody'",
            "unknown Supabase client 'Nobody'",
        ),
        (
            Method::POST,
            "/gateway/query",
            "Client 'Nobody' is not available in the registry",
            "Postgres client 'Nobody' is not configured",
        ),
        (
            Method::POST,
            "/query/sql",
            "Postgres client not configured",
            "Client 'Nobody' is not available in the registry",
        ),
    ] {
        let asked = request(method, path, &[("X-Athena-Client", " Nobody ")], "{}");
        let reply = Reply::of(app.answer(asked).await).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        let body = check_envelope(&reply);
        assert_eq!(body["message"], message);
        assert_eq!(body["error"], error);
        assert_eq!(body["code"], "unknown_client");
        assert!(body["hint"].as_str().is_some_and(|hint| hint.contains("frozen or inactive")), "{body}");
    }
    let asked = request(Method::POST, "/gateway/fetch", &[("X-Athena-Client", "broken")], "{}");
    let reply = Reply::of(app.answer(asked).await).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(check_envelope(&reply)["code"], "client_unavailable");
    assert_eq!(reply.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn database_failures_have_their_status() {
    for (table, status, code, retry) in [
        ("away", 503, "connection_error", true),
        ("busy", 503, "pool_timeout", true),
        ("open", 503, "circuit_open", true),
        ("stale", 503, "schema_changed", true),
        ("late", 504, "query_canceled", false),
        ("conflict", 409, "serialization_failure", false),
        ("unique", 409, "unique_violation", false),
        ("foreign", 422, "foreign_key_violation", false),
        ("bug", 500, "database_error", false),
        ("nowhere", 400, "undefined_table", false),
    ] {
        let reply = fetch(&[], &format!(r#"{{"table_name":"{table}"}}"#)).await;
        assert_eq!(reply.status.as_u16(), status, "{table}");
        let body = check_envelope(&reply);
        assert_eq!(body["code"], code);
        assert_eq!(reply.header("retry-after").is_some(), retry, "{table}");
        assert!(!reply.text().contains("secret"));
        if table == "open" {
            // Rounded up: a second would be too early.
            assert_eq!(reply.header("retry-after"), Some("2"));
        }
        if table == "unique" {
            assert_eq!(body["details"]["constraint"], "items_name_key");
            assert_eq!(body["details"]["context"], "unique");
        }
    }
}

#[tokio::test]
async fn inserts_have_words_of_their_own() {
    let (app, _) = server(&lenient());
    let insert = async |table: &str| {
        let body = format!(r#"{{"table_name":"{table}","insert_body":{{"name":"x"}}}}"#);
        let reply = send(&app, Method::PUT, "/gateway/insert", &[("X-User-Id", "u1")], &body).await;
        let json = check_envelope(&reply);
        assert_eq!(json["success"], false);
        assert_eq!(json["details"]["client"], "demo");
        assert_eq!(json["details"]["table_name"], table);
        assert_eq!(json["details"]["user_id"], "u1");
        (reply.status.as_u16(), json)
    };
    let (status, body) = insert("unique").await;
    assert_eq!(status, 409);
    assert_eq!(
        body["message"],
        "Insert would create a duplicate record (unique constraint 'items_name_key'). Use /gateway/update to \
         modify the existing record or change the unique field values."
    );
    let (status, body) = insert("foreign").await;
    assert_eq!((status, body["code"].as_str()), (422, Some("foreign_key_violation")));
    let (status, body) = insert("bug").await;
    assert_eq!((status, body["code"].as_str()), (500, Some("sql_execution")));
    let reply = send(&app, Method::PUT, "/gateway/insert", &[], r#"{"table_name":"items"}"#).await;
    let body = check_envelope(&reply);
    assert_eq!(body["code"], "missing_field");
    assert_eq!(body["details"]["missing_field"], "insert_body");
    assert_eq!(body["error"], "insert_body is required in the request body");
}

#[tokio::test]
async fn bad_bodies_say_what_is_wrong() {
    let (app, _) = server(&lenient());
    for (method, path, body, error) in [
        (Method::POST, "/gateway/fetch", "", "table_name is required"),
        (Method::POST, "/gateway/fetch", " \n", "table_name is required"),
        (Method::POST, "/gateway/update", "", "table_name is required"),
        (
            Method::POST,
            "/gateway/update",
            r#"{"table_name":"items","set":{"name":"x"}}"#,
            "at least one condition is required for update (e.g. eq_column / eq_value)",
        ),
        (Method::PUT, "/gateway/insert", "", "table_name is required in the request body"),
        (
            Method::POST,
            "/gateway/query",
            r#"{"query":" ;; "}"#,
            "Query cannot be empty or contain only semicolons.",
        ),
        (
            Method::POST,
            "/query/sql",
            r#"{"query":" ;; ","driver":"native","db_name":"demo"}"#,
            "Query cannot be empty or contain only semicolons.",
        ),
        (
            Method::POST,
            "/query/sql",
            r#"{"query":"select 1","driver":"mysql","db_name":"demo"}"#,
            "Driver 'mysql' is not supported. Use athena, postgresql, or supabase.",
        ),
        (
            Method::POST,
            "/query/sql",
            r#"{"query":"select 1","driver":"Scylla","db_name":"demo"}"#,
            "Driver 'scylla' does not fit the client 'demo', whose database is other_sql.",
        ),
    ] {
        let reply = send(&app, method, path, &[], body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(check_envelope(&reply)["error"], error, "{path} {body:?}");
    }
    let body = check_envelope(&fetch(&[], r#"{"table_name": }"#).await);
    assert!(body["error"].as_str().unwrap().contains("line 1 column"), "{body}");
    let body = check_envelope(&fetch(&[], r#"{"table_name":"items","limt":1}"#).await);
    assert_eq!(body["code"], "unknown_field");
    assert_eq!(body["details"]["field"], "limt");
    let body = check_envelope(&fetch(&[], r#"{"table_name":"items","limit":50001}"#).await);
    assert_eq!(body["details"]["limit"]["name"], "max_rows");
    assert_eq!(body["details"]["limit"]["value"], 50_000);
    let body = fetch(&[], r#"{"table_name":"items","group_by":"nope"}"#).await;
    assert_eq!(body.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refusal_does_not_send_a_long_body_back() {
    let long = "limit".repeat(380);
    for body in [
        format!(r#"{{"table_name":"items","{long}":1}}"#),
        format!(r#"{{"table_name":"items","{long}":1,"{long}":1}}"#),
        format!(r#"{{"table_name":"items","conditions":[{{"column":"id","operator":"{long}","value":1}}]}}"#),
        format!(r#"{{"table_name":"items","columns":"{long}(id)"}}"#),
        format!(r#"{{"table_name":"items","group_by":"id","time_granularity":"{long}"}}"#),
    ] {
        let reply = fetch(&[], &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        check_envelope(&reply);
        assert!(!reply.text().contains(&long), "{}", reply.text());
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let (app, _) = server(&lenient());
    for (method, path) in [
        (Method::GET, "/nowhere"),
        (Method::GET, "/gateway/fetch"),
        (Method::POST, "/openapi.yaml"),
        (Method::POST, "/gateway/fetch/"),
        (Method::OPTIONS, "/gateway/fetch"),
        (Method::GET, "/gateway/%2e%2e"),
    ] {
        let reply = send(&app, method, path, &[], "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        let body = reply.json();
        assert_eq!(
            body,
            serde_json::json!({
                "status":"error", "code":"not_found", "message":"Not Found",
                "error":"The requested resource was not found", "trace_id": body["trace_id"],
            })
        );
        assert_eq!(body["trace_id"].as_str(), reply.header("x-request-id"));
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let reply = fetch(&[("X-Request-Id", "p1")], r#"{"table_name":"panic"}"#).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = reply.json();
    assert_eq!(body["message"], "Internal Server Error");
    assert_eq!(body["error"], "An unexpected error occurred");
    assert_eq!(body["trace_id"], "p1");
}
