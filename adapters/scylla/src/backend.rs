//! Runs plans on one keyspace.

pub(crate) mod effort;
mod exchange;
mod page;
pub(crate) mod pages;
mod raw;
mod read;
mod rows;
mod write;

use std::sync::Arc;

use athena_application::ports::{
    Backend, BackendStatus, Done, PortError, PortErrorKind, Reason, RowStream, SchemaReader as _,
};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::{CqlPlan, Operation, Plan};
use athena_domain::query::RelationName;
use athena_domain::schema::Relation;
use scylla::statement::Statement as DriverStatement;
use tokio::time::Instant;

use self::effort::Effort;
use crate::catalog::{ScyllaSchema, ScyllaSource};
use crate::failure::{Intent, PORT, failed, rejected};
use crate::session::Link;
use crate::settings::ScyllaSettings;

/// One keyspace.
pub struct ScyllaBackend {
    link: Arc<Link>,
    schema: Arc<ScyllaSchema>,
}

/// Opens a client's keyspace: the backend and its schema reader. Nothing is connected and nothing is started before
/// the first use. Once both are dropped and the last request has ended, its session is closed.
pub fn open(settings: &ScyllaSettings) -> (Arc<ScyllaBackend>, Arc<ScyllaSchema>) {
    let link = Link::new(settings.clone());
    let source = ScyllaSource::new(link.clone());
    let schema = ScyllaSchema::new(source, settings.schema_refresh, settings.in_use);
    (Arc::new(ScyllaBackend { link, schema: schema.clone() }), schema)
}

#[async_trait::async_trait]
impl Backend for ScyllaBackend {
    fn system(&self) -> &'static str {
        "cassandra"
    }

    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        if Instant::now() >= deadline {
            return Err(PortError::new(PORT, PortErrorKind::TimedOut));
        }
        let _running = self.link.running();
        let effort = Effort::of(plan, self.link.settings(), deadline);
        if asks(&plan.operation) {
            // The driver queues by itself; what can be waited for is the session.
            let _wait = waits.start();
            let opened = self.link.session(effort.readiness()).await.map(drop);
            self.link.learn(&opened);
            opened?;
        }
        let outcome = match &plan.operation {
            Operation::Cql(cql) => {
                let outcome = self.work(plan, cql, sink, effort).await;
                self.explained(cql, outcome, deadline).await
            }
            Operation::Raw(raw) => self.raw(plan, raw, sink, effort).await,
            Operation::Select(_)
            | Operation::Count(_)
            | Operation::Insert(_)
            | Operation::Update(_)
            | Operation::Delete(_)
            | Operation::Call(_) => {
                Err(PortError::new(PORT, PortErrorKind::Internal).caused_by("a plan for SQL"))
            }
        };
        self.link.learn(&outcome);
        outcome
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        // Being looked at is no use: the session may be closed as idle all the same.
        let outcome = match tokio::time::timeout_at(deadline, self.round_trip()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.link.unanswered();
                Err(PortError::new(PORT, PortErrorKind::TimedOut))
            }
        };
        self.link.learn(&outcome);
        outcome
    }

    fn status(&self) -> BackendStatus {
        self.link.status()
    }
}

impl ScyllaBackend {
    async fn work(
        &self,
        plan: &Plan,
        cql: &CqlPlan,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        match cql {
            CqlPlan::Read(read) => match &read.page {
                Some(page) => self.read_page(plan, read, page, sink, effort).await,
                None => self.read(plan, read, sink, effort).await,
            },
            CqlPlan::Count(count) => self.count(count, effort).await,
            CqlPlan::Insert(insert) => self.insert(plan, insert, sink, effort).await,
            CqlPlan::Update(update) => self.update(plan, update, sink, effort).await,
            CqlPlan::Delete(delete) => self.delete(plan, delete, sink, effort).await,
        }
    }

    async fn round_trip(&self) -> Result<(), PortError> {
        let session = self.link.borrowed().await?;
        let mut statement = DriverStatement::new("SELECT key FROM system.local");
        statement.set_is_idempotent(true);
        let answer = session.driver().query_unpaged(statement, ()).await;
        answer.map(drop).map_err(|error| failed(error, Intent::Read))
    }

    /// What a refusal of our own statement comes to. The database does not tell by a code whether it does not know a
    /// name or does not like a value; what it says of its tables now does.
    async fn explained(
        &self,
        plan: &CqlPlan,
        outcome: Result<Done, PortError>,
        deadline: Instant,
    ) -> Result<Done, PortError> {
        let Err(error) = outcome else { return outcome };
        match error.reason() {
            Some(Reason::Stale) => self.schema.invalidate(),
            Some(Reason::Statement) => {
                let planned = relation(plan);
                self.schema.invalidate();
                let newer = self.schema.refresh(None, deadline).await;
                if newer.is_ok_and(|schema| {
                    name_of(planned)
                        .and_then(|name| schema.relation(&name))
                        .is_none_or(|now| **now != *planned)
                }) {
                    return Err(stale());
                }
            }
            _ => {}
        }
        Err(error)
    }
}

/// Whether the plan needs the database: what contradicts itself finds nothing anywhere.
fn asks(operation: &Operation) -> bool {
    !matches!(operation, Operation::Cql(CqlPlan::Read(read)) if read.reads.is_empty())
}

fn relation(plan: &CqlPlan) -> &Relation {
    match plan {
        CqlPlan::Read(read) => &read.relation,
        CqlPlan::Count(count) => &count.relation,
        CqlPlan::Insert(insert) => &insert.relation,
        CqlPlan::Update(update) => &update.relation,
        CqlPlan::Delete(delete) => &delete.relation,
    }
}

fn name_of(relation: &Relation) -> Option<RelationName> {
    RelationName::parse(&relation.name, Some(&relation.schema), "table").ok()
}

/// What is known of the table is old.
fn stale() -> PortError {
    rejected(Reason::Stale, "the table has changed; please try again")
}
