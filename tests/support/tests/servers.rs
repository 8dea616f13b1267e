//! The support of the tests, tested.

use std::io::ErrorKind;
use std::time::Duration;

use athena_test_support::{Mode, PrivateCluster, TcpProxy, TestDatabase};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

async fn count(uri: &str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(uri).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
}

const THREE_ROWS: &str = "CREATE TABLE t (v int); INSERT INTO t VALUES (1), (2), (3)";

#[tokio::test]
async fn databases_are_prepared_and_apart() {
    let (one, two) = tokio::join!(TestDatabase::with(THREE_ROWS), TestDatabase::with(THREE_ROWS));
    let empty = TestDatabase::fresh().await;
    let mut connection = PgConnection::connect(&one.uri()).await.expect("connect");
    sqlx::query("DELETE FROM t").execute(&mut connection).await.expect("delete");
    assert_eq!(count(&one.uri()).await.expect("count"), 0);
    assert_eq!(count(&two.uri()).await.expect("count"), 3);
    assert!(count(&empty.uri()).await.is_err());
}

#[tokio::test]
async fn a_dropped_database_is_gone_even_with_somebody_in_it() {
    let database = TestDatabase::fresh().await;
    let uri = database.uri();
    let _connection = PgConnection::connect(&uri).await.expect("connect");
    drop(database);
    for _ in 0..500 {
        if PgConnection::connect(&uri).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the database is still there");
}

#[tokio::test]
async fn the_proxy_passes_refuses_swallows_cuts_resets_and_trickles() {
    let database = TestDatabase::with(THREE_ROWS).await;
    let proxy = database.proxied().await;
    assert_eq!(count(proxy.uri()).await.expect("passes"), 3);

    let mut open = PgConnection::connect(proxy.uri()).await.expect("connect");
    proxy.set(Mode::Refuse).await;
    match PgConnection::connect(proxy.uri()).await {
        Err(sqlx::Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        other => panic!("not refused: {other:?}"),
    }
    open.ping().await.expect("open connections go on");

    proxy.set(Mode::Blackhole).await;
    let patience = Duration::from_millis(200);
    assert!(timeout(patience, open.ping()).await.is_err());
    let connect = PgConnection::connect(proxy.uri());
    assert!(timeout(patience, connect).await.is_err());

    proxy.set(Mode::Pass).await;
    let mut open = PgConnection::connect(proxy.uri()).await.expect("connect");
    proxy.cut().await;
    assert!(open.ping().await.is_err());
    assert_eq!(count(proxy.uri()).await.expect("passes again"), 3);

    let mut open = PgConnection::connect(proxy.uri()).await.expect("connect");
    proxy.reset().await;
    match open.ping().await {
        Err(sqlx::Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        other => panic!("not reset: {other:?}"),
    }

    let mut open = PgConnection::connect(proxy.uri()).await.expect("connect");
    proxy.set(Mode::Trickle(Duration::from_millis(1))).await;
    open.ping().await.expect("what comes slowly comes");
    proxy.set(Mode::Trickle(Duration::from_secs(3600))).await;
    assert!(timeout(patience, open.ping()).await.is_err());
    proxy.set(Mode::Pass).await;

    proxy.down().await;
    assert_eq!(proxy.open(), 0);
    assert!(PgConnection::connect(proxy.uri()).await.is_err());
}

#[tokio::test]
async fn a_private_cluster_stops_and_starts_where_it_was() {
    let mut cluster = PrivateCluster::start().await;
    let uri = cluster.uri("postgres");
    let proxy = TcpProxy::in_front_of(&uri).await;
    let mut connection = PgConnection::connect(&uri).await.expect("connect");
    sqlx::raw_sql(THREE_ROWS).execute(&mut connection).await.expect("create");

    cluster.stop().await;
    assert!(connection.ping().await.is_err());
    assert!(PgConnection::connect(&uri).await.is_err());

    cluster.start_again().await;
    assert_eq!(count(&uri).await.expect("count"), 3);
    assert_eq!(count(proxy.uri()).await.expect("count"), 3);

    let wrong = uri.replace("private-cluster", "guess");
    assert!(PgConnection::connect(&wrong).await.is_err());
}
