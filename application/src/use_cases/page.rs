//! Reading one page of an order, and where the next one begins.

use std::time::SystemTime;

use athena_domain::plan::{KeyValue, Operation, Plan, Planner, SelectPlan};
use athena_domain::query::FetchRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, RowFormat, RowSink, RowStyle};
use athena_domain::{ClientName, RequestError};
use bytes::Bytes;

use super::fetch::{Fetch, tally};
use super::{Context, Target, is_stale};
use crate::answer::{ChunkSink, Framing, Tally};
use crate::cursor::{Owner, Position, Unsealed};
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
        let after = match cursor {
            "" => None,
            cursor => Some(keys(self.gateway.cursors.open(owner, cursor, SystemTime::now())?)?),
        };
        let plan = |planner: Planner<'_>| planner.page(request, after.as_deref());
        let (mut plans, schema) = self.gateway.plan(target, context, None, plan).await?;
        let mut read = self.read_page(target, &plans, (style, framing), context).await;
        if matches!(&read, Err(Error::Port(error)) if is_stale(error)) {
            (plans, _) = self.gateway.plan(target, context, Some(&schema), plan).await?;
            read = self.read_page(target, &plans, (style, framing), context).await;
        }
        let (sink, tally) = read?;
        let next = match sink.next(select(&plans.0)?) {
            None => None,
            Some(keys) => {
                // The row that was looked ahead at is not the caller's.
                context.trail.take_back(1);
                let sealed = self.gateway.cursors.seal(owner, Position::Keys(keys), SystemTime::now());
                Some(sealed.map_err(|error| match error {
                    Unsealed::TooLong(error) => Error::from(error),
                    Unsealed::Fault(error) => error.into(),
                })?)
            }
        };
        Ok(Page { body: sink.inner.finish(&tally), tally, next })
    }

    async fn read_page(
        &self,
        target: &Target,
        (plan, count): &(Plan, Option<Plan>),
        (style, framing): (RowStyle, Framing),
        context: &Context,
    ) -> Result<(PageSink, Tally), Error> {
        let count = self.count_if_asked(target, count.as_ref(), context).await?;
        let size = select(plan)?.limit.unwrap_or(1).saturating_sub(1);
        let rows = ChunkSink::whole(style, framing, Some(self.gateway.limits.max_response_bytes));
        let mut sink = PageSink::new(rows, size);
        let done = target.execute(plan, &mut sink, context).await?;
        let tally = tally(&sink.inner, done, count, &self.gateway)?;
        Ok((sink, tally))
    }
}

/// The keys of a position in an order; databases that page by themselves have positions of another kind.
fn keys(position: Position) -> Result<Vec<KeyValue>, RequestError> {
    match position {
        Position::Keys(keys) => Ok(keys),
        Position::State(_) => Err(RequestError::field(
            athena_domain::error::RequestCode::InvalidCursor,
            "cursor",
            "The cursor belongs to a database of another kind.",
        )),
    }
}

fn select(plan: &Plan) -> Result<&SelectPlan, PortError> {
    match &plan.operation {
        Operation::Select(select) => Ok(select),
        _ => Err(PortError::new("planner", PortErrorKind::Internal).caused_by("a page is no read")),
    }
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
