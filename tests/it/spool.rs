//! The control database is away: keys are judged by what is known of them, and records wait on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use athena_test_support::{Mode, TestDatabase};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::enforcement::Plane;
use crate::harness::{CLIENT, Gateway};
use crate::witness;

/// How often a database has a record.
async fn logged(control: &TestDatabase, request_id: &str) -> i64 {
    let mut connection = PgConnection::connect(&control.uri()).await.expect("a connection");
    let sql = "SELECT count(*) FROM gateway_request_log WHERE request_id = $1";
    sqlx::query_scalar(sql).bind(request_id).fetch_one(&mut connection).await.expect("a count")
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}

#[tokio::test]
async fn gateways_of_two_control_databases_share_a_spool_and_no_record() {
    const SQL: &str = "CREATE TABLE things (id int)";
    let dir = std::env::temp_dir().join(format!("athena-shared-spool-{}", std::process::id()));
    let yaml = format!("logging: {{spool_dir: {}, flush_interval_ms: 20}}", dir.display());
    let (one, proxy) = Plane::behind_a_proxy(SQL, &yaml).await;
    assert_eq!(fetch(&one.gateway, "before", None).await, 200);
    until("the first record", async || logged(&one.control, "before").await == 1).await;
    proxy.down().await;
    assert_eq!(fetch(&one.gateway, "of-one", None).await, 200);
    let spooled = async || !one.gateway.metrics().await.text.contains("athena_log_spooled_batches 0");
    until("the record to be spooled", spooled).await;
    let Plane { gateway, control, data } = one;
    drop(gateway);

    let two = Plane::configured(SQL, &yaml).await;
    assert_eq!(fetch(&two.gateway, "of-two", None).await, 200);
    until("the other gateway's record", async || logged(&two.control, "of-two").await == 1).await;
    let port = proxy.uri().rsplit_once(':').expect("a port").1.split('/').next().expect("a port").to_owned();
    let told = async || {
        let lines = witness::lines("records of another control database; they are left");
        lines.iter().any(|line| line.contains(&format!(":{port}/")))
    };
    until("a warning", told).await;

    // Whoever comes back finds what waits, and nobody else has had it.
    proxy.set(athena_test_support::Mode::Pass).await;
    let again = Plane::gateway(&data, proxy.uri(), &yaml).await;
    until("the record that waited", async || logged(&control, "of-one").await == 1).await;
    assert_eq!(logged(&two.control, "of-one").await, 0);
    drop((again, two));
    drop(std::fs::remove_dir_all(&dir));
}

/// Asks for the things with a key.
async fn fetch(gateway: &Gateway, request_id: &str, key: Option<&str>) -> u16 {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    let request = request.header("X-Request-Id", request_id).json(&json!({"table_name": "things"}));
    let request = match key {
        Some(key) => request.header("X-Athena-Key", key),
        None => request,
    };
    gateway.send(request).await.status
}

/// How many records there are of these requests, and of how many of them.
async fn records(control: &TestDatabase) -> (i64, i64) {
    let mut connection = PgConnection::connect(&control.uri()).await.expect("a connection");
    let sql =
        "SELECT count(*), count(DISTINCT request_id) FROM gateway_request_log WHERE request_id LIKE 'away-%'";
    sqlx::query_as(sql).fetch_one(&mut connection).await.expect("two counts")
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_and_nobody_gets_in_while_the_control_database_is_away() {
    const SQL: &str = "CREATE TABLE things (id int)";
    let dir = std::env::temp_dir().join(format!("athena-spool-{}", std::process::id()));
    let yaml = format!("logging: {{spool_dir: {}, flush_interval_ms: 100}}", dir.display());
    let (plane, proxy) = Plane::behind_a_proxy(SQL, &yaml).await;
    plane.policy("enforce").await;
    let (key, _) = plane.key(json!({"name": "k", "rights": ["gateway.read"]})).await;
    let (powerless, _) = plane.key(json!({"name": "p"})).await;
    let (plane, key) = (Arc::new(plane), Arc::<str>::from(key));
    let (stop, answered, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (plane, key, stop) = (plane.clone(), key.clone(), stop.clone());
            let (answered, failed) = (answered.clone(), failed.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("away-{}", answered.fetch_add(1, Ordering::SeqCst));
                    let status = fetch(&plane.gateway, &id, Some(&key)).await;
                    failed.fetch_add(u64::from(status != 200), Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    proxy.down().await;
    let wrong = format!("{}.{}", key.split_once('.').expect("id and secret").0, "0".repeat(64));
    let unknown = format!("ath_0123456789abcdef.{}", "0".repeat(64));
    for _ in 0..8 {
        for (who, presented, expected) in [
            ("nobody", None, 401),
            ("no key", Some("not-a-key"), 401),
            ("a wrong secret", Some(&*wrong), 401),
            ("an unknown key", Some(&*unknown), 401),
            ("a key without rights", Some(&*powerless), 403),
        ] {
            assert_eq!(fetch(&plane.gateway, "intruder", presented).await, expected, "{who}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    proxy.set(Mode::Pass).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller");
    }
    let sent = answered.load(Ordering::SeqCst);
    assert_eq!(failed.load(Ordering::SeqCst), 0, "of {sent}");
    assert!(sent > 200, "{sent}");
    let every = i64::try_from(sent).expect("a number");
    until("every record", async || records(&plane.control).await.0 >= every).await;
    assert_eq!(records(&plane.control).await, (every, every), "every request once");
    drop(std::fs::remove_dir_all(&dir));
}
