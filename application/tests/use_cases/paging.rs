//! Pages: what is told of them, and a schema that changes from one to the next.

use athena_application::use_cases::{Fetch, Fetched, Page};
use athena_application::{Context, Error};
use athena_domain::error::RequestCode;
use athena_domain::query::FetchRequest;
use athena_domain::schema::TypeKind;

use super::bench::{ARRAY, Bench, JSON, body, column, name, text};

async fn page(bench: &Bench, cursor: &str, context: Context) -> Result<Page, Error> {
    let request = format!(
        r#"{{"table_name":"users","sort_by":{{"field":"score"}},"page_size":2,"cursor":"{cursor}"}}"#
    );
    let request = FetchRequest::decode(body(&request), &bench.gateway.limits, bench.gateway.decoding)?;
    match Fetch::new(bench.gateway.clone()).run(&name("main"), request, JSON, ARRAY, context).await? {
        Fetched::Page(page) => Ok(page),
        other => panic!("not a page: {other:?}"),
    }
}

#[tokio::test]
async fn the_row_that_is_looked_at_ahead_is_not_counted() {
    let bench = Bench::new();
    let context = bench.context();
    let first = page(&bench, "", context.clone()).await.unwrap();
    assert!(text(&first.body).contains("bob@x") && !text(&first.body).contains("cy@x"));
    assert_eq!((first.tally.rows, context.trail.rows()), (2, 2));
    let context = bench.context();
    let last = page(&bench, &first.next.unwrap(), context.clone()).await.unwrap();
    assert!(text(&last.body).contains("cy@x") && last.next.is_none());
    assert_eq!((last.tally.rows, context.trail.rows()), (1, 1));
}

#[tokio::test]
async fn a_table_that_changes_between_pages_is_read_as_it_is_now() {
    let bench = Bench::new();
    let first = page(&bench, "", bench.context()).await.unwrap();
    let old = text(&first.body);
    bench.database.add_column("users", column("added", "text", TypeKind::Text));
    let second = page(&bench, &first.next.unwrap(), bench.context()).await.unwrap();
    assert!(!old.contains("added") && text(&second.body).contains(r#""added":null"#), "{:?}", second.body);
}

#[tokio::test]
async fn a_cursor_nobody_made_is_refused_before_the_database_is_asked() {
    let bench = Bench::new();
    let context = bench.context();
    match page(&bench, "AAAA", context.clone()).await {
        Err(Error::Request(refusal)) => assert_eq!(refusal.code, RequestCode::InvalidCursor),
        other => panic!("{other:?}"),
    }
    assert!(context.trail.asked().is_none());
    assert_eq!(bench.database.schema_readings(), 0);
}
