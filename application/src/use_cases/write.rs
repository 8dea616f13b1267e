//! What inserts, updates and deletes share: the whole answer is kept until the database has agreed.

use athena_domain::RequestError;
use athena_domain::plan::{CqlPlan, Operation, Plan, Planner};
use athena_domain::rows::{RowFormat, RowStyle};
use bytes::Bytes;

use super::fetch::{slow_readers, tally};
use super::{Context, Gateway, Target, is_stale};
use crate::answer::{ChunkSink, Framing};
use crate::error::Error;
use crate::ports::{PortError, PortErrorKind};

/// Rows that a write returned.
#[derive(Debug)]
pub struct Written {
    /// Rows as JSON objects with commas in between.
    pub rows: Bytes,
    /// Rows in `rows`.
    pub row_count: u64,
    /// Rows inserted, changed or removed.
    pub affected: u64,
    /// Ids of the rows, where the table has an id column.
    pub ids: Vec<Option<Box<str>>>,
    /// Whether it was carried out, where that was asked; where it was not, `rows` are those that are there instead.
    pub applied: Option<bool>,
}

impl Gateway {
    /// Plans and runs a write; once more when the database has changed since it was read.
    ///
    /// The second run is safe: a statement that failed has changed nothing.
    pub(super) async fn write(
        &self,
        target: &Target,
        context: &Context,
        strip_nulls: bool,
        plan: impl Fn(Planner<'_>) -> Result<Plan, RequestError>,
    ) -> Result<Written, Error> {
        let (first, schema) = self.plan(target, context, None, &plan).await?;
        match self.run_write(target, context, strip_nulls, &first).await {
            Err(Error::Port(error)) if is_stale(&error) => {
                let (again, newer) = self.plan(target, context, Some(&schema), &plan).await?;
                if std::sync::Arc::ptr_eq(&schema, &newer) {
                    return Err(error.into());
                }
                self.run_write(target, context, strip_nulls, &again).await
            }
            outcome => outcome,
        }
    }

    pub(super) async fn run_write(
        &self,
        target: &Target,
        context: &Context,
        strip_nulls: bool,
        plan: &Plan,
    ) -> Result<Written, Error> {
        let style = RowStyle { format: RowFormat::Json, strip_nulls };
        // A write of one row has no transaction to undo: its answer goes out whatever its size.
        let max_bytes = bounded(plan).then_some(self.limits.max_response_bytes);
        let mut sink = ChunkSink::whole(style, Framing::BARE, max_bytes);
        if max_bytes.is_some() {
            sink = sink.holding(&self.memory);
        }
        let outcome = target.execute(plan, &mut sink, context).await;
        if let (Operation::Cql(_), Ok(done)) = (&plan.operation, &outcome)
            && (sink.crowded || sink.overflowed)
            && done.affected > 0
        {
            // Nothing undoes it.
            let cause =
                format!("{} rows were written, which together are too large to be shown", done.affected);
            return Err(PortError::new("reader", PortErrorKind::Lost).caused_by(cause).into());
        }
        if sink.crowded {
            // The write was undone, or has not begun.
            return Err(slow_readers().into());
        }
        let done = outcome?;
        let ids = sink.take_hidden();
        let tally = tally(&sink, done, None, self)?;
        context.trail.keep(sink.take_held());
        Ok(Written {
            rows: sink.finish(&tally),
            row_count: tally.rows,
            affected: tally.done.affected,
            ids,
            applied: tally.done.applied,
        })
    }
}

/// Whether the answer of the write has a bound. What runs in a transaction is rolled back behind it; several rows of
/// a database that has none could be of any size together.
fn bounded(plan: &Plan) -> bool {
    match &plan.operation {
        Operation::Insert(insert) => insert.guard.needs_transaction(),
        Operation::Update(update) => update.guard.needs_transaction(),
        Operation::Delete(delete) => delete.guard.needs_transaction(),
        Operation::Cql(CqlPlan::Insert(insert)) => insert.rows.len() > 1,
        Operation::Cql(CqlPlan::Update(update)) => update.rows.len() > 1,
        Operation::Cql(CqlPlan::Delete(delete)) => delete.rows.len() > 1,
        Operation::Select(_)
        | Operation::Count(_)
        | Operation::Call(_)
        | Operation::Raw(_)
        | Operation::Cql(CqlPlan::Read(_) | CqlPlan::Count(_)) => false,
    }
}
