//! Changing rows.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::query::UpdateRequest;
use athena_domain::rows::{RowFormat, RowStyle};

use super::fetch::Gather;
use super::{Context, Gateway, Grouped, Written, is_stale};
use crate::error::Error;

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
        let target = self.gateway.target(client)?;
        let Some(grouping) = &request.grouping else {
            let written =
                self.gateway.write(&target, context, strip_nulls, |planner| planner.update(request)).await?;
            return Ok(Updated::Rows(written));
        };
        let plan = |planner: athena_domain::plan::Planner<'_>| planner.update(request);
        let (mut update, schema) = self.gateway.plan(&target, context, None, plan).await?;
        let mut rows = Gather::default();
        let mut outcome = target.backend.execute(&update, &mut rows, context.deadline).await;
        if outcome.as_ref().is_err_and(is_stale) {
            (update, _) = self.gateway.plan(&target, context, Some(&schema), plan).await?;
            rows = Gather::default();
            outcome = target.backend.execute(&update, &mut rows, context.deadline).await;
        }
        let done = outcome?;
        let style = RowStyle { format: RowFormat::Json, strip_nulls };
        let count = request.count.map(|_| done.affected);
        Grouped::build(rows.0.into_rows(), grouping, style, count).map(Updated::Grouped)
    }
}
