//! A CQL database behind the gateway, end to end: the same requests, with the same meaning or a reason.

mod conditional;
mod cursors;
mod keys;
mod plane;
mod stamps;
mod tls;
mod tuning;
mod values;
mod writes;

use reqwest::Method;
use serde_json::{Value, json};

use athena_test_support::{Mode, TestKeyspace};

use crate::harness::{Answer, CLIENT, Gateway};

const EVENTS: &str = "
    CREATE TABLE events (room text, day date, at timestamp, id int, note text, tags set<text>, size int,
        PRIMARY KEY ((room, day), at, id)) WITH CLUSTERING ORDER BY (at DESC, id ASC);
    CREATE INDEX events_size ON events (size);
    CREATE TABLE numbers (part int, n int, PRIMARY KEY (part, n));
";

/// A gateway over a keyspace of its own; none where there is no CQL server.
async fn with(cql: &str, options: &str) -> Option<(Gateway, TestKeyspace)> {
    let keyspace = TestKeyspace::with(cql).await?;
    let uri = format!("{}{options}", keyspace.uri());
    Some((Gateway::over(&[(CLIENT, &uri)], "").await, keyspace))
}

/// Three events of one day and one of the next.
async fn with_events(options: &str) -> Option<(Gateway, TestKeyspace)> {
    let (gateway, keyspace) = with(EVENTS, options).await?;
    for (day, hour, id, size) in [
        ("2024-01-01", 10, 1, 5),
        ("2024-01-01", 11, 2, 6),
        ("2024-01-01", 11, 3, 5),
        ("2024-01-02", 9, 4, 5),
    ] {
        let row = json!({
            "room": "a", "day": day, "at": format!("{day}T{hour:02}:00:00Z"), "id": id, "size": size,
            "tags": ["x", "y"],
        });
        gateway.insert(&json!({"table_name": "events", "insert_body": row}).to_string()).await.ok();
    }
    Some((gateway, keyspace))
}

/// A fetch of events by these conditions and further fields.
async fn events(gateway: &Gateway, conditions: Value, further: Value) -> Answer {
    let mut body = json!({"table_name": "events", "columns": "id", "conditions": conditions});
    body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    gateway.fetch(&body.to_string()).await
}

fn eq(column: &str, value: impl Into<Value>) -> Value {
    json!({"eq_column": column, "eq_value": value.into()})
}

