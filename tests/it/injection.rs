//! Hostile names and values in every string of every body: the statement keeps its shape, and a canary
//! table stays untouched.

use serde_json::{Value, json};

use crate::harness::Gateway;

const SETUP: &str = "
    CREATE TABLE canary (secret text); INSERT INTO canary VALUES ('s3cr3t-canary');
    CREATE TABLE t (id int PRIMARY KEY, name text, tags text[], meta jsonb);
    INSERT INTO t VALUES (1, 'one', '{a}', '{}'), (2, 'two', '{b}', '{}');";

const HOSTILE: &[&str] = &[
    "'; DROP TABLE canary; --",
    "\"; DROP TABLE canary; --",
    "x' OR '1'='1",
    "x\" OR \"1\"=\"1",
    "1 OR 1=1",
    "name) OR (SELECT secret FROM canary) IS NOT NULL --",
    "x', (select secret from canary)) --",
    "\\'; DELETE FROM canary; --",
    "$1",
    "$$; DROP TABLE canary; $$",
    "/* */ UNION SELECT secret FROM canary",
    "{\"a\",\"b\"}','{}'); DROP TABLE canary; --",
    "}'::text[]); DROP TABLE canary; --",
    "%",
    "name::text; DROP TABLE canary",
    "a:b:c",
    "*",
    "\u{202e}name",
    "ﾃ",
];

/// Every string of a JSON value, in turn replaced.
fn variants(body: &Value, hostile: &str) -> Vec<Value> {
    fn walk(value: &Value, hostile: &str, put: &mut dyn FnMut(Value)) {
        match value {
            Value::String(_) => put(Value::from(hostile)),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, hostile, &mut |changed| {
                        let mut items = items.clone();
                        items[index] = changed;
                        put(Value::Array(items));
                    });
                }
            }
            Value::Object(fields) => {
                for (key, item) in fields {
                    walk(item, hostile, &mut |changed| {
                        let mut fields = fields.clone();
                        fields.insert(key.clone(), changed);
                        put(Value::Object(fields));
                    });
                    let mut fields = fields.clone();
                    let item = fields.remove(key).unwrap();
                    fields.insert(hostile.to_owned(), item);
                    put(Value::Object(fields));
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk(body, hostile, &mut |changed| all.push(changed));
    all
}

#[tokio::test]
async fn no_string_becomes_sql() {
    let gateway = Gateway::with(SETUP).await;
    let bodies: &[(&str, Value)] = &[
        (
            "fetch",
            json!({"table_name":"t","columns":["id","n:name","name::text"],"conditions":[{"eq_column":"name","eq_value":"one"},{"operator":"or","value":"name.eq.one,id.in.(1,2)"},{"operator":"not","value":"name.eq.zzz"},{"operator":"contains","column":"tags","value":["a"]},{"operator":"in","column":"name","value":["one"]},{"operator":"like","column":"name","value":"o%"}],"sort_by":{"field":"id","direction":"asc","nulls":"first"},"group_by":"id"}),
        ),
        ("fetch", json!({"view_name":"t","table_schema":"public","columns":"id,name"})),
        (
            "insert",
            json!({"table_name":"t","insert_body":{"id":100,"name":"x","tags":["a"],"meta":{"k":"v"}},"columns":"id"}),
        ),
        (
            "insert",
            json!({"table_name":"t","insert_body":[{"id":1,"name":"x"},{"id":2,"name":"y"}],"on_conflict":["id"],"update_body":{"name":"z"}}),
        ),
        (
            "insert",
            json!({"table_name":"t","insert_body":{"id":1,"name":"x"},"on_conflict":{"constraint":"t_pkey"}}),
        ),
        (
            "update",
            json!({"table_name":"t","set":{"name":"x","tags":["q"],"meta":{"k":"v"}},"conditions":[{"eq_column":"name","eq_value":"nobody"}],"columns":"id"}),
        ),
        (
            "delete",
            json!({"table_name":"t","resource_id":"77","conditions":[{"eq_column":"name","eq_value":"nobody"}],"columns":"id"}),
        ),
        ("query", json!({"query":"SELECT name FROM t WHERE name = $1","params":["one"]})),
    ];
    let mut sent = 0;
    for hostile in HOSTILE {
        for (verb, body) in bodies {
            for variant in variants(body, hostile) {
                // The raw route runs what it is given; only its parameters are under test.
                if *verb == "query" && variant["query"] != body["query"] {
                    continue;
                }
                let text = variant.to_string();
                let answer = match *verb {
                    "fetch" => gateway.fetch(&text).await,
                    "insert" => gateway.insert(&text).await,
                    "update" => gateway.update(&text).await,
                    "delete" => gateway.delete(&text).await,
                    _ => gateway.raw(&text).await,
                };
                sent += 1;
                assert!(
                    answer.status == 200 || (400..500).contains(&answer.status),
                    "{verb} {text}: {}",
                    answer.text
                );
                assert!(!answer.text.contains("s3cr3t-canary"), "{verb} {text}: {}", answer.text);
                if answer.status != 200 {
                    assert!(answer.json()["error"].is_string(), "{}", answer.text);
                    assert_ne!(
                        answer.json()["code"],
                        "syntax_error",
                        "{verb} {text}: a name or value reached the text"
                    );
                }
            }
        }
    }
    assert!(sent > 500, "{sent}");
    let canary = gateway.query("SELECT secret FROM canary").await.ok();
    assert_eq!(canary["data"], json!([{"secret":"s3cr3t-canary"}]));
    // The same statement shapes: as many prepared statements as shapes, not one a value.
    let hostile_value = |value: &str| {
        json!({"table_name":"t","conditions":[{"eq_column":"name","eq_value":value}]}).to_string()
    };
    for hostile in HOSTILE {
        assert_eq!(
            gateway.fetch(&hostile_value(hostile)).await.rows().as_array().map(Vec::len),
            Some(0),
            "{hostile}"
        );
    }
}

#[tokio::test]
async fn hostile_values_are_stored_as_they_are() {
    let gateway = Gateway::with(SETUP).await;
    for (index, hostile) in HOSTILE.iter().enumerate() {
        let row = json!({"id": 1000 + index, "name": hostile, "tags": [hostile, hostile], "meta": {*hostile: hostile}});
        let inserted = gateway.insert(&json!({"table_name": "t", "insert_body": row}).to_string()).await.ok();
        assert_eq!(inserted["data"], row);
        let many = json!([{"id": 2000 + index, "name": hostile, "tags": [hostile], "meta": [hostile]}, {"id": 3000 + index, "name": hostile, "tags": [], "meta": hostile}]);
        let inserted =
            gateway.insert(&json!({"table_name": "t", "insert_body": many}).to_string()).await.ok();
        assert_eq!(inserted["data"], many);
        let found = gateway.fetch(&json!({"table_name":"t","columns":"id","sort_by":{"field":"id"},"conditions":[{"op":"in","column":"name","value":[hostile]},{"op":"lt","column":"id","value":3000}]}).to_string()).await.rows();
        assert_eq!(found, json!([{"id": 1000 + index}, {"id": 2000 + index}]));
    }
}
