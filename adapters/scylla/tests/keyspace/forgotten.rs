//! A server that forgets prepared statements: its memory for them is bounded, and anybody fills it.

use athena_application::ports::PortErrorKind;
use athena_domain::plan::CqlPlan;
use athena_domain::plan::cql::{Batch, Existing};
use athena_scylla::ScyllaSettings;
use athena_test_support::Forgetful;

use super::{Bench, is, numbers, read};

async fn forgetful() -> Option<(Bench, Forgetful)> {
    let mut bench = Bench::new("").await?;
    let server = bench.keyspace.forgetful().await;
    (bench.backend, bench.schema) = athena_scylla::open(&ScyllaSettings::from_uri(server.uri()).unwrap());
    Some((bench, server))
}

#[tokio::test]
async fn a_forgotten_statement_is_prepared_again_until_it_is_carried_out_once() {
    let Some((bench, server)) = forgetful().await else { return };
    let table = bench.table("numbers").await;
    // The driver prepares it again once by itself, and gives up when it is forgotten again.
    for forgotten in [1, 2, 5] {
        server.forget(forgotten);
        let insert = numbers(&table, &[(1, forgotten as i64)], Existing::Refuses, Batch::Single);
        let (done, sink) = bench.run(insert).await.unwrap();
        assert_eq!((done.affected, sink.rows.len(), server.left()), (1, 1, 0), "{forgotten}");

        server.forget(forgotten);
        let rows = [(2, forgotten as i64), (2, 100 + forgotten as i64)];
        let (done, _) = bench.run(numbers(&table, &rows, Existing::Refuses, Batch::Partition)).await.unwrap();
        assert_eq!((done.affected, server.left()), (2, 0), "{forgotten}");

        server.forget(forgotten);
        let (done, _) = bench.run(CqlPlan::Read(read(&table, vec![vec![is(0, 2)]]))).await.unwrap();
        assert_eq!(server.left(), 0);
        assert!(done.rows >= 2);
    }
}

#[tokio::test]
async fn what_is_forgotten_for_ever_was_not_carried_out() {
    let Some((bench, server)) = forgetful().await else { return };
    let table = bench.table("numbers").await;
    server.forget(usize::MAX);
    let insert = || numbers(&table, &[(1, 1)], Existing::Refuses, Batch::Single);
    let error = bench.run(insert()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Exhausted, "it is not open what became of it: {error}");
    let error = bench.run(CqlPlan::Read(read(&table, vec![vec![is(0, 1)]]))).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Exhausted, "{error}");
    server.forget(0);
    assert_eq!(bench.run(insert()).await.unwrap().0.affected, 1, "it was not there");
}
