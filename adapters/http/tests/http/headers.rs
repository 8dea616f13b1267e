//! What headers ask for, and in which order they are checked.

use athena_http::HttpSettings;
use poem::http::{Method, StatusCode};

use crate::fake::{Reply, fetch, lenient, request, send, server};

const BODY: &str = r#"{"table_name":"items"}"#;

#[tokio::test]
async fn the_client_is_required_and_single() {
    let (app, _) = server(&lenient());
    let ask = async |path: &str, method: Method, headers: &[(&str, &str)]| {
        let reply = Reply::of(app.answer(request(method, path, headers, BODY)).await).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        reply.json()
    };
    for (path, method) in [
        ("/gateway/fetch", Method::POST),
        ("/gateway/update", Method::POST),
        ("/gateway/insert", Method::PUT),
        ("/gateway/delete", Method::DELETE),
    ] {
        let body = ask(path, method, &[]).await;
        assert_eq!(body["code"], "missing_client_header");
        assert_eq!(body["error"], "X-Athena-Client header is required and cannot be empty");
        assert_eq!(body["details"]["missing_header"], "X-Athena-Client");
        assert_eq!(body["details"]["trace_id"], body["trace_id"]);
        assert_eq!(body.get("success").is_some(), path.ends_with("insert"));
    }
    let body = ask("/gateway/query", Method::POST, &[("X-Athena-Client", "  ")]).await;
    assert_eq!(body["message"], "Missing required header");
    assert_eq!(body["error"], "X-Athena-Client or X-JDBC-URL header is required");

    let twice = [("X-Athena-Client", "demo"), ("X-Athena-Client", "other")];
    assert_eq!(ask("/gateway/fetch", Method::POST, &twice).await["code"], "invalid_header");
    let same = [("X-Athena-Client", "demo"), ("X-Athena-Client", " DEMO ")];
    assert_eq!(
        app.answer(request(Method::POST, "/gateway/fetch", &same, BODY)).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn audit_headers_come_after_the_client_and_before_the_body() {
    let (app, _) = server(&HttpSettings::default());
    let ask = async |headers: &[(&str, &str)], method: Method, path: &str| {
        Reply::of(app.answer(request(method, path, headers, "{nonsense")).await).await.json()
    };
    let put = |headers: Vec<(&'static str, &'static str)>| {
        let ask = &ask;
        async move { ask(&headers, Method::PUT, "/gateway/insert").await }
    };
    assert_eq!(put(vec![("X-Athena-Client", "nobody")]).await["code"], "unknown_client");
    let body = put(vec![("X-Athena-Client", "demo")]).await;
    assert_eq!(body["error"], "X-Company-Id header not found in the request");
    assert_eq!(body["success"], false);
    let body = put(vec![("X-Athena-Client", "demo"), ("X-Company-Id", "c")]).await;
    assert_eq!(body["error"], "X-Organization-Id header not found in the request");
    let all = vec![("X-Athena-Client", "demo"), ("X-Company-Id", "c"), ("X-Organization-Id", "o")];
    let body = put(all.clone()).await;
    assert_eq!(body["code"], "invalid_json");
    assert_eq!(body["details"]["company_id"], "c");
    assert_eq!(body["details"]["client"], "demo");
    let body = ask(&all[..1], Method::DELETE, "/gateway/delete").await;
    assert_eq!(body["details"]["missing_header"], "X-Company-Id");
    // Reading needs none of them.
    let body = ask(&all[..1], Method::POST, "/gateway/fetch").await;
    assert_eq!(body["code"], "invalid_json");
}

#[tokio::test]
async fn forms_are_negotiated() {
    for (accept, expected) in [
        ("*/*", "application/json; charset=utf-8"),
        ("application/json, text/plain, */*", "application/json; charset=utf-8"),
        ("application/x-ndjson, */*", "application/x-ndjson"),
        ("text/*", "text/csv; charset=utf-8; header=present"),
        ("text/csv;q=0.5, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("APPLICATION/JSON; charset=utf-8", "application/json; charset=utf-8"),
        ("application/*", "application/json; charset=utf-8"),
    ] {
        let reply = fetch(&[("Accept", accept)], BODY).await;
        assert_eq!(reply.header("content-type"), Some(expected), "{accept}");
    }
    for accept in ["application/xml", "text/html", "*/*;q=0", "text/csv;q=0"] {
        let reply = fetch(&[("Accept", accept)], BODY).await;
        assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE, "{accept}");
        assert_eq!(reply.json()["code"], "not_acceptable");
    }
    let (app, _) = server(&lenient());
    let reply =
        send(&app, Method::POST, "/gateway/query", &[("Accept", "text/csv")], r#"{"query":"x"}"#).await;
    assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn headers_without_effect_are_refused_and_big_numbers_are_strict() {
    for name in ["Idempotency-Key", "X-JDBC-URL"] {
        let reply = fetch(&[(name, "true")], BODY).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(reply.json()["code"], "unknown_field");
    }
    assert_eq!(fetch(&[("X-Publish-Event", "true")], BODY).await.status, StatusCode::OK);
    assert_eq!(fetch(&[("X-Athena-Big-Numbers", "string")], BODY).await.status, StatusCode::OK);
    let reply = fetch(&[("X-Athena-Big-Numbers", "yes")], BODY).await;
    assert_eq!(reply.json()["code"], "invalid_header");
}

#[tokio::test]
async fn the_request_id_is_kept_when_it_is_well_formed() {
    let kept = fetch(&[("X-Request-Id", "order.page_42-A")], "{}").await;
    assert_eq!(kept.header("x-request-id"), Some("order.page_42-A"));
    assert_eq!(kept.json()["trace_id"], "order.page_42-A");
    let long = "x".repeat(129);
    for bad in ["a b", "é", "", long.as_str()] {
        let made = fetch(&[("X-Request-Id", bad)], "{}").await;
        let id = made.header("x-request-id").unwrap();
        assert_eq!(id.len(), 32, "{bad:?}");
        assert_eq!(made.json()["details"]["trace_id"], id);
    }
}

#[tokio::test]
async fn where_the_time_went_is_told_on_request() {
    let told = fetch(&[("X-Athena-Timing", "TRUE")], BODY).await;
    assert_eq!(told.status, StatusCode::OK);
    let timing = told.header("server-timing").expect("a header");
    let names: Vec<&str> = timing.split(", ").filter_map(|stage| stage.split(';').next()).collect();
    assert_eq!(names, ["decode", "auth", "plan", "pool", "db", "shape"]);
    for stage in timing.split(", ") {
        let millis = stage.split_once(";dur=").expect("a time").1;
        assert!(millis.parse::<f64>().is_ok_and(|millis| (0.0..60_000.0).contains(&millis)), "{stage}");
    }
    for silent in [&[][..], &[("X-Athena-Timing", "false")]] {
        assert!(fetch(silent, BODY).await.header("server-timing").is_none());
    }
    assert_eq!(fetch(&[("X-Athena-Timing", "1")], BODY).await.json()["code"], "invalid_header");
}
