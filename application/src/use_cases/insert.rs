//! Adding rows.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::plan::{Operation, Plan, Planner};
use athena_domain::query::InsertRequest;
use bytes::Bytes;

use super::{Context, Gateway, Written};
use crate::error::Error;
use crate::ports::{PortErrorKind, Reason};

/// Adds rows to one table, or changes those that are already there.
pub struct Insert {
    gateway: Arc<Gateway>,
}

/// What an insert gives.
pub type Inserted = Written;

impl Insert {
    /// An insert over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Adds the rows, all or none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &InsertRequest,
        strip_nulls: bool,
        context: Context,
    ) -> Result<Inserted, Error> {
        let mut written = self.attempt(client, request, strip_nulls, context).await?;
        if request.head {
            // What came with the ids has no columns.
            (written.rows, written.row_count) = (Bytes::new(), 0);
        }
        Ok(written)
    }

    async fn attempt(
        &self,
        client: &ClientName,
        request: &InsertRequest,
        strip_nulls: bool,
        context: Context,
    ) -> Result<Inserted, Error> {
        let target = self.gateway.target(client, &context)?;
        let outcome =
            self.gateway.write(&target, &context, strip_nulls, |planner| planner.insert(request)).await;
        let outcome = match outcome {
            // Who may add rows need not be one who may see them; then the id stays untold. Nothing was added.
            Err(Error::Port(error)) if request.head && error.reason() == Some(Reason::Privilege) => {
                let blind = |planner: Planner<'_>| planner.insert(request).map(without_rows);
                self.gateway.write(&target, &context, strip_nulls, blind).await
            }
            outcome => outcome,
        };
        let error = match outcome {
            Err(Error::Port(error)) => error,
            outcome => return outcome,
        };
        // An upsert that names no target means the unique index it meets (contract 8.1).
        let PortErrorKind::Rejected(rejection) = &error.kind else { return Err(error.into()) };
        let (Reason::Unique, Some(constraint)) = (rejection.reason, rejection.constraint.as_deref()) else {
            return Err(error.into());
        };
        let plan = |planner: Planner<'_>| {
            let first = planner.insert(request)?;
            let unknown = matches!(&first.operation, Operation::Insert(insert) if insert.conflict_unknown);
            if unknown { planner.insert_on(request, constraint) } else { Ok(None) }
        };
        match self.gateway.plan(&target, &context, None, plan).await?.0 {
            Some(again) => self.gateway.run_write(&target, &context, strip_nulls, &again).await,
            None => Err(error.into()),
        }
    }
}

/// The same insert with nothing to tell of its rows.
fn without_rows(mut plan: Plan) -> Plan {
    if let Operation::Insert(insert) = &mut plan.operation {
        insert.returning.clear();
    }
    plan
}
