//! Writes, one after the other on the same tables.

mod steps;

use athena_domain::Limits;
use athena_domain::plan::PlanOptions;

use super::recorder::canonical;
use super::run::{Verb, execute, is_refused, known, plan, run};
use crate::ports::{Backend, PortErrorKind, Reason, SchemaReader};
use steps::STEPS;

/// What a step leads to.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// Rows, how many were affected, and the hidden ids with a comma in between.
    Rows(&'static str, u64, &'static str),
    /// A refusal, and the constraint, column or limit it names.
    Refused(Reason, &'static str),
    /// A refusal for a reason that is each database's own.
    RefusedSomehow,
}

/// One request and its outcome.
struct Step {
    name: &'static str,
    verb: Verb,
    request: &'static str,
    outcome: Outcome,
}

/// As [`writes_change_what_they_say`], for a database whose catalog is not known and that undoes nothing. What it refuses
/// is carried out by `other`, a way to the same tables that refuses nothing, so that every step finds what it should.
/// Gives the names of what was refused.
pub async fn writes_change_what_they_say_or_are_refused(
    (backend, schema): (&dyn Backend, &dyn SchemaReader),
    other: (&dyn Backend, &dyn SchemaReader),
) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for step in STEPS {
        if !check(backend, schema, step).await {
            refused.push(step.name);
            check(other.0, other.1, step).await;
        }
    }
    many_rows_arrive(backend, schema).await;
    refused
}

/// Every write does what was asked, wholly or not at all, and answers with the rows it touched.
pub async fn writes_change_what_they_say(backend: &dyn Backend, schema: &dyn SchemaReader) {
    for step in STEPS {
        check(backend, schema, step).await;
    }
    a_write_that_returns_too_many_rows_is_undone(backend, schema).await;
    many_rows_arrive(backend, schema).await;
}

/// Checks a step; false when it is refused by a database that may.
async fn check(backend: &dyn Backend, schema: &dyn SchemaReader, step: &Step) -> bool {
    let Step { name, verb, request, outcome } = step;
    let answer = run(backend, schema, *verb, request).await;
    let is_open = known(schema).await.is_open();
    if is_open && is_refused(&answer) {
        return false;
    }
    let answer = match (answer, outcome) {
        (Ok(answer), Outcome::Rows(..)) => answer,
        (Ok(answer), _) => panic!("{name}: not refused, but {answer:?}"),
        (Err(fault), Outcome::Rows(..)) => panic!("{name}: {fault}: {:?}", fault.kind),
        (Err(fault), Outcome::RefusedSomehow) => {
            assert!(matches!(fault.kind, PortErrorKind::Rejected(_)), "{name}: {fault}");
            return true;
        }
        (Err(fault), Outcome::Refused(reason, what)) => {
            assert_eq!(fault.reason(), Some(*reason), "{name}: {fault}");
            let PortErrorKind::Rejected(rejection) = fault.kind else { return true };
            let named =
                [rejection.constraint.as_deref(), rejection.column.as_deref(), rejection.limit.map(|l| l.0)];
            assert!(named.contains(&Some(what)), "{name}: {what} is not named in {rejection:?}");
            return true;
        }
    };
    let Outcome::Rows(rows, affected, hidden) = outcome else { return true };
    let head = request.contains(r#""head":true"#);
    let mut found = answer.sink.rows;
    // Of a row that is not asked for, a database may still tell the id.
    found.retain(|row| !head || row != "{}");
    let mut wanted = elements(rows);
    // The rows of an insert come in its own order; no order is promised for other writes.
    if matches!(verb, Verb::Update | Verb::Delete) {
        found.sort();
        wanted.sort();
    }
    assert_eq!(found, wanted, "{name}: {request}");
    assert_eq!(answer.done.affected, *affected, "{name}: rows affected");
    let ids: Vec<&str> = answer.sink.hidden.iter().map(|id| id.as_deref().unwrap_or("null")).collect();
    // Where no key is known, the column `id` stands for it, or nothing does.
    if !head && (!is_open || request.contains("contract_items")) {
        assert_eq!(ids.join(","), *hidden, "{name}: hidden ids");
    }
    true
}

fn elements(rows: &str) -> Vec<String> {
    let text = athena_domain::query::JsonText::parse(rows.as_bytes()).expect("expected rows are JSON");
    let rows = text.expect_array("").expect("expected rows are an array");
    rows.iter().map(|row| canonical(row.as_text())).collect()
}

/// The bound on returned rows undoes the write.
async fn a_write_that_returns_too_many_rows_is_undone(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let known = known(schema).await;
    let limits = Limits { max_rows: 1, ..Limits::default() };
    let request = r#"{"table_name":"contract_places","set":{"people":7},"conditions":[{"eq_column":"land","eq_value":"FR"}]}"#;
    let update = plan(&known, &limits, &PlanOptions::default(), Verb::Update, request);
    let fault = execute(backend, &update).await.expect_err("two rows are too many");
    assert_eq!(fault.reason(), Some(Reason::LimitExceeded), "{fault}");
    let look = r#"{"table_name":"contract_places","conditions":[{"eq_column":"people","eq_value":7}]}"#;
    let answer = run(backend, schema, Verb::Fetch, look).await.expect("a read");
    assert_eq!(answer.done.rows, 0, "the write was undone");
}

/// One statement takes many rows, in their order, and one refusal takes them all back.
async fn many_rows_arrive(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let rows: Vec<String> = (0..300).map(|n| format!(r#"{{"id":{},"tags":["t{n}"]}}"#, 5000 + n)).collect();
    let request = |rows: &[String]| {
        format!(r#"{{"table_name":"contract_items","columns":"id","insert_body":[{}]}}"#, rows.join(","))
    };
    let twice: Vec<String> = rows.iter().chain(rows.last()).cloned().collect();
    let fault = run(backend, schema, Verb::Insert, &request(&twice)).await.expect_err("one key twice");
    assert_eq!(fault.reason(), Some(Reason::Unique), "{fault}");
    let answer = run(backend, schema, Verb::Insert, &request(&rows)).await.expect("none of them is there");
    let ids: Vec<String> = (0..300).map(|n| format!(r#"{{"id":{}}}"#, 5000 + n)).collect();
    assert_eq!(answer.sink.rows, ids, "rows in the order of the request");
    let request = r#"{"table_name":"contract_items","head":true,"conditions":[{"gte_column":"id","gte_value":5000},{"lt_column":"id","lt_value":5300}]}"#;
    let answer = run(backend, schema, Verb::Delete, request).await.expect("they can be removed");
    assert_eq!((answer.done.affected, answer.done.rows), (300, 0), "rows removed without an answer");
}
