//! What only CQL does, and what a request for it comes to elsewhere.

use serde_json::{Value, json};

use super::cases::{Case, Route};

/// Requests whose answer PostgreSQL does not give, in the order in which they build on each other.
pub fn all() -> Vec<Case> {
    let case = |name: &str, route: Route, body: Value, own: Value| Case {
        route,
        own: Some(own),
        ..Case::read("of CQL alone", name, body.to_string())
    };
    let insert = |name: &str, row: Value, more: Value, own: Value| {
        let mut body = json!({"table_name": "items", "insert_body": row, "columns": ["id", "qty"]});
        merge(&mut body, more);
        case(name, Route::Insert, body, own)
    };
    let update = |name: &str, qty: i32, more: Value, own: Value| {
        let mut body = json!({"table_name": "items", "set": {"qty": qty}, "columns": ["id", "qty"],
            "conditions": [{"eq_column": "id", "eq_value": 201}]});
        merge(&mut body, more);
        case(name, Route::Update, body, own)
    };
    let delete = |name: &str, id: i32, more: Value, own: Value| {
        let mut body = json!({"table_name": "items", "columns": ["id"], "conditions": [{"eq_column": "id", "eq_value": id}]});
        merge(&mut body, more);
        case(name, Route::Delete, body, own)
    };
    let qty = |value: i32| json!([{"eq_column": "qty", "eq_value": value}]);
    let row = |id: &str, qty: &str| json!({"id": id, "qty": qty});
    vec![
        insert(
            "insert `if_not_exists`",
            json!({"id": 201, "qty": 1}),
            json!({"if_not_exists": true}),
            row("201", "1"),
        ),
        insert(
            "insert `if_not_exists` of a row that is there",
            json!({"id": 201, "qty": 2}),
            json!({"if_not_exists": true}),
            Value::Null,
        ),
        update(
            "update `if` what is there",
            3,
            json!({"if": qty(1)}),
            json!({"rows": [row("201", "3")], "applied": true}),
        ),
        update(
            "update `if` what is not there",
            4,
            json!({"if": qty(1)}),
            json!({"rows": [], "applied": false, "current": row("201", "3")}),
        ),
        delete("delete `if` what is not there", 201, json!({"if": qty(1)}), json!([])),
        insert("insert with `ttl`", json!({"id": 202, "qty": 1}), json!({"ttl": 3600}), row("202", "1")),
        update("update with `ttl`", 5, json!({"ttl": 3600}), json!({"rows": [row("201", "5")]})),
        insert(
            "upsert with `timestamp`",
            json!({"id": 203, "qty": 1}),
            json!({"timestamp": 1000, "on_conflict": "id"}),
            row("203", "1"),
        ),
        delete("delete with an older `timestamp`", 203, json!({"timestamp": 999}), json!([])),
        delete("delete with a later `timestamp`", 203, json!({"timestamp": 1001}), json!([{"id": "203"}])),
        delete("delete `if` what is there", 201, json!({"if": qty(5)}), json!([{"id": "201"}])),
        case(
            "a read with `consistency` and `timeout_ms`",
            Route::Fetch,
            json!({"table_name": "items", "columns": ["id"], "conditions": [{"eq_column": "id", "eq_value": 1}], "consistency": "one", "timeout_ms": 5000}),
            json!({"rows": [{"id": "1"}]}),
        ),
    ]
}

fn merge(body: &mut Value, more: Value) {
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
}
