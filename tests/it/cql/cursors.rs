//! Cursors over a CQL database: pages of its own paging state, which nobody else can go on with.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use athena_test_support::TestKeyspace;

use super::plane::Plane;
use super::with;
use crate::harness::{CLIENT, Gateway};

const TABLES: &str = "
    CREATE TABLE parts (part int, n int, note text, PRIMARY KEY (part, n));
    CREATE INDEX parts_note ON parts (note);
    CREATE TABLE singles (id int PRIMARY KEY, v int);
";

fn with_field(body: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[field] = value.into();
    body
}

async fn fill(keyspace: &TestKeyspace, table: &str, rows: impl Iterator<Item = (i32, i32)>) {
    let columns = if table == "singles" { "id, v" } else { "part, n" };
    let insert = format!("INSERT INTO {table} ({columns}) VALUES (?, ?)");
    let insert = keyspace.session().prepare(insert).await.unwrap();
    for (a, b) in rows {
        keyspace.session().execute_unpaged(&insert, (a, b)).await.unwrap();
    }
}

/// All pages of a request, with something in between.
async fn walk(gateway: &Gateway, body: &Value, mut between: impl AsyncFnMut(usize)) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), json!(""));
    while !cursor.is_null() {
        let answer = gateway.fetch(&with_field(body, "cursor", cursor).to_string()).await.ok();
        pages.push(answer["data"]["rows"].as_array().unwrap().clone());
        cursor = answer["data"]["next_cursor"].clone();
        assert!(cursor.is_null() || cursor.is_string(), "{answer}");
        between(pages.len()).await;
        assert!(pages.len() < 500, "no end");
    }
    pages
}

/// 10,000 rows that stay come once, and none twice, whatever else is written and removed meanwhile.
#[tokio::test]
async fn rows_that_stay_come_once() {
    let Some((gateway, keyspace)) = with(TABLES, "?page_size=100").await else { return };
    // Even rows stay, odd ones go and come.
    fill(&keyspace, "singles", (0..10_000).map(|n| (n * 2, n))).await;
    fill(&keyspace, "singles", (0..400).map(|n| (n * 2 + 1, n))).await;
    let body = json!({"table_name": "singles", "columns": "id", "page_size": 250});
    let pages = walk(&gateway, &body, async |page| {
        let page = page as i32;
        for odd in [page * 2 + 1, 801 - page * 2] {
            keyspace.run(&format!("DELETE FROM singles WHERE id = {odd}")).await;
        }
        for new in 0..5 {
            keyspace
                .run(&format!("INSERT INTO singles (id) VALUES ({})", 100_001 + page * 10 + new * 2))
                .await;
        }
    })
    .await;
    assert!(pages.iter().rev().skip(1).all(|page| page.len() == 250), "every page but the last is full");
    let ids: Vec<i64> = pages.iter().flatten().map(|row| row["id"].as_i64().unwrap()).collect();
    let unique: BTreeSet<i64> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "a row came twice");
    assert_eq!(unique.iter().filter(|id| *id % 2 == 0).count(), 10_000, "a row was lost");
}

