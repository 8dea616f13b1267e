//! Rows, page by page.

use std::time::Duration;

use athena_application::contract::Recorder;
use athena_application::ports::{Backend as _, PortErrorKind};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::cql::{CqlCount, CqlRead, CqlValue, Restriction, Test};
use athena_domain::plan::{CqlPlan, Operation, Plan};
use tokio::time::Instant;

use super::{filled, is, read, sink, soon};

#[tokio::test]
async fn rows_come_page_by_page() {
    let Some((bench, table)) = filled().await else { return };
    let run = async |plan: CqlRead| bench.run(CqlPlan::Read(plan)).await.unwrap();

    let (done, sink) = run(read(&table, vec![vec![is(0, 1)]])).await;
    assert_eq!((done.rows, done.statements, sink.rows.len()), (100, 1, 100));
    assert_eq!(
        (sink.rows[0].as_str(), sink.rows[99].as_str()),
        (r#"{"n":0,"part":1}"#, r#"{"n":99,"part":1}"#)
    );

    // Everything, in whatever order the partitions have.
    assert_eq!(run(read(&table, vec![vec![]])).await.0.rows, 200);

    let mut some = read(&table, vec![vec![is(0, 1)]]);
    (some.skip, some.limit, some.reversed) = (3, Some(10), true);
    let (_, sink) = run(some).await;
    assert_eq!((sink.rows.len(), sink.rows[0].as_str()), (10, r#"{"n":96,"part":1}"#));

    // Two questions with rows in common.
    let above = |n| vec![is(0, 1), Restriction { column: 1, test: Test::Gte(CqlValue::Int(n)) }];
    let mut both = read(&table, vec![above(95), above(90)]);
    both.distinct = vec![0, 1];
    assert_eq!(run(both.clone()).await.0.rows, 10);
    // What tells them apart is kept, and counts.
    let few = super::sink(|sink| sink.most_beside = Some(200));
    assert_eq!(bench.run_into(CqlPlan::Read(both.clone()), few).await.unwrap().0.rows, 2);
    (both.skip, both.limit) = (2, Some(5));
    let (done, sink) = run(both).await;
    assert_eq!((done.rows, done.statements), (5, 2));
    assert_eq!(sink.rows[0], r#"{"n":97,"part":1}"#);

    let members = Test::In(vec![CqlValue::Int(5), CqlValue::Int(3)]);
    let (done, _) = run(read(&table, vec![vec![is(0, 2), Restriction { column: 1, test: members }]])).await;
    assert_eq!(done.rows, 2);

    // Nothing is asked, and the answer has its columns all the same.
    let (done, sink) = run(read(&table, vec![])).await;
    assert_eq!((done.statements, sink.labels()), (0, vec!["part", "n"]));
    let (_, sink) = run(read(&table, vec![vec![is(0, 9)]])).await;
    assert_eq!((sink.rows.len(), sink.labels()), (0, vec!["part", "n"]));

    let count = CqlCount {
        relation: table,
        reads: vec![vec![is(0, 1)], vec![is(0, 2)]],
        filtering: false,
        most: None,
    };
    assert_eq!(bench.run(CqlPlan::Count(count)).await.unwrap().0.count, Some(200));
}

#[tokio::test]
async fn a_sink_may_stop_and_wait() {
    let Some((bench, table)) = filled().await else { return };
    let plan = CqlPlan::Read(read(&table, vec![vec![]]));
    for rows in [1, 7, 20] {
        let asked = sink(|sink| sink.stop_after = Some(rows));
        let (done, sink) = bench.run_into(plan.clone(), asked).await.unwrap();
        assert_eq!((sink.rows.len(), done.rows), (rows, rows as u64));
    }
    let asked = sink(|sink| sink.full = true);
    assert_eq!(bench.run_into(plan.clone(), asked).await.unwrap().1.flushes, 200);
    let asked = sink(|sink| (sink.full, sink.stop_on_flush) = (true, true));
    assert_eq!(bench.run_into(plan.clone(), asked).await.unwrap().1.rows.len(), 1);
    let hanging = sink(|sink| (sink.full, sink.hang_on_flush) = (true, true));
    let work = bench.run_into(plan.clone(), hanging);
    assert!(tokio::time::timeout(Duration::from_millis(300), work).await.is_err());
    let late = Plan {
        operation: Operation::Cql(plan),
        big_numbers_as_text: false,
        keys_to_snake: false,
        tuning: Default::default(),
    };
    let error = bench
        .backend
        .execute(&late, &mut Recorder::default(), Instant::now(), &Stopwatch::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, PortErrorKind::TimedOut);
    bench.backend.ping(soon()).await.unwrap();
    assert!(bench.backend.status().connected);
}
