//! Cursors: pages that neither skip nor repeat a row, and that nobody else can go on with (contract 29.1, 29.6).

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::enforcement::Plane;
use crate::harness::{Answer, CLIENT, Gateway};

/// Few values and many nulls in the columns that are sorted by.
const ROWS: &str = "CREATE TABLE rows (id int PRIMARY KEY, a int, b text, c int NOT NULL);
    INSERT INTO rows SELECT n * 10, nullif(n % 4, 0), nullif(repeat(chr(97 + n % 3), 1 + n % 2), 'a'), n % 5
    FROM generate_series(1, 60) n";

const SECRET: &str = "cursor-secret-marker-0123456789abcdef";

async fn fetch(gateway: &Gateway, body: &Value) -> Answer {
    gateway.fetch(&body.to_string()).await
}

/// The body with another field.
fn with(body: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[field] = value.into();
    body
}

fn ids(rows: &Value) -> Vec<i64> {
    rows.as_array().expect("rows").iter().map(|row| row["id"].as_i64().expect("an id")).collect()
}

/// All pages of a request, with something in between.
async fn walk(gateway: &Gateway, body: &Value, mut between: impl AsyncFnMut(usize)) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut cursor = json!("");
    while !cursor.is_null() {
        let answer = fetch(gateway, &with(body, "cursor", cursor)).await.ok();
        pages.push(ids(&answer["data"]["rows"]));
        cursor = answer["data"]["next_cursor"].clone();
        assert!(cursor.is_null() || cursor.is_string(), "{answer}");
        between(pages.len()).await;
        assert!(pages.len() < 200, "no end");
    }
    pages
}

/// Orders in every direction, with nulls at every end.
fn orders() -> Vec<Value> {
    let mut orders = vec![json!([])];
    for column in ["a", "b", "c", "id"] {
        for direction in ["asc", "desc"] {
            for nulls in [None, Some("first"), Some("last")] {
                let key = json!({"field": column, "direction": direction, "nulls": nulls});
                orders.push(json!([key]));
                orders.push(json!([key, {"field": "b", "direction": "desc"}, {"field": "id", "direction": direction}]));
            }
        }
    }
    orders.push(json!([{"field": "c", "direction": "desc"}, {"field": "id", "direction": "desc"}]));
    orders.push(json!([{"field": "c"}, {"field": "a", "nulls": "first"}, {"field": "b", "nulls": "last"}]));
    orders
}

#[tokio::test]
async fn pages_are_the_whole_order() {
    let gateway = Gateway::with(ROWS).await;
    for order in orders() {
        let body = json!({"table_name": "rows", "columns": ["id"], "sort_by": order,
            "conditions": [{"gt_column": "id", "gt_value": 40}]});
        let paged = with(&with(&body, "current_page", 1), "page_size", 100);
        let whole = ids(&fetch(&gateway, &paged).await.rows());
        assert_eq!(whole.len(), 56);
        for size in [3, 8, 56, 57] {
            let pages = walk(&gateway, &with(&body, "page_size", size), async |_| {}).await;
            // The last page is full where the rows come out even: no empty one follows.
            assert_eq!(pages.len(), 56_usize.div_ceil(size), "{order} in pages of {size}");
            assert!(pages.iter().rev().skip(1).all(|page| page.len() == size), "{order}: {pages:?}");
            assert_eq!(pages.concat(), whole, "{order} in pages of {size}");
        }
    }
    let nothing =
        json!({"table_name": "rows", "conditions": [{"eq_column": "id", "eq_value": 0}], "cursor": ""});
    let nothing = fetch(&gateway, &nothing).await.ok();
    assert_eq!((&nothing["data"]["rows"], &nothing["data"]["next_cursor"]), (&json!([]), &Value::Null));
}