#[tokio::test]
async fn pages_are_the_whole_answer_in_its_order() {
    let Some((gateway, keyspace)) = with(TABLES, "?page_size=7").await else { return };
    fill(&keyspace, "parts", (0..4).flat_map(|part| (0..30).map(move |n| (part, n)))).await;
    let eq = |column: &str, value: Value| json!({"eq_column": column, "eq_value": value});
    let any = |column: &str, value: Value| json!({"operator": "in", "column": column, "value": value});
    let or = |text: &str| json!({"operator": "or", "value": text});
    for (conditions, sort, rows) in [
        (json!([]), json!(null), 120),
        (json!([eq("part", json!(1))]), json!(null), 30),
        (json!([eq("part", json!(1))]), json!({"field": "n", "direction": "desc"}), 30),
        (json!([any("part", json!([3, 1, 2]))]), json!(null), 90),
        (json!([eq("part", json!(1)), any("n", json!([5, 3, 29, 77]))]), json!(null), 3),
        (
            json!([or("and(part.eq.1,n.lt.5),and(part.eq.1,n.gt.20),and(part.eq.2,n.gte.27)")]),
            json!(null),
            17,
        ),
        (json!([any("part", json!((0..1000).collect::<Vec<_>>()))]), json!(null), 120),
        (json!([eq("part", json!(77))]), json!(null), 0),
        (json!([any("part", json!([]))]), json!(null), 0),
    ] {
        let body =
            json!({"table_name": "parts", "columns": "part,n", "conditions": conditions, "sort_by": sort});
        let whole = gateway.fetch(&with_field(&body, "limit", 1000).to_string()).await.rows();
        let whole = whole.as_array().unwrap().clone();
        assert_eq!(whole.len(), rows, "{body}");
        for size in [1, 4, 10, 30, 1000] {
            let pages = walk(&gateway, &with_field(&body, "page_size", size), async |_| {}).await;
            assert_eq!(pages.concat(), whole, "{body} in pages of {size}");
            // Where the rows come out even, no empty page follows.
            assert_eq!(pages.len(), rows.div_ceil(size).max(1), "{body} in pages of {size}");
        }
    }
    let counted = json!({"table_name": "parts", "conditions": [eq("part", json!(1))], "page_size": 4, "cursor": "", "count": "exact"});
    assert_eq!(gateway.fetch(&counted.to_string()).await.ok()["data"]["count"], 30);
}

#[tokio::test]
async fn a_read_that_filters_ends_too() {
    let Some((gateway, keyspace)) = with(TABLES, "?allow_filtering=true&page_size=10").await else { return };
    fill(&keyspace, "singles", (0..500).map(|n| (n, n % 50))).await;
    let body =
        json!({"table_name": "singles", "columns": "id", "conditions": [{"eq_column": "v", "eq_value": 7}]});
    for size in [3, 5, 10, 100] {
        let pages = walk(&gateway, &with_field(&body, "page_size", size), async |_| {}).await;
        let ids: BTreeSet<i64> = pages.iter().flatten().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!((ids.len(), pages.concat().len()), (10, 10), "pages of {size}");
    }
    let first =
        gateway.fetch(&with_field(&with_field(&body, "page_size", 3), "cursor", "").to_string()).await;
    assert_eq!(first.ok()["data"]["filtered"], true);
}

#[tokio::test]
async fn what_cannot_be_paged_is_refused() {
    let Some((gateway, _keyspace)) = with(TABLES, "").await else { return };
    let ask = async |more: Value| {
        let mut body = json!({"table_name": "parts", "page_size": 5, "cursor": ""});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.fetch(&body.to_string()).await
    };
    for (more, field) in [
        (
            json!({"conditions": [{"operator": "or", "value": "and(part.eq.1,n.gt.3),and(part.eq.1,n.lt.9)"}]}),
            "conditions",
        ),
        (json!({"sort_by": {"field": "n"}}), "sort_by"),
        (json!({"conditions": [{"eq_column": "n", "eq_value": 1}]}), "n"),
    ] {
        let refused = ask(more).await.refused(400, "not_supported_by_backend");
        assert_eq!(refused["details"]["field"], field, "{refused}");
        assert!(
            refused["details"]["reason"].is_string() && refused["details"]["fix"].is_string(),
            "{refused}"
        );
    }
    for more in
        [json!({"offset": 1}), json!({"current_page": 2}), json!({"limit": 3}), json!({"group_by": "n"})]
    {
        ask(more).await.refused(400, "invalid_field");
    }
}

