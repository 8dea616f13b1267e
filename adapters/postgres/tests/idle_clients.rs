//! Clients that nobody uses cost nothing, and those that are let go leave nothing behind.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::time::Duration;

use athena_application::contract::{self, Verb};
use athena_application::ports::{Backend as _, PortErrorKind, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_postgres::PostgresSettings;
use athena_test_support::{Mode, TestDatabase};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Handle;
use tokio::time::Instant;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";

const FETCH: &str = r#"{"table_name":"t"}"#;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Sessions of the database but for the one that asks.
async fn sessions(direct: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query_scalar(count).fetch_one(direct).await.unwrap()
}

/// Memory of this process; 0 where that cannot be read.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Waits until the number of sessions and tasks is as wanted.
async fn settles(direct: &mut PgConnection, wanted: (i64, usize), within: Duration) {
    let start = Instant::now();
    loop {
        let found = (sessions(direct).await, tasks());
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < within, "{found:?} sessions and tasks instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_thousand_clients_that_nobody_uses_are_only_settings() {
    let database = TestDatabase::with(TABLE).await;
    let mut direct = PgConnection::connect(&database.uri()).await.unwrap();
    let before = tasks();
    let (start, resident) = (Instant::now(), resident_kib());
    let clients: Vec<_> = (0..1000)
        .map(|_| athena_postgres::open(&PostgresSettings::from_uri(&database.uri()).unwrap()))
        .collect();
    let (took, grown) = (start.elapsed(), resident_kib().saturating_sub(resident));
    println!("a thousand clients opened in {took:?}, {grown} KiB");
    assert!(grown < 32 * 1024, "{grown} KiB for a thousand clients");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((sessions(&mut direct).await, tasks()), (0, before));
    assert!(clients.iter().all(|(backend, schema)| {
        !backend.status().connected && backend.status().open == 0 && schema.loaded().is_none()
    }));
    // A look at each of them leaves nothing behind either.
    for (backend, _) in &clients[..300] {
        backend.ping(soon()).await.unwrap();
        assert!(backend.status().connected && backend.status().open == 0);
    }
    settles(&mut direct, (0, before), Duration::from_secs(10)).await;
    // The first request finds its client ready all the same.
    let (backend, schema) = &clients[500];
    let answer = contract::run(&**backend, &**schema, Verb::Fetch, FETCH).await.unwrap();
    assert_eq!(answer.sink.rows, [r#"{"id":1}"#]);
}

#[tokio::test]
async fn a_client_rests_when_it_is_no_longer_used_and_wakes_again() {
    let database = TestDatabase::with(TABLE).await;
    let mut direct = PgConnection::connect(&database.uri()).await.unwrap();
    let before = tasks();
    let mut settings = PostgresSettings::from_uri(&database.uri()).unwrap();
    settings.idle_timeout = Duration::from_millis(400);
    settings.schema_refresh = Duration::from_millis(200);
    settings.in_use = Duration::from_secs(1);
    let (backend, schema) = athena_postgres::open(&settings);
    contract::run(&*backend, &*schema, Verb::Fetch, FETCH).await.unwrap();
    assert!(sessions(&mut direct).await >= 1 && tasks() > before);
    let first = schema.loaded().unwrap();
    // While it is in use the schema is kept fresh.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let second = schema.loaded().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &second), "a reading in the background");
    settles(&mut direct, (0, before), Duration::from_secs(6)).await;
    // What was read long ago serves at once, and is replaced in the background.
    sqlx::raw_sql("CREATE TABLE later (id int)").execute(&mut direct).await.unwrap();
    let old = schema.loaded().expect("the last reading");
    assert!(!old.relations().any(|relation| &*relation.name == "later"));
    let start = Instant::now();
    // Looked at without asking anew, which would be a use: the status and the sessions tell.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let new = schema.loaded().unwrap();
    assert!(new.relations().any(|relation| &*relation.name == "later"), "after {:?}", start.elapsed());
    settles(&mut direct, (0, before), Duration::from_secs(6)).await;
    // A ping is a round trip, and no use.
    backend.ping(soon()).await.unwrap();
    assert!(backend.status().connected);
    settles(&mut direct, (0, before), Duration::from_secs(6)).await;
}

#[tokio::test]
async fn a_ping_tells_whether_the_database_answers() {
    let database = TestDatabase::with(TABLE).await;
    let proxy = database.proxied().await;
    let (backend, _schema) = athena_postgres::open(&PostgresSettings::from_uri(proxy.uri()).unwrap());
    assert!(!backend.status().connected, "nobody has asked yet");
    backend.ping(soon()).await.unwrap();
    assert!(backend.status().connected);
    proxy.down().await;
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert!(!backend.status().connected);
    proxy.set(Mode::Pass).await;
    backend.ping(soon()).await.unwrap();
    assert!(backend.status().connected);
    proxy.set(Mode::Blackhole).await;
    proxy.cut().await;
    let hasty = Instant::now() + Duration::from_millis(300);
    backend.ping(hasty).await.unwrap_err();
    assert!(!backend.status().connected);
}

#[tokio::test]
async fn a_client_that_is_let_go_closes_its_connections_after_the_last_request() {
    let database = TestDatabase::with(TABLE).await;
    let mut direct = PgConnection::connect(&database.uri()).await.unwrap();
    let before = tasks();
    let mut settings = PostgresSettings::from_uri(&database.uri()).unwrap();
    settings.min_connections = 3;
    let (backend, schema) = athena_postgres::open(&settings);
    contract::run(&*backend, &*schema, Verb::Fetch, FETCH).await.unwrap();
    // One that its caller gave up, so that there is a canceller too.
    let mut sink = hanging();
    let known = schema.loaded().unwrap();
    let plan = plan(&known);
    let waits = Stopwatch::default();
    let work = backend.execute(&plan, &mut sink, soon(), &waits);
    drop(tokio::time::timeout(Duration::from_millis(100), work).await);
    // One that is under way when the client goes.
    let mut sink = hanging();
    let running = tokio::spawn({
        let backend = backend.clone();
        async move { drop(backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(sessions(&mut direct).await >= 3);
    drop((backend, schema));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(sessions(&mut direct).await >= 1, "the request in flight keeps its connection");
    running.abort();
    drop(running.await);
    settles(&mut direct, (0, before), Duration::from_secs(3)).await;
}

/// A sink that never takes more than one row.
fn hanging() -> contract::Recorder {
    let mut sink = contract::Recorder::default();
    (sink.full, sink.hang_on_flush) = (true, true);
    sink
}

fn plan(schema: &athena_domain::schema::Schema) -> athena_domain::plan::Plan {
    use athena_domain::query::{FetchRequest, JsonText};
    let (limits, options) = (athena_domain::Limits::default(), athena_domain::plan::PlanOptions::default());
    let body = JsonText::parse(FETCH.as_bytes()).unwrap();
    let request = FetchRequest::decode(body, &limits, Default::default()).unwrap();
    let planner =
        athena_domain::plan::Planner { schema, limits: &limits, options: &options, authority: None };
    planner.fetch(&request, athena_domain::rows::RowFormat::Json).unwrap().0
}

#[tokio::test]
async fn callers_who_wait_for_a_schema_that_cannot_be_read_fail_together() {
    let database = TestDatabase::with(TABLE).await;
    let proxy = database.proxied().await;
    proxy.set(Mode::Blackhole).await;
    let mut settings = PostgresSettings::from_uri(proxy.uri()).unwrap();
    settings.connect_timeout = Duration::from_millis(500);
    let (_backend, schema) = athena_postgres::open(&settings);
    let start = Instant::now();
    let attempts = (0..20).map(|_| schema.refresh(None, soon()));
    for outcome in futures_util::future::join_all(attempts).await {
        assert_eq!(outcome.unwrap_err().kind, PortErrorKind::Unavailable);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    proxy.set(Mode::Pass).await;
    assert!(schema.refresh(None, soon()).await.is_ok());
}

#[tokio::test]
async fn a_ping_tells_connections_that_are_busy_from_a_database_that_is_silent() {
    let database = TestDatabase::with(
        "CREATE VIEW slow AS SELECT pg_sleep(20) IS NULL AS slept; CREATE TABLE t (id int)",
    )
    .await;
    let proxy = database.proxied().await;
    let uri = format!("{}&max_connections=1", proxy.uri());
    let (backend, schema) = athena_postgres::open(&PostgresSettings::from_uri(&uri).unwrap());
    schema.refresh(None, soon()).await.unwrap();
    let (slow, known) = (backend.clone(), schema.clone());
    let busy = tokio::spawn(async move {
        drop(contract::run(&*slow, &*known, Verb::Fetch, r#"{"table_name":"slow"}"#).await);
    });
    while backend.status().idle > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let brief = || Instant::now() + Duration::from_millis(500);
    assert_eq!(backend.ping(brief()).await.unwrap_err().kind, PortErrorKind::Exhausted);
    assert!(backend.status().connected);
    busy.abort();
    drop(busy.await);
    // One connection is ready, and nobody answers on it.
    contract::run(&*backend, &*schema, Verb::Fetch, FETCH).await.unwrap();
    backend.ping(brief()).await.unwrap();
    proxy.set(Mode::Blackhole).await;
    let silent = backend.ping(brief()).await.unwrap_err().kind;
    assert!(matches!(silent, PortErrorKind::TimedOut | PortErrorKind::Unavailable), "{silent:?}");
    assert!(!backend.status().connected);
}
