//! Values that a CQL database tells apart otherwise than SQL does: the same rows, or a reason.

use serde_json::{Value, json};

use super::{eq, op, with};
use crate::harness::{CLIENT, Gateway};

const TABLES: &str = "
    CREATE TABLE rates (p decimal, c int, PRIMARY KEY (p, c));
    CREATE TABLE scales (id int, c decimal, d double, PRIMARY KEY (id, c, d));
    CREATE TABLE notes (id text PRIMARY KEY, body text);
    CREATE TABLE shared (id int, c int, s text static, v text, PRIMARY KEY (id, c));
    CREATE TABLE floats (id int PRIMARY KEY, f float, d double);
    INSERT INTO rates (p, c) VALUES (7, 1);
    INSERT INTO rates (p, c) VALUES (7.0, 1);
    INSERT INTO rates (p, c) VALUES (7.00, 1);
    INSERT INTO scales (id, c, d) VALUES (1, 1.00, 0.0);
    INSERT INTO scales (id, c, d) VALUES (1, 1.00, -0.0);
    INSERT INTO scales (id, c, d) VALUES (1, 7.0, 2.5);
    INSERT INTO shared (id, s) VALUES (1, 'alone');
";

async fn fetch(gateway: &Gateway, table: &str, columns: &str, conditions: Value) -> crate::harness::Answer {
    let body = json!({"table_name": table, "columns": columns, "conditions": conditions});
    gateway.fetch(&body.to_string()).await
}

/// What SQL sorts otherwise: the database's own order is another one indeed, and comes only where its owner takes it.
#[tokio::test]
async fn the_databases_own_order_is_its_owners_to_take() {
    let tables = "CREATE TABLE visits (id int, at timeuuid, PRIMARY KEY (id, at));
        CREATE TABLE people (id int, who uuid, PRIMARY KEY (id, who));
        CREATE TABLE hosts (id int, host inet, PRIMARY KEY (id, host));\n"
        .replace("        ", "");
    // In the order of their digits, and of version 4 before version 6.
    let at = [
        "10000000-0000-1009-8000-000000000001",
        "20000000-0000-1001-8000-000000000002",
        "30000000-0000-1005-8000-000000000003",
    ];
    let who = [
        "10000000-0000-4000-8000-000000000001",
        "20000000-0000-1000-8000-000000000002",
        "30000000-0000-4000-8000-000000000003",
    ];
    let hosts = ["192.168.0.1", "1::1", "2001:db8::1"];
    let Some((gateway, keyspace)) = with(&tables, "").await else { return };
    let uri = format!("{}?database_order=true", keyspace.uri());
    let owner = Gateway::over(&[(CLIENT, &uri)], "").await;
    for (table, column, values, order, above) in [
        ("visits", "at", at, [1, 2, 0], vec![2, 0]),
        ("people", "who", who, [1, 0, 2], vec![0, 2]),
        ("hosts", "host", hosts, [1, 2, 0], vec![2, 0]),
    ] {
        for value in values {
            let row = json!({"id": 1, column: value});
            gateway.insert(&json!({"table_name": table, "insert_body": row}).to_string()).await.ok();
        }
        let found = |answer: crate::harness::Answer| -> Vec<usize> {
            let place = |row: &Value| values.iter().position(|value| *value == row[column]).unwrap();
            answer.rows().as_array().unwrap().iter().map(place).collect()
        };
        let sorted = json!({"table_name": table, "conditions": [eq("id", 1)], "sort_by": {"field": column}})
            .to_string();
        let ranged = |operator: &str| {
            json!({"table_name": table, "conditions": [eq("id", 1), op(operator, column, values[1])]})
                .to_string()
        };
        let refused = gateway.fetch(&sorted).await.refused(400, "not_supported_by_backend");
        assert!(refused["details"]["fix"].as_str().unwrap().contains("database_order=true"), "{refused}");
        gateway.fetch(&ranged("gt")).await.refused(400, "not_supported_by_backend");
        assert_eq!(found(owner.fetch(&sorted).await), order, "{table}");
        assert_eq!(found(owner.fetch(&ranged("gt")).await), above, "{table}");
        // What is not equal is on either side of it in any order.
        let mut others = found(gateway.fetch(&ranged("neq")).await);
        others.sort_unstable();
        assert_eq!(others, [0, 2], "{table}");
    }
}

