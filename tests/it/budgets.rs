//! Budgets of keys over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use athena_test_support::Redis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::enforcement::Plane;
use crate::harness::{Answer, CLIENT, Gateway};

const SQL: &str = "CREATE TABLE things (id bigint PRIMARY KEY, name text); \
                   INSERT INTO things SELECT n, repeat('x', 1000) FROM generate_series(1, 200) n;";

async fn send(plane: &Plane, key: &str, path: &str, body: Value) -> Answer {
    send_to(&plane.gateway, key, path, body).await
}

async fn send_to(gateway: &Gateway, key: &str, path: &str, body: Value) -> Answer {
    let request = gateway.bare(Method::POST, path).header("X-Athena-Client", CLIENT).header("apikey", key);
    gateway.send(request.json(&body)).await
}

async fn limited(budget: Value) -> (Plane, String) {
    let plane = Plane::start(SQL).await;
    plane.policy("enforce").await;
    let (key, _) = plane.key(json!({"name": "k", "rights": ["*"], "budget": budget})).await;
    (plane, key)
}

#[tokio::test]
async fn requests_come_back_with_time() {
    let (plane, key) = limited(json!({"requests_per_second": 2, "burst": 3})).await;
    let one = json!({"table_name": "things", "limit": 1});
    let began = Instant::now();
    let (mut granted, mut refused) = (0, 0);
    while began.elapsed() < Duration::from_millis(2500) {
        let answer = send(&plane, &key, "/gateway/fetch", one.clone()).await;
        if answer.status == 200 {
            granted += 1;
        } else {
            refused += 1;
            let body = answer.refused(429, "rate_limited");
            assert_eq!(
                (&body["details"]["part"], &body["details"]["value"]),
                (&json!("requests_per_second"), &json!(2))
            );
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!((7..=9).contains(&granted), "{granted} granted");
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn rows_and_bytes_are_paid_afterwards_streamed_ones_too() {
    for (budget, part) in [
        (json!({"rows_per_minute": 100}), "rows_per_minute"),
        (json!({"bytes_per_minute": 50_000}), "bytes_per_minute"),
    ] {
        let (plane, key) = limited(budget).await;
        let request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        let request = request.header("apikey", &key).header("Accept", "application/x-ndjson");
        let whole = plane.gateway.send(request.json(&json!({"table_name": "things"}))).await;
        assert_eq!((whole.status, whole.text.lines().count()), (200, 200));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = send(&plane, &key, "/gateway/fetch", json!({"table_name": "things", "limit": 1})).await;
        assert_eq!(next.refused(429, "rate_limited")["details"]["part"], part);
        let after: u64 = next.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        assert!((30..=61).contains(&after), "{after}");
    }
}

#[tokio::test]
async fn so_many_at_once() {
    let (plane, key) = limited(json!({"concurrent": 2})).await;
    let plane = Arc::new(plane);
    let slow: Vec<_> = (0..6)
        .map(|_| {
            let (plane, key) = (plane.clone(), key.clone());
            tokio::spawn(async move {
                send(&plane, &key, "/gateway/query", json!({"query": "select pg_sleep(0.7)"})).await.status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in slow {
        statuses.push(task.await.expect("an answer"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429]);
    assert_eq!(
        send(&plane, &key, "/gateway/fetch", json!({"table_name": "things", "limit": 1})).await.status,
        200
    );
}

#[tokio::test]
async fn where_nobody_is_refused_a_budget_refuses_nobody() {
    let (plane, key) = limited(json!({"requests_per_second": 1, "burst": 1})).await;
    plane.policy("warn").await;
    for _ in 0..5 {
        assert_eq!(
            send(&plane, &key, "/gateway/fetch", json!({"table_name": "things", "limit": 1})).await.status,
            200
        );
    }
    let metrics = plane.gateway.metrics().await.text;
    let line = r#"athena_auth_would_refuse_total{client="main",reason="api_key_budget_exceeded"}"#;
    let found = metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse::<u64>().ok());
    assert!(found.is_some_and(|count| count >= 3), "{found:?}");
}

/// Sends one small request after the other until `status` comes, for some seconds at most.
async fn until(gateway: &Gateway, key: &str, status: u16) {
    let mut seen = 0;
    for _ in 0..200 {
        seen =
            send_to(gateway, key, "/gateway/fetch", json!({"table_name": "things", "limit": 1})).await.status;
        if seen == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{seen} instead of {status}");
}

#[tokio::test]
async fn gateways_with_one_redis_grant_one_budget() {
    let Some(mut redis) = Redis::start() else { return };
    let yaml = format!("redis: {{url: '{}'}}", redis.url());
    let plane = Plane::configured(SQL, &yaml).await;
    plane.policy("enforce").await;
    let (first, second, alone) = (&plane.gateway, &plane.sibling(&yaml).await, &plane.sibling("").await);
    let one = json!({"table_name": "things", "limit": 1});

    // A bucket that fills for longer than Redis can count, as older versions stored it, ends sharing for nobody.
    // It opens only with that budget: what a key has used of a smaller one stays used.
    let budget = json!({"requests_per_second": 1, "burst": 5});
    let huge = json!({"name": "h", "rights": ["*"], "budget": budget, "expires_at": "2020-01-01T00:00:00Z"});
    let (endless, _) = plane.key(huge).await;
    let grow = "UPDATE api_keys SET budget = jsonb_set(budget, '{burst}', '9000000000000000000'), \
                expires_at = NULL WHERE name = 'h'";
    let mut control = sqlx::PgConnection::connect(&plane.control.uri()).await.expect("a connection");
    sqlx::query(grow).execute(&mut control).await.expect("one key");
    for gateway in [first, second] {
        until(gateway, &endless, 200).await;
        for _ in 0..20 {
            let answer = send_to(gateway, &endless, "/gateway/fetch", one.clone()).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }

    // Rows that one has answered are missing on the other, and on nobody who shares nothing.
    let (rows, _) =
        plane.key(json!({"name": "r", "rights": ["*"], "budget": {"rows_per_minute": 100}})).await;
    until(second, &rows, 200).await;
    assert_eq!(send_to(first, &rows, "/gateway/fetch", json!({"table_name": "things"})).await.status, 200);
    until(second, &rows, 429).await;
    until(alone, &rows, 200).await;

    // A rate holds over both: within two seconds its burst and two seconds' worth, not twice that.
    let (rate, _) = plane
        .key(json!({"name": "q", "rights": ["*"], "budget": {"requests_per_second": 10, "burst": 10}}))
        .await;
    let (began, mut granted) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        for gateway in [first, second] {
            granted += u32::from(send_to(gateway, &rate, "/gateway/fetch", one.clone()).await.status == 200);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Alone they grant 60. Until they first hear of each other, each may grant a burst.
    assert!((20..=45).contains(&granted), "{granted} granted");

    // So many at once, wherever.
    let (narrow, _) = plane.key(json!({"name": "c", "rights": ["*"], "budget": {"concurrent": 1}})).await;
    until(first, &narrow, 200).await;
    let slow = send_to(first, &narrow, "/gateway/query", json!({"query": "select pg_sleep(3)"}));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        until(second, &narrow, 429).await;
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(slow.status, 200, "{}", slow.text);
    until(second, &narrow, 200).await;

    // Without Redis each grants by itself, and with it back they share again.
    redis.stop();
    for gateway in [first, second] {
        until(gateway, &narrow, 200).await;
    }
    redis.resume();
    let (again, _) =
        plane.key(json!({"name": "s", "rights": ["*"], "budget": {"rows_per_minute": 100}})).await;
    until(second, &again, 200).await;
    assert_eq!(send_to(first, &again, "/gateway/fetch", json!({"table_name": "things"})).await.status, 200);
    until(second, &again, 429).await;
}
