//! Running the caller's own SQL.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::RequestError;
use athena_domain::query::RawRequest;
use athena_domain::rows::{RowFormat, RowStyle};

use super::fetch::tally;
use super::{Context, Gateway};
use crate::answer::{ChunkSink, Framing, Tally};
use crate::error::Error;

/// Runs the caller's own SQL.
pub struct Query {
    gateway: Arc<Gateway>,
}

impl Query {
    /// A query over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Runs one statement or a script; the answer is whole, since a script may fail at its end.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &RawRequest,
        framing: Framing,
        context: Context,
    ) -> Result<(bytes::Bytes, Tally), Error> {
        let target = self.gateway.target(client, &context)?;
        let (plan, _) = self.gateway.plan(&target, &context, None, |planner| planner.raw(request)).await?;
        let style = RowStyle { format: RowFormat::Json, strip_nulls: false };
        let max_rows = request.max_rows.unwrap_or(self.gateway.limits.max_rows);
        let mut sink =
            ChunkSink::whole(style, framing, Some(self.gateway.limits.max_response_bytes)).at_most(max_rows);
        let done = target.execute(&plan, &mut sink, &context).await?;
        if sink.too_many_rows {
            return Err(RequestError::limit("max_rows", max_rows, "query", "the query returns more rows")
                .hint("add a LIMIT, or raise max_rows up to the configured limit")
                .into());
        }
        let tally = tally(&sink, done, None, &self.gateway)?;
        Ok((sink.finish(&tally), tally))
    }
}
