//! Changing rows.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::query::UpdateRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, GatherRows, RowFormat, RowSink, RowStyle};
use athena_domain::shape::{GroupError, Grouping, group};

use super::fetch::{Gather, slow_readers};
use super::{Context, Gateway, Grouped, Written, is_stale};
use crate::error::Error;
use crate::ports::RowStream;

/// Changes rows of one table.
pub struct Update {
    gateway: Arc<Gateway>,
}

/// What an update gives.
#[derive(Debug)]
pub enum Updated {
    /// The changed rows.
    Rows(Written),
    /// The changed rows, grouped.
    Grouped(Grouped),
}

impl Update {
    /// An update over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Changes the rows that match.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &UpdateRequest,
        strip_nulls: bool,
        context: Context,
    ) -> Result<Updated, Error> {
        let target = self.gateway.target(client, &context)?;
        let Some(grouping) = self.gateway.grouping(request.grouping.as_ref())? else {
            let written =
                self.gateway.write(&target, &context, strip_nulls, |planner| planner.update(request)).await?;
            return Ok(Updated::Rows(written));
        };
        let plan = |planner: athena_domain::plan::Planner<'_>| planner.update(request);
        let (mut update, schema) = self.gateway.plan(&target, &context, None, plan).await?;
        let mut rows = Judge::new(&grouping, &self.gateway);
        let mut outcome = target.execute(&update, &mut rows, &context).await;
        if outcome.as_ref().is_err_and(is_stale) {
            (update, _) = self.gateway.plan(&target, &context, Some(&schema), plan).await?;
            rows = Judge::new(&grouping, &self.gateway);
            outcome = target.execute(&update, &mut rows, &context).await;
        }
        if let Some(fault) = rows.fault {
            return Err(fault.into());
        }
        if rows.rows.crowded {
            // The change was undone.
            return Err(slow_readers().into());
        }
        let done = outcome?;
        let style = RowStyle { format: RowFormat::Json, strip_nulls };
        let count = request.count.map(|_| done.affected);
        let (rows, held) = rows.rows.into_rows()?;
        let grouped = Grouped::build(rows, &grouping, style, count)?;
        context.trail.keep(Some(held));
        Ok(Updated::Grouped(grouped))
    }
}

/// Keeps the changed rows and stops at the first that cannot be grouped, so that the change is undone: an
/// error after a change was kept would be a lie.
struct Judge<'a> {
    grouping: &'a Grouping,
    rows: Gather,
    row: GatherRows,
    heads: Vec<ColumnHead>,
    fault: Option<GroupError>,
}

impl<'a> Judge<'a> {
    fn new(grouping: &'a Grouping, gateway: &Gateway) -> Self {
        Self {
            grouping,
            rows: Gather::new(gateway),
            row: GatherRows::default(),
            heads: Vec::new(),
            fault: None,
        }
    }
}

impl RowSink for Judge<'_> {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.heads = heads.to_vec();
        self.rows.columns(heads);
        self.row.columns(heads);
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        self.rows.cell(cell);
        self.row.cell(cell);
    }

    fn end_row(&mut self) -> Flow {
        let flow = self.rows.end_row();
        self.row.end_row();
        let row = std::mem::take(&mut self.row);
        self.row.columns(&self.heads);
        match group(&row.into_rows(), self.grouping) {
            Ok(_) => flow,
            Err(fault) => {
                self.fault = Some(fault);
                Flow::Stop
            }
        }
    }
}

#[async_trait::async_trait]
impl RowStream for Judge<'_> {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }

    fn keep(&mut self, bytes: u64) -> bool {
        self.rows.keep(bytes)
    }
}
