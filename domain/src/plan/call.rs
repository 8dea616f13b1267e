//! Planning a call of a function in the database.

use super::{Operation, Plan, Planner};
use crate::access::shielded;
use crate::error::{RequestCode, RequestError};
use crate::query::{CallRequest, Value};

/// A call of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPlan {
    /// Schema of the function.
    pub schema: Box<str>,
    /// Its name.
    pub function: Box<str>,
    /// Its arguments by name.
    pub arguments: Vec<(Box<str>, Value)>,
    /// Whether the database must refuse writes.
    pub read_only: bool,
    /// Most bytes of the result that are taken.
    pub max_bytes: u64,
}

impl Planner<'_> {
    /// Plans a call. A function named without a schema is one of the client's default schema, never one of the
    /// system's.
    ///
    /// # Errors
    /// A caller who may call none, a database that has none.
    pub fn call(&self, request: &CallRequest) -> Result<Plan, RequestError> {
        if self.options.shielded {
            return Err(shielded("function", "a function, which may touch any table,"));
        }
        if let Some(authority) = &self.authority {
            authority.permit_call()?;
        }
        if self.speaks_cql() {
            let message = "CQL calls its functions inside of a SELECT only";
            return Err(RequestError::field(RequestCode::NotSupportedByBackend, "function", message)
                .hint("name the function in the columns of a statement on /query/sql"));
        }
        let schema = request.schema.as_ref().map_or(self.schema.default_schema(), |schema| schema.as_str());
        let argument =
            |(name, value): &(crate::query::Identifier, Value)| (name.as_str().into(), value.clone());
        self.plan(Operation::Call(CallPlan {
            schema: schema.into(),
            function: request.function.as_str().into(),
            arguments: request.arguments.iter().map(argument).collect(),
            read_only: request.read_only,
            max_bytes: self.limits.max_response_bytes,
        }))
    }
}