/// Rows come and go while pages are read: those that were there all the time come once, in order, and none comes twice.
#[tokio::test]
async fn rows_that_stay_come_once_whatever_else_is_written() {
    let gateway = Gateway::with(ROWS).await;
    let mut random = 12_345_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for (round, order) in orders().into_iter().enumerate() {
        gateway.query(&format!("DROP TABLE rows; {ROWS}")).await.ok();
        let size = 1 + next(9);
        let body = json!({"table_name": "rows", "columns": ["id"], "sort_by": order, "page_size": size});
        let all = with(
            &with(&json!({"table_name": "rows", "columns": ["id"], "sort_by": order}), "current_page", 1),
            "page_size",
            100,
        );
        let before = ids(&fetch(&gateway, &all).await.rows());
        let mut gone = BTreeSet::new();
        let mut added = round as u64 * 1000;
        let pages = walk(&gateway, &body, async |page| {
            // One row of the old ones goes, perhaps one that was the last of its page; two new ones come.
            let victim = before[usize::try_from(next(before.len() as u64)).unwrap()];
            let last = if page % 2 == 0 { "" } else { ", (SELECT id FROM rows ORDER BY random() LIMIT 1)" };
            let doomed = gateway
                .query(&format!("DELETE FROM rows WHERE id IN ({victim}{last}) RETURNING id"))
                .await
                .ok();
            gone.extend(ids(&doomed["data"]));
            if added % 1000 < 40 {
                let (a, b, c) = (next(5), next(4), next(5));
                let (first, second) = (added * 10 + 1, added % 600 + 1_000_001);
                gateway.query(&format!(
                    "INSERT INTO rows VALUES ({first}, nullif({a}, 0), nullif(repeat('b', {b}), ''), {c}), \
                     (-{second}, nullif({b}, 0), 'a', {c}) ON CONFLICT DO NOTHING"
                )).await.ok();
                added += 1;
            }
        })
        .await;
        let found = pages.concat();
        let unique: BTreeSet<i64> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "a row came twice: {order} in pages of {size}: {found:?}");
        let stayed: Vec<i64> = before.iter().copied().filter(|id| !gone.contains(id)).collect();
        let seen: Vec<i64> = found.iter().copied().filter(|id| stayed.contains(id)).collect();
        assert_eq!(seen, stayed, "{order} in pages of {size}");
    }
}

