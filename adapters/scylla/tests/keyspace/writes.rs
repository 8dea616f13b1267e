//! Inserts, updates and deletes: once, whole, and only what is there.

use athena_application::ports::{PortErrorKind, Reason};
use athena_domain::plan::CqlPlan;
use athena_domain::plan::cql::{
    Batch, CqlDelete, CqlInsert, CqlUpdate, CqlValue, Existing, Restriction, Test,
};
use athena_domain::query::Stamp;
use athena_domain::schema::PRIMARY_KEY;

use super::{Bench, is, numbers, outputs, read, sink};

#[tokio::test]
async fn rows_are_written_once() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("numbers").await;
    let write =
        async |rows: &[(i64, i64)], existing, batch| bench.run(numbers(&table, rows, existing, batch)).await;
    let (done, sink) = write(&[(1, 1)], Existing::Refuses, Batch::Single).await.unwrap();
    assert_eq!((done.affected, done.rows, &sink.rows[0][..]), (1, 1, r#"{"n":1,"part":1}"#));

    let error = write(&[(1, 1)], Existing::Refuses, Batch::Single).await.unwrap_err();
    let PortErrorKind::Rejected(rejection) = &error.kind else { panic!("{error}") };
    assert_eq!((rejection.reason, rejection.constraint.as_deref()), (Reason::Unique, Some(PRIMARY_KEY)));

    // All of a batch or nothing of it.
    let error = write(&[(1, 2), (1, 1)], Existing::Refuses, Batch::Partition).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Unique));
    assert_eq!(bench.run(CqlPlan::Read(read(&table, vec![vec![]]))).await.unwrap().0.rows, 1);
    let (done, sink) = write(&[(1, 2), (1, 3)], Existing::Refuses, Batch::Partition).await.unwrap();
    assert_eq!((done.affected, sink.rows.len()), (2, 2));
    let (done, _) = write(&[(1, 1), (2, 1)], Existing::Changes, Batch::Logged).await.unwrap();
    assert_eq!((done.affected, done.rows), (2, 2));
    let (done, sink) = write(&[(1, 1), (3, 1)], Existing::Stays, Batch::Single).await.unwrap();
    assert_eq!((done.rows, sink.rows.len()), (2, 2));
}

#[tokio::test]
async fn rows_too_large_to_be_shown_are_not_removed() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("numbers").await;
    let rows = [(1, 1), (1, 2), (1, 3)];
    bench.run(numbers(&table, &rows, Existing::Changes, Batch::Partition)).await.unwrap();
    let delete = || {
        CqlPlan::Delete(CqlDelete {
            relation: table.clone(),
            rows: rows.iter().map(|(part, n)| vec![is(0, *part), is(1, *n)]).collect(),
            condition: Vec::new(),
            timestamp: None,
            told: false,
            returning: outputs(&table),
        })
    };
    // Each row takes 16 bytes: two integers with their lengths.
    let (done, told) = bench.run_into(delete(), sink(|sink| sink.most_beside = Some(40))).await.unwrap();
    assert_eq!((done.affected, told.rows.len()), (0, 0));
    assert_eq!(bench.run(CqlPlan::Read(read(&table, vec![vec![]]))).await.unwrap().0.rows, 3);
    let (done, told) = bench.run_into(delete(), sink(|sink| sink.most_beside = Some(64))).await.unwrap();
    assert_eq!((done.affected, told.rows.len()), (3, 3));
    assert_eq!(bench.run(CqlPlan::Read(read(&table, vec![vec![]]))).await.unwrap().0.rows, 0);
}

#[tokio::test]
async fn updates_and_deletes_touch_what_is_there() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("events").await;
    let day = |id: i64| {
        vec![
            Restriction { column: 0, test: Test::Eq(CqlValue::Date(19_000)) },
            Restriction { column: 1, test: Test::Eq(CqlValue::Timestamp(1_000)) },
            is(2, id),
        ]
    };
    let spot = CqlValue::Udt(vec![CqlValue::Text("A".into()), CqlValue::Int(5)]);
    let row =
        vec![CqlValue::Date(19_000), CqlValue::Timestamp(1_000), CqlValue::Int(1), CqlValue::Unset, spot];
    let insert = CqlInsert {
        relation: table.clone(),
        columns: vec![0, 1, 2, 3, 4],
        rows: vec![row],
        existing: Existing::Refuses,
        batch: Batch::Single,
        stamp: Stamp::default(),
        returning: Vec::new(),
        visible: None,
    };
    bench.run(CqlPlan::Insert(insert)).await.unwrap();
    let text = |text: &str| CqlValue::Text(text.into());
    let update = |note: CqlValue, condition| CqlUpdate {
        relation: table.clone(),
        rows: vec![day(1), day(2)],
        added: false,
        ttl: None,
        set: vec![(3, note), (5, CqlValue::Set(vec![text("a"), text("b")]))],
        condition,
        told: false,
        returning: outputs(&table),
        visible: None,
    };
    // The second one is not there, and an update does not make it.
    let (done, sink) = bench.run(CqlPlan::Update(update(text("x"), vec![]))).await.unwrap();
    assert_eq!((done.affected, sink.rows.len()), (1, 1));
    assert_eq!(
        sink.rows[0],
        r#"{"at":"1970-01-01T00:00:01+00:00","day":"2022-01-08","id":1,"note":"x","spot":{"name":"A","no":5},"tags":["a","b"]}"#
    );
    let noted = |note: &str| vec![Restriction { column: 3, test: Test::Eq(CqlValue::Text(note.into())) }];
    // What the caller's key does not let through, as it is now, is not shown.
    for (visible, shown) in
        [(vec![noted("y")], 0), (vec![], 0), (vec![noted("y"), noted("x")], 1), (vec![noted("x")], 1)]
    {
        let update = CqlUpdate { visible: Some(visible), ..update(text("x"), vec![]) };
        let (done, sink) = bench.run(CqlPlan::Update(update)).await.unwrap();
        assert_eq!((done.affected, sink.rows.len()), (1, shown));
    }
    let changed = async |from: &str, to: CqlValue| {
        bench.run(CqlPlan::Update(update(to, noted(from)))).await.unwrap().0.affected
    };
    assert_eq!(changed("y", CqlValue::Null).await, 0);
    assert_eq!(changed("x", CqlValue::Null).await, 1);
    let delete = |condition| {
        CqlPlan::Delete(CqlDelete {
            relation: table.clone(),
            rows: vec![day(1), day(2)],
            condition,
            timestamp: None,
            told: false,
            returning: outputs(&table),
        })
    };
    assert_eq!(bench.run(delete(noted("x"))).await.unwrap().0.affected, 0);
    let (done, sink) = bench.run(delete(vec![])).await.unwrap();
    assert_eq!((done.affected, sink.rows.len()), (1, 1));
    assert!(sink.rows[0].contains(r#""note":null"#), "{}", sink.rows[0]);
    assert_eq!(bench.run(CqlPlan::Read(read(&table, vec![vec![]]))).await.unwrap().0.rows, 0);
}
