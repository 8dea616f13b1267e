//! Plans on a real server: what is asked, what comes back, what is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;
use std::time::Duration;

use athena_application::contract::Recorder;
use athena_application::ports::{Backend as _, Done, PortError, PortErrorKind, Reason, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::cql::{
    Batch, CqlCount, CqlDelete, CqlInsert, CqlPage, CqlRead, CqlUpdate, CqlValue, Existing, Restriction, Test,
};
use athena_domain::plan::{CqlPlan, Operation, Output, Plan, RawPlan};
use athena_domain::query::{RelationName, Stamp, Value};
use athena_domain::schema::{Dialect, IndexKind, PRIMARY_KEY, Relation, Schema};
use athena_scylla::{ScyllaBackend, ScyllaSchema, ScyllaSettings};
use athena_test_support::{Mode, TestKeyspace};
use tokio::time::Instant;

const TABLES: &str = "CREATE TYPE place (name text, no int);
    CREATE TABLE events (day date, at timestamp, id int, note text, tags set<text>, spot frozen<place>,
        PRIMARY KEY ((day), at, id)) WITH CLUSTERING ORDER BY (at DESC, id ASC);
    CREATE TABLE hits (page text PRIMARY KEY, n counter);
    CREATE INDEX by_note ON events (note);
    CREATE TABLE numbers (part int, n int, PRIMARY KEY (part, n));
";

/// A keyspace and what the gateway has of it.
struct Bench {
    keyspace: TestKeyspace,
    backend: Arc<ScyllaBackend>,
    schema: Arc<ScyllaSchema>,
}

fn sink(with: impl FnOnce(&mut Recorder)) -> Recorder {
    let mut sink = Recorder::default();
    with(&mut sink);
    sink
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Bench {
    async fn new(options: &str) -> Option<Self> {
        let keyspace = TestKeyspace::with(TABLES).await?;
        let settings = ScyllaSettings::from_uri(&format!("{}{options}", keyspace.uri())).unwrap();
        let (backend, schema) = athena_scylla::open(&settings);
        Some(Self { keyspace, backend, schema })
    }

    async fn table(&self, name: &str) -> Arc<Relation> {
        let schema = self.schema.refresh(None, soon()).await.unwrap();
        let name = RelationName::parse(name, None, "table").unwrap();
        schema.relation(&name).unwrap().clone()
    }

    async fn run(&self, plan: CqlPlan) -> Result<(Done, Recorder), PortError> {
        self.run_into(plan, Recorder::default()).await
    }

    async fn run_into(&self, plan: CqlPlan, mut sink: Recorder) -> Result<(Done, Recorder), PortError> {
        let plan = Plan {
            operation: Operation::Cql(plan),
            big_numbers_as_text: false,
            keys_to_snake: false,
            tuning: Default::default(),
        };
        let done = self.backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await?;
        sink.finish();
        Ok((done, sink))
    }

    async fn raw(&self, query: &str, params: Option<Vec<Value>>) -> Result<(Done, Recorder), PortError> {
        let raw = RawPlan {
            query: query.into(),
            params,
            read_only: query.starts_with("SELECT"),
            statements: 1,
            undoable: false,
            defines: query.starts_with("CREATE"),
            opens_transaction: false,
            tells_columns: false,
        };
        let plan = Plan {
            operation: Operation::Raw(raw),
            big_numbers_as_text: false,
            keys_to_snake: false,
            tuning: Default::default(),
        };
        let mut sink = Recorder::default();
        let done = self.backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await?;
        sink.finish();
        Ok((done, sink))
    }
}

fn outputs(relation: &Relation) -> Vec<Output> {
    let output = |(column, known): (usize, &athena_domain::schema::Column)| Output {
        column,
        cast: None,
        label: known.name.clone(),
        hidden: false,
    };
    relation.columns.iter().enumerate().map(output).collect()
}

fn is(column: usize, value: i64) -> Restriction {
    Restriction { column, test: Test::Eq(CqlValue::Int(value)) }
}

fn read(relation: &Arc<Relation>, reads: Vec<Vec<Restriction>>) -> CqlRead {
    CqlRead {
        relation: relation.clone(),
        outputs: outputs(relation),
        every: true,
        reads,
        distinct: Vec::new(),
        reversed: false,
        skip: 0,
        limit: None,
        filtering: false,
        unbounded: false,
        page: None,
    }
}

fn numbers(relation: &Arc<Relation>, rows: &[(i64, i64)], existing: Existing, batch: Batch) -> CqlPlan {
    CqlPlan::Insert(CqlInsert {
        relation: relation.clone(),
        columns: vec![0, 1],
        rows: rows.iter().map(|(part, n)| vec![CqlValue::Int(*part), CqlValue::Int(*n)]).collect(),
        existing,
        batch,
        stamp: Stamp::default(),
        returning: outputs(relation),
    })
}

/// A table of 100 rows in each of two partitions, read by pages of 7.
async fn filled() -> Option<(Bench, Arc<Relation>)> {
    let bench = Bench::new("?page_size=7").await?;
    let table = bench.table("numbers").await;
    for part in [1, 2] {
        let rows: Vec<_> = (0..100).map(|n| (part, n)).collect();
        bench.run(numbers(&table, &rows, Existing::Changes, Batch::Partition)).await.unwrap();
    }
    Some((bench, table))
}

#[tokio::test]
async fn the_schema_is_read() {
    let Some(bench) = Bench::new("?allow_filtering=true").await else { return };
    let events = bench.table("events").await;
    let names: Vec<&str> = events.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["day", "at", "id", "note", "spot", "tags"]);
    let types: Vec<&str> = events.columns.iter().map(|column| &*column.ty.sql).collect();
    assert_eq!(types, ["date", "timestamp", "int", "text", "frozen<place>", "set<text>"]);
    let cql = events.cql.as_ref().unwrap();
    assert_eq!(&*cql.partition, [0]);
    assert_eq!(
        cql.clustering.iter().map(|c| (c.column, c.descending)).collect::<Vec<_>>(),
        [(1, true), (2, false)]
    );
    assert_eq!((cql.indexes.len(), cql.indexes[0].column, cql.indexes[0].kind), (1, 3, IndexKind::Secondary));
    assert!(bench.table("hits").await.cql.as_ref().unwrap().counter);
    let schema = bench.schema.loaded().unwrap();
    assert!(matches!(schema.dialect(), Dialect::Cql(rules) if rules.allow_filtering));
    assert_eq!(schema.default_schema(), bench.keyspace.name());
}

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

    let count = CqlCount { relation: table, reads: vec![vec![is(0, 1)], vec![is(0, 2)]], filtering: false };
    assert_eq!(bench.run(CqlPlan::Count(count)).await.unwrap().0.count, Some(200));
}

