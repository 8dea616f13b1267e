//! The circuit breaker of a CQL client: a fault on the way to the database, and a database that is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use athena_test_support::{Mode, PrivateCassandra, TcpProxy, TestKeyspace};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};

const NUMBERS: &str = "CREATE TABLE numbers (part int, n int, PRIMARY KEY (part, n));";

const FETCH: &str = r#"{"table_name":"numbers","conditions":[{"eq_column":"part","eq_value":1}]}"#;

const INSERT: &str = r#"{"table_name":"numbers","insert_body":{"part":1,"n":1},"on_conflict":["part","n"]}"#;

/// Options of the client whose database goes away.
const OPTIONS: &str =
    "?circuit_breaker_threshold=3&circuit_breaker_timeout_secs=2&circuit_breaker_check_interval_secs=1";

const LIMITS: &str =
    "limits: {request_timeout_secs: 3, statement_timeout_secs: 2}\npool: {acquire_timeout_secs: 2}";

/// How long a request may take: its deadline, and what a busy machine may add to it.
const PATIENCE: Duration = Duration::from_secs(3 + 2);

/// A gateway over `uri` whose table has one row.
async fn gateway(uri: &str) -> Arc<Gateway> {
    let gateway = Gateway::over(&[(CLIENT, &format!("{uri}{OPTIONS}"))], LIMITS).await;
    gateway.insert(INSERT).await.ok();
    assert_eq!(fetch(&gateway).await.rows(), json!([{"part": 1, "n": 1}]));
    Arc::new(gateway)
}

/// A gateway over a keyspace that is reached through a proxy; none where there is no CQL server.
async fn proxied() -> Option<(TcpProxy, TestKeyspace, Arc<Gateway>)> {
    let keyspace = TestKeyspace::with(NUMBERS).await?;
    let proxy = keyspace.proxied().await;
    let gateway = gateway(proxy.uri()).await;
    Some((proxy, keyspace, gateway))
}

/// An answer that does not come later than it may.
async fn within(asked: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed()))
}

async fn fetch(gateway: &Gateway) -> Answer {
    within(gateway.fetch(FETCH)).await
}

#[track_caller]
fn turned_away(answer: &Answer) {
    answer.refused(503, "circuit_open");
    assert!((1..=2).contains(&wait(answer)), "{}", answer.text);
}

/// What the answer says of when to come again, in seconds.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    answer.header("retry-after").expect("Retry-After").parse().expect("seconds")
}

async fn openings(gateway: &Gateway) -> Value {
    let told = gateway.send(gateway.bare(Method::GET, "/readyz").bearer_auth(ADMIN_KEY)).await.ok();
    told["clients"][0]["circuit_breaker"]["openings"].clone()
}

/// How many of 25 requests fail, once the fault has ended.
async fn errors_of_25(gateway: &Gateway) -> usize {
    gateway.errors_of_25(FETCH, PATIENCE, &json!([{"part": 1, "n": 1}])).await
}