#[tokio::test]
async fn a_cursor_is_of_one_query_one_client_and_one_table() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    fill(&keyspace, "parts", (0..4).flat_map(|part| (0..30).map(move |n| (part, n)))).await;
    let uri = keyspace.uri();
    let gateway = Gateway::over(&[(CLIENT, &uri), ("other", &uri)], "").await;
    let body =
        json!({"table_name": "parts", "conditions": [{"eq_column": "part", "eq_value": 1}], "page_size": 5});
    let cursor =
        gateway.fetch(&with_field(&body, "cursor", "").to_string()).await.ok()["data"]["next_cursor"].clone();
    let on = with_field(&body, "cursor", cursor.clone());
    let next = gateway.fetch(&on.to_string()).await.rows();
    assert_eq!((next[0]["n"].as_i64(), next.as_array().map(Vec::len)), (Some(5), Some(5)));
    let elsewhere = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "other").json(&on);
    gateway.send(elsewhere).await.refused(400, "invalid_cursor");
    for (field, value) in [
        ("conditions", json!([{"eq_column": "part", "eq_value": 2}])),
        ("columns", json!("n")),
        ("page_size", json!(6)),
        ("sort_by", json!({"field": "n", "direction": "desc"})),
    ] {
        gateway.fetch(&with_field(&on, field, value).to_string()).await.refused(400, "invalid_cursor");
    }
    let text = cursor.as_str().unwrap();
    let flipped = format!("{}{}", &text[..text.len() - 1], if text.ends_with('A') { "Q" } else { "A" });
    for bad in [flipped.as_str(), &text[1..], "x", "AAAA"] {
        gateway.fetch(&with_field(&on, "cursor", bad).to_string()).await.refused(400, "invalid_cursor");
    }
    // The table changes while a caller pages: whether or not the gateway knows it yet, it goes on nowhere.
    keyspace.run("ALTER TABLE parts ADD more int").await;
    let refused = gateway.fetch(&on.to_string()).await.refused(400, "invalid_cursor");
    assert!(refused["error"].as_str().unwrap().contains("changed"), "{refused}");
    assert_eq!(
        gateway.fetch(&with_field(&body, "cursor", "").to_string()).await.rows().as_array().unwrap().len(),
        5
    );
}

/// Keys with filters of their own: a cursor is the key's, and goes no further than its rows.
#[tokio::test]
async fn a_cursor_is_of_one_key() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    fill(&keyspace, "parts", (0..4).flat_map(|part| (0..30).map(move |n| (part, n)))).await;
    let plane = Plane::over(&keyspace.uri()).await;
    let scope = |part: i32| {
        json!({"name": "k", "rights": ["*"], "columns": {"parts": ["part", "n"]},
            "row_filters": {"parts": [{"eq_column": "part", "eq_value": part}]}})
    };
    let (one, one_id) = plane.key(scope(1)).await;
    let (two, _) = plane.key(scope(1)).await;
    let body = json!({"table_name": "parts", "page_size": 8});
    let (mut cursor, mut rows) = (json!(""), 0);
    while !cursor.is_null() {
        let answer = plane.fetch(&one, &with_field(&body, "cursor", cursor.clone())).await.ok();
        for row in answer["data"]["rows"].as_array().unwrap() {
            assert_eq!(row["part"], 1);
            assert!(row.get("note").is_none(), "{row}");
            rows += 1;
        }
        cursor = answer["data"]["next_cursor"].clone();
        if cursor.is_string() {
            plane
                .fetch(&two, &with_field(&body, "cursor", cursor.clone()))
                .await
                .refused(400, "invalid_cursor");
        }
    }
    assert_eq!(rows, 30);
    // The key now sees other rows: its old place is none among them.
    let first = plane.fetch(&one, &with_field(&body, "cursor", "")).await.ok()["data"]["next_cursor"].clone();
    plane.patch(&one_id, json!({"row_filters": {"parts": [{"eq_column": "part", "eq_value": 2}]}})).await;
    loop {
        let answer = plane.fetch(&one, &with_field(&body, "cursor", first.clone())).await;
        if answer.status == 400 {
            answer.refused(400, "invalid_cursor");
            break;
        }
        // Until the gateway has read its keys again.
        assert!(answer.rows().as_array().unwrap().iter().all(|row| row["part"] == 1));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
