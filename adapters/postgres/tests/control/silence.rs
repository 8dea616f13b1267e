//! A server that takes a reading and never answers it, or a network that swallows the answer, is given up.

use std::time::Duration;

use athena_application::contract::log_entry;
use athena_application::ports::{
    BatchId, ClientStore, EnforcementStore as _, KeyFields, KeyStore, KeyStoreError, LogBatch, LogStore as _,
    NewClient, PoolHistory as _, PoolSample, PortError, PortErrorKind, RightStore as _, StatisticsStore as _,
};
use athena_domain::access::{Mode as Enforcement, NewCredential, RANDOM_BYTES};
use athena_domain::catalog::TargetTexts;
use athena_postgres::control::{
    ControlDatabase, PostgresClientStore, PostgresKeyStore, PostgresLogStore, PostgresPoolHistory,
    PostgresStatistics, purge_realtime,
};
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
    let kind = outcome.unwrap_err().kind;
    assert!(matches!(kind, PortErrorKind::Unavailable | PortErrorKind::TimedOut), "{statement}: {kind:?}");
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
        PostgresKeyStore::new(database).load(&mut |_| {}).await.map(drop)
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

fn port<T>(outcome: Result<T, KeyStoreError>) -> Result<(), PortError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(KeyStoreError::Port(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn whoever_administers_keys_is_not_kept_waiting_for_ever() {
    let keys = |database| PostgresKeyStore::new(database);
    silence_is_given_up("api_keys", "SELECT k.id", async |database| keys(database).keys().await.map(drop))
        .await;
    silence_is_given_up("api_keys", "INSERT INTO api_keys", async |database| {
        let mut random = [0; RANDOM_BYTES];
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        random[..8].copy_from_slice(&now.to_le_bytes()[..8]);
        let credential = NewCredential::new(&random);
        port(
            keys(database)
                .create(&credential, &KeyFields { name: "k".to_owned(), ..KeyFields::default() }, &[])
                .await,
        )
    })
    .await;
    silence_is_given_up("api_keys", "UPDATE api_keys", async |database| {
        keys(database).archive("00000000-0000-0000-0000-000000000001").await.map(drop)
    })
    .await;
    silence_is_given_up("api_key_rights", "SELECT api_key_rights_id", async |database| {
        keys(database).rights().await.map(drop)
    })
    .await;
    silence_is_given_up("api_key_config", "INSERT INTO api_key_config", async |database| {
        keys(database).set_global(Enforcement::Off).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn whoever_administers_clients_is_not_kept_waiting_for_ever() {
    silence_is_given_up("athena_clients", "SELECT id, athena_client_id", async |database| {
        PostgresClientStore::new(database).update("nobody", &|_| {}).await.map(drop)
    })
    .await;
    silence_is_given_up("athena_clients", "INSERT INTO athena_clients", async |database| {
        let name = format!("c{}", std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos());
        let target = TargetTexts { pg_uri: Some("postgres://h/d".to_owned()), ..TargetTexts::default() };
        let client = NewClient { name, target, ..NewClient::default() };
        let made = PostgresClientStore::new(database).create(&client).await;
        made.map(drop).map_err(|error| match error {
            athena_application::ports::ClientStoreError::Port(error) => error,
            other => panic!("{other}"),
        })
    })
    .await;
    silence_is_given_up("client_statistics", "SELECT client_name", async |database| {
        PostgresStatistics::new(database).list().await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn records_are_not_held_up_for_ever() {
    silence_is_given_up("client_connections", "INSERT INTO client_connections", async |database| {
        let sample = PoolSample { client_name: "c".to_owned(), open: 1, idle: 1, max: 1 };
        let history = PostgresPoolHistory::new(database, "h".to_owned(), sqlx::types::Uuid::nil());
        history.record(&[sample]).await
    })
    .await;
    silence_is_given_up(
        "gateway_connection_registry_realtime",
        "DELETE FROM gateway_connection_registry_realtime",
        async |database| purge_realtime(&database, Duration::from_secs(1)).await.map(drop),
    )
    .await;
    silence_is_given_up("gateway_request_log", "COPY gateway_request_log", async |database| {
        let id = BatchId(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos());
        let entries = [log_entry("shop", 1, 200, false)];
        PostgresLogStore::new(database).write(&LogBatch { id, entries: &entries }).await
    })
    .await;
}
