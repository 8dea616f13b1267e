//! Reading one page of an order, and where the next one begins.

use std::time::SystemTime;

use athena_domain::plan::{CqlPlan, KeyValue, Operation, Plan, Planner, SelectPlan};
use athena_domain::query::FetchRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, RowFormat, RowSink, RowStyle};
use athena_domain::{ClientName, RequestError};
use bytes::Bytes;

use super::fetch::{Fetch, tally};
use super::{Context, Target, is_stale};
use crate::answer::{ChunkSink, Framing, Tally};
use crate::cursor::{Owner, Position, Unsealed, statement_digest};
use crate::error::Error;
use crate::ports::{PortError, PortErrorKind, RowStream};

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The rows, behind what opens their frame.
    pub body: Bytes,
    /// What the statement did.
    pub tally: Tally,
    /// Asks for the next page; nothing when this was the last one.
    pub next: Option<String>,
}

impl Fetch {
    /// Reads the page behind `cursor`; the first one where that is empty.
    pub(super) async fn page(
        &self,
        target: &Target,
        client: &ClientName,
        request: &FetchRequest,
        cursor: &str,
        (style, framing): (RowStyle, Framing),
        context: &Context,
    ) -> Result<Page, Error> {
        if style.format != RowFormat::Json {
            let message = "pages of a cursor leave as JSON only: NDJSON and CSV have no place for the next cursor, \
                           and return everything without one";
            return Err(RequestError::invalid("cursor", message).into());
        }
        let owner = Owner { client, key: context.caller.public_id(), request };
        let position = match cursor {
            "" => None,
            cursor => Some(self.gateway.cursors.open(owner, cursor, SystemTime::now())?),
        };
        let plan = |planner: Planner<'_>| planner.page(request, position.as_ref().map(Position::start));
        let (mut plans, schema) = self.gateway.plan(target, context, None, plan).await?;
        let mut read = self.read_page(target, &plans, position.as_ref(), (style, framing), context).await;
        if matches!(&read, Err(Error::Port(error)) if is_stale(error)) {
            (plans, _) = self.gateway.plan(target, context, Some(&schema), plan).await?;
            read = self.read_page(target, &plans, position.as_ref(), (style, framing), context).await;
        }
        let PageRead { mut rows, tally, next } = read?;
        context.trail.keep(rows.take_held());
        let next = next.map(|position| self.gateway.cursors.seal(owner, position, SystemTime::now()));
        let next = next.transpose().map_err(|error| match error {
            Unsealed::TooLong(error) => Error::from(error),
            Unsealed::Fault(error) => error.into(),
        })?;
        Ok(Page { body: rows.finish(&tally), tally, next })
    }

    async fn read_page(
        &self,
        target: &Target,
        (plan, count): &(Plan, Option<Plan>),
        position: Option<&Position>,
        (style, framing): (RowStyle, Framing),
        context: &Context,
    ) -> Result<PageRead, Error> {
        let mut rows = ChunkSink::whole(style, framing, Some(self.gateway.limits.max_response_bytes))
            .holding(&self.gateway.memory);
        match &plan.operation {
            Operation::Select(select) => {
                let count = self.count_if_asked(target, count.as_ref(), context).await?;
                let mut sink = PageSink::new(rows, select.limit.unwrap_or(1).saturating_sub(1));
                let done = target.execute(plan, &mut sink, context).await?;
                let tally = tally(&sink.inner, done, count, &self.gateway)?;
                let next = sink.next(select).map(Position::Keys);
                if next.is_some() {
                    // The row that was looked ahead at is not the caller's.
                    context.trail.take_back(1);
                }
                Ok(PageRead { rows: sink.inner, tally, next })
            }
            Operation::Cql(CqlPlan::Read(read)) => {
                if let Some(position) = position {
                    position.belongs_to(read)?;
                }
                let count = self.count_if_asked(target, count.as_ref(), context).await?;
                let mut done = target.execute(plan, &mut rows, context).await?;
                let state = done.next.take();
                let tally = tally(&rows, done, count, &self.gateway)?;
                let next = state.map(|state| Position::State { statement: statement_digest(read), state });
                Ok(PageRead { rows, tally: Tally { filtered: read.filtering, ..tally }, next })
            }
            _ => {
                let error = PortError::new("planner", PortErrorKind::Internal).caused_by("a page is no read");
                Err(error.into())
            }
        }
    }
}

/// A page as it was read.
struct PageRead {
    rows: ChunkSink,
    tally: Tally,
    /// Where it ended, when a further one may follow.
    next: Option<Position>,
}

/// Hands on the rows of a page, keeps the hidden values of the last one, and notes whether a further row came.
struct PageSink {
    inner: ChunkSink,
    size: u64,
    /// Whether each column is hidden.
    hidden: Vec<bool>,
    /// The column that comes next.
    at: usize,
    rows: u64,
    current: Vec<Option<Box<str>>>,
    last: Vec<Option<Box<str>>>,
    further: bool,
}

impl PageSink {
    fn new(inner: ChunkSink, size: u64) -> Self {
        let (hidden, current, last) = (Vec::new(), Vec::new(), Vec::new());
        Self { inner, size, hidden, at: 0, rows: 0, current, last, further: false }
    }

    /// Where the page ended, when a further row came.
    fn next(&self, select: &SelectPlan) -> Option<Vec<KeyValue>> {
        let key = |(order, value): (&athena_domain::plan::Order, &Option<Box<str>>)| KeyValue {
            column: select.relation.columns[order.column].name.as_ref().into(),
            value: value.clone(),
        };
        self.further.then(|| select.order.iter().zip(&self.last).map(key).collect())
    }
}

impl RowSink for PageSink {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.hidden = heads.iter().map(|head| head.hidden).collect();
        let shown: Vec<ColumnHead> = heads.iter().filter(|head| !head.hidden).cloned().collect();
        self.inner.columns(&shown);
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        let hidden = self.hidden.get(self.at).copied().unwrap_or(false);
        self.at += 1;
        if self.rows == self.size {
            return;
        }
        if !hidden {
            self.inner.cell(cell);
            return;
        }
        self.current.push(match cell {
            CellRef::Null => None,
            CellRef::Bool(flag) => Some(if flag { "true".into() } else { "false".into() }),
            CellRef::Int(number) => Some(number.to_string().into()),
            CellRef::Number(text) | CellRef::Plain(text) | CellRef::Text(text) | CellRef::Json(text) => {
                Some(text.into())
            }
        });
    }

    fn end_row(&mut self) -> Flow {
        self.at = 0;
        if self.rows == self.size {
            self.further = true;
            // The statement ends by itself here.
            return Flow::More;
        }
        self.rows += 1;
        std::mem::swap(&mut self.current, &mut self.last);
        self.current.clear();
        self.inner.end_row()
    }
}

#[async_trait::async_trait]
impl RowStream for PageSink {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}
