//! Running the caller's own SQL.

use std::sync::Arc;
use std::time::Duration;

use athena_domain::ClientName;
use athena_domain::RequestError;
use athena_domain::query::{Driver, RawRequest};
use athena_domain::rows::{RowFormat, RowStyle};
use bytes::Bytes;
use tokio::time::Instant;

use super::fetch::tally;
use super::{Context, Gateway};
use crate::answer::{ChunkSink, Framing, Tally};
use crate::error::Error;

/// Runs the caller's own SQL.
pub struct Query {
    gateway: Arc<Gateway>,
}

/// What a query gives.
#[derive(Debug)]
pub struct Queried {
    /// The rows in their frame.
    pub body: Bytes,
    /// What the statement did.
    pub tally: Tally,
    /// Keys of the rows, in order.
    pub columns: Vec<Arc<str>>,
    /// Time the database took, the wait for a connection included.
    pub took: Duration,
}

impl Query {
    /// A query over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Runs one statement or a script; the answer is whole, since a script may fail at its end. With a `driver` the
    /// client must be a database of that kind.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &RawRequest,
        driver: Option<Driver>,
        framing: Framing,
        context: Context,
    ) -> Result<Queried, Error> {
        let target = self.gateway.target(client, &context)?;
        let planned = self.gateway.plan(&target, &context, None, |planner| planner.raw(request)).await;
        // What kind of database it is, is told to those who may query it.
        let denied = matches!(&planned, Err(Error::Request(error)) if error.denied.is_some());
        if let (Some(driver), false) = (driver, denied) {
            fits(driver, client, target.backend.system())?;
        }
        let (plan, _) = planned?;
        let style = RowStyle { format: RowFormat::Json, strip_nulls: false };
        let max_rows = request.max_rows.unwrap_or(self.gateway.limits.max_rows);
        let mut sink = ChunkSink::whole(style, framing, Some(self.gateway.limits.max_response_bytes))
            .at_most(max_rows)
            .with_columns()
            .holding(&self.gateway.memory);
        let began = Instant::now();
        let done = target.execute(&plan, &mut sink, &context).await?;
        let took = began.elapsed();
        if sink.too_many_rows {
            return Err(RequestError::limit("max_rows", max_rows, "query", "the query returns more rows")
                .hint("add a LIMIT, or raise max_rows up to the configured limit")
                .into());
        }
        let tally = tally(&sink, done, None, &self.gateway)?;
        let columns = sink.take_columns();
        context.trail.keep(sink.take_held());
        Ok(Queried { body: sink.finish(&tally), tally, columns, took })
    }
}

/// Checks that the client's database, which calls itself `system`, is one that the driver is for.
fn fits(driver: Driver, client: &ClientName, system: &str) -> Result<(), RequestError> {
    if driver.kind.is(system) {
        return Ok(());
    }
    let message =
        format!("Driver '{driver}' does not fit the client '{client}', whose database is {system}.");
    Err(RequestError::invalid("driver", message).hint("name the driver of that database, or another client"))
}
