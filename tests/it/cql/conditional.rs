//! Conditional writes: the answer tells whether they were carried out, and shows the row as it is where they were not.

use reqwest::Method;
use serde_json::{Value, json};

use athena_test_support::TestKeyspace;

use super::plane::Plane;
use super::with;
use crate::harness::Gateway;

const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text, age int, secret text);
    CREATE TABLE pairs (a int, b int, v int, PRIMARY KEY (a, b));
";

#[tokio::test]
async fn an_insert_that_finds_its_row_shows_it() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let insert = async |name: &str, more: Value| {
        let mut body = json!({"table_name": "users", "insert_body": {"id": 1, "name": name}, "if_not_exists": true, "columns": "id,name"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.insert(&body.to_string()).await
    };
    let first = insert("Ada", json!({})).await.ok();
    assert_eq!(
        (&first["applied"], &first["data"]),
        (&json!(true), &json!({"id": 1, "name": "Ada"})),
        "{first}"
    );
    assert_eq!((&first["resource_id"], first.get("current")), (&json!("1"), None));
    let second = insert("Bob", json!({"count": "exact"})).await.ok();
    assert_eq!((&second["applied"], &second["data"]), (&json!(false), &Value::Null), "{second}");
    assert_eq!(second["current"], json!({"id": 1, "name": "Ada"}));
    assert_eq!((&second["count"], &second["resource_id"]), (&json!(0), &Value::Null));
    let head = insert("Bob", json!({"head": true})).await.ok();
    assert_eq!((&head["applied"], &head["current"]), (&json!(false), &Value::Null));
    let bare = json!({"table_name": "users", "insert_body": {"id": 1, "name": "Bob"}, "if_not_exists": true});
    let bare = gateway.request(Method::PUT, "/gateway/insert").header("X-Strip-Nulls", "true").json(&bare);
    let bare = gateway.send(bare).await;
    assert_eq!((bare.ok(), bare.header("x-athena-applied")), (json!([]), Some("false")));
    // Without it a row that is there is a failure, as everywhere.
    let plain = json!({"table_name": "users", "insert_body": {"id": 1}});
    gateway.insert(&plain.to_string()).await.refused(409, "unique_violation");
}

#[tokio::test]
async fn a_change_depends_on_what_is_there() {
    let Some((gateway, keyspace)) = with(TABLES, "").await else { return };
    keyspace.run("INSERT INTO users (id, name, age) VALUES (1, 'Ada', 36)").await;
    let update = async |id: i32, age: i32, only_if: Value| {
        let body = json!({"table_name": "users", "set": {"age": age}, "columns": "id,age",
            "conditions": [{"eq_column": "id", "eq_value": id}], "if": only_if});
        gateway.update(&body.to_string()).await
    };
    let age = |op: &str, value: Value| json!([{"operator": op, "column": "age", "value": value}]);
    let done = update(1, 37, age("eq", json!(36))).await.ok();
    assert_eq!(done["data"], json!({"rows": [{"id": 1, "age": 37}], "applied": true}), "{done}");
    let not = update(1, 38, age("eq", json!(36))).await.ok();
    assert_eq!(not["data"], json!({"rows": [], "applied": false, "current": {"id": 1, "age": 37}}), "{not}");
    for (only_if, applied) in [
        (age("neq", json!(37)), false),
        (age("neq", json!(5)), true),
        (age("in", json!([1, 37])), true),
        (age("gt", json!(37)), false),
        (age("gte", json!(37)), true),
        (age("is", json!("not null")), true),
        (
            json!([{"eq_column": "name", "eq_value": "Ada"}, {"operator": "is", "column": "secret", "value": null}]),
            true,
        ),
        (
            json!([{"eq_column": "name", "eq_value": "Bob"}, {"operator": "is", "column": "secret", "value": null}]),
            false,
        ),
        (json!([{"neq_column": "secret", "neq_value": "x"}]), false),
        (json!([]), true),
    ] {
        assert_eq!(update(1, 37, only_if.clone()).await.ok()["data"]["applied"], applied, "{only_if}");
    }
    // What is not there is not made.
    for only_if in [json!([]), age("eq", json!(1)), age("neq", json!(1))] {
        let nobody = update(9, 1, only_if).await.ok();
        assert_eq!(nobody["data"], json!({"rows": [], "applied": false, "current": null}), "{nobody}");
    }
    update(9, 1, age("is", Value::Null)).await.refused(400, "not_supported_by_backend");
    let delete = async |only_if: Value| {
        let body = json!({"table_name": "users", "resource_id": 1, "columns": "age", "if": only_if});
        gateway.delete(&body.to_string()).await.ok()
    };
    let not = delete(age("lt", json!(10))).await;
    assert_eq!(
        (&not["applied"], &not["data"], &not["deleted_count"]),
        (&json!(false), &Value::Null, &json!(0)),
        "{not}"
    );
    assert_eq!(not["current"], json!({"age": 37}));
    let gone = delete(age("eq", json!(37))).await;
    assert_eq!((&gone["applied"], &gone["data"]), (&json!(true), &json!({"age": 37})), "{gone}");
    assert_eq!(delete(json!([])).await["applied"], false);
}

/// Of many who want the same change, one makes it.
#[tokio::test]
async fn one_of_many_wins() {
    let Some((gateway, keyspace)) = with(TABLES, "").await else { return };
    keyspace.run("INSERT INTO pairs (a, b, v) VALUES (1, 1, 0)").await;
    let take = async |from: i32, n: i32| {
        let body = json!({"table_name": "pairs", "set": {"v": n}, "if": [{"eq_column": "v", "eq_value": from}],
            "conditions": [{"eq_column": "a", "eq_value": 1}, {"eq_column": "b", "eq_value": 1}]});
        loop {
            // Those who come at once stand in each other's way; whether it happened is then to be looked at.
            let answer = gateway.update(&body.to_string()).await;
            if answer.status == 200 {
                return answer.ok()["data"].clone();
            }
            assert_eq!(answer.status, 503, "{}", answer.text);
        }
    };
    let all = futures_util::future::join_all((1..=6).map(|n| take(0, n))).await;
    let winners: Vec<_> = all.iter().filter(|data| data["applied"] == true).collect();
    assert!(winners.len() <= 1, "{all:?}");
    let now = gateway.fetch(r#"{"table_name":"pairs"}"#).await.rows()[0]["v"].clone();
    assert_ne!(now, json!(0));
    for data in all.iter().filter(|data| data["applied"] == false) {
        assert_eq!(data["current"]["v"], now, "{data}");
    }
}

#[tokio::test]
async fn nobody_is_shown_what_their_key_does_not_reach() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    keyspace.run("INSERT INTO users (id, name, age, secret) VALUES (1, 'Ada', 36, 'hidden marker')").await;
    let plane = Plane::over(&keyspace.uri()).await;
    let insert = json!({"table_name": "users", "insert_body": {"id": 1, "age": 1}, "if_not_exists": true});
    let update = json!({"table_name": "users", "set": {"age": 1}, "if": [{"eq_column": "age", "eq_value": 99}],
        "conditions": [{"eq_column": "id", "eq_value": 1}]});
    let (narrow, _) =
        plane.key(json!({"name": "k", "rights": ["*"], "columns": {"users": ["id", "age"]}})).await;
    for (method, path, body) in
        [(Method::PUT, "/gateway/insert", &insert), (Method::POST, "/gateway/update", &update)]
    {
        let answer = plane.send(method, path, &narrow, body).await;
        assert!(!answer.text.contains("marker") && !answer.text.contains("Ada"), "{}", answer.text);
        let answer = answer.ok();
        let data = if path.ends_with("update") { &answer["data"] } else { &answer };
        assert_eq!((&data["applied"], &data["current"]), (&json!(false), &json!({"id": 1, "age": 36})));
    }
    let by_secret = json!({"table_name": "users", "set": {"age": 1}, "if": [{"eq_column": "secret", "eq_value": "hidden marker"}],
        "conditions": [{"eq_column": "id", "eq_value": 1}]});
    plane
        .send(Method::POST, "/gateway/update", &narrow, &by_secret)
        .await
        .refused(403, "api_key_column_out_of_scope");
    let filter = json!({"users": [{"eq_column": "age", "eq_value": 1}]});
    let (filtered, _) = plane.key(json!({"name": "k", "rights": ["*"], "row_filters": filter})).await;
    plane
        .send(Method::PUT, "/gateway/insert", &filtered, &insert)
        .await
        .refused(400, "not_supported_by_backend");
    plane
        .send(Method::POST, "/gateway/update", &filtered, &update)
        .await
        .refused(400, "not_supported_by_backend");
    let (writer, _) = plane.key(json!({"name": "k", "rights": ["gateway.write"]})).await;
    assert_eq!(plane.send(Method::PUT, "/gateway/insert", &writer, &insert).await.status, 403);
}

#[tokio::test]
async fn other_databases_say_what_to_do_instead() {
    let gateway =
        Gateway::with("CREATE TABLE users (id int PRIMARY KEY, age int); INSERT INTO users VALUES (1, 1)")
            .await;
    let insert = r#"{"table_name":"users","insert_body":{"id":1},"if_not_exists":true}"#;
    gateway.insert(insert).await.refused(400, "not_supported_by_backend");
    let update =
        r#"{"table_name":"users","set":{"age":2},"if":[],"conditions":[{"eq_column":"id","eq_value":1}]}"#;
    gateway.update(update).await.refused(400, "not_supported_by_backend");
    gateway
        .delete(r#"{"table_name":"users","resource_id":1,"if":[]}"#)
        .await
        .refused(400, "not_supported_by_backend");
    assert_eq!(gateway.fetch(r#"{"table_name":"users"}"#).await.rows(), json!([{"id": 1, "age": 1}]));
}
