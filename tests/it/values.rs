//! Every type people use goes out and comes back without loss (contract 28.11, 29.5).

use serde_json::{Value, json};

use crate::harness::Gateway;

/// Type, value as JSON text sent, the JSON text that must come back.
const VALUES: &[(&str, &str, &str)] = &[
    ("smallint", "-32768", "-32768"),
    ("integer", "2147483647", "2147483647"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("bigint", "\"9007199254740993\"", "9007199254740993"),
    ("numeric(38,18)", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ("numeric", "-0.000000000000000000000000000001", "-0.000000000000000000000000000001"),
    ("numeric", "1e30", "1000000000000000000000000000000"),
    ("numeric", "\"NaN\"", "\"NaN\""),
    ("numeric", "10000", "10000"),
    ("numeric(12,2)", "0.1", "0.10"),
    ("real", "1.5", "1.5"),
    ("double precision", "0.1", "0.1"),
    ("double precision", "1e-7", "1e-7"),
    ("double precision", "\"NaN\"", "\"NaN\""),
    ("double precision", "\"-Infinity\"", "\"-Infinity\""),
    ("boolean", "true", "true"),
    ("text", r#""q\"\\\n\t\u0001é😀""#, r#""q\"\\\n\t\u0001é😀""#),
    ("text", "\"\"", "\"\""),
    ("varchar(5)", "\"abcde\"", "\"abcde\""),
    ("char(3)", "\"ab\"", "\"ab \""),
    ("uuid", "\"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""),
    ("date", "\"2024-02-29\"", "\"2024-02-29\""),
    ("date", "\"infinity\"", "\"infinity\""),
    ("date", "\"0044-03-15 BC\"", "\"0044-03-15 BC\""),
    ("time", "\"23:59:59.5\"", "\"23:59:59.5\""),
    ("timetz", "\"10:00:00+05:30\"", "\"10:00:00+05:30\""),
    ("timestamp", "\"2024-01-01T10:00:00.000001\"", "\"2024-01-01T10:00:00.000001\""),
    ("timestamptz", "\"2024-01-01T10:00:00+02:00\"", "\"2024-01-01T08:00:00+00:00\""),
    ("timestamptz", "\"-infinity\"", "\"-infinity\""),
    ("interval", "\"P1Y2M3DT4H5M6.5S\"", "\"P1Y2M3DT4H5M6.5S\""),
    ("interval", "\"1 day 02:00:00\"", "\"P1DT2H\""),
    ("bytea", "\"\\\\x00ff\"", "\"\\\\x00ff\""),
    ("json", "{\"a\": 1.10}", "{\"a\": 1.10}"),
    ("jsonb", "{\"n\":12345678901234567890.10}", "{\"n\": 12345678901234567890.10}"),
    ("jsonb", "\"text\"", "\"text\""),
    ("jsonb", "[1,null]", "[1, null]"),
    ("text[]", r#"["a","b,\"c\"",null,"NULL",""]"#, r#"["a","b,\"c\"",null,"NULL",""]"#),
    ("int[]", "[[1,2],[3,null]]", "[[1,2],[3,null]]"),
    ("int[]", "[]", "[]"),
    ("numeric[]", "[1.10,\"NaN\"]", "[1.10,\"NaN\"]"),
    ("timestamptz[]", "[\"2024-01-01T00:00:00Z\"]", "[\"2024-01-01T00:00:00+00:00\"]"),
    ("jsonb[]", "[{\"a\":[1]},\"x\"]", "[{\"a\": [1]},\"x\"]"),
    ("mood", "\"happy\"", "\"happy\""),
    ("mood[]", "[\"happy\",\"sad\"]", "[\"happy\",\"sad\"]"),
    ("inet", "\"10.0.0.0/8\"", "\"10.0.0.0/8\""),
    ("inet", "\"10.0.0.1\"", "\"10.0.0.1\""),
    ("inet[]", "[\"10.0.0.1\"]", "[\"10.0.0.1\"]"),
    ("cidr", "\"10.0.0.0/8\"", "\"10.0.0.0/8\""),
    ("macaddr", "\"08:00:2b:01:02:03\"", "\"08:00:2b:01:02:03\""),
    ("int4range", "\"[1,10)\"", "\"[1,10)\""),
    ("tstzrange", "\"[2024-01-01 00:00:00+00,)\"", "\"[\\\"2024-01-01 00:00:00+00\\\",)\""),
    ("money", "\"$1,234.50\"", "\"$1,234.50\""),
    ("bit(4)", "\"1010\"", "\"1010\""),
    ("varbit", "\"101\"", "\"101\""),
    ("point", "\"(1.5,2)\"", "\"(1.5,2)\""),
    ("tsvector", "\"'a':1 'b':2\"", "\"'a':1 'b':2\""),
    ("place", r#"{"street":"a \"b\", c","no":7}"#, r#"{"street":"a \"b\", c","no":7}"#),
    ("place", r#""(x,)""#, r#"{"street":"x","no":null}"#),
    ("place[]", r#"[{"street":"a","no":1},null]"#, r#"[{"street":"a","no":1},null]"#),
    ("email", "\"a@b\"", "\"a@b\""),
    ("email[]", "[\"a@b\"]", "[\"a@b\"]"),
    ("oid", "\"26\"", "\"26\""),
    ("regclass", "\"pg_class\"", "\"pg_class\""),
    ("name", "\"n\"", "\"n\""),
    ("xml", "\"<a/>\"", "\"<a/>\""),
];

const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TYPE place AS (street text, no int);
    CREATE DOMAIN email AS text CHECK (value LIKE '%@%');";

/// Columns are named so that a failure names the type.
fn table() -> String {
    let columns: Vec<String> =
        VALUES.iter().enumerate().map(|(index, (ty, ..))| format!("c{index} {ty}")).collect();
    format!("{TYPES} CREATE TABLE v (id int PRIMARY KEY, {})", columns.join(", "))
}

/// The JSON text of one field of one row.
fn field(text: &str, index: usize) -> &str {
    let key = format!("\"c{index}\":");
    let start = text.find(&key).unwrap_or_else(|| panic!("{key} in {text}")) + key.len();
    let end = text[start..]
        .find(&format!(",\"c{}\":", index + 1))
        .map_or_else(|| text[start..].find("}]").map_or(text.len(), |end| start + end), |end| start + end);
    &text[start..end]
}

#[tokio::test]
async fn every_type_survives_every_way_in_and_out() {
    let gateway = Gateway::with(&table()).await;
    let body = |id: i32| {
        let fields: Vec<String> =
            VALUES.iter().enumerate().map(|(index, (_, sent, _))| format!("\"c{index}\":{sent}")).collect();
        format!("{{\"id\":{id},{}}}", fields.join(","))
    };
    let check = |what: &str, text: &str| {
        for (index, (ty, _, expected)) in VALUES.iter().enumerate() {
            assert_eq!(field(text, index), *expected, "{what}: {ty} in {text}");
        }
    };
    // One row, several rows, and an update of another row.
    let one = gateway.insert(&format!(r#"{{"table_name":"v","insert_body":{}}}"#, body(1))).await;
    assert_eq!(one.status, 200, "{}", one.text);
    let many = format!(r#"{{"table_name":"v","insert_body":[{},{{"id":3}}]}}"#, body(2));
    let many = gateway.insert(&many).await;
    assert_eq!(many.status, 200, "{}", many.text);
    let update = format!(
        r#"{{"table_name":"v","update_body":{},"conditions":[{{"eq_column":"id","eq_value":3}}]}}"#,
        body(3)
    );
    let updated = gateway.update(&update).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    for id in 1..=3 {
        let body = format!(r#"{{"table_name":"v","conditions":[{{"eq_column":"id","eq_value":{id}}}]}}"#);
        let fetched = gateway.fetch(&body).await;
        assert_eq!(fetched.status, 200, "{}", fetched.text);
        check(&format!("fetch of {id}"), &fetched.text);
    }
    // The caller's own SQL gives the same values.
    let raw = gateway.query("SELECT * FROM v WHERE id = 1").await;
    assert_eq!(raw.status, 200, "{}", raw.text);
    for (index, (ty, _, expected)) in VALUES.iter().enumerate() {
        let found = field(&raw.text, index);
        let same = found == *expected
            || serde_json::from_str::<Value>(found).is_ok_and(|found| {
                // PostgreSQL's own text of a float may spell its exponent differently.
                ty.contains("double") && found.as_f64() == expected.parse().ok()
            });
        assert!(same, "raw: {ty}: {found} is not {expected}");
    }
}

#[tokio::test]
async fn values_select_by_equality_whatever_their_type() {
    let gateway = Gateway::with(&table()).await;
    for (index, (ty, sent, _)) in VALUES.iter().enumerate() {
        // These types have no equality in PostgreSQL.
        if ["json", "point", "xml"].contains(ty) || *ty == "jsonb[]" && sent.is_empty() {
            continue;
        }
        let id = index + 100;
        let inserted = gateway
            .insert(&format!(
                r#"{{"table_name":"v","insert_body":{{"id":{id},"c{index}":{sent}}},"columns":"id"}}"#
            ))
            .await;
        assert_eq!(inserted.status, 200, "{ty}: {}", inserted.text);
        let body = format!(
            r#"{{"table_name":"v","columns":"id","conditions":[{{"eq_column":"c{index}","eq_value":{sent}}},{{"eq_column":"id","eq_value":{id}}}]}}"#
        );
        let found = gateway.fetch(&body).await;
        assert_eq!(found.rows(), json!([{ "id": id }]), "{ty} {sent}: {}", found.text);
    }
}

#[tokio::test]
async fn values_that_do_not_fit_are_the_callers_fault() {
    let gateway = Gateway::with(
        "CREATE TABLE b (id int, s smallint, u uuid, d date, j jsonb, n numeric(4,2), v varchar(2), e int[])",
    )
    .await;
    for (column, value) in [
        ("id", "1.5"),
        ("id", "\"x\""),
        ("id", "99999999999"),
        ("s", "40000"),
        ("u", "\"nope\""),
        ("d", "\"2024-13-01\""),
        ("d", "\"yesterday-ish\""),
        ("n", "1000"),
        ("v", "\"abc\""),
        ("e", "[1,\"x\"]"),
        ("e", "{\"a\":1}"),
        ("id", "{\"a\":1}"),
        ("v", "\"a\\u0000b\""),
    ] {
        let body = format!(r#"{{"table_name":"b","insert_body":{{"{column}":{value}}}}}"#);
        let answer = gateway.insert(&body).await;
        assert_eq!(answer.status, 400, "{column} {value}: {}", answer.text);
    }
    let count = gateway.query("SELECT count(*) AS n FROM b").await.ok();
    assert_eq!(count["data"][0]["n"], 0);
}

#[tokio::test]
async fn big_numbers_can_be_asked_for_as_strings() {
    let gateway = Gateway::with(
        "CREATE TABLE n (id bigint, m numeric, a bigint[], j jsonb);
         INSERT INTO n VALUES (9007199254740993, 1.10, '{1,9007199254740993}', '{\"x\": 9007199254740993}')",
    )
    .await;
    let request = gateway
        .request(reqwest::Method::POST, "/gateway/fetch")
        .header("X-Athena-Big-Numbers", "string")
        .body(r#"{"table_name":"n"}"#);
    let answer = gateway.send(request).await;
    assert!(
        answer.text.contains(
            r#"{"id":"9007199254740993","m":"1.10","a":[1,"9007199254740993"],"j":{"x": 9007199254740993}}"#
        ),
        "{}",
        answer.text
    );
}
