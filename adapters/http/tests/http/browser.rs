//! Browsers: pre-flights, allowed and refused origins.

use athena_http::{Cors, HttpSettings};
use poem::http::{Method, StatusCode};

use crate::fake::{Reply, lenient, request, send, server};

fn settings(allow_any: bool, origins: &[&str]) -> HttpSettings {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    HttpSettings { cors: Cors { allow_any, origins }, ..lenient() }
}

async fn preflight(settings: &HttpSettings, origin: &str) -> Reply {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-athena-client, authorization"),
    ];
    let (app, _) = server(settings);
    Reply::of(app.answer(request(Method::OPTIONS, "/gateway/insert", &headers, "")).await).await
}

#[tokio::test]
async fn allowed_pages_may_ask_for_anything() {
    for (rule, answered) in [
        (settings(true, &[]), "*"),
        (settings(false, &["https://APP.example.com/"]), "https://app.example.com"),
    ] {
        let reply = preflight(&rule, "https://app.example.com").await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.header("access-control-allow-origin"), Some(answered));
        assert!(reply.header("access-control-allow-methods").unwrap().contains("PUT"));
        assert_eq!(reply.header("access-control-allow-headers"), Some("x-athena-client, authorization"));
        assert!(reply.header("access-control-allow-credentials").is_none());

        let (app, _) = server(&rule);
        let origin = [("Origin", "https://app.example.com")];
        for table in ["items", "nowhere"] {
            let body = format!(r#"{{"table_name":"{table}"}}"#);
            let reply = send(&app, Method::POST, "/gateway/fetch", &origin, &body).await;
            assert_eq!(reply.header("access-control-allow-origin"), Some(answered));
            let exposed = reply.header("access-control-expose-headers").unwrap();
            for name in [
                "X-Request-Id",
                "X-Athena-Resource-Id",
                "X-Athena-Count",
                "X-Athena-Filtered",
                "Server-Timing",
            ] {
                assert!(exposed.contains(name));
            }
            assert_eq!(reply.header("vary").is_some_and(|vary| vary.contains("Origin")), answered != "*");
        }
    }
}

#[tokio::test]
async fn other_pages_may_not() {
    let rule = settings(false, &["https://app.example.com"]);
    for origin in ["https://evil.example.com", "https://app.example.com.evil.com", "null"] {
        let reply = preflight(&rule, origin).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.json()["error"], "Origin is not allowed to make this request");
        assert!(reply.header("access-control-allow-origin").is_none());
    }
    let (app, _) = server(&rule);
    let origin = [("Origin", "https://evil.example.com")];
    let reply = send(&app, Method::POST, "/gateway/fetch", &origin, r#"{"table_name":"items"}"#).await;
    assert!(reply.header("access-control-allow-origin").is_none());
    assert_eq!(preflight(&lenient(), "https://app.example.com").await.status, StatusCode::BAD_REQUEST);
}
