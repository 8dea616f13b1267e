//! A client behind a real PgBouncer in transaction mode, as its caller sees it.

use athena_test_support::{PgBouncer, TestDatabase};
use serde_json::json;

use crate::harness::{CLIENT, Gateway};

#[tokio::test]
async fn a_client_behind_a_transaction_pooler_answers_like_any_other() {
    if PgBouncer::program().is_none() {
        return;
    }
    let database = TestDatabase::with(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); \
         CREATE TABLE t (id int PRIMARY KEY, m mood, i interval); INSERT INTO t VALUES (1, 'good', '1 day')",
    )
    .await;
    let pooler = PgBouncer::in_front_of(&database.uri(), 2, "").await;
    let gateway = Gateway::over(&[(CLIENT, pooler.uri())], "").await;
    for _ in 0..3 {
        let rows =
            gateway.fetch(r#"{"table_name":"t","conditions":[{"eq_column":"m","eq_value":"good"}]}"#).await;
        assert_eq!(rows.rows(), json!([{"id":1,"m":"good","i":"P1D"}]));
    }
    gateway.insert(r#"{"table_name":"t","insert_body":{"id":2,"m":"bad"}}"#).await.ok();
    gateway
        .insert(r#"{"table_name":"t","insert_body":{"id":2,"m":"bad"}}"#)
        .await
        .refused(409, "unique_violation");
    let update = r#"{"table_name":"t","set":{"m":"good"},"conditions":[{"eq_column":"id","eq_value":2}]}"#;
    gateway.update(update).await.ok();
    // A script's table is there for the next request, its session is not.
    gateway
        .query("CREATE TABLE made (a int); SET search_path = nowhere; CREATE TEMP TABLE gone (a int)")
        .await
        .ok();
    assert_eq!(gateway.fetch(r#"{"table_name":"made"}"#).await.rows(), json!([]));
    let path = gateway.query("SELECT current_setting('search_path') LIKE '%public%' AS usual").await.ok();
    assert_eq!(path["data"], json!([{"usual":true}]));
    let refused =
        gateway.query("BEGIN; DELETE FROM t; COMMIT").await.refused(400, "not_supported_by_backend");
    assert!(
        refused["details"]["reason"].as_str().unwrap().contains("pooler in transaction mode"),
        "{refused}"
    );
    assert!(refused["details"]["fix"].as_str().unwrap().contains("pooler=session"), "{refused}");
    assert_eq!(gateway.query("SELECT count(*) AS n FROM t").await.ok()["data"], json!([{"n":2}]));
}