fn op(operator: &str, column: &str, value: impl Into<Value>) -> Value {
    json!({"operator": operator, "column": column, "value": value.into()})
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.rows().as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn rows_are_found_by_their_keys() {
    let Some((gateway, _keyspace)) = with_events("").await else { return };
    let day = || vec![eq("room", "a"), eq("day", "2024-01-01")];
    let found = async |more: Vec<Value>, further: Value| {
        let conditions = day().into_iter().chain(more).collect::<Vec<_>>();
        ids(&events(&gateway, conditions.into(), further).await)
    };
    assert_eq!(found(vec![], json!({})).await, [2, 3, 1]);
    assert_eq!(found(vec![op("gt", "at", "2024-01-01T10:30:00Z")], json!({})).await, [2, 3]);
    assert_eq!(found(vec![op("lte", "at", "2024-01-01T10:30:00Z")], json!({})).await, [1]);
    let sort = |field: &str, direction: &str| json!({"sort_by": {"field": field, "direction": direction}});
    assert_eq!(found(vec![], sort("at", "desc")).await, [2, 3, 1]);
    assert_eq!(found(vec![], sort("at", "asc")).await, [1, 3, 2]);
    assert_eq!(found(vec![], json!({"limit": 1, "offset": 1})).await, [3]);
    assert_eq!(found(vec![op("in", "at", json!([]))], json!({})).await, [0_i64; 0]);
    let both = json!([eq("room", "a"), op("in", "day", json!(["2024-01-01", "2024-01-02"]))]);
    assert_eq!(ids(&events(&gateway, both, json!({})).await).len(), 4);
    let either = json!([eq("room", "a"), {"operator": "or", "value": "day.eq.2024-01-01,day.eq.2024-01-02"}]);
    assert_eq!(ids(&events(&gateway, either, json!({})).await).len(), 4);
    let either = json!([
        eq("room", "a"), eq("day", "2024-01-01"),
        {"operator": "or", "value": "at.gte.2024-01-01T11:00:00Z,at.gte.2024-01-01T10:00:00Z"},
    ]);
    assert_eq!(ids(&events(&gateway, either, json!({})).await), [2, 3, 1]);
    // By an index, and everything.
    assert_eq!(ids(&events(&gateway, json!([eq("size", 6)]), json!({})).await), [2]);
    assert_eq!(ids(&events(&gateway, json!([]), json!({})).await).len(), 4);
    let counted = events(&gateway, json!(day()), json!({"count": "exact", "head": true})).await.ok();
    assert_eq!(counted["data"]["count"], 3);
    let grouped =
        json!({"table_name": "events", "conditions": day(), "columns": "id,size", "group_by": "size"});
    let grouped = gateway.fetch(&grouped.to_string()).await.ok();
    assert_eq!(grouped["data"]["post_processing"]["grouped"].as_array().map(Vec::len), Some(2), "{grouped}");
}

#[tokio::test]
async fn what_has_no_sound_translation_is_refused_with_reason_and_fix() {
    let Some((gateway, _keyspace)) = with_events("").await else { return };
    for (conditions, further) in [
        (json!([eq("note", "x")]), json!({})),
        (json!([eq("room", "a")]), json!({})),
        (json!([eq("room", "a"), eq("day", "2024-01-01"), op("neq", "size", 5)]), json!({})),
        (json!([eq("room", "a"), eq("day", "2024-01-01"), op("like", "note", "x%")]), json!({})),
        (json!([eq("room", "a"), eq("day", "2024-01-01")]), json!({"sort_by": {"field": "size"}})),
        (json!([]), json!({"sort_by": {"field": "at"}})),
        (json!([]), json!({"count": "estimated"})),
        (json!([]), json!({"columns": "id::text"})),
    ] {
        let refusal = events(&gateway, conditions.clone(), further.clone()).await;
        let refusal = refusal.refused(400, "not_supported_by_backend");
        let details = &refusal["details"];
        for part in ["reason", "fix"] {
            let text = details[part].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{part} of {conditions} {further}: {refusal}");
        }
    }
    events(&gateway, json!([eq("id", "x")]), json!({})).await.refused(400, "data_exception");
    events(&gateway, json!([eq("nope", 1)]), json!({})).await.refused(400, "undefined_column");
    gateway.fetch(r#"{"table_name":"nowhere"}"#).await.refused(400, "undefined_table");
}

#[tokio::test]
async fn filtering_is_the_owners_to_allow() {
    let Some((gateway, _keyspace)) = with_events("?allow_filtering=true").await else { return };
    let larger = json!([eq("room", "a"), op("gt", "size", 5)]);
    let found = events(&gateway, larger.clone(), json!({"limit": 10})).await;
    assert_eq!((ids(&found), &found.json()["data"]["filtered"]), (vec![2], &json!(true)));
    let lines = json!({"table_name": "events", "conditions": larger, "limit": 10}).to_string();
    let lines =
        gateway.request(Method::POST, "/gateway/fetch").header("Accept", "application/x-ndjson").body(lines);
    assert_eq!(gateway.send(lines).await.header("x-athena-filtered"), Some("true"));
    // A key answers without.
    let by_key = json!([eq("room", "a"), eq("day", "2024-01-01")]);
    assert_eq!(events(&gateway, by_key, json!({})).await.ok()["data"].get("filtered"), None);
    // Not without an end.
    let endless = json!({"table_name": "events", "conditions": larger}).to_string();
    let endless = gateway.request(Method::POST, "/gateway/fetch").header("Accept", "text/csv").body(endless);
    gateway.send(endless).await.refused(400, "not_supported_by_backend");
}

#[tokio::test]
async fn a_count_that_filters_has_an_end() {
    let Some(keyspace) = TestKeyspace::with(EVENTS).await else { return };
    let uri = format!("{}?allow_filtering=true", keyspace.uri());
    let gateway = Gateway::over(&[(CLIENT, &uri)], "limits: {max_rows: 5}").await;
    for n in 0..12 {
        keyspace.run(&format!("INSERT INTO numbers (part, n) VALUES ({}, {n})", n % 3)).await;
    }
    let count = async |conditions: Value| {
        let body = json!({"table_name": "numbers", "conditions": conditions, "limit": 1, "count": "exact"});
        gateway.fetch(&body.to_string()).await
    };
    let of = async |conditions: Value| {
        let answer = count(conditions.clone()).await;
        assert_eq!(answer.status, 200, "{conditions}: {}", answer.text);
        answer.json()["data"]["count"].clone()
    };
    assert_eq!(of(json!([op("gte", "n", 7)])).await, 5);
    let refused = count(json!([op("gte", "n", 6)])).await.refused(400, "limit_exceeded");
    assert_eq!(refused["details"]["limit"], json!({"name": "max_rows", "value": 5}), "{refused}");
    assert!(refused["hint"].is_string(), "{refused}");
    // The alternatives of one request together.
    let either = json!([{"operator": "or", "value": "n.lt.3,n.gte.9"}]);
    count(either).await.refused(400, "limit_exceeded");
    assert_eq!(of(json!([{"operator": "or", "value": "n.lt.3,n.gte.10"}])).await, 5);
    // What the key answers is counted to its end.
    assert_eq!(of(json!([])).await, 12);
}

/// Cassandra begins anew where a later page has room for the whole `LIMIT`.
#[tokio::test]
async fn a_limit_in_the_text_gives_every_row_once() {
    let Some((gateway, keyspace)) = with(EVENTS, "").await else { return };
    for n in 0..60 {
        keyspace.run(&format!("INSERT INTO numbers (part, n) VALUES ({}, {n})", n % 7)).await;
    }
    let text = |rows: &str| format!("SELECT part, n FROM numbers {rows} ALLOW FILTERING");
    for (rows, params, count) in [
        ("LIMIT 5", json!(null), 5),
        ("LIMIT 40", json!(null), 40),
        ("LIMIT 400", json!(null), 60),
        ("LIMIT /* 900 */ 40", json!(null), 40),
        ("WHERE n >= 20 LIMIT\n30", json!(null), 30),
        ("PER PARTITION LIMIT 2 LIMIT 12", json!(null), 12),
        ("PER PARTITION LIMIT 2", json!(null), 14),
        ("LIMIT $1", json!([40]), 40),
        ("WHERE n >= ? LIMIT ?", json!([20, 30]), 30),
    ] {
        // The first time nothing is known of the rows, the second time their size is.
        for _ in 0..2 {
            let mut body = json!({"query": text(rows)});
            if !params.is_null() {
                body["params"] = params.clone();
            }
            let answer = gateway.raw(&body.to_string()).await.ok();
            let found = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
            let different: std::collections::HashSet<String> = found.iter().map(Value::to_string).collect();
            assert_eq!((found.len(), different.len()), (count, count), "{rows}: {answer}");
        }
    }
}

/// A type that only the server knows: nothing that holds one can be read.
#[tokio::test]
async fn what_nobody_knows_the_type_of_is_left_out_with_a_reason() {
    let tables = "CREATE TABLE odd (id int PRIMARY KEY, v int, mark 'org.apache.cassandra.db.marshal.LexicalUUIDType');\n";
    let Some((gateway, keyspace)) = with(tables, "?allow_filtering=true").await else { return };
    keyspace.run("INSERT INTO odd (id, v, mark) VALUES (1, 2, a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11)").await;
    let named = r#""columns":["id","v"]"#;
    let by_key = r#""conditions":[{"eq_column":"id","eq_value":1}]"#;
    for body in [
        r#"{"table_name":"odd"}"#.to_owned(),
        r#"{"table_name":"odd","columns":["mark"]}"#.to_owned(),
        format!(
            r#"{{"table_name":"odd",{named},"conditions":[{{"operator":"is","column":"mark","value":null}}]}}"#
        ),
    ] {
        let refused = gateway.fetch(&body).await.refused(400, "not_supported_by_backend");
        let reason = refused["details"]["reason"].as_str().unwrap();
        assert!(reason.contains("mark") && reason.contains("LexicalUUIDType"), "{body}: {refused}");
    }
    let rows = gateway.fetch(&format!(r#"{{"table_name":"odd",{named}}}"#)).await.rows();
    assert_eq!(rows, json!([{"id": 1, "v": 2}]));
    // So it is with writes: one that looks would have to read the whole row.
    let insert = format!(r#"{{"table_name":"odd","insert_body":{{"id":1,"v":3}},{named}"#);
    gateway.insert(&format!("{insert}}}")).await.refused(400, "not_supported_by_backend");
    gateway.insert(&format!(r#"{insert},"on_conflict":"id"}}"#)).await.ok();
    let update = format!(r#"{{"table_name":"odd","set":{{"v":4}},{by_key}"#);
    gateway.update(&format!("{update}}}")).await.refused(400, "not_supported_by_backend");
    let updated = gateway.update(&format!("{update},{named}}}")).await.ok();
    assert_eq!(updated["data"]["rows"], json!([{"id": 1, "v": 4}]), "{updated}");
    let marked = format!(r#"{{"table_name":"odd","set":{{"mark":null}},{by_key},{named}}}"#);
    gateway.update(&marked).await.refused(400, "not_supported_by_backend");
    let delete = format!(r#"{{"table_name":"odd",{by_key},{named}}}"#);
    assert_eq!(gateway.delete(&delete).await.ok()["deleted_count"], 1);
}

#[tokio::test]
async fn the_callers_own_cql_runs() {
    let Some((gateway, keyspace)) = with_events("").await else { return };
    let body = json!({"query": "SELECT id, tags FROM events WHERE room = ? AND day = ?", "params": ["a", "2024-01-02"], "read_only": true});
    let answer = gateway.raw(&body.to_string()).await.ok();
    assert_eq!(answer["data"], json!([{"id": 4, "tags": ["x", "y"]}]));
    // A table of now is known at once.
    gateway.query("CREATE TABLE fresh (k int PRIMARY KEY, v text)").await.ok();
    gateway.insert(r#"{"table_name":"fresh","insert_body":{"k":1,"v":"one"}}"#).await.ok();
    assert_eq!(gateway.fetch(r#"{"table_name":"fresh"}"#).await.rows(), json!([{"k": 1, "v": "one"}]));
    // One that others change too.
    keyspace.run("ALTER TABLE fresh ADD w int").await;
    assert_eq!(
        gateway.fetch(r#"{"table_name":"fresh"}"#).await.rows(),
        json!([{"k": 1, "v": "one", "w": null}])
    );
    keyspace.run("CREATE TABLE newer (k int PRIMARY KEY)").await;
    // Callers cannot force readings without a pause, so that it may be known a moment later.
    let newer = async || gateway.fetch(r#"{"table_name":"newer"}"#).await;
    while newer().await.status == 400 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(newer().await.rows(), json!([]));
    gateway.query("SELEC 1").await.refused(400, "syntax_error");
    gateway.query("USE system").await.refused(400, "not_supported_by_backend");
    gateway.query("SELECT 1; SELECT 2").await.refused(400, "not_supported_by_backend");
    // More than the server's reader of statements can stand, and what it can.
    let nested = |deep| format!("SELECT v FROM fresh WHERE k = {}1{}", "(".repeat(deep), ")".repeat(deep));
    gateway.query(&nested(5000)).await.refused(400, "not_supported_by_backend");
    gateway.query(&nested(50)).await.ok();
    let write = json!({"query": "TRUNCATE fresh", "read_only": true});
    gateway.raw(&write.to_string()).await.refused(400, "not_supported_by_backend");
}

/// Long lists are asked for in portions: no row is lost or comes twice.
#[tokio::test]
async fn long_lists_are_read_in_portions() {
    let Some((gateway, keyspace)) = with(EVENTS, "?page_size=70").await else { return };
    let insert = keyspace.session().prepare("INSERT INTO numbers (part, n) VALUES (?, ?)").await.unwrap();
    for n in 0..1_500 {
        keyspace.session().execute_unpaged(&insert, (n, 0)).await.unwrap();
        keyspace.session().execute_unpaged(&insert, (-1, n)).await.unwrap();
    }
    let numbers = async |conditions: &Value, further: Value| {
        let mut body = json!({"table_name": "numbers", "conditions": conditions, "limit": 5000});
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        gateway.fetch(&body.to_string()).await
    };
    let sorted = |rows: Value, column: &str| {
        let mut values: Vec<i64> =
            rows.as_array().unwrap().iter().map(|row| row[column].as_i64().unwrap()).collect();
        values.sort_unstable();
        values
    };
    for (length, found) in [(100, 100), (101, 101), (350, 350), (1000, 1000)] {
        // Every second one, from behind, some of them twice, and as many that are not there.
        let wanted: Vec<i64> = (0..length).map(|n| (length - n) * 2).collect();
        let expected: Vec<i64> = (1..=length).map(|n| n * 2).filter(|n| *n < 1_500).collect();
        let mut members = wanted.clone();
        members.extend(&wanted[..wanted.len().min(10)]);
        let by_partition = json!([op("in", "part", json!(members))]);
        assert_eq!(sorted(numbers(&by_partition, json!({})).await.rows(), "part"), expected, "{found}");
        let by_clustering = json!([eq("part", -1), op("in", "n", json!(members))]);
        assert_eq!(sorted(numbers(&by_clustering, json!({})).await.rows(), "n"), expected, "{found}");
        let counted = numbers(&by_partition, json!({"count": "exact", "head": true})).await.ok();
        assert_eq!(counted["data"]["count"], expected.len());
        let some = numbers(&by_partition, json!({"limit": 30, "offset": 20})).await.rows();
        assert_eq!(some.as_array().unwrap().len(), 30);
    }
    let list: Vec<i64> = (0..1_001).collect();
    let refused = numbers(&json!([op("in", "part", json!(list))]), json!({})).await;
    let refused = refused.refused(400, "not_supported_by_backend");
    assert!(refused["details"]["reason"].as_str().unwrap().contains("1001 keys"), "{refused}");
}

#[tokio::test]
async fn many_rows_flow_page_by_page() {
    let Some((gateway, keyspace)) = with(EVENTS, "?page_size=100").await else { return };
    let insert = keyspace.session().prepare("INSERT INTO numbers (part, n) VALUES (?, ?)").await.unwrap();
    for n in 0..5_000 {
        keyspace.session().execute_unpaged(&insert, (n % 5, n)).await.unwrap();
    }
    let fetch = async |accept: &str, body: &str| {
        let request = gateway.request(Method::POST, "/gateway/fetch").header("Accept", accept);
        gateway.send(request.body(body.to_owned())).await
    };
    let lines = fetch("application/x-ndjson", r#"{"table_name":"numbers"}"#).await;
    assert_eq!((lines.status, lines.text.lines().count()), (200, 5_000));
    let csv =
        fetch("text/csv", r#"{"table_name":"numbers","conditions":[{"eq_column":"part","eq_value":1}]}"#)
            .await;
    assert_eq!(csv.text.split("\r\n").count(), 1_002);
    let some = gateway.fetch(r#"{"table_name":"numbers","limit":250}"#).await.rows();
    assert_eq!(some.as_array().unwrap().len(), 250);
}

#[tokio::test]
async fn a_database_that_is_away_is_told_and_comes_back() {
    let Some(keyspace) = TestKeyspace::with(EVENTS).await else { return };
    let proxy = keyspace.proxied().await;
    proxy.down().await;
    let gateway = Gateway::over(&[(CLIENT, proxy.uri())], "").await;
    let fetch = async || gateway.fetch(r#"{"table_name":"numbers"}"#).await;
    let away = fetch().await;
    away.refused(503, "connection_error");
    assert!(away.header("retry-after").is_some());
    let statement = json!({"query": "SELECT * FROM numbers", "driver": "scylla", "db_name": "events"});
    let statement = gateway.request(Method::POST, "/query/sql").json(&statement);
    let away = gateway.send(statement).await.refused(503, "connection_error");
    assert_eq!(away["message"], "Athena server is not reachable");
    let error = away["error"].as_str().unwrap();
    assert!(error.starts_with("Connection error: ") && error.ends_with("on the configured port."), "{error}");
    assert_eq!(gateway.send(gateway.bare(Method::GET, "/livez")).await.status, 200);
    proxy.set(Mode::Pass).await;
    while fetch().await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    proxy.down().await;
    fetch().await.refused(503, "connection_error");
    gateway
        .insert(r#"{"table_name":"numbers","insert_body":{"part":1,"n":1}}"#)
        .await
        .refused(503, "connection_error");
    proxy.set(Mode::Pass).await;
    while fetch().await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(fetch().await.rows(), json!([]));
}
