//! Hosts that requests name: each has its breaker and its bulkhead, whoever asks.

use std::time::Duration;

use athena_test_support::{Fault, Reply};

use super::*;

const FETCH: &str = r#"{"table_name":"secrets","sort_by":{"field":"id"}}"#;

/// The database outlives the gateway, whose tables are searched at its end.
async fn gateway(more: &str) -> (TestDatabase, Gateway) {
    let database = TestDatabase::with(SQL).await;
    let yaml = format!(
        "gateway: {{supabase_allowed_hosts: '127.0.0.1, localhost', supabase_allow_insecure: true, \
         circuit_breaker_threshold: 3, circuit_breaker_timeout_secs: 60, \
         circuit_breaker_check_interval_secs: 1}}\n{more}"
    );
    let gateway = Gateway::over(&[("sql", &database.uri())], &yaml).await;
    (database, gateway)
}

async fn fetch(gateway: &Gateway, url: &str, key: &str) -> Answer {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "custom_supabase");
    let request = request.header("x-supabase-url", url).header("x-supabase-key", key);
    gateway.send(request.body(FETCH)).await
}

#[tokio::test]
async fn a_host_that_is_away_is_answered_at_once_whoever_asks() {
    let (database, gateway) = gateway("").await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let other = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let proxy = athena_test_support::TcpProxy::before(server.address()).await;
    let (url, calm) = (format!("http://{}", proxy.address()), format!("http://{}", other.address()));
    fetch(&gateway, &url, SUPABASE_KEY).await.ok();
    proxy.down().await;
    for key in ["a", "b", "c"] {
        fetch(&gateway, &url, key).await.refused(503, "connection_error");
    }
    for key in ["a", "d", SUPABASE_KEY] {
        let refused = fetch(&gateway, &url, key).await;
        refused.refused(503, "circuit_open");
        assert!(refused.header("retry-after").is_some());
    }
    fetch(&gateway, &calm, SUPABASE_KEY).await.ok();
    // Operators see which hosts are away, and metrics how many.
    let ready = gateway.send(gateway.bare(Method::GET, "/readyz").bearer_auth(ADMIN_KEY)).await.ok();
    let states: Vec<_> =
        ready["hosts"].as_array().unwrap().iter().map(|host| &host["circuit_breaker"]["state"]).collect();
    let away =
        ready["hosts"].as_array().unwrap().iter().find(|host| host["circuit_breaker"]["state"] == "open");
    assert!(
        away.is_some_and(|host| host["host"].as_str().unwrap().contains(&proxy.address().to_string())),
        "{ready}"
    );
    assert_eq!(states.len(), 2, "{ready}");
    let metrics = gateway.metrics().await.text;
    for line in ["athena_direct_hosts{state=\"open\"} 1", "athena_direct_hosts{state=\"closed\"} 1"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains(&proxy.address().to_string()), "names of callers are no labels");
    // A wrong key says nothing of the host.
    for _ in 0..5 {
        fetch(&gateway, &calm, "wrong").await.refused(403, "insufficient_privilege");
    }
    fetch(&gateway, &calm, SUPABASE_KEY).await.ok();
    // Nobody has to wait for the next look.
    let reset = || {
        let path = "/admin/clients/custom_supabase/reset-health";
        gateway.send(gateway.bare(Method::POST, path).bearer_auth(ADMIN_KEY))
    };
    let told = reset().await.ok();
    let hosts = told["data"]["hosts"].as_array().expect("hosts");
    assert!(
        hosts.iter().all(|host| host["circuit_breaker"]["state"] == "closed") && hosts.len() == 2,
        "{told}"
    );
    for _ in 0..3 {
        fetch(&gateway, &url, "a").await.refused(503, "connection_error");
    }
    fetch(&gateway, &url, "a").await.refused(503, "circuit_open");
    proxy.set(athena_test_support::Mode::Pass).await;
    let began = std::time::Instant::now();
    while fetch(&gateway, &url, SUPABASE_KEY).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody looks whether the host is back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_slow_host_fills_its_own_bulkhead_only() {
    let (database, gateway) =
        gateway("pool: {max_connections: 1, min_connections: 0, acquire_timeout_secs: 1}").await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let other = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let (url, calm) = (format!("http://{}", server.address()), format!("http://{}", other.address()));
    server.next([Fault::Slowly(60, Duration::from_secs(1))]);
    let slow = fetch(&gateway, &url, SUPABASE_KEY);
    let rest = async {
        while server.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fetch(&gateway, &url, "another key").await.refused(503, "pool_timeout");
        fetch(&gateway, &calm, SUPABASE_KEY).await.ok();
    };
    let (slow, ()) = tokio::join!(slow, rest);
    slow.ok();
    assert_eq!(server.seen().len(), 1, "who found no place has not asked");
    server.next([Fault::Answer(Reply::new(401, r#"{"message":"Invalid API key"}"#))]);
    fetch(&gateway, &url, SUPABASE_KEY).await.refused(403, "insufficient_privilege");
}
