//! The database changes under the gateway: the next request sees it, none is answered wrongly.

use serde_json::json;
use sqlx::{Connection as _, Executor as _};

use crate::harness::Gateway;

#[tokio::test]
async fn changes_made_elsewhere_are_seen() {
    let gateway =
        Gateway::with("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10)").await;
    let mut elsewhere = sqlx::PgConnection::connect(&gateway.database.as_ref().unwrap().uri()).await.unwrap();
    let fetch = r#"{"table_name":"t","conditions":[{"eq_column":"id","eq_value":1}]}"#;
    let by_v = |v: &str| {
        format!(r#"{{"table_name":"t","columns":"id","conditions":[{{"eq_column":"v","eq_value":{v}}}]}}"#)
    };
    // Often enough that every connection has its statements prepared.
    for _ in 0..3 {
        assert_eq!(gateway.fetch(fetch).await.rows(), json!([{"id":1,"v":10}]));
        assert_eq!(gateway.fetch(&by_v("10")).await.rows(), json!([{"id":1}]));
    }
    elsewhere.execute("ALTER TABLE t ADD COLUMN w text DEFAULT 'new'").await.unwrap();
    assert_eq!(gateway.fetch(fetch).await.rows(), json!([{"id":1,"v":10,"w":"new"}]));
    elsewhere.execute("ALTER TABLE t ALTER COLUMN v TYPE text").await.unwrap();
    assert_eq!(gateway.fetch(fetch).await.rows(), json!([{"id":1,"v":"10","w":"new"}]));
    assert_eq!(gateway.fetch(&by_v("\"10\"")).await.rows(), json!([{"id":1}]));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    elsewhere.execute("ALTER TABLE t RENAME COLUMN v TO u").await.unwrap();
    assert_eq!(
        gateway.fetch(r#"{"table_name":"t","columns":"id,u"}"#).await.rows(),
        json!([{"id":1,"u":"10"}])
    );
    gateway.fetch(&by_v("1")).await.refused(400, "undefined_column");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    elsewhere.execute("CREATE TABLE fresh (a int)").await.unwrap();
    assert_eq!(
        gateway.insert(r#"{"table_name":"fresh","insert_body":{"a":1}}"#).await.ok()["data"],
        json!({"a":1})
    );
    elsewhere.execute("DROP TABLE t").await.unwrap();
    gateway.fetch(fetch).await.refused(400, "undefined_table");
}

#[tokio::test]
async fn a_column_dropped_right_after_a_reading_is_no_fault_of_the_caller() {
    let gateway =
        Gateway::with("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int, m mood, v int, w int)").await;
    let mut elsewhere = sqlx::PgConnection::connect(&gateway.database.as_ref().unwrap().uri()).await.unwrap();
    let fetch = r#"{"table_name":"t","limit":1}"#;
    for column in ["v", "w"] {
        gateway.fetch(fetch).await.ok();
        let drop = format!("ALTER TABLE t DROP COLUMN {column}");
        elsewhere.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
        gateway.fetch(fetch).await.ok();
    }
}

#[tokio::test]
async fn a_write_through_an_old_reading_is_planned_anew() {
    let gateway = Gateway::with("CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    gateway.insert(r#"{"table_name":"t","insert_body":{"id":1,"v":1}}"#).await.ok();
    let mut elsewhere = sqlx::PgConnection::connect(&gateway.database.as_ref().unwrap().uri()).await.unwrap();
    elsewhere.execute("ALTER TABLE t ALTER COLUMN v TYPE text").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let body = r#"{"table_name":"t","set":{"v":"x"},"conditions":[{"eq_column":"v","eq_value":"1"}]}"#;
    assert_eq!(gateway.update(body).await.rows(), json!([{"id":1,"v":"x"}]));
}