/// Every type that can be sorted goes through the cursor's text and back without loss.
#[tokio::test]
async fn every_type_can_be_gone_on_with() {
    const COLUMNS: &[(&str, &str, &[&str])] = &[
        ("bool", "boolean", &["true", "false"]),
        ("i2", "smallint", &["-32768", "32767", "0"]),
        ("i8", "bigint", &["-9223372036854775808", "9007199254740993", "9007199254740992"]),
        ("num", "numeric", &["NaN", "1.10", "1.1", "-0.000000000000000000001", "1e40"]),
        ("num2", "numeric(6,2)", &["1.10", "-3.20"]),
        ("f4", "real", &["NaN", "Infinity", "-Infinity", "0.1", "16777217", "1.17549435e-38"]),
        ("f8", "double precision", &["NaN", "0.1", "0.30000000000000004", "5e-324", "-0"]),
        ("txt", "text", &["", "a", "A", "ä", "'; drop table x; --", "back\\slash", "\"", "%", "line\nbreak"]),
        ("vc", "varchar(12)", &["abc", "abc ", "ab"]),
        ("ch", "char(5)", &["abc", "ab", ""]),
        ("nm", "name", &["Abc", "abc"]),
        ("uid", "uuid", &["00000000-0000-4000-8000-000000000001", "ffffffff-0000-4000-8000-000000000001"]),
        ("bin", "bytea", &["\\x", "\\x00ff", "\\x00"]),
        ("d", "date", &["infinity", "-infinity", "2024-02-29", "0044-03-15 BC"]),
        ("ts", "timestamp", &["infinity", "2024-01-01 00:00:00.000001", "2024-01-01 00:00:00"]),
        ("tz", "timestamptz", &["-infinity", "2024-01-01 00:00:00.5+02", "2024-01-01 00:00:00+00"]),
        ("tm", "time", &["00:00", "23:59:59.999999"]),
        ("iv", "interval", &["1 mon", "30 days", "-1 day 02:00:00.000001", "1 year 2 mons"]),
        ("ip", "inet", &["10.0.0.1", "10.0.0.1/8", "::1"]),
        ("net", "cidr", &["10.0.0.0/8", "10.1.0.0/16"]),
        ("mac", "macaddr", &["08:00:2b:01:02:03", "08:00:2b:01:02:04"]),
        ("bits", "bit(3)", &["101", "010"]),
        ("vbits", "varbit", &["1", "10"]),
        ("cash", "money", &["$1.50", "-$2.00"]),
        ("mood", "mood", &["sad", "ok", "happy"]),
        ("j", "jsonb", &["null", "{\"a\": [1, 2.50]}", "[]", "\"x\""]),
        ("li", "int[]", &["{}", "{1,NULL}", "{1,2}"]),
        ("lt", "text[]", &["{\"a,b\"}", "{NULL}", "{\"NULL\"}"]),
        ("comp", "pair", &["(1,x)", "(1,)", "(,\"a b\")", "(,)"]),
        ("dom", "positive", &["1", "2"]),
        ("rng", "int4range", &["empty", "[1,5)", "[1,)"]),
        ("o", "oid", &["1", "4294967295"]),
        ("lsn", "pg_lsn", &["0/1", "1/0"]),
        ("vec", "tsvector", &["'a':1", "'a':1 'b':2"]),
    ];
    let mut sql = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TYPE pair AS (n int, t text); \
                   CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TABLE typed (id int PRIMARY KEY"
        .to_owned();
    for (name, ty, _) in COLUMNS {
        sql.push_str(&format!(", {name} {ty}"));
    }
    sql.push_str(");");
    for row in 0..12 {
        let values = COLUMNS.iter().map(|(_, _, values)| match values.get(row % (values.len() + 1)) {
            Some(value) => format!("'{}'", value.replace('\'', "''")),
            None => "NULL".to_owned(),
        });
        let values: Vec<String> = values.collect();
        sql.push_str(&format!("INSERT INTO typed VALUES ({row}, {});", values.join(",")));
    }
    let gateway = Gateway::with(&sql).await;
    for (column, ty, _) in COLUMNS {
        for direction in ["asc", "desc"] {
            let body = json!({"table_name": "typed", "columns": ["id"], "sort_by": {"field": column, "direction": direction}});
            let whole =
                ids(&fetch(&gateway, &with(&with(&body, "current_page", 1), "page_size", 100)).await.rows());
            assert_eq!(whole.len(), 12);
            for size in [1, 5] {
                let pages = walk(&gateway, &with(&body, "page_size", size), async |_| {}).await;
                assert_eq!(pages.concat(), whole, "{column} {ty} {direction} in pages of {size}");
            }
        }
    }
}

#[tokio::test]
async fn the_next_cursor_stands_where_the_shape_has_room() {
    let flat = Gateway::configured(ROWS, "gateway: {response_shape: flat}").await;
    let gateway = Gateway::with(ROWS).await;
    let body =
        json!({"table_name": "rows", "columns": ["id"], "page_size": 40, "cursor": "", "count": "exact"});
    let first = fetch(&gateway, &body).await.ok();
    assert_eq!((&first["status"], &first["message"]), (&json!("success"), &json!("Fetched 40 rows")));
    assert_eq!(first["data"]["count"], 60);
    let cursor = first["data"]["next_cursor"].as_str().expect("a cursor");
    // Counting and stripping may change from page to page.
    let second = with(&with(&body, "cursor", cursor), "strip_nulls", true);
    let second = with(&second, "count", Value::Null);
    let second = fetch(&gateway, &second).await.ok();
    assert_eq!(
        second["data"],
        json!({"rows": (41..=60).map(|n| json!({"id": n * 10})).collect::<Vec<_>>(), "next_cursor": null})
    );

    let first = fetch(&flat, &body).await.ok();
    assert_eq!((first["data"].as_array().map(Vec::len), &first["count"]), (Some(40), &json!(60)));
    let last = fetch(&flat, &with(&body, "cursor", first["next_cursor"].clone())).await.ok();
    assert_eq!((last["data"].as_array().map(Vec::len), &last["next_cursor"]), (Some(20), &Value::Null));

    let array = async |body: &Value| {
        let request = gateway.request(Method::POST, "/gateway/fetch").header("X-Strip-Nulls", "true");
        gateway.send(request.json(body)).await
    };
    let first = array(&body).await;
    assert_eq!((first.ok().as_array().map(Vec::len), first.header("x-athena-count")), (Some(40), Some("60")));
    let next = first.header("x-athena-next-cursor").expect("a cursor");
    let last = array(&with(&body, "cursor", next)).await;
    assert_eq!((last.ok().as_array().map(Vec::len), last.header("x-athena-next-cursor")), (Some(20), None));
    // Every column, under the names that they have.
    let every = json!({"table_name": "rows", "page_size": 1, "cursor": ""});
    assert_eq!(fetch(&gateway, &every).await.rows(), json!([{"id": 10, "a": 1, "b": "bb", "c": 1}]));
}

#[tokio::test]
async fn what_cannot_be_paged_is_refused() {
    let sql = format!(
        "{ROWS}; CREATE VIEW seen AS SELECT * FROM rows; CREATE TABLE bare (n int, note text); \
         CREATE TABLE coded (code text NOT NULL UNIQUE, n int); INSERT INTO coded VALUES ('x', 1), ('y', 1), ('z', 1); \
         CREATE TABLE loose (code text UNIQUE); CREATE TABLE long (id int PRIMARY KEY, note text); \
         INSERT INTO long SELECT n, repeat('x', 9000) FROM generate_series(1, 3) n"
    );
    let gateway = Gateway::with(&sql).await;
    let body = json!({"table_name": "rows", "columns": ["id"], "page_size": 5, "cursor": ""});
    for (field, value) in [
        ("offset", json!(0)),
        ("current_page", json!(1)),
        ("limit", json!(5)),
        ("page_size", json!(0)),
        ("group_by", json!("id")),
        ("head", json!(true)),
        ("cursor", json!(7)),
    ] {
        let refused = fetch(&gateway, &with(&body, field, value)).await.refused(400, "invalid_field");
        assert_eq!(refused["details"]["field"], field, "{refused}");
    }
    fetch(&gateway, &with(&body, "page_size", 10_001)).await.refused(400, "limit_exceeded");
    for form in ["application/x-ndjson", "text/csv"] {
        let request = gateway.request(Method::POST, "/gateway/fetch").header("Accept", form).json(&body);
        let refused = gateway.send(request).await.refused(400, "invalid_field");
        assert_eq!(refused["details"]["field"], "cursor");
    }
    for table in ["seen", "bare", "loose"] {
        let body = json!({"table_name": table, "page_size": 5, "cursor": ""});
        let refused = fetch(&gateway, &body).await.refused(400, "not_supported_by_backend");
        assert!(
            refused["details"]["reason"].is_string() && refused["details"]["fix"].is_string(),
            "{refused}"
        );
    }
    let coded = json!({"table_name": "coded", "columns": ["code"], "sort_by": {"field": "n"}, "page_size": 2, "cursor": ""});
    let first = fetch(&gateway, &coded).await.ok();
    assert_eq!(first["data"]["rows"], json!([{"code": "x"}, {"code": "y"}]));
    let rest = fetch(&gateway, &with(&coded, "cursor", first["data"]["next_cursor"].clone())).await.ok();
    assert_eq!(rest["data"], json!({"rows": [{"code": "z"}], "next_cursor": null}));
    let long = json!({"table_name": "long", "columns": ["id"], "sort_by": {"field": "note"}, "page_size": 1, "cursor": ""});
    assert_eq!(fetch(&gateway, &long).await.refused(400, "invalid_field")["details"]["field"], "sort_by");
    // The table gets another key while a caller pages.
    let cursor = fetch(&gateway, &body).await.ok()["data"]["next_cursor"].clone();
    gateway.query("ALTER TABLE rows DROP CONSTRAINT rows_pkey; ALTER TABLE rows ADD COLUMN k int GENERATED ALWAYS AS IDENTITY PRIMARY KEY").await.ok();
    fetch(&gateway, &with(&body, "cursor", cursor)).await.refused(400, "invalid_cursor");
}

/// A key of a table says nothing of the rows of those that inherit from it; one of a partitioned table holds for all.
#[tokio::test]
async fn a_table_that_others_inherit_from_has_no_cursor() {
    let sql =
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
        INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1), (2);
        CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY LIST (id);
        CREATE TABLE part PARTITION OF whole DEFAULT; INSERT INTO whole VALUES (1), (2), (3)";
    let gateway = Gateway::with(sql).await;
    let body = |table: &str| json!({"table_name": table, "page_size": 1, "cursor": ""});
    let refused = fetch(&gateway, &body("parent")).await.refused(400, "not_supported_by_backend");
    assert!(refused["details"]["reason"].as_str().unwrap().contains("inherit from 'parent'"), "{refused}");
    assert_eq!(walk(&gateway, &body("child"), async |_| {}).await.concat(), [1, 2]);
    assert_eq!(walk(&gateway, &body("whole"), async |_| {}).await.concat(), [1, 2, 3]);
    // So it is with the bound of a change that names one key.
    let change = json!({"table_name": "parent", "resource_id": 1, "max_affected": 1}).to_string();
    gateway.delete(&change).await.refused(400, "too_many_rows");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query_client_and_gateway() {
    let sealed = format!("gateway: {{cursor_secret: {SECRET}}}");
    let gateway = Gateway::configured(ROWS, &sealed).await;
    let uri = gateway.database.as_ref().unwrap().uri();
    let clients = [(CLIENT, uri.as_str()), ("other", uri.as_str())];
    let sibling = Gateway::over(&clients, &sealed).await;
    let stranger = Gateway::over(&clients, "").await;
    let body = json!({"table_name": "rows", "columns": ["id"], "sort_by": {"field": "a"},
        "conditions": [{"gte_column": "c", "gte_value": 0}], "page_size": 5});
    let cursor = fetch(&gateway, &with(&body, "cursor", "")).await.ok()["data"]["next_cursor"].clone();
    let on = with(&body, "cursor", cursor.clone());
    let page = fetch(&gateway, &on).await.rows();
    assert_eq!(fetch(&sibling, &on).await.rows(), page, "a gateway with the same secret");
    assert_eq!(fetch(&gateway, &on).await.rows(), page, "a cursor can be used again");
    fetch(&stranger, &on).await.refused(400, "invalid_cursor");
    let elsewhere = sibling.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "other").json(&on);
    sibling.send(elsewhere).await.refused(400, "invalid_cursor");
    for (field, value) in [
        ("table_name", json!("public.rows")),
        ("columns", json!(["id", "a"])),
        ("sort_by", json!({"field": "a", "direction": "desc"})),
        ("conditions", json!([])),
        ("conditions", json!([{"gte_column": "c", "gte_value": 1}])),
        ("page_size", json!(6)),
    ] {
        let refused = fetch(&gateway, &with(&on, field, value)).await.refused(400, "invalid_cursor");
        assert!(refused["error"].as_str().unwrap().contains("another query"), "{field}: {refused}");
        assert_eq!(refused["details"]["field"], "cursor");
    }
    let text = cursor.as_str().unwrap();
    let flipped = format!("{}{}", &text[..text.len() - 1], if text.ends_with('A') { "Q" } else { "A" });
    for bad in [flipped.as_str(), &text[1..], "x", "AAAA", "null"] {
        let refused = fetch(&gateway, &with(&on, "cursor", bad)).await.refused(400, "invalid_cursor");
        assert!(refused["hint"].as_str().unwrap().contains("cursor"), "{refused}");
    }
    assert!(!fetch(&gateway, &on).await.text.contains(SECRET));
}

