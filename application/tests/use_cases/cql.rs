//! A CQL database under the use cases: what is planned for it is run, and a schema that has changed is noticed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use athena_application::ports::{Backend, BackendStatus, Done, PortError, RowStream, SchemaReader};
use athena_application::stopwatch::Stopwatch;
use athena_application::use_cases::{Delete, Fetch, Fetched};
use athena_application::{Body, Client, ClientRegistry, ClientState, Error, Gateway};
use athena_domain::error::RequestCode;
use athena_domain::plan::{CqlPlan, Operation, Plan};
use athena_domain::query::{DeleteRequest, FetchRequest};
use athena_domain::rows::{CellRef, ColumnHead};
use athena_domain::schema::{
    Column, ColumnType, Consistency, CqlIndex, CqlRules, CqlTable, CqlType, Dialect, IndexKind, IndexTarget,
    Relation, Schema,
};
use tokio::time::Instant;

use super::bench::{ARRAY, JSON, body, name, text};

/// A CQL database that answers every read with one row, every count with 7, and keeps what it was asked.
struct Cql {
    allow_filtering: bool,
    /// Whether an index was created since the schema was read first.
    indexed: AtomicBool,
    known: Mutex<Arc<Schema>>,
    asked: Mutex<Vec<Operation>>,
}

impl Cql {
    fn new(allow_filtering: bool) -> Arc<Self> {
        let known = Mutex::new(Self::schema(allow_filtering, false));
        Arc::new(Self { allow_filtering, indexed: AtomicBool::new(false), known, asked: Mutex::default() })
    }

    fn schema(allow_filtering: bool, indexed: bool) -> Arc<Schema> {
        let column = |name: &str, ty| Column {
            name: name.into(),
            ty: ColumnType::cql(ty),
            nullable: true,
            writable: true,
        };
        let index = CqlIndex {
            name: "by_team".into(),
            column: 1,
            kind: IndexKind::Secondary,
            target: IndexTarget::Values,
        };
        let columns = vec![column("id", CqlType::Int(32)), column("team", CqlType::Text)];
        let indexes = if indexed { vec![index] } else { Vec::new() };
        let table = CqlTable { partition: [0].into(), indexes, ..CqlTable::default() };
        let relations = vec![Relation::of_cql("ks", "users", columns, table)];
        let rules = CqlRules {
            allow_filtering,
            database_order: false,
            max_filtered_rows: 1000,
            max_consistency: Consistency::LocalQuorum,
            max_timeout: std::time::Duration::from_secs(30),
            max_fetch_size: 1000,
        };
        Arc::new(Schema::new(relations, HashMap::new(), vec!["ks".into()]).speaking(Dialect::Cql(rules)))
    }

    fn gateway(self: &Arc<Self>) -> Arc<Gateway> {
        let ready =
            ClientState::Ready { backend: self.clone(), schema: self.clone(), circuit: Arc::default() };
        Arc::new(Gateway {
            registry: Arc::new(ClientRegistry::new([Client::new(name("main"), ready)])),
            limits: Default::default(),
            options: Default::default(),
            decoding: Default::default(),
            authenticator: Default::default(),
            cursors: Default::default(),
            budgets: Default::default(),
            direct: None,
            caches: Default::default(),
            memory: Default::default(),
        })
    }

    async fn fetch(self: &Arc<Self>, request: &str) -> Result<Fetched, Error> {
        let gateway = self.gateway();
        let request = FetchRequest::decode(body(request), &gateway.limits, gateway.decoding)?;
        let context = gateway.context(false);
        Fetch::new(gateway).run(&name("main"), request, JSON, ARRAY, context).await
    }
}

#[async_trait::async_trait]
impl SchemaReader for Cql {
    fn loaded(&self) -> Option<Arc<Schema>> {
        Some(self.known.lock().unwrap().clone())
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, _: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        let newer = Self::schema(self.allow_filtering, self.indexed.load(Ordering::SeqCst));
        *self.known.lock().unwrap() = newer.clone();
        Ok(newer)
    }

    fn invalidate(&self) {}
}

#[async_trait::async_trait]
impl Backend for Cql {
    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        self.asked.lock().unwrap().push(plan.operation.clone());
        let outputs = match &plan.operation {
            Operation::Cql(CqlPlan::Count(_)) => return Ok(Done { count: Some(7), ..Done::default() }),
            Operation::Cql(CqlPlan::Read(read)) => &read.outputs,
            Operation::Cql(CqlPlan::Delete(delete)) => &delete.returning,
            other => panic!("not planned for CQL: {other:?}"),
        };
        let heads = outputs.iter().map(|o| ColumnHead { label: o.label.clone(), hidden: o.hidden });
        sink.columns(&heads.collect::<Vec<_>>());
        outputs.iter().for_each(|_| sink.cell(CellRef::Int(1)));
        let _ = sink.end_row();
        Ok(Done { rows: 1, affected: 1, statements: 1, ..Done::default() })
    }

    async fn ping(&self, _: Instant) -> Result<(), PortError> {
        Ok(())
    }

    fn status(&self) -> BackendStatus {
        BackendStatus::default()
    }
}

const BY_TEAM: &str =
    r#"{"table_name":"users","count":"exact","conditions":[{"eq_column":"team","eq_value":"red"}]}"#;

#[tokio::test]
async fn an_index_created_since_makes_a_request_legal() {
    let database = Cql::new(false);
    match database.fetch(BY_TEAM).await.unwrap_err() {
        Error::Request(refusal) => assert_eq!(refusal.code, RequestCode::NotSupportedByBackend),
        other => panic!("{other}"),
    }
    assert!(database.asked.lock().unwrap().is_empty());
    database.indexed.store(true, Ordering::SeqCst);
    let answer = database.fetch(BY_TEAM).await.unwrap();
    let Fetched::Rows { body: Body::Whole(bytes, tally), count: Some(7), filtered: false } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((text(&bytes).as_str(), tally.filtered), (r#"[{"id":1,"team":1}]"#, false));
}

#[tokio::test]
async fn filtering_is_told() {
    let database = Cql::new(true);
    let answer = database.fetch(BY_TEAM).await.unwrap();
    let Fetched::Rows { body: Body::Whole(_, tally), filtered: true, .. } = answer else {
        panic!("{answer:?}")
    };
    assert!(tally.filtered);
}

#[tokio::test]
async fn a_write_counts_what_it_did() {
    let database = Cql::new(false);
    let gateway = database.gateway();
    let request = r#"{"table_name":"users","resource_id":1}"#;
    let request = DeleteRequest::decode(body(request), &gateway.limits, gateway.decoding).unwrap();
    let context = gateway.context(false);
    let written = Delete::new(gateway).run(&name("main"), &request, false, context).await.unwrap();
    assert_eq!((text(&written.rows).as_str(), written.affected), (r#"{"id":1,"team":1}"#, 1));
}
