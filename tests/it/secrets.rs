//! Secrets where callers put them, to every operation, and none of them anywhere afterwards.

use reqwest::Method;
use serde_json::json;

use crate::enforcement::Plane;
use crate::harness::{ADMIN_KEY, CLIENT};
use crate::logs::{control, until};
use crate::operating::operations;
use crate::traces::Collector;

const SQL: &str = "CREATE TABLE things (id bigint PRIMARY KEY, name text);";

/// A credential of the form of a key, with a secret that the witness knows.
const KEY: &str = "ath_0123456789abcdef.secret-marker";

/// Where callers put secrets: in these headers, and in the query string.
const HEADERS: [(&str, &str); 13] = [
    ("X-Athena-Key", KEY),
    ("X-Api-Key", KEY),
    ("apikey", KEY),
    ("Authorization", "Bearer ath_0123456789abcdef.secret-marker"),
    ("Authorization", "Basic secret-marker"),
    ("Cookie", "session=secret-marker"),
    ("X-Supabase-Key", "secret-marker"),
    ("X-Supabase-Url", "https://me:secret-marker@project.supabase.co"),
    // Where they do not belong.
    ("X-Request-Id", KEY),
    ("X-Athena-Client", KEY),
    ("User-Agent", "agent/1.0 ath_0123456789abcdef.secret-marker"),
    ("X-User-Id", KEY),
    ("Accept", "text/ath_0123456789abcdef.secret-marker"),
];
const QUERIES: [&str; 5] = [
    "api_key=secret-marker",
    "key=ath_0123456789abcdef.secret-marker",
    "a=b&ath_0123456789abcdef.secret-marker",
    "token=secret-marker&password=secret-marker",
    "access_token=secret-marker",
];

#[tokio::test]
async fn no_operation_keeps_or_tells_a_secret_that_it_was_sent() {
    let collector = Collector::default();
    let address = collector.start().await;
    let traces = format!("traces: {{otlp_endpoint: 'http://{address}', otlp_headers: 'x-token=a%20secret'}}");
    let plane = Plane::configured(SQL, &traces).await;
    plane.policy("warn").await;
    // What gateway operations take, what makes and changes clients and keys, and what nobody takes.
    let bodies = [
        r#"{"table_name":"things"}"#,
        r#"{"client_name":"x","pg_uri":"postgres://me:secret-marker@127.0.0.1:1/none"}"#,
        r#"{"password":"secret-marker"}"#,
        "secret-marker",
    ];
    let mut sent = 0;
    for operation in operations(&plane.gateway).await {
        if operation.path == "/docs" {
            // It leads away from here.
            continue;
        }
        // Those of operators with their key as well, so that they come further than the door.
        for with_key in [false, true] {
            for ((query, body), (name, value)) in
                QUERIES.iter().cycle().zip(bodies.iter().cycle()).zip(HEADERS)
            {
                let path = format!("{}?{query}", operation.filled());
                let client = if name.starts_with("X-Supabase") { "custom_supabase" } else { CLIENT };
                let request = plane.gateway.bare(operation.method.clone(), &path).header(name, value);
                let request = request.header("Content-Type", "application/json");
                let request = match name {
                    "X-Athena-Client" => request,
                    _ => request.header("X-Athena-Client", client),
                };
                let request = match with_key {
                    true if name == "X-Athena-Key" => continue,
                    true => request.header("X-Athena-Key", ADMIN_KEY),
                    false => request,
                };
                // The witness reads the answer.
                let answer = plane.gateway.send(request.body(*body)).await;
                assert!(answer.status < 500 || answer.status == 503, "{path}: {}", answer.text);
                sent += 1;
            }
        }
    }
    assert!(sent > 500, "{sent}");
    plane.gateway.metrics().await;
    // One writer writes them in their order: when the last is there, all are, and are searched at the end. The witness
    // hears every span that arrives.
    let last = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    let last = last.header("X-Request-Id", "the-last").json(&json!({"table_name": "things"}));
    plane.gateway.send(last).await.ok();
    until("the last request is in", async || {
        let found = "select count(*) as n from gateway_request_log where request_id = 'the-last'";
        control(&plane, found).await[0]["n"] == 1
    })
    .await;
    let request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    let request = request.header("X-Request-Id", "the-last-span").json(&json!({"table_name": "things"}));
    plane.gateway.send(request).await.ok();
    collector.spans_of("the-last-span").await;
}
