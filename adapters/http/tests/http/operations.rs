//! Probes, documents and the specification.

use athena_http::{DOCS_URL, specification};
use poem::http::{Method, StatusCode};
use serde_json::json;

use crate::fake::{Reply, lenient, request, server};

async fn get(path: &str) -> Reply {
    let (app, _) = server(&lenient());
    Reply::of(app.answer(request(Method::GET, path, &[], "")).await).await
}

#[tokio::test]
async fn the_root_tells_what_is_served() {
    let body = get("/").await.json();
    assert_eq!(body["message"], "athena is online");
    assert_eq!(body["version"], "2.9.0");
    assert_eq!((&body["athena_deadpool"], &body["athena_scylladb"]), (&json!("online"), &json!("online")));
    let routes = body["routes"].as_array().unwrap();
    for (path, method) in [
        ("/gateway/fetch", "POST"),
        ("/gateway/insert", "PUT"),
        ("/gateway/delete", "DELETE"),
        ("/openapi.yaml", "GET"),
        ("/openapi-wss.yaml", "GET"),
        ("/docs", "GET"),
    ] {
        let route = routes.iter().find(|route| route["path"] == path).unwrap();
        assert_eq!(route["methods"][0], method);
    }
    let docs = routes.iter().find(|route| route["path"] == "/docs").unwrap();
    assert_eq!(docs["summary"], "Documentation redirect");
    // Names of clients are nobody's business here.
    assert!(!get("/readyz").await.text().contains("demo"));
}

#[tokio::test]
async fn probes() {
    for path in ["/livez", "/health", "/readyz", "/ready"] {
        let reply = get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.json()["status"], "ok");
    }
    let ping = get("/ping").await;
    assert_eq!(
        (ping.text().as_str(), ping.header("content-type")),
        ("pong", Some("text/plain; charset=utf-8"))
    );
    let (app, _) = server(&lenient());
    app.drain();
    for (path, status) in [("/readyz", 503), ("/ready", 503), ("/livez", 200)] {
        let reply = app.answer(request(Method::GET, path, &[], "")).await;
        assert_eq!(reply.status().as_u16(), status, "{path}");
        assert_eq!(reply.header("retry-after").is_some(), status == 503);
    }
}

#[tokio::test]
async fn documents() {
    let docs = get("/docs").await;
    assert_eq!((docs.status, docs.header("location")), (StatusCode::PERMANENT_REDIRECT, Some(DOCS_URL)));
    let reference = get("/reference").await;
    assert_eq!(reference.header("content-type"), Some("text/html; charset=utf-8"));
    let page = reference.text();
    assert!(page.contains("SwaggerUIBundle") && page.contains("/gateway/fetch"));
    for outside in ["src=\"http", "href=\"http", "unpkg", "cdn.jsdelivr"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let wss = get("/openapi-wss.yaml").await;
    assert_eq!(wss.header("content-type"), Some("application/yaml; charset=utf-8"));
    let served = get("/openapi.yaml").await;
    assert_eq!(served.header("content-type"), Some("application/yaml; charset=utf-8"));
    assert_eq!(served.text(), specification());
}

#[test]
fn the_specification_is_complete() {
    let text = specification();
    for part in [
        "version: 2.9.0",
        "/openapi.yaml:",
        "/docs:",
        "/reference:",
        "/gateway/fetch:",
        "/gateway/data:",
        "/gateway/update:",
        "/gateway/insert:",
        "/gateway/delete:",
        "/gateway/query:",
        "/query/sql:",
        "X-Athena-Client",
        "X-Strip-Nulls",
        "X-Athena-Big-Numbers",
        "Retry-After",
        "text/csv",
        "application/x-ndjson",
        "summary: Read rows",
        "oneOf:",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
