//! The sample data, loaded into a real server.

use athena_postgres::demo;
use athena_test_support::TestDatabase;
use sqlx::{Connection, Executor, PgConnection};

#[tokio::test]
async fn the_sample_data_is_loaded_once() {
    let database = TestDatabase::fresh().await;
    let uri = database.uri();
    // Two gateways at once are one loading.
    let (one, two) = tokio::join!(demo::load(&uri), demo::load(&uri));
    let (one, two) = (one.expect("load"), two.expect("load"));
    assert!(one.fresh != two.fresh);
    assert_eq!(one.tables, two.tables);
    assert_eq!(
        one.tables,
        [
            ("customers", 2_000),
            ("products", 119),
            ("orders", 12_000),
            ("order_items", 30_000),
            ("events", 125_000),
            ("type_samples", 4),
        ]
    );

    let mut connection = PgConnection::connect(&uri).await.expect("connect");
    let (future, unpaid, sessions): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM events WHERE occurred_at > now())
                + (SELECT count(*) FROM orders WHERE ordered_at > now()),
                (SELECT count(*) FROM orders WHERE total <= 0),
                (SELECT count(DISTINCT session_id) FROM events)",
    )
    .fetch_one(&mut connection)
    .await
    .expect("query");
    assert_eq!((future, unpaid), (0, 0));
    assert_eq!(sessions, 31_251);

    // What people did to it stays.
    connection.execute("DELETE FROM events; DROP TABLE type_samples").await.expect("change");
    let again = demo::load(&uri).await.expect("load");
    assert!(!again.fresh);
    assert_eq!(again.tables.last(), Some(&("events", 0)));
}

#[tokio::test]
async fn a_database_with_other_tables_of_that_name_is_left_alone() {
    let database = TestDatabase::with("CREATE TABLE orders (mine int)").await;
    let error = demo::load(&database.uri()).await.expect_err("in the way");
    assert!(error.to_string().contains("as it was before"), "{error}");
    let mut connection = PgConnection::connect(&database.uri()).await.expect("connect");
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut connection)
        .await
        .expect("query");
    assert_eq!(tables, 1);
}
