//! The caller's own CQL, and what the server refuses.

use athena_application::ports::{PortErrorKind, Reason};
use athena_domain::plan::CqlPlan;
use athena_domain::query::Value;

use super::{Bench, is, read};

#[tokio::test]
async fn what_the_server_refuses_is_a_refusal() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("numbers").await;
    // Sound as a plan goes, but not without ALLOW FILTERING.
    let plan = read(&table, vec![vec![is(1, 1)]]);
    let error = bench.run(CqlPlan::Read(plan)).await.map(|_| ()).unwrap_err();
    let PortErrorKind::Rejected(rejection) = &error.kind else { panic!("{error}") };
    assert_eq!((rejection.reason, rejection.sql_state.as_deref()), (Reason::Statement, Some("0x2200")));
    let mut plan = read(&table, vec![vec![is(1, 1)]]);
    plan.filtering = true;
    assert_eq!(bench.run(CqlPlan::Read(plan)).await.unwrap().0.rows, 0);

    let reason = async |query: &str, params| bench.raw(query, params).await.map(|_| ()).unwrap_err().reason();
    assert_eq!(reason("SELEC 1", None).await, Some(Reason::Syntax));
    assert_eq!(reason("SELECT a FROM nowhere", None).await, Some(Reason::Statement));
    let one = || Some(vec![Value::Number("1".into())]);
    assert_eq!(reason("SELECT * FROM numbers", one()).await, Some(Reason::BadValue));
    assert_eq!(reason("SELECT * FROM numbers WHERE part = $2", one()).await, Some(Reason::BadValue));
    let text = Some(vec![Value::text("x")]);
    assert_eq!(reason("SELECT * FROM numbers WHERE part = ?", text).await, Some(Reason::BadValue));
}

#[tokio::test]
async fn the_callers_own_cql_runs() {
    let Some(bench) = Bench::new("?page_size=2").await else { return };
    let run = async |query: &str, params| bench.raw(query, params).await.unwrap();
    let (done, sink) = run("CREATE TABLE made (k int PRIMARY KEY, v map<text, decimal>)", None).await;
    assert_eq!((done.rows, sink.heads.is_none()), (0, true));
    // Told apart from its name alone: the next reading knows the table.
    bench.table("made").await;
    let params = vec![Value::Json(r#"{"a":1.50}"#.into()), Value::Number("1".into())];
    run("INSERT INTO made (k, v) VALUES ($2, $1)", Some(params)).await;
    run("INSERT INTO made (k, v) VALUES (2, {'a': 2})", None).await;
    run("INSERT INTO made (k) VALUES (?)", Some(vec![Value::Number("3".into())])).await;
    let (done, sink) = run("SELECT k, v AS value FROM made WHERE k IN (1, 2, 3)", None).await;
    assert_eq!((done.rows, done.statements, sink.labels()), (3, 1, vec!["k", "value"]));
    assert_eq!(sink.rows[0], r#"{"k":1,"value":{"a":1.50}}"#);
    run("UPDATE hits SET n = n + 5 WHERE page = '/'", None).await;
    assert_eq!(run("SELECT n FROM hits", None).await.1.rows, [r#"{"n":5}"#]);
    run("BEGIN BATCH INSERT INTO made (k) VALUES (8); INSERT INTO made (k) VALUES (9); APPLY BATCH", None)
        .await;
    assert_eq!(run("SELECT COUNT(*) FROM made", None).await.1.rows, [r#"{"count":5}"#]);
}
