//! A server that takes a reading and never answers it, or a network that swallows the answer, is given up.

use std::time::Duration;

use athena_application::ports::{ClientStore, KeyStore, PortError, PortErrorKind};
use athena_postgres::control::{ControlDatabase, PostgresClientStore, PostgresKeyStore};
use athena_test_support::Mode;
use sqlx::Connection as _;
use tokio::time::{sleep, timeout};

use crate::snapshot::Control;

/// Within this everything has to happen that is to happen at all.
const EVER: Duration = Duration::from_secs(30);

/// Reads through a network that falls silent once the server works on the reading, which begins with `statement` and
/// needs `table`.
async fn silence_is_given_up(
    table: &str,
    statement: &str,
    read: impl AsyncFn(ControlDatabase) -> Result<(), PortError>,
) {
    let control = Control::migrated().await;
    let proxy = control.server.proxied().await;
    let database = ControlDatabase::open(proxy.uri()).unwrap().with_patience(Duration::from_secs(1));
    read(database.clone()).await.unwrap();

    let mut holder = sqlx::PgConnection::connect(&control.server.uri()).await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut holder).await.unwrap();
    let waiting = format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND query LIKE '{statement}%')"
    );
    let given_up = std::cell::Cell::new(false);
    let reading = async {
        let outcome = read(database.clone()).await;
        given_up.set(true);
        outcome
    };
    let silence = async {
        // On a machine that is very busy the lock alone may have been too long.
        while !given_up.get() && !control.value::<bool>(&waiting).await {
            sleep(Duration::from_millis(5)).await;
        }
        proxy.set(Mode::Blackhole).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (outcome, ()) = timeout(EVER, async { tokio::join!(reading, silence) }).await.unwrap();
    assert_eq!(outcome.unwrap_err().kind, PortErrorKind::Unavailable);
    // The silent connection does not keep its place.
    let closed = async {
        while database.pool().size() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(EVER, closed).await.unwrap();

    proxy.set(Mode::Pass).await;
    read(database).await.unwrap();
}

#[tokio::test]
async fn keys_are_not_waited_for_for_ever() {
    silence_is_given_up("api_keys", "SELECT k.id", async |database| {
        PostgresKeyStore::new(database).load().await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn the_catalog_is_not_waited_for_for_ever() {
    silence_is_given_up("athena_clients", "SELECT athena_client_id", async |database| {
        PostgresClientStore::new(database).load().await.map(drop)
    })
    .await;
}
