//! Records that wait on disk, and whose they are.

use std::time::Duration;

use athena_test_support::TestDatabase;
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

async fn send(gateway: &Gateway, request_id: &str) {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
    let request = request.header("X-Request-Id", request_id).json(&json!({"table_name": "things"}));
    gateway.send(request).await.ok();
}

#[tokio::test]
async fn gateways_of_two_control_databases_share_a_spool_and_no_record() {
    const SQL: &str = "CREATE TABLE things (id int)";
    let dir = std::env::temp_dir().join(format!("athena-shared-spool-{}", std::process::id()));
    let yaml = format!("logging: {{spool_dir: {}, flush_interval_ms: 20}}", dir.display());
    let (one, proxy) = Plane::behind_a_proxy(SQL, &yaml).await;
    send(&one.gateway, "before").await;
    until("the first record", async || logged(&one.control, "before").await == 1).await;
    proxy.down().await;
    send(&one.gateway, "of-one").await;
    let spooled = async || !one.gateway.metrics().await.text.contains("athena_log_spooled_batches 0");
    until("the record to be spooled", spooled).await;
    let Plane { gateway, control, data } = one;
    drop(gateway);

    let two = Plane::configured(SQL, &yaml).await;
    send(&two.gateway, "of-two").await;
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
