//! Reading rows.

use std::sync::Arc;

use athena_domain::plan::Plan;
use athena_domain::query::FetchRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, GatherRows, RowFormat, RowSink, RowStyle};
use athena_domain::shape::RowSet;
use athena_domain::{ClientName, RequestError};

use super::{Context, Gateway, Grouped, Page, Target, is_stale};
use crate::answer::{self, Body, ChunkSink, Framing, Tally};
use crate::error::Error;
use crate::held::Held;
use crate::ports::{Done, PortError, PortErrorKind, Reason, Rejection, RowStream};

/// Reads rows of one relation.
pub struct Fetch {
    pub(super) gateway: Arc<Gateway>,
}

/// What a fetch gives.
#[derive(Debug)]
pub enum Fetched {
    /// Rows.
    Rows {
        /// The rows.
        body: Body,
        /// Matching rows, when they were to be counted.
        count: Option<u64>,
        /// Whether the database looks at rows that it does not return.
        filtered: bool,
    },
    /// A page, and the cursor to the next one.
    Page(Page),
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
        let target = self.gateway.target(client, &context)?;
        if let Some(cursor) = &request.window.cursor {
            // Boxed like everything here that few requests come to: each would make the future of all of them larger.
            let page = Box::pin(self.page(&target, client, &request, cursor, (style, framing), &context));
            return page.await.map(Fetched::Page);
        }
        if request.grouping.is_some() {
            let grouped = Box::pin(self.grouped(&target, &request, style, &context));
            return grouped.await.map(Fetched::Grouped);
        }
        let plan = |planner: athena_domain::plan::Planner<'_>| planner.fetch(&request, style.format);
        let ((mut select, count), mut schema) = self.gateway.plan(&target, &context, None, plan).await?;
        let mut counted = self.count_if_asked(&target, count.as_ref(), &context).await;
        if matches!(&counted, Err(Error::Port(error)) if is_stale(error)) {
            let again = Box::pin(self.gateway.plan(&target, &context, Some(&schema), plan));
            let ((again, count), newer) = again.await?;
            // Without a newer reading the answer would be the same.
            if !Arc::ptr_eq(&schema, &newer) {
                (select, schema) = (again, newer);
                counted = self.count_if_asked(&target, count.as_ref(), &context).await;
            }
        }
        let (filtered, count) = (select.filters(), counted?);
        let max_bytes = (style.format == RowFormat::Json).then_some(self.gateway.limits.max_response_bytes);
        let (gateway, trail) = (self.gateway.clone(), context.trail.clone());
        let body = answer::stream(style, framing, max_bytes, &trail, move |sink| async move {
            let mut sink = sink.beside(&gateway.memory);
            let mut outcome = target.execute(&select, &mut sink, &context).await;
            if outcome.as_ref().is_err_and(is_stale) && sink.rows() == 0 {
                let plan = |planner: athena_domain::plan::Planner<'_>| planner.fetch(&request, style.format);
                match Box::pin(gateway.plan(&target, &context, Some(&schema), plan)).await {
                    // Without a newer reading the answer would be the same.
                    Ok((_, newer)) if Arc::ptr_eq(&schema, &newer) => {}
                    Ok(((again, _), _)) => {
                        outcome = target.execute(&again, &mut sink, &context).await;
                    }
                    Err(error) => return (sink, Err(error)),
                }
            }
            let tally = outcome.map_err(Error::from).and_then(|done| tally(&sink, done, count, &gateway));
            (sink, tally.map(|tally| Tally { filtered, ..tally }))
        })
        .await?;
        Ok(Fetched::Rows { body, count, filtered })
    }

    pub(super) async fn count_if_asked(
        &self,
        target: &Target,
        plan: Option<&Plan>,
        context: &Context,
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
        context: &Context,
    ) -> Result<Grouped, Error> {
        let Some(grouping) = self.gateway.grouping(request.grouping.as_ref())? else {
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
        let mut rows = Gather::new(&self.gateway);
        let mut outcome = target.execute(&select, &mut rows, context).await;
        if outcome.as_ref().is_err_and(is_stale) {
            let (again, newer) = self.gateway.plan(target, context, Some(&schema), plan).await?;
            if !Arc::ptr_eq(&schema, &newer) {
                (select, count) = again;
                rows = Gather::new(&self.gateway);
                outcome = target.execute(&select, &mut rows, context).await;
            }
        }
        outcome?;
        let (rows, held) = rows.into_rows()?;
        let count = self.count_if_asked(target, count.as_ref(), context).await?;
        let grouped = Grouped::build(rows, &grouping, style, count)?;
        context.trail.keep(Some(held));
        Ok(Grouped { filtered: select.filters(), ..grouped })
    }
}

