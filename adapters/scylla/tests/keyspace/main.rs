//! Plans on a real server: what is asked, what comes back, what is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod away;
mod forgotten;
mod pages;
mod raw;
mod reads;
mod schema;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use athena_application::contract::Recorder;
use athena_application::ports::{Backend as _, Done, PortError, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::cql::{Batch, CqlInsert, CqlRead, CqlValue, Existing, Restriction, Test};
use athena_domain::plan::{CqlPlan, Operation, Output, Plan, RawPlan};
use athena_domain::query::{RelationName, Stamp, Value};
use athena_domain::schema::Relation;
use athena_scylla::{ScyllaBackend, ScyllaSchema, ScyllaSettings};
use athena_test_support::TestKeyspace;
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
        visible: None,
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
