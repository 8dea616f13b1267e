//! Writes: upserts without a target, ids, guards, a schema that has changed.

use athena_application::Error;
use athena_application::ports::Reason;
use athena_application::use_cases::{Delete, Updated};
use athena_domain::Limits;
use athena_domain::query::DeleteRequest;
use athena_domain::schema::TypeKind;

use super::bench::{Bench, body, column, name, text};

const EVERY_MAIL: &str = r#"{"table_name":"users","columns":"mail","sort_by":{"field":"id"}}"#;

fn reason(error: &Error) -> Option<Reason> {
    match error {
        Error::Port(fault) => fault.reason(),
        other => panic!("not a failure of the port: {other}"),
    }
}

#[tokio::test]
async fn an_insert_answers_with_rows_and_ids() {
    let bench = Bench::new();
    let written = bench
        .insert(r#"{"table_name":"users","columns":"mail","insert_body":[{"mail":"d@x"},{"mail":"e@x"}]}"#);
    let written = written.await.unwrap();
    assert_eq!(text(&written.rows), r#"{"mail":"d@x"},{"mail":"e@x"}"#);
    assert_eq!((written.row_count, written.affected), (2, 2));
    assert_eq!(written.ids, [Some("4".into()), Some("5".into())]);
}

#[tokio::test]
async fn an_upsert_without_a_target_takes_the_index_it_meets() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"id,team","insert_body":{"mail":"bob@x","team":"new"},"update_body":{"team":"moved"}}"#;
    let written = bench.insert(request).await.unwrap();
    assert_eq!(text(&written.rows), r#"{"id":2,"team":"moved"}"#);
    assert_eq!(written.ids, [Some("2".into())]);
    let request = r#"{"table_name":"users","insert_body":{"mail":"bob@x"}}"#;
    let error = bench.insert(request).await.unwrap_err();
    assert_eq!(reason(&error), Some(Reason::Unique), "without an upsert it is a conflict");
}

#[tokio::test]
async fn an_upsert_on_its_key_may_still_conflict() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","on_conflict":"id","insert_body":{"id":1,"mail":"bob@x"}}"#;
    let error = bench.insert(request).await.unwrap_err();
    assert_eq!(reason(&error), Some(Reason::Unique));
    assert_eq!(bench.rows(EVERY_MAIL).await.0, r#"[{"mail":"ada@x"},{"mail":"bob@x"},{"mail":"cy@x"}]"#);
}

#[tokio::test]
async fn a_write_to_a_column_added_since_is_planned_again() {
    let bench = Bench::new();
    bench.rows(EVERY_MAIL).await;
    bench.database.add_column("users", column("note", "text", TypeKind::Text));
    let written =
        bench.insert(r#"{"table_name":"users","columns":"note","insert_body":{"note":"hi"}}"#).await.unwrap();
    assert_eq!(text(&written.rows), r#"{"note":"hi"}"#);
    let request = r#"{"table_name":"users","columns":"id,note","set":{"note":"x"},"conditions":[{"eq_column":"id","eq_value":1}]}"#;
    let Updated::Rows(written) = bench.update(request).await.unwrap() else { panic!("not grouped") };
    assert_eq!(text(&written.rows), r#"{"id":1,"note":"x"}"#);
}

#[tokio::test]
async fn an_update_may_be_grouped() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"team","set":{"score":3},"group_by":"team",
        "conditions":[{"eq_column":"team","eq_value":"red"}]}"#;
    let Updated::Grouped(grouped) = bench.update(request).await.unwrap() else { panic!("grouped") };
    assert_eq!(grouped.row_count, 2);
}

#[tokio::test]

async fn an_update_that_cannot_be_grouped_changes_nothing() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"team,mail","set":{"team":"x"},"group_by":"team",
        "aggregation_column":"mail","aggregation_strategy":"cumulative_sum","conditions":[{"eq_column":"team","eq_value":"red"}]}"#;
    assert!(matches!(bench.update(request).await, Err(Error::Grouping(_))));
    let request = r#"{"table_name":"users","columns":"team","limit":1,"sort_by":{"field":"id"}}"#;
    assert_eq!(bench.rows(request).await.0, r#"[{"team":"red"}]"#);
}

#[tokio::test]
async fn a_guard_undoes_the_write() {
    let bench = Bench::with_limits(Limits { max_rows: 1, ..Limits::default() });
    let request =
        r#"{"table_name":"users","set":{"team":"x"},"conditions":[{"eq_column":"team","eq_value":"red"}]}"#;
    let error = bench.update(request).await.unwrap_err();
    assert_eq!(reason(&error), Some(Reason::LimitExceeded));
    let request = r#"{"table_name":"users","columns":"team","limit":1}"#;
    assert_eq!(bench.rows(request).await.0, r#"[{"team":"red"}]"#);
}

#[tokio::test]
async fn an_answer_too_large_undoes_the_write() {
    let bench = Bench::with_limits(Limits { max_response_bytes: 10, ..Limits::default() });
    let error = bench
        .insert(r#"{"table_name":"users","insert_body":[{"mail":"d@x"},{"mail":"e@x"}]}"#)
        .await
        .unwrap_err();
    assert_eq!(reason(&error), Some(Reason::LimitExceeded), "{error}");
    let bench = Bench {
        gateway: Bench::over(bench.database.clone(), bench.database.clone(), Limits::default()).gateway,
        ..bench
    };
    assert_eq!(bench.rows(EVERY_MAIL).await.1.rows, 3);
}

#[tokio::test]
async fn a_delete_takes_the_id_column() {
    let bench = Bench::new();
    let request = r#"{"table_name":"users","columns":"mail","resource_id":"2"}"#;
    let request =
        DeleteRequest::decode(body(request), &bench.gateway.limits, bench.gateway.decoding).unwrap();
    let delete = Delete::new(bench.gateway.clone());
    let written = delete.run(&name("main"), &request, false, bench.context()).await.unwrap();
    assert_eq!((text(&written.rows).as_str(), written.affected), (r#"{"mail":"bob@x"}"#, 1));
    let written = delete.run(&name("main"), &request, false, bench.context()).await.unwrap();
    assert_eq!(written.affected, 0, "a second time there is nothing to remove");
}