/// The tally of a finished statement, or the limit that its answer passed.
pub(super) fn tally(
    sink: &ChunkSink,
    done: Done,
    count: Option<u64>,
    gateway: &Gateway,
) -> Result<Tally, Error> {
    if sink.crowded {
        return Err(slow_readers().into());
    }
    if sink.stalled {
        return Err(PortError::new("reader", PortErrorKind::TimedOut).caused_by("the reader stalled").into());
    }
    if sink.overflowed {
        let most = gateway.limits.max_response_bytes;
        return Err(too_large(most).into());
    }
    Ok(Tally { done, rows: sink.rows(), count, filtered: false })
}

/// The failure of an answer for which slow readers leave nothing.
pub(super) fn slow_readers() -> PortError {
    PortError::new("reader", PortErrorKind::SlowReaders)
}

/// The refusal of an answer of more than `most` bytes.
pub(super) fn too_large(most: u64) -> RequestError {
    RequestError::limit("max_response_bytes", most, "limit", "the answer is too large")
        .hint("ask for fewer rows or columns, or for Accept: application/x-ndjson")
}

async fn count_rows(target: &Target, plan: &Plan, context: &Context) -> Result<Option<u64>, Error> {
    let done = target.execute(plan, &mut NoRows, context).await?;
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

/// Keeps rows for grouping, up to a number of bytes.
pub(super) struct Gather {
    pub rows: GatherRows,
    bytes: u64,
    max_bytes: u64,
    /// What the backend keeps beside them.
    beside: u64,
    held: Held,
    /// Whether slow readers hold the memory that the rows need.
    pub crowded: bool,
}

impl Gather {
    pub(super) fn new(gateway: &Gateway) -> Self {
        let (max_bytes, held) = (gateway.limits.max_response_bytes, gateway.memory.nothing());
        Self { rows: GatherRows::default(), bytes: 0, max_bytes, beside: 0, held, crowded: false }
    }

    /// The rows, unless they were too large, and what their answer holds of the memory.
    pub(super) fn into_rows(self) -> Result<(RowSet, Held), Error> {
        if self.crowded {
            return Err(slow_readers().into());
        }
        if self.bytes > self.max_bytes {
            return Err(too_large(self.max_bytes).into());
        }
        Ok((self.rows.into_rows(), self.held))
    }
}

impl RowSink for Gather {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.rows.columns(heads);
    }
    fn cell(&mut self, cell: CellRef<'_>) {
        self.bytes += match cell {
            CellRef::Null | CellRef::Bool(_) | CellRef::Int(_) => 8,
            CellRef::Number(text) | CellRef::Plain(text) | CellRef::Text(text) | CellRef::Json(text) => {
                text.len() as u64
            }
        };
        self.rows.cell(cell);
    }
    fn end_row(&mut self) -> Flow {
        self.rows.end_row();
        // The answer holds each row twice: on its page, and in its group.
        self.crowded = !self.held.reach(2 * self.bytes + self.beside);
        if self.crowded || self.bytes > self.max_bytes { Flow::Stop } else { Flow::More }
    }
}

#[async_trait::async_trait]
impl RowStream for Gather {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }

    fn keep(&mut self, bytes: u64) -> bool {
        self.beside = bytes;
        self.crowded |= !self.held.reach(2 * self.bytes + bytes);
        !self.crowded
    }
}
