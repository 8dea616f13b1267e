//! Values that end by themselves, values with a date of their own, and counters.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::with;
use crate::harness::Gateway;

const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text, age int);
    CREATE TABLE pairs (a int, b int, v int, PRIMARY KEY (a, b));
    CREATE TABLE hits (page text, day date, views counter, errors counter, PRIMARY KEY (page, day));
";

async fn insert(gateway: &Gateway, row: Value, more: Value) -> crate::harness::Answer {
    let mut body = json!({"table_name": "users", "insert_body": row});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.insert(&body.to_string()).await
}

async fn user(gateway: &Gateway, id: i32) -> Value {
    let body = json!({"table_name": "users", "conditions": [{"eq_column": "id", "eq_value": id}]});
    gateway.fetch(&body.to_string()).await.rows()[0].clone()
}

#[tokio::test]
async fn values_end_with_their_time() {
    let Some((gateway, keyspace)) = with(TABLES, "").await else { return };
    let left = async |column: &str, id: i32| -> Option<i32> {
        let query = format!("SELECT TTL({column}) FROM users WHERE id = {id}");
        let rows = keyspace.session().query_unpaged(query, ()).await.unwrap().into_rows_result().unwrap();
        rows.single_row::<(Option<i32>,)>().unwrap().0
    };
    let lasts = |left: Option<i32>, ttl: i32| left.is_some_and(|left| (ttl - 30..=ttl).contains(&left));
    insert(&gateway, json!({"id": 1, "name": "a"}), json!({"ttl": 1000})).await.ok();
    assert!(lasts(left("name", 1).await, 1000));
    insert(&gateway, json!({"id": 2, "name": "a"}), json!({"ttl": 2000, "if_not_exists": true})).await.ok();
    assert!(lasts(left("name", 2).await, 2000));
    let update = json!({"table_name": "users", "set": {"age": 5}, "ttl": 3000,
        "conditions": [{"eq_column": "id", "eq_value": 1}], "if": [{"eq_column": "name", "eq_value": "a"}]});
    gateway.update(&update.to_string()).await.ok();
    assert!(lasts(left("age", 1).await, 3000) && lasts(left("name", 1).await, 1000));
    insert(&gateway, json!({"id": 1, "name": "b"}), json!({"ttl": 0, "on_conflict": "id"})).await.ok();
    assert_eq!(left("name", 1).await, None);
    let many = json!({"table_name": "pairs", "insert_body": [{"a": 1, "b": 1}, {"a": 1, "b": 2}], "ttl": 1});
    gateway.insert(&many.to_string()).await.ok();
    insert(&gateway, json!({"id": 3}), json!({"ttl": 1})).await.ok();
    while !user(&gateway, 3).await.is_null() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for bad in [json!(-1), json!(630_720_001), json!(1.5), json!("soon")] {
        let refused =
            insert(&gateway, json!({"id": 9}), json!({"ttl": bad})).await.refused(400, "invalid_field");
        assert_eq!(refused["details"]["field"], "ttl");
    }
    assert!(user(&gateway, 9).await.is_null());
}