#[tokio::test]
async fn a_cursor_ends_with_its_time() {
    let gateway = Gateway::configured(ROWS, "gateway: {cursor_lifetime_secs: 1}").await;
    let body = json!({"table_name": "rows", "columns": ["id"], "page_size": 5});
    let cursor = fetch(&gateway, &with(&body, "cursor", "")).await.ok()["data"]["next_cursor"].clone();
    // Whole seconds: the second after the lifetime has surely come.
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let refused = fetch(&gateway, &with(&body, "cursor", cursor)).await.refused(400, "invalid_cursor");
    assert_eq!(refused["error"], "The cursor has expired.");
}

#[tokio::test]
async fn a_cursor_belongs_to_a_key_and_shows_nothing_that_the_key_may_not_see() {
    let sql = "CREATE TABLE people (email text PRIMARY KEY, name text NOT NULL, salary int, team int); \
               INSERT INTO people SELECT 'hidden' || n || '@marker.example', 'p' || n % 2, n, n % 3 FROM generate_series(1, 9) n";
    let plane = Plane::start(sql).await;
    plane.policy("enforce").await;
    let scope = json!({"name": "k", "rights": ["*"], "columns": {"people": ["name", "team"]},
        "row_filters": {"people": [{"neq_column": "salary", "neq_value": 5}]}});
    let (one, _) = plane.key(scope.clone()).await;
    let (two, _) = plane.key(scope).await;
    let ask = async |key: &str, body: &Value| {
        let request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        plane.gateway.send(request.header("apikey", key).json(body)).await
    };
    let body =
        json!({"table_name": "people", "columns": ["name"], "sort_by": {"field": "team"}, "page_size": 3});
    let mut names = 0;
    let mut cursor = json!("");
    while !cursor.is_null() {
        let answer = ask(&one, &with(&body, "cursor", cursor.clone())).await;
        assert!(!answer.text.contains("marker"), "{}", answer.text);
        let answer = answer.ok();
        for row in answer["data"]["rows"].as_array().unwrap() {
            assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["name"]);
            names += 1;
        }
        cursor = answer["data"]["next_cursor"].clone();
        if cursor.is_string() {
            ask(&two, &with(&body, "cursor", cursor.clone())).await.refused(400, "invalid_cursor");
        }
    }
    assert_eq!(names, 8, "the row filter holds on every page");
    let forbidden = with(&with(&body, "sort_by", json!({"field": "salary"})), "cursor", "");
    ask(&one, &forbidden).await.refused(403, "api_key_column_out_of_scope");
}
