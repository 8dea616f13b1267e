//! Settings of pools, time and health apply, and health can be asked and told.

use std::time::Instant;

use athena_test_support::{Fault, Mode, Postgrest};

use super::*;
use crate::harness::SUPABASE_KEY;

/// Sessions of other programs on the test's database.
async fn sessions(observer: &AthenaClient) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
               AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    observer.execute_sql(sql).await.unwrap().rows[0]["n"].as_i64().unwrap()
}

#[tokio::test]
async fn the_pool_is_as_large_as_it_is_said_to_be() {
    let database = TestDatabase::with(ORDERS).await;
    let build = |most, least| {
        AthenaClient::builder()
            .backend(BackendType::PostgreSQL)
            .url(database.uri())
            .max_connections(most)
            .min_connections(least)
            .idle_timeout(Duration::from_secs(1))
            .connection_timeout(Duration::from_secs(20))
            .build()
    };
    let observer = build(1, 0).await.unwrap();
    // Its own further sessions are those of the schema.
    sessions(&observer).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = sessions(&observer).await;
    let athena = build(3, 2).await.unwrap();
    athena.select("orders").execute().await.unwrap();
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let athena = athena.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    athena.select("orders").execute().await.unwrap();
                }
            })
        })
        .collect();
    let mut most = 0;
    while slow.iter().any(|task| !task.is_finished()) {
        most = most.max(sessions(&observer).await - before);
    }
    // Three for requests, and one that the schema is read with.
    assert!((1..=4).contains(&most), "{most} sessions for 3 connections");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let kept = sessions(&observer).await - before;
    assert!((1..=3).contains(&kept), "{kept} sessions stay of 2");
    drop(athena);
    let mut left = i64::MAX;
    for _ in 0..50 {
        left = sessions(&observer).await - before;
        if left <= 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(left <= 0, "a client that is gone keeps {left} sessions");
}

#[tokio::test]
async fn nobody_waits_longer_than_was_said() {
    let database = TestDatabase::with(ORDERS).await;
    let athena = AthenaClient::builder()
        .backend(BackendType::PostgreSQL)
        .url(database.uri())
        .max_connections(1)
        .min_connections(0)
        .connection_timeout(Duration::from_secs(1))
        .request_timeout(Duration::from_secs(4))
        .build()
        .await
        .unwrap();
    let began = Instant::now();
    let (slow, second) =
        tokio::join!(athena.execute_sql("SELECT pg_sleep(30)"), athena.execute_sql("SELECT pg_sleep(30)"));
    // Of the two the one has the only connection for such statements and the other waits for it.
    let mut kinds =
        [slow.unwrap_err(), second.unwrap_err()].map(|error| (error.kind, error.code.unwrap().into_string()));
    kinds.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = [
        (ErrorKind::Unavailable, "pool_timeout".to_owned()),
        (ErrorKind::TimedOut, "query_canceled".to_owned()),
    ];
    assert_eq!(kinds, expected);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_same_holds_over_http() {
    let database = TestDatabase::with(ORDERS).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let athena = AthenaClient::builder()
        .backend(BackendType::Supabase)
        .url(format!("http://{}", server.address()))
        .key(SUPABASE_KEY)
        .max_connections(1)
        .connection_timeout(Duration::from_secs(1))
        .request_timeout(Duration::from_secs(4))
        .build()
        .await
        .unwrap();
    server.next([Fault::Slowly(1, Duration::from_secs(1))]);
    let first = athena.clone();
    let first = tokio::spawn(async move { first.select("orders").execute().await });
    while server.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let second = athena.select("orders").limit(1).execute().await.unwrap_err();
    assert_eq!((second.kind, second.code.as_deref()), (ErrorKind::Unavailable, Some("pool_timeout")));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let first = first.await.unwrap().unwrap_err();
    assert_eq!(first.kind, ErrorKind::TimedOut, "{first}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn health_is_asked_told_and_forgotten() {
    let (_gateway, _database, clients) = both().await;
    for (kind, athena) in clients {
        assert_eq!(athena.is_offline(), None, "{kind}");
        let until = athena.force_offline(Duration::from_secs(600));
        let told = athena.clone().is_offline().unwrap();
        let apart = told.max(until) - told.min(until);
        assert!(apart < Duration::from_secs(5), "{kind}: {apart:?}");
        let refused = athena.select("orders").execute().await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.code.as_deref()),
            (ErrorKind::Unavailable, Some("circuit_open")),
            "{kind}"
        );
        assert!(refused.retry_after.unwrap() > Duration::from_secs(500), "{kind}: {refused:?}");
        let Health::Offline { retry_after } = athena.health_check().await.unwrap() else { panic!("{kind}") };
        assert!(retry_after > Duration::from_secs(500), "{kind}");
        athena.reset_health();
        assert_eq!(athena.is_offline(), None, "{kind}");
        assert_eq!(athena.select("orders").execute().await.unwrap().rows.len(), 4, "{kind}");
        athena.force_offline(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(athena.is_offline(), None, "{kind}");
        assert_eq!(athena.select("orders").execute().await.unwrap().rows.len(), 4, "{kind}");
    }
}

#[tokio::test]
async fn a_database_that_is_back_is_found_by_the_checks() {
    let database = TestDatabase::with(ORDERS).await;
    let proxy = database.proxied().await;
    let athena = AthenaClient::builder()
        .backend(BackendType::PostgreSQL)
        .url(proxy.uri())
        .circuit_breaker_threshold(2)
        .circuit_breaker_timeout(Duration::from_secs(600))
        .health_check_interval(Duration::from_secs(1))
        .build()
        .await
        .unwrap();
    athena.select("orders").execute().await.unwrap();
    proxy.down().await;
    for _ in 0..2 {
        athena.select("orders").execute().await.unwrap_err();
    }
    assert!(athena.is_offline().is_some());
    proxy.set(Mode::Pass).await;
    let began = Instant::now();
    while athena.is_offline().is_some() {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody looks whether it is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    athena.select("orders").execute().await.unwrap();
}

#[tokio::test]
async fn only_reads_are_sent_again_to_a_gateway_that_breaks_off() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Hangs up on the first two requests; answers the third.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).await;
            if counted.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
                let body = "{\"id\":1}\n";
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n";
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        }
    });
    let athena = AthenaClient::remote(RemoteGateway::new(format!("http://{address}"), "any")).unwrap();
    assert_eq!(athena.select("t").execute().await.unwrap().rows, [json!({"id": 1})]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let insert = athena.insert("t").payload(json!({"id": 1})).execute().await.unwrap_err();
    assert_eq!(insert.kind, ErrorKind::Connection);
    assert_eq!(athena.execute_sql("SELECT 1").await.unwrap_err().kind, ErrorKind::Connection);
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}
