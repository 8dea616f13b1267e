//! The database goes away and comes back (also: too few connections).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use athena_test_support::{PrivateCluster, TestDatabase};
use reqwest::Method;
use serde_json::json;

use crate::harness::{CLIENT, Gateway};

const FETCH: &str = r#"{"table_name":"t","conditions":[{"eq_column":"id","eq_value":1}]}"#;

#[tokio::test]
async fn a_stop_under_load_gives_clear_answers_and_heals() {
    let mut cluster = PrivateCluster::start().await;
    let uri = cluster.uri("postgres");
    let gateway = Arc::new(Gateway::over(&[(CLIENT, &uri)], "").await);
    gateway.query("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'); CREATE TABLE log (n int)").await.ok();
    let (stop, good, away) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut callers = Vec::new();
    for caller in 0..8 {
        let (gateway, stop, good, away) = (gateway.clone(), stop.clone(), good.clone(), away.clone());
        callers.push(tokio::spawn(async move {
            let mut written = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let answer = if caller < 6 {
                    gateway.fetch(FETCH).await
                } else {
                    gateway.insert(r#"{"table_name":"log","insert_body":{"n":1}}"#).await
                };
                match answer.status {
                    200 => {
                        if caller < 6 {
                            assert_eq!(answer.rows(), json!([{"id":1,"v":"one"}]));
                        } else {
                            written += 1;
                        }
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                    503 => {
                        assert!(answer.header("retry-after").is_some(), "{}", answer.text);
                        let code = answer.json()["code"].clone();
                        assert!(code == "connection_error" || code == "circuit_open", "{}", answer.text);
                        away.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => panic!("{other}: {}", answer.text),
                }
            }
            written
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = good.load(Ordering::Relaxed);
    assert!(before > 0 && away.load(Ordering::Relaxed) == 0);
    cluster.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(away.load(Ordering::Relaxed) > 0, "callers are told");
    // Everything else goes on.
    assert_eq!(gateway.send(gateway.bare(Method::GET, "/livez")).await.status, 200);
    cluster.start_again().await;
    let restarted = Instant::now();
    let at_restart = good.load(Ordering::Relaxed);
    while good.load(Ordering::Relaxed) < at_restart + 50 {
        assert!(restarted.elapsed() < Duration::from_secs(20), "no recovery");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for caller in callers {
        written += caller.await.unwrap();
    }
    // What was acknowledged is there; what was not may be.
    let there = gateway.query("SELECT count(*) AS n FROM log").await.ok()["data"][0]["n"].as_u64().unwrap();
    let unanswered = away.load(Ordering::Relaxed);
    assert!(
        (written..=written + unanswered).contains(&there),
        "{there} rows of {written} acknowledged and at most {unanswered} of unknown fate"
    );
}

#[tokio::test]
async fn an_unreachable_client_is_told_and_retried() {
    let database =
        TestDatabase::with("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')")
            .await;
    let proxy = database.proxied().await;
    proxy.down().await;
    let gateway = Gateway::over(&[(CLIENT, proxy.uri()), ("broken", "${NOT_SET_ANYWHERE}")], "").await;
    let refused = gateway.fetch(FETCH).await;
    refused.refused(503, "connection_error");
    assert!(refused.header("retry-after").is_some());
    let request =
        gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "broken").body(FETCH);
    let broken = gateway.send(request).await.refused(503, "client_unavailable");
    assert!(broken["error"].as_str().unwrap().contains("NOT_SET_ANYWHERE"), "{broken}");
    proxy.set(athena_test_support::Mode::Pass).await;
    assert_eq!(gateway.fetch(FETCH).await.rows(), json!([{"id":1,"v":"one"}]));
    // Connections that were cut while they waited are replaced without the reader noticing.
    for _ in 0..3 {
        proxy.cut().await;
        assert_eq!(gateway.fetch(FETCH).await.rows(), json!([{"id":1,"v":"one"}]));
    }
}

#[tokio::test]
async fn one_slow_client_starves_no_other() {
    let database =
        TestDatabase::with("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one');")
            .await;
    let calm = database.uri();
    let joined = if calm.contains('?') { '&' } else { '?' };
    let busy = format!("{calm}{joined}max_concurrent=2&queue_length=3&queue_wait_ms=400");
    let gateway = Arc::new(Gateway::over(&[(CLIENT, &calm), ("busy", &busy)], "").await);
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let request = gateway.bare(Method::POST, "/gateway/query").header("X-Athena-Client", "busy");
                gateway.send(request.json(&json!({"query": "select pg_sleep(1.5)"}))).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    for _ in 0..20 {
        gateway.fetch(FETCH).await.ok();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "the calm client waits for the busy one");
    let mut counts = std::collections::BTreeMap::new();
    for task in slow {
        let answer = task.await.expect("an answer");
        let what = match answer.status {
            200 => "ran".to_owned(),
            status => {
                assert_eq!(status, 503, "{}", answer.text);
                assert!(answer.header("retry-after").is_some(), "{}", answer.text);
                answer.json()["code"].as_str().expect("a code").to_owned()
            }
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    // Two run, three wait in vain, the others are sent away at once.
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("pool_timeout".to_owned(), 3), ("queue_full".to_owned(), 7), ("ran".to_owned(), 2)]
    );
    let metrics = gateway.metrics().await.text;
    assert!(metrics.contains("athena_bulkhead_rejected_total{client=\"busy\"} 10"), "{metrics}");
}