#[tokio::test]
async fn rows_are_found_by_value_or_not_asked_for() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    for conditions in [json!([eq("p", 7)]), json!([op("in", "p", json!([7, 7.0]))])] {
        fetch(&gateway, "rates", "c", conditions).await.refused(400, "not_supported_by_backend");
    }
    let conditions = json!([op("in", "p", json!([7])), eq("c", 1)]);
    let body = json!({"table_name": "rates", "conditions": conditions}).to_string();
    gateway.delete(&body).await.refused(400, "not_supported_by_backend");
    assert_eq!(fetch(&gateway, "rates", "c", json!([])).await.rows().as_array().map(Vec::len), Some(3));
    let found = async |conditions: Value| {
        let rows = fetch(&gateway, "scales", "d", conditions).await.rows();
        rows.as_array().map_or(0, Vec::len)
    };
    assert_eq!(found(json!([eq("id", 1), eq("c", 1)])).await, 2, "1 is 1.00");
    assert_eq!(found(json!([eq("id", 1), op("in", "c", json!([7, 1]))])).await, 3);
    assert_eq!(found(json!([eq("id", 1), eq("c", 1), eq("d", 0)])).await, 2, "0 is -0");
    assert_eq!(found(json!([eq("id", 1), eq("c", 1), op("gte", "d", 0)])).await, 2);
    assert_eq!(found(json!([eq("id", 1), eq("c", 1), op("lte", "d", 0)])).await, 2);
    assert_eq!(found(json!([eq("id", 1), eq("c", 1), op("gt", "d", 0)])).await, 0);
    assert_eq!(found(json!([eq("id", 1), eq("c", 1), op("lt", "d", 0)])).await, 0);
    // Static values can stand alone.
    let conditions = json!([eq("id", 1), op("is", "c", "null")]);
    fetch(&gateway, "shared", "s", conditions).await.refused(400, "not_supported_by_backend");
}

#[tokio::test]
async fn odd_values_are_answered_as_by_other_databases() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let one = r#"{"table_name":"notes","insert_body":{"id":"a","body":"x"}}"#;
    gateway.insert(one).await.ok();
    assert_eq!(fetch(&gateway, "notes", "id", json!([eq("id", "")])).await.rows(), json!([]));
    let either = json!([op("in", "id", json!(["", "a"]))]);
    assert_eq!(fetch(&gateway, "notes", "id", either).await.rows(), json!([{"id": "a"}]));
    let empty = r#"{"table_name":"notes","insert_body":{"id":""}}"#;
    gateway.insert(empty).await.refused(400, "data_exception");
    // What all rows of a partition share does not change with one of them.
    for rest in ["", r#","on_conflict":["id","c"]"#, r#","if_not_exists":true"#] {
        let body = format!(r#"{{"table_name":"shared","insert_body":{{"id":1,"c":1,"s":"other"}}{rest}}}"#);
        let refused = gateway.insert(&body).await.refused(400, "not_supported_by_backend");
        assert!(refused["details"]["fix"].as_str().unwrap().contains("/gateway/query"), "{refused}");
    }
    let twice = r#"{"table_name":"shared","insert_body":[{"id":1,"c":2},{"id":1,"c":2}]}"#;
    gateway.insert(twice).await.refused(409, "unique_violation");
    for value in [r#"{"id":1,"f":1e-50}"#, r#"{"id":1,"d":1e-400}"#] {
        let body = format!(r#"{{"table_name":"floats","insert_body":{value}}}"#);
        gateway.insert(&body).await.refused(400, "data_exception");
    }
}

#[tokio::test]
async fn the_callers_own_cql_may_name_a_column_twice_and_end_in_a_comment() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    gateway.insert(r#"{"table_name":"notes","insert_body":{"id":"a","body":"x"}}"#).await.ok();
    for query in [
        json!({"query": "SELECT id, body, id FROM notes -- and a note\n"}),
        json!({"query": "SELECT id, body, id FROM notes WHERE id = $1 // a note", "params": ["a"]}),
    ] {
        let answer = gateway.raw(&query.to_string()).await;
        assert_eq!(answer.ok()["data"], json!([{"id": "a", "body": "x", "id_2": "a"}]));
    }
}
