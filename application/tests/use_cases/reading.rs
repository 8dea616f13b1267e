//! Fetches: what a schema that has changed does to them, limits, counts, groups.

use athena_application::Error;
use athena_application::use_cases::Fetched;
use athena_domain::Limits;
use athena_domain::error::RequestCode;
use athena_domain::rows::{RowFormat, RowStyle};
use athena_domain::schema::{Relation, TypeKind};
use athena_memory::Table;
use serde_json::json;

use super::bench::{Bench, JSON, column, text};

fn refusal(error: Error) -> RequestCode {
    match error {
        Error::Request(refusal) => refusal.code,
        other => panic!("not a refusal of the request: {other}"),
    }
}

#[tokio::test]
async fn a_short_answer_comes_whole() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"mail","conditions":[{"eq_column":"team","eq_value":"red"}],
        "sort_by":{"field":"id"}}"#;
    let (rows, tally) = bench.rows(request).await;
    assert_eq!(rows, r#"[{"mail":"ada@x"},{"mail":"bob@x"}]"#);
    assert_eq!((tally.rows, tally.count, tally.done.rows), (2, None, 2));
    assert_eq!(bench.database.schema_readings(), 1);
    bench.rows(request).await;
    assert_eq!(bench.database.schema_readings(), 1, "a warm fetch reads no schema");
}

