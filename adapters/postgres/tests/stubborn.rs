//! Statements that do not stop when they are told: the server never works for more of them than the pool has places.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::process::Command;
use std::time::Duration;

use athena_application::contract::{self, Verb};
use athena_application::ports::{Backend as _, PortErrorKind, SchemaReader as _};
use athena_postgres::PostgresSettings;
use athena_test_support::PrivateCluster;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

const SLOW: &str = r#"{"table_name":"slow"}"#;

/// Server processes that are frozen, and thus deaf, until this is dropped.
struct Frozen(Vec<String>);

impl Frozen {
    fn tell(&self, signal: &str) {
        let told = Command::new("kill").arg(signal).args(&self.0).status().unwrap();
        assert!(told.success() || signal == "-CONT");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.tell("-CONT");
    }
}

#[tokio::test]
async fn a_statement_that_cannot_be_stopped_keeps_its_place_in_the_pool() {
    let cluster = PrivateCluster::start().await;
    let uri = cluster.uri("postgres");
    let mut direct = PgConnection::connect(&uri).await.unwrap();
    let setup = "CREATE VIEW slow AS SELECT pg_sleep(30) IS NULL AS slept; CREATE TABLE t (id int)";
    sqlx::raw_sql(setup).execute(&mut direct).await.unwrap();
    let (backend, schema) =
        athena_postgres::open(&PostgresSettings::from_uri(&format!("{uri}&max_connections=2")).unwrap());
    schema.refresh(None, Instant::now() + Duration::from_secs(20)).await.unwrap();
    let work = || timeout(Duration::from_millis(600), contract::run(&*backend, &*schema, Verb::Fetch, SLOW));
    let freeze = async {
        sleep(Duration::from_millis(300)).await;
        let pids = "SELECT pid::text FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        let frozen = Frozen(sqlx::query_scalar(pids).fetch_all(&mut direct).await.unwrap());
        frozen.tell("-STOP");
        frozen
    };
    let (first, second, frozen) = tokio::join!(work(), work(), freeze);
    assert!(first.is_err() && second.is_err() && frozen.0.len() == 2, "both were given up while they ran");
    // Whoever comes now is told that there is no place, and the server has no more to do than before.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let soon = Instant::now() + Duration::from_millis(200);
        let refused = backend.ping(soon).await.unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Exhausted);
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let sessions: i64 = sqlx::query_scalar(sessions).fetch_one(&mut direct).await.unwrap();
        // This test's, the two, and the one that stops them.
        assert!(sessions <= 4, "{sessions} sessions");
    }
    drop(frozen);
    let thawed = Instant::now();
    while backend.ping(Instant::now() + Duration::from_millis(500)).await.is_err() {
        assert!(thawed.elapsed() < Duration::from_secs(5), "the places are free again");
    }
}

#[tokio::test]
async fn a_statement_that_takes_no_cancellation_is_ended() {
    let cluster = PrivateCluster::start().await;
    let uri = cluster.uri("postgres");
    let mut direct = PgConnection::connect(&uri).await.unwrap();
    let setup = "CREATE FUNCTION deaf() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN LOOP \
                 BEGIN PERFORM pg_sleep(30); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$; \
                 CREATE VIEW slow AS SELECT deaf() AS slept";
    sqlx::raw_sql(setup).execute(&mut direct).await.unwrap();
    let (backend, schema) =
        athena_postgres::open(&PostgresSettings::from_uri(&format!("{uri}&max_connections=1")).unwrap());
    schema.refresh(None, Instant::now() + Duration::from_secs(20)).await.unwrap();
    let work = contract::run(&*backend, &*schema, Verb::Fetch, SLOW);
    assert!(timeout(Duration::from_millis(300), work).await.is_err());
    let given_up = Instant::now();
    while backend.ping(Instant::now() + Duration::from_millis(500)).await.is_err() {
        assert!(given_up.elapsed() < Duration::from_secs(5), "its place is free again");
    }
    let left = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut direct).await.unwrap(), 0);
}
