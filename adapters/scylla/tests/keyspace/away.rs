//! A server that is away, silent or no longer needed.

use std::sync::Arc;
use std::time::Duration;

use athena_application::contract::Recorder;
use athena_application::ports::{Backend as _, PortErrorKind, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::{Operation, Plan, RawPlan};
use athena_domain::schema::Schema;
use athena_scylla::{ScyllaSchema, ScyllaSettings};
use athena_test_support::{Mode, TestKeyspace};

use super::{TABLES, soon};

#[tokio::test]
async fn a_server_that_is_away_is_told_and_comes_back() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    proxy.down().await;
    let settings = ScyllaSettings::from_uri(proxy.uri()).unwrap();
    let (backend, schema) = athena_scylla::open(&settings);
    assert_eq!(schema.refresh(None, soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert!(!backend.status().connected);

    proxy.set(Mode::Pass).await;
    let known = comes(&schema).await;
    assert_eq!(known.default_schema(), keyspace.name());
    assert!(backend.status().connected && backend.status().open > 0);
    backend.ping(soon()).await.unwrap();

    // A session that is open finds its way back too.
    proxy.down().await;
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    proxy.set(Mode::Pass).await;
    schema.invalidate();
    comes(&schema).await;
}

/// Waits for a reading.
async fn comes(schema: &ScyllaSchema) -> Arc<Schema> {
    loop {
        match schema.refresh(None, soon()).await {
            Ok(schema) => return schema,
            Err(error) => assert_eq!(error.kind, PortErrorKind::Unavailable, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_any_longer_than_was_said() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let settings = ScyllaSettings::from_uri(&format!("{}?timeout_ms=300", proxy.uri())).unwrap();
    let (backend, schema) = athena_scylla::open(&settings);
    schema.refresh(None, soon()).await.unwrap();
    let run = async |query: &str| {
        let raw = RawPlan {
            query: query.into(),
            params: None,
            read_only: false,
            statements: 1,
            undoable: false,
            defines: false,
            opens_transaction: false,
            tells_columns: false,
        };
        let plan = Plan { operation: Operation::Raw(raw), big_numbers_as_text: false, keys_to_snake: false };
        backend
            .execute(&plan, &mut Recorder::default(), soon(), &Stopwatch::default())
            .await
            .map(|_| ())
            .unwrap_err()
            .kind
    };
    proxy.set(Mode::Blackhole).await;
    assert_eq!(run("SELECT * FROM numbers").await, PortErrorKind::TimedOut);
    // Nobody knows whether it was done.
    assert_eq!(run("INSERT INTO numbers (part, n) VALUES (1, 1)").await, PortErrorKind::Lost);
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_connection() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let open = async |idle: Duration| {
        let mut settings = ScyllaSettings::from_uri(proxy.uri()).unwrap();
        settings.idle_timeout = idle;
        let opened = athena_scylla::open(&settings);
        assert_eq!(proxy.open(), 0, "nothing is connected before the first use");
        opened.1.refresh(None, soon()).await.unwrap();
        assert!(proxy.open() > 0);
        opened
    };
    let closed = async || {
        while proxy.open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    drop(open(Duration::from_secs(300)).await);
    closed().await;
    // Nor does one that nobody uses.
    let (backend, schema) = open(Duration::from_millis(100)).await;
    closed().await;
    schema.invalidate();
    schema.refresh(schema.loaded().as_ref(), soon()).await.unwrap();
    assert!(backend.status().connected);
}
