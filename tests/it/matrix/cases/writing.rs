//! Writes, each with a fetch that shows what it did.

use serde_json::{Value, json};

use super::{Case, Route};

/// Writes. What one database refuses is not there for a later one, so none builds on a write that may be refused.
pub fn all() -> Vec<Case> {
    let show = |id: i64| json!({"table_name": "items", "columns": ["id", "name", "qty"], "conditions": [{"eq_column": "id", "eq_value": id}]});
    let put = |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Insert, body, show(id));
    let change =
        |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Update, body, show(id));
    let remove =
        |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Delete, body, show(id));
    let key = |id: i64| json!([{"eq_column": "id", "eq_value": id}]);
    let row = |id: i64| json!({"id": id, "name": "new", "qty": 1});
    let events = |at: Value| json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "w"}, at]});
    vec![
        put("insert", json!({"table_name": "items", "insert_body": row(101)}), 101),
        put(
            "insert of a row that is there",
            json!({"table_name": "items", "insert_body": {"id": 1, "name": "x"}}),
            1,
        ),
        put(
            "insert that answers some columns",
            json!({"table_name": "items", "insert_body": row(102), "columns": ["id"]}),
            102,
        ),
        put(
            "insert that answers nothing",
            json!({"table_name": "items", "insert_body": row(103), "head": true}),
            103,
        ),
        put(
            "insert of several rows",
            json!({"table_name": "items", "insert_body": [row(104), row(105)]}),
            105,
        ),
        Case::write(
            "writing",
            "insert of several rows of a partition",
            Route::Insert,
            json!({"table_name": "events", "insert_body": [{"device": "v", "at": 1, "kind": "n"}, {"device": "v", "at": 2, "kind": "n"}]}),
            json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "v"}]}),
        ),
        put("insert without a key", json!({"table_name": "items", "insert_body": {"name": "x"}}), 0),
        put(
            "upsert of a new row",
            json!({"table_name": "items", "insert_body": row(106), "on_conflict": "id"}),
            106,
        ),
        put(
            "upsert of a row that is there",
            json!({"table_name": "items", "insert_body": {"id": 101, "name": "again"}, "on_conflict": "id"}),
            101,
        ),
        put(
            "upsert with other new values",
            json!({"table_name": "items", "insert_body": row(110), "on_conflict": "id", "update_body": {"qty": 9}}),
            110,
        ),
        put(
            "upsert that keeps the old row",
            json!({"table_name": "items", "insert_body": {"id": 101, "name": "never"}, "on_conflict": "id", "update_body": {}}),
            101,
        ),
        put(
            "upsert on another column",
            json!({"table_name": "items", "insert_body": row(107), "on_conflict": "name"}),
            107,
        ),
        change(
            "update by key",
            json!({"table_name": "items", "update_body": {"qty": 5}, "conditions": key(102)}),
            102,
        ),
        change(
            "update of a row that is not there",
            json!({"table_name": "items", "update_body": {"qty": 5}, "conditions": key(999)}),
            999,
        ),
        change(
            "update to null",
            json!({"table_name": "items", "update_body": {"name": null}, "conditions": key(103)}),
            103,
        ),
        change(
            "update by key and another column",
            json!({"table_name": "items", "update_body": {"qty": 6}, "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "qty", "eq_value": 5}]}),
            102,
        ),
        change(
            "update by key and another column that differs",
            json!({"table_name": "items", "update_body": {"qty": 7}, "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "qty", "eq_value": 1}]}),
            102,
        ),
        change(
            "update by several keys",
            json!({"table_name": "items", "update_body": {"qty": 8}, "conditions": [{"operator": "in", "column": "id", "value": [102, 103]}]}),
            103,
        ),
        change(
            "update by another column",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": [{"eq_column": "name", "eq_value": "nobody"}]}),
            101,
        ),
        change(
            "update of the key",
            json!({"table_name": "items", "update_body": {"id": 998}, "conditions": key(101)}),
            101,
        ),
        change(
            "update of at most no row",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": key(101), "max_affected": 0}),
            101,
        ),
        change(
            "update as a dry run",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": key(101), "dry_run": true}),
            101,
        ),
        change("update without a condition", json!({"table_name": "items", "update_body": {"qty": 3}}), 101),
        remove("delete by id", json!({"table_name": "items", "resource_id": "106"}), 106),
        remove(
            "delete of a row that is not there",
            json!({"table_name": "items", "resource_id": "999"}),
            999,
        ),
        remove("delete by key", json!({"table_name": "items", "conditions": key(103)}), 103),
        remove(
            "delete by key and another column",
            json!({"table_name": "items", "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "name", "eq_value": "new"}]}),
            102,
        ),
        remove(
            "delete by another column",
            json!({"table_name": "items", "conditions": [{"eq_column": "name", "eq_value": "nobody"}]}),
            1,
        ),
        Case::write(
            "writing",
            "delete of a range",
            Route::Delete,
            events(json!({"operator": "gt", "column": "at", "value": 1})),
            json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "w"}]}),
        ),
        remove("delete without a condition", json!({"table_name": "items"}), 1),
    ]
}
