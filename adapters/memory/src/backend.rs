//! Plans, run.

use std::sync::atomic::Ordering;

use athena_application::ports::{
    Backend, BackendStatus, Done, PortError, PortErrorKind, Reason, Rejection, RowStream,
};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::{Guard, Operation, Output, Plan};
use athena_domain::rows::Flow;
use athena_domain::schema::Relation;
use tokio::time::{Instant, timeout_at};

use crate::MemoryDatabase;
use crate::reject;
use crate::select;
use crate::table::{Row, Table};
use crate::write::{self, Change};

/// How rows leave.
struct Answer<'p> {
    outputs: &'p [Output],
    relation: &'p Relation,
    big_as_text: bool,
}

impl Answer<'_> {
    /// Hands on the rows; tells how many, and whether the sink said stop.
    async fn hand_on(&self, rows: &[Row], sink: &mut dyn RowStream) -> Result<(u64, bool), PortError> {
        sink.columns(&select::heads(self.outputs));
        let mut count = 0;
        for row in rows {
            select::project(row, self.outputs, self.relation, self.big_as_text, sink)?;
            count += 1;
            let flow = match sink.end_row() {
                Flow::Full => sink.flush().await,
                flow => flow,
            };
            if flow == Flow::Stop {
                return Ok((count, true));
            }
        }
        Ok((count, false))
    }
}

impl MemoryDatabase {
    /// Runs a write; its rows leave before it is kept, so that a sink that says stop undoes it.
    async fn write(
        &self,
        answer: Answer<'_>,
        guard: &Guard,
        change: impl FnOnce(&Table) -> Result<Change, PortError>,
        sink: &mut dyn RowStream,
        deadline: Instant,
    ) -> Result<Done, PortError> {
        let turn = timeout_at(deadline, self.writing.lock()).await;
        let _turn = turn.map_err(|_| reject::error(PortErrorKind::TimedOut))?;
        let table = self.table(answer.relation)?;
        let change = change(&table)?;
        let returns_rows = !answer.outputs.is_empty();
        change.check(guard, returns_rows)?;
        let mut done = Done { affected: change.touched.len() as u64, statements: 1, ..Done::default() };
        if returns_rows {
            let (rows, stopped) = answer.hand_on(&change.touched, sink).await?;
            if stopped {
                return Err(reject::stopped());
            }
            done.rows = rows;
        }
        if !guard.dry_run {
            self.commit(&table.relation, change.rows);
        }
        Ok(done)
    }

    async fn run(&self, plan: &Plan, sink: &mut dyn RowStream, deadline: Instant) -> Result<Done, PortError> {
        let answer = |outputs, relation| Answer { outputs, relation, big_as_text: plan.big_numbers_as_text };
        match &plan.operation {
            Operation::Select(select) => {
                let table = self.table(&select.relation)?;
                let rows = select::select(select, &table)?;
                let (rows, _) = answer(&select.outputs, &select.relation).hand_on(&rows, sink).await?;
                Ok(Done { rows, statements: 1, ..Done::default() })
            }
            Operation::Count(count) => {
                let table = self.table(&count.relation)?;
                let rows = select::matching(&count.filter, &table)?;
                Ok(Done { count: Some(rows.len() as u64), statements: 1, ..Done::default() })
            }
            Operation::Insert(insert) => {
                let answer = answer(&insert.returning, &insert.relation);
                self.write(answer, &insert.guard, |table| write::insert(insert, table), sink, deadline).await
            }
            Operation::Update(update) => {
                let answer = answer(&update.returning, &update.relation);
                self.write(answer, &update.guard, |table| write::update(update, table), sink, deadline).await
            }
            Operation::Delete(delete) => {
                let answer = answer(&delete.returning, &delete.relation);
                self.write(answer, &delete.guard, |table| write::delete(delete, table), sink, deadline).await
            }
            Operation::Cql(_) => {
                Err(PortError::new(reject::PORT, PortErrorKind::Internal).caused_by("a plan for CQL"))
            }
            Operation::Raw(_) | Operation::Call(_) => {
                let message = "the database in memory knows neither SQL nor functions";
                Err(reject::refused(Rejection::new(Reason::Unsupported, message)))
            }
        }
    }
}

#[async_trait::async_trait]
impl Backend for MemoryDatabase {
    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        self.check(deadline)?;
        self.answered.store(true, Ordering::Relaxed);
        self.run(plan, sink, deadline).await
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        self.check(deadline)?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn status(&self) -> BackendStatus {
        let connected = self.answered.load(Ordering::Relaxed);
        BackendStatus { connected, open: 1, idle: 1, max: 1, ..BackendStatus::default() }
    }
}
