//! Reading rows.

use std::sync::Arc;

use athena_domain::plan::{Operation, Plan};
use athena_domain::query::FetchRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, GatherRows, RowFormat, RowSink, RowStyle};
use athena_domain::{ClientName, RequestError};

use super::{Context, Gateway, Grouped, Target, is_stale};
use crate::answer::{self, Body, ChunkSink, Framing, Tally};
use crate::error::Error;
use crate::ports::{Done, PortError, Reason, Rejection, RowStream};

/// Reads rows of one relation.
pub struct Fetch {
    gateway: Arc<Gateway>,
}

/// What a fetch gives.
#[derive(Debug)]
pub enum Fetched {
    /// Rows, and the count of matching rows when it was asked for.
    Rows(Body, Option<u64>),
    /// Grouped rows.
    Grouped(Grouped),
}

impl Fetch {
    /// A fetch over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Reads; `framing` gives what stands around the rows, once it is known whether they are counted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: FetchRequest,
        style: RowStyle,
        framing: Framing,
        context: Context,
    ) -> Result<Fetched, Error> {
        let target = self.gateway.target(client)?;
        if request.grouping.is_some() {
            return self.grouped(&target, &request, style, context).await.map(Fetched::Grouped);
        }
        let plan = |planner: athena_domain::plan::Planner<'_>| planner.fetch(&request, style.format);
        let ((mut select, count), mut schema) = self.gateway.plan(&target, context, None, plan).await?;
        let mut counted = self.count_if_asked(&target, count.as_ref(), context).await;
        if matches!(&counted, Err(Error::Port(error)) if is_stale(error)) {
            let newer = self.gateway.plan(&target, context, Some(&schema), plan).await?;
            let ((again, count), newer) = newer;
            (select, schema) = (again, newer);
            counted = self.count_if_asked(&target, count.as_ref(), context).await;
        }
        let count = counted?;
        let max_bytes = (style.format == RowFormat::Json).then_some(self.gateway.limits.max_response_bytes);
        let gateway = self.gateway.clone();
        let body = answer::stream(style, framing, max_bytes, move |mut sink| async move {
            let mut outcome = target.backend.execute(&select, &mut sink, context.deadline).await;
            if outcome.as_ref().is_err_and(is_stale) && sink.rows() == 0 {
                let plan = |planner: athena_domain::plan::Planner<'_>| planner.fetch(&request, style.format);
                match gateway.plan(&target, context, Some(&schema), plan).await {
                    Ok(((again, _), _)) => {
                        outcome = target.backend.execute(&again, &mut sink, context.deadline).await;
                    }
                    Err(error) => return (sink, Err(error)),
                }
            }
            let tally = outcome.map_err(Error::from).and_then(|done| tally(&sink, done, count, &gateway));
            (sink, tally)
        })
        .await?;
        Ok(Fetched::Rows(body, count))
    }

    async fn count_if_asked(
        &self,
        target: &Target,
        plan: Option<&Plan>,
        context: Context,
    ) -> Result<Option<u64>, Error> {
        match plan {
            Some(plan) => count_rows(target, plan, context).await,
            None => Ok(None),
        }
    }

    async fn grouped(
        &self,
        target: &Target,
        request: &FetchRequest,
        style: RowStyle,
        context: Context,
    ) -> Result<Grouped, Error> {
        let Some(grouping) = &request.grouping else {
            return Err(RequestError::invalid("group_by", "`group_by` is required").into());
        };
        if style.format != RowFormat::Json {
            return Err(RequestError::invalid(
                "group_by",
                "grouped rows leave as JSON only; leave the Accept header out or ask for application/json",
            )
            .into());
        }
        let plan = |planner: athena_domain::plan::Planner<'_>| planner.fetch(request, style.format);
        let ((mut select, mut count), schema) = self.gateway.plan(target, context, None, plan).await?;
        let mut rows = Gather::default();
        let mut outcome = target.backend.execute(&select, &mut rows, context.deadline).await;
        if outcome.as_ref().is_err_and(is_stale) {
            ((select, count), _) = self.gateway.plan(target, context, Some(&schema), plan).await?;
            rows = Gather::default();
            outcome = target.backend.execute(&select, &mut rows, context.deadline).await;
        }
        outcome?;
        let count = self.count_if_asked(target, count.as_ref(), context).await?;
        Grouped::build(rows.0.into_rows(), grouping, style, count)
    }
}

/// The tally of a finished statement, or the limit that its answer passed.
pub(super) fn tally(
    sink: &ChunkSink,
    done: Done,
    count: Option<u64>,
    gateway: &Gateway,
) -> Result<Tally, Error> {
    if sink.overflowed {
        let most = gateway.limits.max_response_bytes;
        return Err(RequestError::limit("max_response_bytes", most, "limit", "the answer is too large")
            .hint("ask for fewer rows or columns, or for Accept: application/x-ndjson")
            .into());
    }
    Ok(Tally { done, rows: sink.rows(), count })
}

async fn count_rows(target: &Target, plan: &Plan, context: Context) -> Result<Option<u64>, Error> {
    debug_assert!(matches!(plan.operation, Operation::Count(_)));
    let done = target.backend.execute(plan, &mut NoRows, context.deadline).await?;
    match done.count {
        Some(count) => Ok(Some(count)),
        None => Err(PortError::rejected(
            "backend",
            Rejection::new(Reason::Unsupported, "this database cannot count rows that way"),
        )
        .into()),
    }
}

/// Takes no rows.
pub(super) struct NoRows;

impl RowSink for NoRows {
    fn columns(&mut self, _: &[ColumnHead]) {}
    fn cell(&mut self, _: CellRef<'_>) {}
    fn end_row(&mut self) -> Flow {
        Flow::More
    }
}

#[async_trait::async_trait]
impl RowStream for NoRows {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}

/// Keeps rows for grouping; there are at most `limits.max_rows`.
#[derive(Default)]
pub(super) struct Gather(pub GatherRows);

impl RowSink for Gather {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.0.columns(heads);
    }
    fn cell(&mut self, cell: CellRef<'_>) {
        self.0.cell(cell);
    }
    fn end_row(&mut self) -> Flow {
        self.0.end_row()
    }
}

#[async_trait::async_trait]
impl RowStream for Gather {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}
