//! How rows flow: stop, full, an absent reader, a passed deadline.

use std::time::Duration;

use athena_domain::Limits;
use athena_domain::plan::{Plan, PlanOptions};
use tokio::time::{Instant, timeout};

use super::recorder::Recorder;
use super::run::{Verb, execute, known, plan, soon};
use crate::ports::{Backend, PortErrorKind, Reason, SchemaReader};
use crate::stopwatch::Stopwatch;

const ALL: &str = r#"{"table_name":"contract_items","sort_by":{"field":"id"}}"#;

async fn planned(schema: &dyn SchemaReader, verb: Verb, request: &str) -> Plan {
    let schema = known(schema).await;
    plan(&schema, &Limits::default(), &PlanOptions::default(), verb, request)
}

/// The backend still answers, and with every row.
async fn is_well(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let answer = execute(backend, &planned(schema, Verb::Fetch, ALL).await).await.expect("a read");
    assert_eq!(answer.done.rows, 11, "rows after an answer that was cut short");
    backend.ping(soon()).await.expect("a ping");
    assert!(backend.status().connected, "a backend that has just answered is connected");
}

/// A sink that says stop gets no further row, and the statement has not failed.
pub async fn a_stopped_sink_gets_no_further_row(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let plan = planned(schema, Verb::Fetch, ALL).await;
    for rows in [1, 3, 11] {
        let mut sink = Recorder { stop_after: Some(rows), ..Recorder::default() };
        let done = backend
            .execute(&plan, &mut sink, soon(), &Stopwatch::default())
            .await
            .expect("a read that was stopped");
        sink.finish();
        assert_eq!((sink.rows.len(), done.rows), (rows, rows as u64), "rows until the sink said stop");
        is_well(backend, schema).await;
    }
}

/// A full sink is flushed before the next row, and a flush may say stop.
pub async fn a_full_sink_is_flushed(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let plan = planned(schema, Verb::Fetch, ALL).await;
    let mut sink = Recorder { full: true, ..Recorder::default() };
    backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await.expect("a read");
    sink.finish();
    assert_eq!((sink.rows.len(), sink.flushes), (11, 11), "rows and flushes of a sink that is always full");
    let mut sink = Recorder { full: true, stop_on_flush: true, ..Recorder::default() };
    let done = backend
        .execute(&plan, &mut sink, soon(), &Stopwatch::default())
        .await
        .expect("a read that was stopped");
    assert_eq!((sink.rows.len(), sink.flushes, done.rows), (1, 1, 1), "rows until the flush said stop");
    is_well(backend, schema).await;
}

/// Dropping the future stops the statement, and the next request finds the backend free.
pub async fn a_dropped_future_frees_the_backend(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let plan = planned(schema, Verb::Fetch, ALL).await;
    for _ in 0..3 {
        let mut sink = Recorder { full: true, hang_on_flush: true, ..Recorder::default() };
        let waits = Stopwatch::default();
        let work = backend.execute(&plan, &mut sink, soon(), &waits);
        let ended = timeout(Duration::from_millis(200), work).await;
        assert!(ended.is_err(), "a backend waits for its sink's flush");
        is_well(backend, schema).await;
    }
}

/// Work whose time is up is refused as such.
pub async fn a_passed_deadline_times_out(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let plan = planned(schema, Verb::Fetch, ALL).await;
    let mut sink = Recorder::default();
    let fault = backend
        .execute(&plan, &mut sink, Instant::now(), &Stopwatch::default())
        .await
        .expect_err("the deadline has passed");
    assert_eq!(fault.kind, PortErrorKind::TimedOut, "{fault}");
    is_well(backend, schema).await;
}

/// Several requests at once each get their own answer.
pub async fn requests_run_side_by_side(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let one = |id: u32| {
        format!(
            r#"{{"table_name":"contract_items","columns":"id","conditions":[{{"eq_column":"id","eq_value":{id}}}]}}"#
        )
    };
    let (a, b) = (planned(schema, Verb::Fetch, &one(1)).await, planned(schema, Verb::Fetch, &one(2)).await);
    for _ in 0..10 {
        let answers = tokio::join!(
            execute(backend, &a),
            execute(backend, &b),
            execute(backend, &a),
            execute(backend, &b)
        );
        let rows =
            [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.expect("a read").sink.rows);
        assert_eq!(rows.concat(), [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":1}"#, r#"{"id":2}"#]);
    }
}

/// A write whose sink says stop either holds or fails: no row of a write that was undone passes for one
/// that was made.
pub async fn a_stopped_write_is_kept_or_fails(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let change = r#"{"table_name":"contract_places","set":{"note":"stopped"},"conditions":[{"eq_column":"land","eq_value":"DE"}]}"#;
    let look = r#"{"table_name":"contract_places","columns":"note","conditions":[{"eq_column":"note","eq_value":"stopped"}]}"#;
    let (change, look) =
        (planned(schema, Verb::Update, change).await, planned(schema, Verb::Fetch, look).await);
    let before = execute(backend, &look).await.expect("a read").done.rows;
    let mut sink = Recorder { stop_after: Some(1), ..Recorder::default() };
    let outcome = backend.execute(&change, &mut sink, soon(), &Stopwatch::default()).await;
    let changed = execute(backend, &look).await.expect("a read").done.rows - before;
    match outcome {
        Ok(done) => assert_eq!(changed, done.affected, "a write that did not fail is kept"),
        // What undoes nothing says so.
        Err(fault) if known(schema).await.is_open() => {
            assert!(changed > 0 && fault.reason() == Some(Reason::LimitExceeded), "{fault}");
            let PortErrorKind::Rejected(rejection) = fault.kind else { panic!("{fault}") };
            assert!(rejection.message.contains("carried out"), "{}", rejection.message);
        }
        Err(fault) => assert_eq!(changed, 0, "a write that failed is undone: {fault}"),
    }
}