#[tokio::test]
async fn a_server_that_refuses_is_answered_at_once_until_it_is_back() {
    let Some((proxy, _keyspace, gateway)) = proxied().await else { return };
    proxy.down().await;
    for _ in 0..3 {
        fetch(&gateway).await.refused(503, "connection_error");
    }
    for answer in [
        fetch(&gateway).await,
        within(gateway.insert(INSERT)).await,
        within(gateway.raw(r#"{"query":"SELECT * FROM numbers","read_only":true}"#)).await,
    ] {
        turned_away(&answer);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        turned_away(&fetch(&gateway).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
    assert_eq!(openings(&gateway).await, 1);
}

#[tokio::test]
async fn a_server_that_is_silent_is_noticed_and_nobody_waits_beyond_the_deadline() {
    let Some((proxy, _keyspace, gateway)) = proxied().await else { return };
    proxy.set(Mode::Blackhole).await;
    let callers = (0..6).map(|caller| {
        let gateway = gateway.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                let answer = match caller % 2 {
                    0 => fetch(&gateway).await,
                    _ => within(gateway.insert(INSERT)).await,
                };
                match answer.json()["code"].as_str() {
                    Some("query_canceled" | "connection_error") => {}
                    Some("circuit_open") => return,
                    _ => panic!("{} {}", answer.status, answer.text),
                }
            }
            panic!("the breaker does not open");
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller that is turned away");
    }
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn a_connection_that_is_reset_or_slow_costs_the_request_on_it_and_no_other() {
    let Some((proxy, _keyspace, gateway)) = proxied().await else { return };
    for _ in 0..2 {
        let (read, ()) = tokio::join!(fetch(&gateway), proxy.reset_once_asked());
        let errors = errors_of_25(&gateway).await;
        assert!(errors <= 2, "{errors} errors in 25 calls");
        let (written, ()) = tokio::join!(within(gateway.insert(INSERT)), proxy.reset_once_asked());
        for answer in [read, written] {
            // The driver's own questions come that way too, so that it may have been one of those that broke off.
            if answer.status != 200 {
                answer.refused(503, "connection_error");
            }
        }
        let errors = errors_of_25(&gateway).await;
        assert!(errors <= 2, "{errors} errors in 25 calls");
    }
    proxy.set(Mode::Trickle(Duration::from_millis(1))).await;
    assert_eq!(fetch(&gateway).await.rows(), json!([{"part": 1, "n": 1}]));
    proxy.set(Mode::Trickle(Duration::from_secs(3600))).await;
    let slow = fetch(&gateway).await;
    assert!(
        matches!(slow.json()["code"].as_str(), Some("query_canceled" | "connection_error")),
        "{}",
        slow.text
    );
    proxy.set(Mode::Pass).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
}

#[tokio::test]
async fn a_server_that_is_killed_fails_requests_only_while_it_is_down() {
    let Some(server) = PrivateCassandra::start(1, false).await else { return };
    let keyspace = server.keyspace(NUMBERS).await;
    let gateway = gateway(&keyspace.uri()).await;
    let (down, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let callers = (0..6).map(|caller| {
        let (gateway, down, stop) = (gateway.clone(), down.clone(), stop.clone());
        tokio::spawn(async move {
            let mut away = 0;
            while !stop.load(Ordering::SeqCst) {
                let answer = match caller % 3 {
                    0 => within(gateway.insert(INSERT)).await,
                    _ => fetch(&gateway).await,
                };
                if answer.status == 200 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                assert!(down.load(Ordering::SeqCst), "while it is up: {}", answer.text);
                assert_eq!(answer.status, 503, "{}", answer.text);
                let code = answer.json()["code"].clone();
                assert!(
                    wait(&answer) > 0 && (code == "connection_error" || code == "circuit_open"),
                    "{code}"
                );
                away += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            away
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Said first, as the first caller may notice before this one does.
    down.store(true, Ordering::SeqCst);
    server.kill(0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    turned_away(&fetch(&gateway).await);
    server.start_again(0).await;
    let errors = errors_of_25(&gateway).await;
    assert!(errors <= 2, "{errors} errors in 25 calls");
    down.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        assert!(caller.await.expect("a caller that was told nothing wrong") > 0, "nobody notices");
    }
}

#[tokio::test]
async fn what_one_statement_brings_about_turns_nobody_else_away() {
    let Some(server) = PrivateCassandra::start(1, false).await else { return };
    let keyspace = server.keyspace(NUMBERS).await;
    let name = format!("{}_three", keyspace.name());
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 3}";
    keyspace.run(&format!("CREATE KEYSPACE {name} WITH replication = {replication}")).await;
    keyspace.run(&format!("CREATE TABLE {name}.t (id int PRIMARY KEY)")).await;
    let gateway = gateway(&keyspace.uri()).await;
    let away = json!({"query": format!("SELECT * FROM {name}.t"), "read_only": true}).to_string();
    for _ in 0..5 {
        within(gateway.raw(&away)).await.refused(503, "connection_error");
    }
    assert_eq!(fetch(&gateway).await.rows(), json!([{"part": 1, "n": 1}]));
    assert_eq!(openings(&gateway).await, 0);
    // The node itself is missed all the same.
    server.kill(0).await;
    let began = Instant::now();
    while fetch(&gateway).await.json()["code"] != "circuit_open" {
        assert!(began.elapsed() < Duration::from_secs(30), "the breaker does not open");
    }
}
