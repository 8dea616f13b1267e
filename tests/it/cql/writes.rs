//! Writes: nothing is written by accident, nothing is written half.

use serde_json::json;

use athena_test_support::TestKeyspace;

use super::with;
use crate::harness::{CLIENT, Gateway};

const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text, age int);
    CREATE TABLE pairs (a int, b int, v text, PRIMARY KEY (a, b));
";

#[tokio::test]
async fn rows_are_inserted_once() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let one = gateway.insert(r#"{"table_name":"users","insert_body":{"id":1,"name":"Ada"}}"#).await.ok();
    assert_eq!(one["data"], json!({"id": 1, "name": "Ada", "age": null}));
    assert_eq!(one["resource_id"], "1");
    let again = gateway.insert(r#"{"table_name":"users","insert_body":{"id":1,"name":"Bob"}}"#).await;
    again.refused(409, "unique_violation");
    let ada = r#"{"table_name":"users","columns":"name","conditions":[{"eq_column":"id","eq_value":1}]}"#;
    assert_eq!(gateway.fetch(ada).await.rows(), json!([{"name": "Ada"}]));

    // Rows of one partition are written all or none, rows of several only where none can fail.
    let many = r#"{"table_name":"pairs","insert_body":[{"a":1,"b":1,"v":"x"},{"a":1,"b":2,"v":"y"}]}"#;
    assert_eq!(gateway.insert(many).await.ok()["data"].as_array().unwrap().len(), 2);
    let half = r#"{"table_name":"pairs","insert_body":[{"a":1,"b":3},{"a":1,"b":1}]}"#;
    gateway.insert(half).await.refused(409, "unique_violation");
    let part = r#"{"table_name":"pairs","columns":"b","conditions":[{"eq_column":"a","eq_value":1}]}"#;
    assert_eq!(gateway.fetch(part).await.rows(), json!([{"b": 1}, {"b": 2}]));
    let apart = r#"{"table_name":"pairs","insert_body":[{"a":1,"b":9},{"a":2,"b":9}]}"#;
    gateway.insert(apart).await.refused(400, "not_supported_by_backend");
    let upsert = r#"{"table_name":"pairs","insert_body":[{"a":1,"b":1,"v":"z"},{"a":2,"b":9,"v":"z"}],"on_conflict":["a","b"]}"#;
    assert_eq!(gateway.insert(upsert).await.ok()["data"].as_array().unwrap().len(), 2);
    let all = gateway.fetch(r#"{"table_name":"pairs","columns":"v"}"#).await.rows();
    assert_eq!(all.as_array().unwrap().iter().filter(|row| row["v"] == "z").count(), 2);
    gateway
        .insert(r#"{"table_name":"users","insert_body":{"name":"nobody"}}"#)
        .await
        .refused(400, "invalid_payload");
}

#[tokio::test]
async fn updates_and_deletes_touch_what_is_there() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    for id in 1..=3 {
        let body = json!({"table_name": "users", "insert_body": {"id": id, "name": "n", "age": 10 * id}});
        gateway.insert(&body.to_string()).await.ok();
    }
    let change = async |conditions: serde_json::Value| {
        let body = json!({"table_name": "users", "set": {"name": "changed"}, "conditions": conditions});
        gateway.update(&body.to_string()).await
    };
    let id = |value: serde_json::Value| json!({"operator": "in", "column": "id", "value": value});
    let changed = change(json!([id(json!([1, 2, 99]))])).await.rows();
    assert_eq!(changed.as_array().unwrap().len(), 2, "{changed}");
    // A condition beside the key is met or nothing happens.
    let age = json!({"operator": "gt", "column": "age", "value": 25});
    assert_eq!(change(json!([{"eq_column": "id", "eq_value": 1}, age])).await.rows(), json!([]));
    assert_eq!(
        change(json!([{"eq_column": "id", "eq_value": 3}, age])).await.rows().as_array().unwrap().len(),
        1
    );
    change(json!([age])).await.refused(400, "not_supported_by_backend");
    let dry = json!({"table_name": "users", "set": {"name": "x"}, "conditions": [{"eq_column": "id", "eq_value": 1}], "dry_run": true});
    gateway.update(&dry.to_string()).await.refused(400, "not_supported_by_backend");
    // Nothing was made by updating it.
    let all = gateway.fetch(r#"{"table_name":"users","columns":"id"}"#).await.rows();
    assert_eq!(all.as_array().unwrap().len(), 3);

    let gone = gateway.delete(r#"{"table_name":"users","resource_id":"1"}"#).await.ok();
    assert_eq!(gone["data"]["name"], "changed", "{gone}");
    let nobody =
        gateway.delete(r#"{"table_name":"users","conditions":[{"eq_column":"id","eq_value":77}]}"#).await;
    assert!(nobody.status == 200 || nobody.status == 404, "{}", nobody.text);
    gateway
        .delete(r#"{"table_name":"users","conditions":[{"eq_column":"name","eq_value":"n"}]}"#)
        .await
        .refused(400, "not_supported_by_backend");
    assert_eq!(
        gateway.fetch(r#"{"table_name":"users","columns":"id"}"#).await.rows().as_array().unwrap().len(),
        2
    );
}

/// Rows of a write are held until all of them are there, so that they have the bound of an answer.
#[tokio::test]
async fn rows_of_a_write_are_held_within_the_bound_of_an_answer() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let limits = "limits: {max_response_bytes: 2500}";
    let gateway = Gateway::over(&[(CLIENT, &keyspace.uri())], limits).await;
    let row = |b: u8| json!({"a": 1, "b": b, "v": "x".repeat(1000)});
    let upsert =
        json!({"table_name": "pairs", "on_conflict": ["a", "b"], "insert_body": [row(1), row(2), row(3)]});
    // They are written, and nothing takes them back.
    let lost = gateway.insert(&upsert.to_string()).await;
    assert_eq!(lost.status, 503, "{}", lost.text);
    assert!(lost.text.contains("may have been carried out"), "{}", lost.text);
    let keys = r#"{"table_name":"pairs","columns":"b","conditions":[{"eq_column":"a","eq_value":1}]}"#;
    let all = json!([{"b": 1}, {"b": 2}, {"b": 3}]);
    assert_eq!(gateway.fetch(keys).await.rows(), all);
    // Rows that are removed are read before, and nothing is removed when they are too large.
    let delete = |b: &[u8]| {
        let b = json!({"operator": "in", "column": "b", "value": b});
        json!({"table_name": "pairs", "conditions": [{"eq_column": "a", "eq_value": 1}, b]}).to_string()
    };
    let refused = gateway.delete(&delete(&[1, 2, 3])).await;
    assert!(refused.status == 413 || refused.status == 400, "{} {}", refused.status, refused.text);
    assert!(refused.text.contains("max_response_bytes"), "{}", refused.text);
    assert_eq!(gateway.fetch(keys).await.rows(), all);
    gateway.delete(&delete(&[1, 2])).await.ok();
    assert_eq!(gateway.fetch(keys).await.rows(), json!([{"b": 3}]));
}
