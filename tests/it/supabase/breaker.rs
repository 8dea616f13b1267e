//! Faults between the gateway and a PostgREST: nobody waits beyond the deadline, and when they end it is asked again.

use std::sync::Arc;
use std::time::Duration;

use athena_test_support::{Fault, Mode, Reply, TcpProxy};

use super::*;
use crate::harness::CLIENT;

const FETCH: &str = r#"{"table_name":"secrets","conditions":[{"eq_column":"id","eq_value":1}]}"#;

/// Nobody waits long.
const SHORT: &str =
    "limits: {request_timeout_secs: 3, statement_timeout_secs: 2}\npool: {acquire_timeout_secs: 2}";

/// A client behind a proxy, and `calm` straight at the same PostgREST.
async fn bench(yaml: &str) -> (TcpProxy, Postgrest, Gateway) {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let proxy = TcpProxy::before(server.address()).await;
    let options = "&connect_timeout_secs=1&circuit_breaker_threshold=3&circuit_breaker_timeout_secs=2\
                   &circuit_breaker_check_interval_secs=1";
    let (uri, calm) = (rest_uri(proxy.address(), options), rest_uri(server.address(), ""));
    let mut gateway = Gateway::over(&[(CLIENT, &uri), ("calm", &calm)], yaml).await;
    gateway.fetch(FETCH).await.ok();
    gateway.database = Some(database);
    (proxy, server, gateway)
}

/// How many of 25 requests fail, once the fault has ended.
async fn errors_of_25(gateway: &Gateway) -> usize {
    gateway
        .errors_of_25(FETCH, Duration::from_secs(60), &json!([{"id": 1, "owner": 7, "body": "seven"}]))
        .await
}

async fn opens(gateway: &Gateway, faults: &[&str]) {
    for _ in 0..20 {
        let answer = gateway.fetch(FETCH).await;
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if code == "circuit_open" {
            assert!(answer.header("retry-after").is_some());
            return;
        }
        assert!(faults.contains(&&*code), "{} {}", answer.status, answer.text);
    }
    panic!("the breaker does not open");
}

#[tokio::test]
async fn a_postgrest_that_is_away_is_answered_at_once_until_it_is_back() {
    let (proxy, _server, gateway) = bench("").await;
    proxy.down().await;
    opens(&gateway, &["connection_error"]).await;
    let insert = gateway.insert(r#"{"table_name":"secrets","insert_body":{"id":9}}"#).await;
    insert.refused(503, "circuit_open");
    send(&gateway, "calm", "fetch", FETCH).await.ok();
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn a_silent_postgrest_is_noticed_and_nobody_waits_beyond_the_deadline() {
    let (proxy, _server, gateway) = bench(SHORT).await;
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
    send(&gateway, "calm", "fetch", FETCH).await.ok();
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn a_connection_that_is_reset_or_slow_costs_the_request_on_it_and_no_other() {
    let (proxy, server, gateway) = bench(SHORT).await;
    // One that broke while nobody used it is replaced.
    proxy.reset().await;
    gateway.fetch(FETCH).await.ok();
    let change =
        r#"{"table_name":"secrets","set":{"body":"seven"},"conditions":[{"eq_column":"id","eq_value":1}]}"#;
    let silent = || server.next([Fault::Slowly(1, Duration::from_secs(3600))]);
    silent();
    let (read, ()) = tokio::join!(gateway.fetch(FETCH), proxy.reset_once_asked());
    read.ok();
    silent();
    let (changed, ()) = tokio::join!(gateway.update(change), proxy.reset_once_asked());
    changed.refused(503, "connection_error");
    proxy.set(Mode::Trickle(Duration::from_millis(1))).await;
    gateway.fetch(FETCH).await.ok();
    proxy.set(Mode::Trickle(Duration::from_secs(3600))).await;
    gateway.fetch(FETCH).await.refused(504, "query_canceled");
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn an_upstream_that_fails_or_throttles_is_left_alone_and_asked_again() {
    // A read is sent three times where that may help; one that is throttled is told when to come back.
    for (status, times, faults) in
        [(502, 9, ["connection_error"]), (503, 9, ["connection_error"]), (429, 3, ["rate_limited"])]
    {
        let (_proxy, server, gateway) = bench("").await;
        server.next((0..times).map(|_| Fault::Answer(Reply::new(status, "{}"))));
        opens(&gateway, &faults).await;
        let errors = errors_of_25(&gateway).await;
        assert!(errors <= 2, "{status}: {errors} errors in 25 calls");
    }
}