/// A state that the server cannot read, or that another statement has made, is the caller's fault and nobody else's.
#[tokio::test]
async fn a_state_that_is_none_is_refused() {
    let Some((bench, table)) = filled().await else { return };
    let page = |reads: Vec<Vec<Restriction>>, from: Option<&[u8]>| {
        let page = CqlPage { size: 30, from: from.map(Into::into) };
        CqlPlan::Read(CqlRead { page: Some(page), ..read(&table, reads) })
    };
    let one = || vec![vec![is(0, 1)]];
    let (done, sink) = bench.run(page(one(), None)).await.unwrap();
    assert_eq!((done.rows, sink.rows.len()), (30, 30));
    let next = done.next.unwrap();
    assert_eq!(bench.run(page(one(), Some(&next))).await.unwrap().1.rows[0], r#"{"n":30,"part":1}"#);
    let mut random = 88_172_645_463_325_252_u64;
    let mut garbage = move |length: usize| -> Vec<u8> {
        let mut byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        };
        [0, 0].into_iter().chain((0..length).map(|_| byte())).collect()
    };
    for length in [1, 2, 3, 8, 17, 40, 200, 3000] {
        for _ in 0..5 {
            let state = garbage(length);
            match bench.run(page(one(), Some(&state))).await {
                // It may be a place all the same, of which nobody loses anything: the seal keeps callers from making one.
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.reason(), Some(Reason::Cursor), "{state:?}: {:?}", error.source)
                }
            }
        }
    }
    for cut in 2..next.len() {
        if let Err(error) = bench.run(page(one(), Some(&next[..cut]))).await {
            assert_eq!(error.reason(), Some(Reason::Cursor), "{cut}: {:?}", error.source);
        }
    }
    for short in [&[][..], &[0], &[0, 1], &[255, 255, 1]] {
        let error = bench.run(page(one(), Some(short))).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::Cursor), "{short:?}");
    }
    // The session is none the worse for it.
    bench.run(page(one(), Some(&next))).await.unwrap();
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
    let (done, sink) = write(&[(1, 1), (3, 1)], Existing::Stays, Batch::Logged).await.unwrap();
    assert_eq!((done.rows, sink.rows.len()), (2, 2));
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
    };
    // The second one is not there, and an update does not make it.
    let (done, sink) = bench.run(CqlPlan::Update(update(text("x"), vec![]))).await.unwrap();
    assert_eq!((done.affected, sink.rows.len()), (1, 1));
    assert_eq!(
        sink.rows[0],
        r#"{"at":"1970-01-01T00:00:01+00:00","day":"2022-01-08","id":1,"note":"x","spot":{"name":"A","no":5},"tags":["a","b"]}"#
    );
    let noted = |note: &str| vec![Restriction { column: 3, test: Test::Eq(CqlValue::Text(note.into())) }];
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