#[tokio::test]
async fn a_table_created_since_is_found() {
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    let relation = Relation {
        schema: "public".into(),
        name: "teams".into(),
        columns: vec![column("name", "text", TypeKind::Text)],
        primary_key: [].into(),
        unique: Vec::new(),
        inherited: false,
        cql: None,
    };
    bench.database.create_table(Table::new(relation).with_rows(r#"[{"name":"red"}]"#).unwrap());
    assert_eq!(bench.rows(r#"{"table_name":"teams"}"#).await.0, r#"[{"name":"red"}]"#);
}

#[tokio::test]
async fn a_column_added_since_is_found_and_shown() {
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    bench.database.add_column("users", column("note", "text", TypeKind::Text));
    let named = bench.rows(r#"{"table_name":"users","columns":"note","limit":1}"#).await.0;
    assert_eq!(named, r#"[{"note":null}]"#);

    // Every column: the statement itself tells that there is a new one.
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    bench.database.add_column("users", column("note", "text", TypeKind::Text));
    let every =
        bench.rows(r#"{"table_name":"users","conditions":[{"eq_column":"id","eq_value":3}]}"#).await.0;
    assert_eq!(every, r#"[{"id":3,"mail":"cy@x","team":"blue","score":null,"note":null}]"#);
    assert_eq!(bench.database.schema_readings(), 2, "one reading more");
}

#[tokio::test]
async fn a_table_dropped_since_is_undefined() {
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    bench.database.drop_table("users");
    let error = bench.fetch(r#"{"table_name":"users"}"#).await.unwrap_err();
    assert_eq!(refusal(error), RequestCode::UndefinedTable);
}

#[tokio::test]
async fn an_unknown_column_stays_unknown() {
    let bench = Bench::new();
    let error = bench.fetch(r#"{"table_name":"users","columns":"nothing"}"#).await.unwrap_err();
    assert_eq!(refusal(error), RequestCode::UndefinedColumn);
    assert_eq!(bench.database.schema_readings(), 2, "it might have been new");
}

/// The same columns in another order, as after a table was dropped and made anew.
fn reordered() -> Table {
    let mut relation = Relation {
        schema: "public".into(),
        name: "users".into(),
        columns: Vec::new(),
        primary_key: [1].into(),
        unique: Vec::new(),
        inherited: false,
        cql: None,
    };
    relation.columns.push(column("mail", "text", TypeKind::Text));
    relation.columns.push(column("id", "bigint", TypeKind::Int(64)));
    relation.columns.push(column("team", "text", TypeKind::Text));
    relation.columns.push(column("score", "numeric(12,2)", TypeKind::Numeric));
    Table::new(relation).with_rows(r#"[{"id":1,"mail":"ada@x"}]"#).unwrap()
}

#[tokio::test]
async fn a_table_made_anew_is_read_again() {
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    bench.database.drop_table("users");
    bench.database.create_table(reordered());
    assert_eq!(bench.rows(r#"{"table_name":"users","columns":"id"}"#).await.0, r#"[{"id":1}]"#);
}

#[tokio::test]

async fn a_table_made_anew_is_read_again_for_a_count() {
    let bench = Bench::new();
    bench.rows(r#"{"table_name":"users"}"#).await;
    bench.database.drop_table("users");
    bench.database.create_table(reordered());
    let (rows, tally) = bench.rows(r#"{"table_name":"users","columns":"id","count":"exact"}"#).await;
    assert_eq!((rows.as_str(), tally.count), (r#"[{"id":1}]"#, Some(1)));
}

#[tokio::test]
async fn rows_are_counted_beside_the_page() {
    let bench = Bench::new();
    let answer =
        bench.fetch(r#"{"table_name":"users","columns":"id","count":"exact","limit":1}"#).await.unwrap();
    let Fetched::Rows { count, .. } = answer else { panic!("not grouped") };
    assert_eq!(count, Some(3));
}

#[tokio::test]
async fn rows_are_grouped() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"team,score","group_by":"team","aggregation_column":"score",
        "aggregation_strategy":"cumulative_sum","sort_by":{"field":"id"},"count":"exact"}"#;
    let Fetched::Grouped(grouped) = bench.fetch(request).await.unwrap() else { panic!("not grouped") };
    assert_eq!((grouped.row_count, grouped.count), (3, Some(3)));
    let rows = r#"[{"team":"red","score":1.50},{"team":"red","score":2.25},{"team":"blue","score":null}]"#;
    assert_eq!(text(&grouped.rows), rows);
    let groups: serde_json::Value = serde_json::from_slice(&grouped.groups).unwrap();
    let labels: Vec<_> = groups.as_array().unwrap().iter().map(|group| group["label"].clone()).collect();
    assert_eq!(labels.len(), 2);
    assert!(labels.contains(&json!("red")) && labels.contains(&json!("blue")), "{groups}");
    let red = groups.as_array().unwrap().iter().find(|group| group["label"] == "red").unwrap();
    assert_eq!(red["rows"].as_array().unwrap().len(), 2);

    let lines = RowStyle { format: RowFormat::Ndjson, ..JSON };
    let error = bench.fetch_as("main", request, lines).await.unwrap_err();
    assert_eq!(refusal(error), RequestCode::InvalidField);
}

#[tokio::test]
async fn limits_are_refused_not_cut() {
    let bench = Bench::with_limits(Limits { max_rows: 2, max_response_bytes: 60, ..Limits::default() });
    let error = bench.fetch(r#"{"table_name":"users","limit":3}"#).await.unwrap_err();
    assert_eq!(refusal(error), RequestCode::LimitExceeded);
    let error = bench.fetch(r#"{"table_name":"users"}"#).await.unwrap_err();
    let Error::Request(refused) = error else { panic!("{error}") };
    let limit = refused.limit.unwrap();
    assert_eq!((limit.name, limit.value), ("max_response_bytes", 60));
    assert_eq!(bench.rows(r#"{"table_name":"users","columns":"id"}"#).await.1.rows, 2, "a page of max_rows");
}

#[tokio::test]
async fn big_numbers_are_text_when_asked() {
    use athena_application::Body;
    use athena_application::use_cases::Fetch;
    use athena_domain::query::{Decoding, FetchRequest};

    let bench = Bench::new();
    let request = super::bench::body(r#"{"table_name":"users","columns":"id,score","limit":1}"#);
    let request = FetchRequest::decode(request, &bench.gateway.limits, Decoding::default()).unwrap();
    let context = bench.gateway.context(true);
    let fetch = Fetch::new(bench.gateway.clone());
    let answer = fetch.run(&super::bench::name("main"), request, JSON, super::bench::ARRAY, context).await;
    let Fetched::Rows { body: Body::Whole(bytes, _), .. } = answer.unwrap() else { panic!("a whole answer") };
    assert_eq!(text(&bytes), r#"[{"id":1,"score":"1.50"}]"#);
}
