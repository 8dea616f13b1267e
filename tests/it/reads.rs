//! Fetch: conditions, shapes, paging, grouping, names (contract 6, 28.3–28.8).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Gateway;

const PEOPLE: &str = "
    CREATE TABLE people (id bigint PRIMARY KEY, name text, age int, tags text[], meta jsonb, active boolean, userName text);
    ALTER TABLE people RENAME COLUMN username TO user_name;
    INSERT INTO people VALUES
      (1, 'Ada', 36, '{a,b}', '{\"k\": 1}', true, 'ada'), (2, 'Bob', NULL, '{b}', '{\"k\": 2}', false, 'bob'),
      (3, 'Cy,d', 20, '{}', NULL, NULL, NULL), (4, 'Dé', 36, NULL, '{\"k\": 1, \"n\": null}', true, 'de');
    CREATE VIEW adults AS SELECT * FROM people WHERE age > 30;
    CREATE SCHEMA audit; CREATE TABLE audit.people (id int); INSERT INTO audit.people VALUES (99);";

fn ids(rows: &Value) -> Vec<i64> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn every_operator_filters_in_every_spelling() {
    let gateway = Gateway::with(PEOPLE).await;
    let cases: &[(&str, &str, &[i64])] = &[
        (r#"{"eq_column":"age","eq_value":36}"#, "eq", &[1, 4]),
        (r#"{"eq_column":"age","eq_value":"36"}"#, "eq as text", &[1, 4]),
        (r#"{"operator":"eq","column":"age","value":36}"#, "eq", &[1, 4]),
        (r#"{"operator":"eq","column":"age","value":null}"#, "eq null", &[2]),
        (r#"{"eq_column":"age","eq_value":null}"#, "eq null", &[2]),
        (r#"{"operator":"neq","column":"age","value":36}"#, "neq", &[3]),
        (r#"{"operator":"neq","column":"age","value":null}"#, "neq null", &[1, 3, 4]),
        (r#"{"operator":"gt","column":"age","value":20}"#, "gt", &[1, 4]),
        (r#"{"gte_column":"age","gte_value":20}"#, "gte", &[1, 3, 4]),
        (r#"{"operator":"lt","column":"id","value":2}"#, "lt", &[1]),
        (r#"{"operator":"lte","column":"id","value":2}"#, "lte", &[1, 2]),
        (r#"{"operator":"like","column":"name","value":"%d%"}"#, "like", &[1, 3]),
        (r#"{"operator":"ilike","column":"name","value":"%D%"}"#, "ilike", &[1, 3, 4]),
        (r#"{"operator":"like","column":"id","value":"1%"}"#, "like on a number", &[1]),
        (r#"{"operator":"is","column":"active","value":true}"#, "is true", &[1, 4]),
        (r#"{"operator":"is","column":"active","value":"unknown"}"#, "is unknown", &[3]),
        (r#"{"operator":"is","column":"meta","value":"not null"}"#, "is not null", &[1, 2, 4]),
        (r#"{"operator":"in","column":"id","value":[1,"3",9]}"#, "in", &[1, 3]),
        (r#"{"operator":"in","column":"age","value":[20,null]}"#, "in with null", &[2, 3]),
        (r#"{"operator":"in","column":"id","value":[]}"#, "in nothing", &[]),
        (r#"{"operator":"contains","column":"tags","value":["b"]}"#, "contains", &[1, 2]),
        (r#"{"operator":"containedBy","column":"tags","value":["b","c"]}"#, "contained", &[2, 3]),
        (r#"{"operator":"contains","column":"meta","value":{"k":1}}"#, "contains json", &[1, 4]),
        (r#"{"operator":"or","value":"age.eq.20,name.eq.Bob"}"#, "or", &[2, 3]),
        (r#"{"operator":"or","value":"(name.eq.\"Cy,d\",and(age.gte.36,id.gt.1))"}"#, "or nested", &[3, 4]),
        (r#"{"operator":"not","value":"age.eq.36"}"#, "not", &[3]),
        (r#"{"operator":"not","value":"id.in.1,2"}"#, "not in", &[3, 4]),
        (r#"{"operator":"not","value":"tags.contains.b"}"#, "not contains", &[3]),
        (r#"{"eq_column":"userName","eq_value":"ada"}"#, "camelCase", &[1]),
    ];
    for (condition, what, expected) in cases {
        let body =
            format!(r#"{{"table_name":"people","sort_by":{{"field":"id"}},"conditions":[{condition}]}}"#);
        assert_eq!(ids(&gateway.fetch(&body).await.rows()), *expected, "{what}: {condition}");
    }
}

#[tokio::test]
async fn bad_filters_are_never_all_rows() {
    let gateway = Gateway::with(PEOPLE).await;
    for (condition, code) in [
        (r#"{"operator":"near","column":"age","value":1}"#, "unknown_operator"),
        (r#"{"eq_column":"x', (select version()) --","eq_value":1}"#, "invalid_identifier"),
        (r#"{"eq_column":"nope","eq_value":1}"#, "undefined_column"),
        (r#"{"eq_column":"age"}"#, "missing_field"),
        (r#"{"eq_column":"age","eq_value":"x"}"#, "data_exception"),
        (r#"{"eq_column":"age","eq_value":1,"extra":1}"#, "unknown_field"),
        (r#"{"operator":"or","value":"age.eq"}"#, "invalid_field"),
        (r#"{"operator":"is","column":"age","value":true}"#, "type_mismatch"),
        ("{}", "invalid_field"),
    ] {
        let body = format!(r#"{{"table_name":"people","conditions":[{condition}]}}"#);
        gateway.fetch(&body).await.refused(400, code);
    }
    gateway.fetch(r#"{"table_name":"people","condition":[]}"#).await.refused(400, "unknown_field");
    gateway.fetch(r#"{"table_name":"people","limit":1,"limit":2}"#).await.refused(400, "invalid_json");
    let columns =
        gateway.fetch(r#"{"table_name":"people","columns":["id","x', (select version()) --"]}"#).await;
    assert_eq!(columns.status, 400);
    assert!(!columns.text.contains("PostgreSQL 1"), "{}", columns.text);
    gateway.fetch(r#"{"table_name":"nope"}"#).await.refused(400, "undefined_table");
    gateway.fetch(r#"{"table_name":"people","columns":"a(b)"}"#).await.refused(400, "unsupported_select");
    gateway.fetch(r#"{"table_name":"people","limit":10001}"#).await.refused(400, "limit_exceeded");
}

#[tokio::test]
async fn three_shapes() {
    let gateway = Gateway::with(PEOPLE).await;
    let body = r#"{"table_name":"people","columns":["id","age"],"sort_by":{"field":"id"},"limit":2}"#;
    let envelope = gateway.fetch(body).await.ok();
    assert_eq!(envelope["status"], "success");
    assert_eq!(envelope["message"], "Fetched 2 rows");
    assert_eq!(envelope["data"]["rows"], json!([{"id":1,"age":36},{"id":2,"age":null}]));
    for (value, expected) in [
        ("true", json!([{"id":1,"age":36},{"id":2}])),
        ("false", json!([{"id":1,"age":36},{"id":2,"age":null}])),
    ] {
        let request =
            gateway.request(Method::POST, "/gateway/fetch").header("X-Strip-Nulls", value).body(body);
        assert_eq!(gateway.send(request).await.ok(), expected);
    }
    // The body's field strips, and keeps the envelope.
    let stripped = gateway.fetch(r#"{"table_name":"people","strip_nulls":true,"sort_by":{"field":"id"},"conditions":[{"gt_column":"id","gt_value":2}]}"#).await.rows();
    assert_eq!(
        stripped,
        json!([{"id":3,"name":"Cy,d","age":20,"tags":[]},{"id":4,"name":"Dé","age":36,"meta":{"k":1},"active":true,"user_name":"de"}])
    );
    let flat = Gateway::configured(PEOPLE, "gateway: {response_shape: flat}").await;
    assert_eq!(flat.fetch(body).await.ok()["data"], json!([{"id":1,"age":36},{"id":2,"age":null}]));
}

#[tokio::test]
async fn pages_sorts_and_names() {
    let gateway = Gateway::with(PEOPLE).await;
    let page =
        |n: u32| format!(r#"{{"table_name":"people","columns":"id","page_size":2,"current_page":{n}}}"#);
    assert_eq!(ids(&gateway.fetch(&page(1)).await.rows()), [1, 2]);
    assert_eq!(ids(&gateway.fetch(&page(2)).await.rows()), [3, 4]);
    assert_eq!(ids(&gateway.fetch(&page(3)).await.rows()), [0_i64; 0]);
    let sorted = |sort: &str| format!(r#"{{"table_name":"people","columns":"id","sort_by":{sort}}}"#);
    let check = [
        (
            r#"[{"field":"age","direction":"desc","nulls":"last"},{"column":"id","direction":"desc"}]"#,
            [4, 1, 3, 2],
        ),
        (r#"[{"field":"age","nulls":"first"},{"field":"id"}]"#, [2, 3, 1, 4]),
    ];
    for (sort, expected) in check {
        assert_eq!(ids(&gateway.fetch(&sorted(sort)).await.rows()), expected, "{sort}");
    }
    gateway.fetch(&sorted(r#"{"field":"id","direction":"down"}"#)).await.refused(400, "invalid_field");
    assert_eq!(
        ids(&gateway.fetch(r#"{"view_name":"adults","columns":"id","sort_by":{"field":"id"}}"#).await.rows()),
        [1, 4]
    );
    assert_eq!(ids(&gateway.fetch(r#"{"table_name":"audit.people"}"#).await.rows()), [99]);
    assert_eq!(ids(&gateway.fetch(r#"{"table_name":"people","table_schema":"audit"}"#).await.rows()), [99]);
    let renamed = gateway.fetch(r#"{"table_name":"people","columns":"who:name,age::text,userName","limit":1,"sort_by":{"field":"id"}}"#).await.rows();
    assert_eq!(renamed, json!([{"who":"Ada","age":"36","userName":"ada"}]));
    let counted = gateway.fetch(r#"{"table_name":"people","count":"exact","limit":1,"conditions":[{"eq_column":"age","eq_value":36}]}"#).await.ok();
    assert_eq!(counted["data"]["count"], 2);
    let head = gateway.fetch(r#"{"table_name":"people","count":"exact","head":true}"#).await.ok();
    assert_eq!((&head["data"]["count"], &head["data"]["rows"]), (&json!(4), &json!([])));
    assert_eq!(gateway.fetch(r#"{"table_name":"people","limit":0}"#).await.rows(), json!([]));
    let alias = gateway.send(gateway.request(Method::POST, "/gateway/data").body(page(1))).await;
    assert_eq!(ids(&alias.rows()), [1, 2]);
}

#[tokio::test]
async fn a_wide_select_works() {
    let columns: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let gateway = Gateway::with(&format!(
        "CREATE TABLE wide ({}); INSERT INTO wide (c0) VALUES (1)",
        columns.iter().map(|c| format!("{c} int")).collect::<Vec<_>>().join(",")
    ))
    .await;
    let body = json!({"table_name": "wide", "columns": columns}).to_string();
    assert_eq!(gateway.fetch(&body).await.rows()[0].as_object().unwrap().len(), 200);
}

#[tokio::test]
async fn rows_are_grouped_and_summed() {
    let gateway = Gateway::with(
        "CREATE TABLE sums (id int PRIMARY KEY, value numeric, created_at timestamptz);
         INSERT INTO sums VALUES (1, 1.10, '2024-01-01T00:10:00Z'), (2, 1.10, '2024-01-01T00:20:00Z'),
                                 (3, 2, '2024-01-01T01:00:00Z'), (4, 3, '2024-01-02T00:00:00Z')",
    )
    .await;
    let body = r#"{"table_name":"sums","sort_by":{"field":"id"},"group_by":"created_at","time_granularity":"hour",
                   "aggregation_column":"value","aggregation_strategy":"cumulative_sum","aggregation_dedup":true}"#;
    let expected = |grouped: &Value| {
        let found: Vec<(String, String, usize)> = grouped
            .as_array()
            .unwrap()
            .iter()
            .map(|g| {
                (
                    g["label"].as_str().unwrap().to_owned(),
                    g["aggregation"].to_string(),
                    g["rows"].as_array().unwrap().len(),
                )
            })
            .collect();
        let expected =
            [("2024-01-01 00:00", "1.1", 2), ("2024-01-01 01:00", "3.1", 1), ("2024-01-02 00:00", "6.1", 1)];
        assert_eq!(found, expected.map(|(l, a, n)| (l.to_owned(), a.to_owned(), n)));
    };
    for strip in [None, Some("true")] {
        for _ in 0..2 {
            let mut request = gateway.request(Method::POST, "/gateway/fetch").body(body);
            if let Some(strip) = strip {
                request = request.header("X-Strip-Nulls", strip);
            }
            let answer = gateway.send(request).await.ok();
            expected(&answer["data"]["post_processing"]["grouped"]);
            assert_eq!(answer["data"]["rows"].as_array().unwrap().len(), 4);
            assert_eq!(answer["error"], if strip.is_some() { json!("") } else { Value::Null });
        }
    }
    let missing = gateway.fetch(r#"{"table_name":"sums","columns":"id","group_by":"created_at"}"#).await;
    assert_eq!(missing.status, 400);
    assert_eq!(missing.json()["error"], "Post-processing failure: Missing group_by column 'created_at'");
    gateway
        .fetch(r#"{"table_name":"sums","group_by":"id","time_granularity":"week"}"#)
        .await
        .refused(400, "invalid_field");
}

#[tokio::test]
async fn the_camel_switch_turns_names_around() {
    let gateway = Gateway::configured(PEOPLE, "gateway: {force_camel_case_to_snake_case: true}").await;
    let rows = gateway.fetch(r#"{"table_name":"people","columns":["userName"],"conditions":[{"eq_column":"userName","eq_value":"ada"}]}"#).await.rows();
    assert_eq!(rows, json!([{"user_name":"ada"}]));
    let inserted = gateway
        .insert(r#"{"table_name":"people","insert_body":{"id":9,"userName":"new","meta":{"keepThis":1}}}"#)
        .await
        .ok();
    assert_eq!(
        (&inserted["data"]["user_name"], &inserted["data"]["meta"]),
        (&json!("new"), &json!({"keepThis":1}))
    );
}

#[tokio::test]
async fn callers_must_say_who_they_mean() {
    let gateway = Gateway::with(PEOPLE).await;
    let bare = |body: &'static str| gateway.bare(Method::POST, "/gateway/fetch").body(body);
    gateway.send(bare("{}")).await.refused(400, "missing_client_header");
    gateway.send(bare("{}").header("X-Athena-Client", " ")).await.refused(400, "missing_client_header");
    gateway.send(bare("{}").header("X-Athena-Client", "nope")).await.refused(400, "unknown_client");
    let two = bare("{}").header("X-Athena-Client", "main").header("X-Athena-Client", "other");
    assert_eq!(gateway.send(two).await.status, 400);
    for body in ["", "{}", r#"{"table_name":""}"#] {
        let answer = gateway.fetch(body).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("table_name is required")),
            "{body}"
        );
    }
    let malformed = gateway.fetch("{\"table_name\":").await;
    assert!(malformed.json()["error"].as_str().unwrap().contains("line 1"), "{}", malformed.text);
    // Case and margin of the name do not matter; ids of requests travel.
    let request = gateway
        .bare(Method::POST, "/gateway/fetch")
        .header("X-Athena-Client", " MAIN ")
        .header("X-Request-Id", "r-1")
        .body(r#"{"table_name":"people"}"#);
    let answer = gateway.send(request).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("r-1")));
    let refused = gateway
        .send(gateway.request(Method::POST, "/gateway/fetch").header("X-Request-Id", "r-2").body("{}"))
        .await;
    assert_eq!(refused.json()["trace_id"], "r-2");
}

/// As many `in` conditions for one column as a request may have, of so many members each.
fn lists(column: &str, members: impl Iterator<Item = String>) -> String {
    let members = members.collect::<Vec<_>>().join(",");
    let one = format!(r#"{{"operator":"in","column":"{column}","value":[{members}]}}"#);
    vec![one; 99].join(",")
}

#[tokio::test]
async fn many_lists_for_one_indexed_column_cost_no_more_than_one() {
    let setup = "CREATE TABLE n (id int PRIMARY KEY, name text UNIQUE); \
        INSERT INTO n SELECT i, 'n' || i FROM generate_series(0, 20000) i; ANALYZE n";
    // Wide enough for the lists, and patient enough to tell a slow answer from none.
    let limits = "limits: {max_in_list: 1000000, statement_timeout_secs: 60, request_timeout_secs: 65}";
    let gateway = Gateway::configured(setup, limits).await;
    let began = std::time::Instant::now();
    let numbers = lists("id", (0..1320).map(|n| n.to_string()));
    let fetch = |conditions: &str| {
        format!(
            r#"{{"table_name":"n","columns":"id","conditions":[{conditions}],"limit":2,"sort_by":{{"field":"id"}}}}"#
        )
    };
    let first = json!([{"id":0},{"id":1}]);
    assert_eq!(gateway.fetch(&fetch(&numbers)).await.rows(), first);
    let texts = lists("name", (0..1320).map(|n| format!(r#""n{n}""#)));
    assert_eq!(gateway.fetch(&fetch(&texts)).await.rows(), first);
    let hidden: Vec<String> = vec!["id.not.in.(5,6)".to_owned(); 90];
    let hidden = format!(r#"{{"operator":"not","value":"or({})"}}"#, hidden.join(","));
    assert_eq!(gateway.fetch(&fetch(&hidden)).await.rows(), json!([{"id":5},{"id":6}]));
    let none = r#"{"op":"in","column":"id","value":[1,2]},{"op":"in","column":"id","value":[3]}"#;
    assert_eq!(gateway.fetch(&fetch(none)).await.rows(), json!([]));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_lists_of_a_request_have_one_bound() {
    let gateway = Gateway::with("CREATE TABLE n (id int PRIMARY KEY)").await;
    let body =
        format!(r#"{{"table_name":"n","conditions":[{}]}}"#, lists("id", (0..1320).map(|n| n.to_string())));
    let refused = gateway.fetch(&body).await.refused(400, "limit_exceeded");
    assert_eq!(refused["details"]["limit"]["name"], "max_in_list", "{refused}");
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("together")), "{refused}");
}
