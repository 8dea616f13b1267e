//! Calling a function in the database.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::RequestError;
use athena_domain::query::CallRequest;
use athena_domain::rows::{CellRef, ColumnHead, Flow, RowSink};

use super::fetch::slow_readers;
use super::{Context, Gateway};
use crate::error::Error;
use crate::held::Held;
use crate::ports::{PortError, PortErrorKind, Reason, RowStream};

/// SQLSTATE `undefined_function`.
const UNDEFINED_FUNCTION: &str = "42883";

/// Calls a function in the database.
pub struct Call {
    gateway: Arc<Gateway>,
}

impl Call {
    /// Calls over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Calls the function and gives what it gives, as JSON: a set as an array, nothing as `null`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &CallRequest,
        context: Context,
    ) -> Result<Vec<u8>, Error> {
        let target = self.gateway.target(client, &context)?;
        let (plan, _) = self.gateway.plan(&target, &context, None, |planner| planner.call(request)).await?;
        let limits = &self.gateway.limits;
        let held = self.gateway.memory.nothing();
        let mut sink = ResultSink::new(limits.max_rows, limits.max_response_bytes, held);
        let outcome = target.execute(&plan, &mut sink, &context).await;
        if sink.crowded {
            return Err(slow_readers().into());
        }
        outcome.map_err(named)?;
        context.trail.keep(sink.held.take());
        Ok(sink.finish(limits.max_rows, limits.max_response_bytes)?)
    }
}

/// The same failure, saying of a function that is not there just that.
fn named(mut error: PortError) -> PortError {
    if let PortErrorKind::Rejected(rejection) = &mut error.kind
        && rejection.sql_state.as_deref() == Some(UNDEFINED_FUNCTION)
        && !rejection.told_by_code
    {
        rejection.reason = Reason::UndefinedFunction;
        // The database's own advises casts, which a caller of functions has no place for.
        rejection.hint = None;
    }
    error
}

/// Joins values to what the function gives. Each row is a value as JSON text, and whether it is one of a set.
struct ResultSink {
    json: Vec<u8>,
    values: u64,
    is_set: bool,
    max_values: u64,
    max_bytes: u64,
    held: Option<Held>,
    /// Whether slow readers hold the memory that the result needs.
    crowded: bool,
}

impl ResultSink {
    fn new(max_values: u64, max_bytes: u64, held: Held) -> Self {
        // Room for the bracket, should it be a set.
        let (json, held) = (vec![b'['], Some(held));
        Self { json, values: 0, is_set: false, max_values, max_bytes, held, crowded: false }
    }

    fn is_full(&self) -> bool {
        self.values > self.max_values || self.json.len() as u64 > self.max_bytes
    }

    fn finish(mut self, max_values: u64, max_bytes: u64) -> Result<Vec<u8>, RequestError> {
        const LESS: &str = "give the function an argument by which it returns less; a call without read_only may \
                            have been carried out where the database is reached through PostgREST";
        if self.values > max_values {
            let message = "the function returns more values";
            return Err(RequestError::limit("max_rows", max_values, "function", message).hint(LESS));
        }
        if self.is_full() {
            let message = "the function's result is too large";
            return Err(RequestError::limit("max_response_bytes", max_bytes, "function", message).hint(LESS));
        }
        if self.is_set || self.values != 1 {
            self.json.push(b']');
        } else {
            self.json.remove(0);
        }
        Ok(self.json)
    }
}

impl RowSink for ResultSink {
    fn columns(&mut self, _: &[ColumnHead]) {}

    fn cell(&mut self, cell: CellRef<'_>) {
        let text = match cell {
            CellRef::Bool(is_set) => {
                self.is_set = is_set;
                return;
            }
            CellRef::Null => "null",
            CellRef::Text(text) | CellRef::Plain(text) | CellRef::Json(text) | CellRef::Number(text) => text,
            CellRef::Int(_) => return,
        };
        if self.values > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(text.as_bytes());
    }

    fn end_row(&mut self) -> Flow {
        self.values += 1;
        let size = self.json.len() as u64;
        self.crowded = self.held.as_mut().is_some_and(|held| !held.reach(size));
        if self.crowded || self.is_full() { Flow::Stop } else { Flow::More }
    }
}

#[async_trait::async_trait]
impl RowStream for ResultSink {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}
