//! Every type of CQL goes out and comes back without loss (contract 29.5).

use serde_json::{Value, json};

use super::with;

/// Type, value as JSON text sent, the JSON text that must come back.
const VALUES: &[(&str, &str, &str)] = &[
    ("ascii", r#""a~""#, r#""a~""#),
    ("text", r#""q\"\\\n\t\u0001é😀""#, r#""q\"\\\n\t\u0001é😀""#),
    ("text", r#""""#, r#""""#),
    ("boolean", "true", "true"),
    ("tinyint", "-128", "-128"),
    ("smallint", "32767", "32767"),
    ("int", "-2147483648", "-2147483648"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", r#""9007199254740993""#, "9007199254740993"),
    ("varint", "-170141183460469231731687303715884105729", "-170141183460469231731687303715884105729"),
    ("varint", "0", "0"),
    ("decimal", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ("decimal", "1.50", "1.50"),
    ("decimal", "-0.001", "-0.001"),
    ("decimal", "1e30", "1E+30"),
    ("float", "0.1", "0.1"),
    ("double", "0.1", "0.1"),
    ("double", "-1.7976931348623157e308", "-1.7976931348623157e308"),
    ("double", r#""NaN""#, r#""NaN""#),
    ("double", r#""-Infinity""#, r#""-Infinity""#),
    ("uuid", r#""A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11""#, r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
    ("timeuuid", r#""50554d6e-29bb-11e5-b345-feff819cdc9f""#, r#""50554d6e-29bb-11e5-b345-feff819cdc9f""#),
    ("timestamp", r#""2024-01-01T10:00:00.123+02:00""#, r#""2024-01-01T08:00:00.123+00:00""#),
    ("timestamp", r#""0044-03-15T12:00:00Z BC""#, r#""0044-03-15T12:00:00+00:00 BC""#),
    ("date", r#""2024-02-29""#, r#""2024-02-29""#),
    ("date", r#""0044-03-15 BC""#, r#""0044-03-15 BC""#),
    ("time", r#""23:59:59.123456789""#, r#""23:59:59.123456789""#),
    ("duration", r#""P1Y2M3DT4H5M6.789S""#, r#""P1Y2M3DT4H5M6.789S""#),
    ("duration", r#""-P1DT1H""#, r#""P-1DT-1H""#),
    ("inet", r#""10.0.0.1""#, r#""10.0.0.1""#),
    ("inet", r#""2001:db8::1""#, r#""2001:db8::1""#),
    ("blob", r#""0x00ff""#, r#""0x00ff""#),
    ("blob", r#""0x""#, r#""0x""#),
    ("list<int>", "[3,1,3]", "[3,1,3]"),
    ("set<text>", r#"["b","a"]"#, r#"["a","b"]"#),
    ("map<text, decimal>", r#"{"a":1.10,"b \"c\"":2}"#, r#"{"a":1.10,"b \"c\"":2}"#),
    ("map<int, boolean>", "[[1,true],[2,false]]", "[[1,true],[2,false]]"),
    ("frozen<list<int>>", "[]", "[]"),
    ("list<frozen<map<text, int>>>", r#"[{"a":1},{}]"#, r#"[{"a":1},{}]"#),
    ("tuple<int, text, boolean>", r#"[1,null,true]"#, r#"[1,null,true]"#),
    ("vector<float, 3>", "[1,-0.5,0.25]", "[1,-0.5,0.25]"),
    ("frozen<place>", r#"{"name":"A","tags":["x"]}"#, r#"{"name":"A","no":null,"tags":["x"]}"#),
    ("place", r#"{"no":5}"#, r#"{"name":null,"no":5,"tags":null}"#),
    ("int", "null", "null"),
];

#[tokio::test]
async fn every_type_comes_back_as_it_was_sent() {
    let columns: Vec<String> =
        VALUES.iter().enumerate().map(|(at, (ty, ..))| format!("c{at} {ty}")).collect();
    let tables = format!(
        "CREATE TYPE place (name text, no int, tags frozen<list<text>>);\n
         CREATE TABLE v (id int PRIMARY KEY, {});\nCREATE TABLE hits (page text PRIMARY KEY, n counter);\n",
        columns.join(", ")
    );
    let Some((gateway, keyspace)) = with(&tables, "").await else { return };
    let sent: Vec<String> =
        VALUES.iter().enumerate().map(|(at, (_, sent, _))| format!(r#""c{at}":{sent}"#)).collect();
    let body = format!(r#"{{"table_name":"v","insert_body":{{"id":1,{}}}}}"#, sent.join(","));
    let inserted = gateway.insert(&body).await;
    inserted.ok();
    let fetched = gateway.fetch(r#"{"table_name":"v","conditions":[{"eq_column":"id","eq_value":1}]}"#).await;
    fetched.ok();
    for (at, (ty, sent, expected)) in VALUES.iter().enumerate() {
        let cell = format!(r#""c{at}":{expected}"#);
        for answer in [&inserted, &fetched] {
            assert!(answer.text.contains(&cell), "{ty} {sent}: no {cell} in {}", answer.text);
        }
    }
    // What came back is taken again, for the same row.
    let again: Vec<String> =
        VALUES.iter().enumerate().map(|(at, (.., back))| format!(r#""c{at}":{back}"#)).collect();
    let body = format!(
        r#"{{"table_name":"v","set":{{{}}},"conditions":[{{"eq_column":"id","eq_value":1}}]}}"#,
        again.join(",")
    );
    let updated = gateway.update(&body).await;
    updated.ok();
    for (at, (.., expected)) in VALUES.iter().enumerate() {
        assert!(updated.text.contains(&format!(r#""c{at}":{expected}"#)), "c{at}: {}", updated.text);
    }
    keyspace.run("UPDATE hits SET n = n + 9007199254740993 WHERE page = '/'").await;
    let hits = gateway.fetch(r#"{"table_name":"hits"}"#).await;
    assert!(hits.text.contains(r#""n":9007199254740993"#), "{}", hits.text);
    let request =
        gateway.request(reqwest::Method::POST, "/gateway/fetch").header("X-Athena-Big-Numbers", "string");
    let hits = gateway.send(request.body(r#"{"table_name":"hits"}"#)).await;
    assert_eq!(hits.rows(), json!([{"page": "/", "n": "9007199254740993"}]));
}

#[tokio::test]
async fn values_that_are_none_are_refused_by_name() {
    let tables = "CREATE TYPE place (name text, no int);
CREATE TABLE v (id int PRIMARY KEY, t timestamp, u timeuuid, l list<int>, d duration, v vector<float, 2>, p place, s set<decimal>, n varint);\n";
    let Some((gateway, keyspace)) = with(tables, "").await else { return };
    let long = "9".repeat(500_000);
    for (column, value) in [
        ("id", "1.5"),
        ("id", "3000000000"),
        ("t", r#""2024-01-01T00:00:00.0001Z""#),
        ("u", r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
        ("l", "[null]"),
        ("l", r#"{"a":1}"#),
        ("d", r#""P1M-1D""#),
        ("v", "[1]"),
        ("p", "{}"),
        ("p", r#"{"name":null}"#),
        ("s", "[7,7.0]"),
        ("n", long.as_str()),
    ] {
        let id = if column == "id" { "" } else { r#""id":1,"# };
        let body = format!(r#"{{"table_name":"v","insert_body":{{{id}"{column}":{value}}}}}"#);
        let refusal = gateway.insert(&body).await;
        assert_eq!(refusal.status, 400, "{body}: {}", refusal.text);
        assert!(refusal.text.contains(column), "{body}: {}", refusal.text);
    }
    assert_eq!(gateway.fetch(r#"{"table_name":"v"}"#).await.rows(), json!([]));
    // What the database itself makes of a type without a value, and of one number written twice.
    keyspace.run("INSERT INTO v (id, p, s) VALUES (1, {name: null, no: null}, {7, 7.0})").await;
    let row = &gateway.fetch(r#"{"table_name":"v","columns":["p","s"]}"#).await.rows()[0];
    assert_eq!((&row["p"], row["s"].as_array().map(Vec::len)), (&Value::Null, Some(1)), "{row}");
}