#[tokio::test]
async fn tables_that_change_are_noticed() {
    let Some(bench) = Bench::new("").await else { return };
    let table = bench.table("numbers").await;
    let plan = CqlPlan::Read(read(&table, vec![vec![is(0, 1)]]));
    bench.run(numbers(&table, &[(1, 1)], Existing::Changes, Batch::Single)).await.unwrap();
    bench.run(plan.clone()).await.unwrap();
    let reason = async |plan: &CqlPlan| bench.run(plan.clone()).await.map(|_| ()).unwrap_err().reason();

    // A column that nobody named.
    bench.keyspace.run("ALTER TABLE numbers ADD extra text").await;
    assert_eq!(reason(&plan).await, Some(Reason::Stale));
    let grown = bench.table("numbers").await;
    let plan = CqlPlan::Read(read(&grown, vec![vec![is(0, 1)]]));
    bench.run(plan.clone()).await.unwrap();

    // A column that is gone, and the table itself.
    bench.keyspace.run("ALTER TABLE numbers DROP extra").await;
    let mut named = read(&grown, vec![vec![is(0, 1)]]);
    named.every = false;
    assert_eq!(reason(&CqlPlan::Read(named)).await, Some(Reason::Stale));
    bench.keyspace.run("DROP TABLE numbers").await;
    assert_eq!(reason(&plan).await, Some(Reason::Stale));
    let schema = bench.schema.refresh(None, soon()).await.unwrap();
    assert!(schema.relation(&RelationName::parse("numbers", None, "t").unwrap()).is_none());
}

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

#[tokio::test]
async fn a_server_that_is_away_is_told_and_comes_back() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    proxy.down().await;
    let settings = ScyllaSettings::from_uri(proxy.uri()).unwrap();
    let (backend, schema) = athena_scylla::open(&settings);
    assert_eq!(schema.refresh(None, soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert!(!backend.status().connected);

    proxy.set(Mode::Pass).await;
    let known = comes(&schema).await;
    assert_eq!(known.default_schema(), keyspace.name());
    assert!(backend.status().connected && backend.status().open > 0);
    backend.ping(soon()).await.unwrap();

    // A session that is open finds its way back too.
    proxy.down().await;
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    proxy.set(Mode::Pass).await;
    schema.invalidate();
    comes(&schema).await;
}

/// Waits for a reading.
async fn comes(schema: &ScyllaSchema) -> Arc<Schema> {
    loop {
        match schema.refresh(None, soon()).await {
            Ok(schema) => return schema,
            Err(error) => assert_eq!(error.kind, PortErrorKind::Unavailable, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_any_longer_than_was_said() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let settings = ScyllaSettings::from_uri(&format!("{}?timeout_ms=300", proxy.uri())).unwrap();
    let (backend, schema) = athena_scylla::open(&settings);
    schema.refresh(None, soon()).await.unwrap();
    let run = async |query: &str| {
        let raw = RawPlan {
            query: query.into(),
            params: None,
            read_only: false,
            statements: 1,
            undoable: false,
            defines: false,
            opens_transaction: false,
            tells_columns: false,
        };
        let plan = Plan {
            operation: Operation::Raw(raw),
            big_numbers_as_text: false,
            keys_to_snake: false,
            tuning: Default::default(),
        };
        backend
            .execute(&plan, &mut Recorder::default(), soon(), &Stopwatch::default())
            .await
            .map(|_| ())
            .unwrap_err()
            .kind
    };
    proxy.set(Mode::Blackhole).await;
    assert_eq!(run("SELECT * FROM numbers").await, PortErrorKind::TimedOut);
    // Nobody knows whether it was done.
    assert_eq!(run("INSERT INTO numbers (part, n) VALUES (1, 1)").await, PortErrorKind::Lost);
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_connection() {
    let Some(keyspace) = TestKeyspace::with(TABLES).await else { return };
    let proxy = keyspace.proxied().await;
    let open = async |idle: Duration| {
        let mut settings = ScyllaSettings::from_uri(proxy.uri()).unwrap();
        settings.idle_timeout = idle;
        let opened = athena_scylla::open(&settings);
        assert_eq!(proxy.open(), 0, "nothing is connected before the first use");
        opened.1.refresh(None, soon()).await.unwrap();
        assert!(proxy.open() > 0);
        opened
    };
    let closed = async || {
        while proxy.open() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    drop(open(Duration::from_secs(300)).await);
    closed().await;
    // Nor does one that nobody uses.
    let (backend, schema) = open(Duration::from_millis(100)).await;
    closed().await;
    schema.invalidate();
    schema.refresh(schema.loaded().as_ref(), soon()).await.unwrap();
    assert!(backend.status().connected);
}