#[tokio::test]
async fn what_was_written_later_stays() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let put = async |age: i32, timestamp: i64| {
        let more = json!({"on_conflict": "id", "timestamp": timestamp});
        insert(&gateway, json!({"id": 1, "age": age}), more).await.ok()["data"]["age"].clone()
    };
    assert_eq!(put(10, 2_000).await, 10);
    // It is older than what is there, which the answer shows.
    assert_eq!(put(11, 1_000).await, 10);
    assert_eq!(put(12, 3_000).await, 12);
    let delete = async |timestamp: i64, more: Value| {
        let mut body = json!({"table_name": "users", "resource_id": 1, "timestamp": timestamp});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.delete(&body.to_string()).await
    };
    let kept = delete(2_500, json!({})).await.ok();
    assert_eq!((&kept["deleted_count"], &kept["data"]), (&json!(0), &Value::Null), "{kept}");
    assert_eq!(user(&gateway, 1).await["age"], 12);
    let gone = delete(3_500, json!({})).await.ok();
    assert_eq!((&gone["deleted_count"], &gone["data"]["age"]), (&json!(1), &json!(12)), "{gone}");
    assert_eq!(delete(3_600, json!({"head": true})).await.ok()["deleted_count"], 0);
    assert_eq!(put(13, 4_000).await, 13);
    assert_eq!(delete(5_000, json!({"head": true})).await.ok()["deleted_count"], 1);
    // What is dated far ahead would keep all later writes from having an effect.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    for ahead in [now + 2 * 3_600_000_000, i64::MAX] {
        let more = json!({"on_conflict": "id", "timestamp": ahead});
        let refused = insert(&gateway, json!({"id": 1, "age": 14}), more).await.refused(400, "invalid_field");
        assert_eq!(refused["details"]["field"], "timestamp", "{refused}");
        delete(ahead, json!({})).await.refused(400, "invalid_field");
    }
    assert_eq!(put(15, now).await, 15);
    // What looks is dated by the database.
    for more in [json!({}), json!({"if_not_exists": true}), json!({"update_body": {}})] {
        let mut more = more;
        more["timestamp"] = json!(5);
        let refused = insert(&gateway, json!({"id": 7}), more).await.refused(400, "not_supported_by_backend");
        assert_eq!(refused["details"]["field"], "timestamp", "{refused}");
    }
    let update = r#"{"table_name":"users","set":{"age":1},"conditions":[{"eq_column":"id","eq_value":1}],"timestamp":5}"#;
    gateway.update(update).await.refused(400, "not_supported_by_backend");
    delete(9, json!({"if": []})).await.refused(400, "not_supported_by_backend");
    assert!(user(&gateway, 7).await.is_null());
}

#[tokio::test]
async fn counters_count() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let add = async |set: Value, days: Value| {
        let body = json!({"table_name": "hits", "set": set, "columns": "day,views,errors",
            "conditions": [{"eq_column": "page", "eq_value": "/"}, {"operator": "in", "column": "day", "value": days}]});
        gateway.update(&body.to_string()).await
    };
    let first = add(json!({"views": {"increment": 5}}), json!(["2024-01-01"])).await.rows();
    assert_eq!(first, json!([{"day": "2024-01-01", "views": 5, "errors": null}]));
    let both = add(
        json!({"views": {"increment": -2}, "errors": {"increment": 1}}),
        json!(["2024-01-01", "2024-01-02"]),
    )
    .await;
    assert_eq!(
        both.rows(),
        json!([{"day": "2024-01-01", "views": 3, "errors": 1}, {"day": "2024-01-02", "views": -2, "errors": 1}])
    );
    let all = futures_util::future::join_all(
        (0..20).map(|_| add(json!({"views": {"increment": 1}}), json!(["2024-01-01"]))),
    );
    all.await.iter().for_each(|answer| drop(answer.ok()));
    let read = r#"{"table_name":"hits","columns":"views","conditions":[{"eq_column":"page","eq_value":"/"}],"limit":1}"#;
    assert_eq!(gateway.fetch(read).await.rows(), json!([{"views": 23}]));
    for set in [json!({"views": 7}), json!({"views": null})] {
        let refused = add(set, json!(["2024-01-01"])).await.refused(400, "not_supported_by_backend");
        assert!(refused["details"]["fix"].as_str().unwrap().contains("increment"), "{refused}");
    }
    add(json!({"views": {"increment": "x"}}), json!(["2024-01-01"])).await.refused(400, "data_exception");
    let insert = r#"{"table_name":"hits","insert_body":{"page":"/","day":"2024-01-01","views":1}}"#;
    let refused = gateway.insert(insert).await.refused(400, "not_supported_by_backend");
    assert!(refused["details"]["fix"].as_str().unwrap().contains("increment"), "{refused}");
    let delete = r#"{"table_name":"hits","conditions":[{"eq_column":"page","eq_value":"/"},{"eq_column":"day","eq_value":"2024-01-01"}]}"#;
    gateway.delete(delete).await.refused(400, "not_supported_by_backend");
    assert_eq!(gateway.fetch(read).await.rows(), json!([{"views": 23}]));
}

#[tokio::test]
async fn other_databases_keep_and_date_by_themselves() {
    let gateway = Gateway::with("CREATE TABLE users (id int PRIMARY KEY, age int)").await;
    for (field, value) in [("ttl", 60), ("timestamp", 5)] {
        let body = json!({"table_name": "users", "insert_body": {"id": 1}, field: value});
        let refused = gateway.insert(&body.to_string()).await.refused(400, "not_supported_by_backend");
        assert_eq!(refused["details"]["field"], field);
    }
    assert_eq!(gateway.fetch(r#"{"table_name":"users"}"#).await.rows(), json!([]));
}
