//! From a request as on the wire to the rows of its answer.

use std::sync::Arc;
use std::time::Duration;

use athena_domain::error::RequestCode;
use athena_domain::plan::{Plan, PlanOptions, Planner};
use athena_domain::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use athena_domain::rows::RowFormat;
use athena_domain::schema::Schema;
use athena_domain::{Limits, RequestError};
use tokio::time::Instant;

use super::recorder::{Recorder, canonical};
use crate::ports::{Backend, Done, PortError, PortErrorKind, Reason, Rejection, SchemaReader};
use crate::stopwatch::Stopwatch;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Rows.
    Fetch,
    /// How many rows match; the request is that of a fetch with `count`.
    Count,
    /// New rows.
    Insert,
    /// Changed rows.
    Update,
    /// Removed rows.
    Delete,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// What the statement did.
    pub done: Done,
    /// The sink, with its rows.
    pub sink: Recorder,
}

/// When a statement of the suite has surely failed.
pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// The last reading of the schema, or the first one.
pub(super) async fn known(schema: &dyn SchemaReader) -> Arc<Schema> {
    match schema.loaded() {
        Some(schema) => schema,
        None => schema.refresh(None, soon()).await.expect("the schema can be read"),
    }
}

/// Plans a request; panics when it is not one.
pub(super) fn plan(
    schema: &Schema,
    limits: &Limits,
    options: &PlanOptions,
    verb: Verb,
    request: &str,
) -> Plan {
    try_plan(schema, limits, options, verb, request).unwrap_or_else(|fault| panic!("{fault}: {request}"))
}

fn try_plan(
    schema: &Schema,
    limits: &Limits,
    options: &PlanOptions,
    verb: Verb,
    request: &str,
) -> Result<Plan, RequestError> {
    let body = JsonText::parse(request.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {request}"));
    let decoding = Decoding::default();
    let planner = Planner { schema, limits, options, authority: None };
    match verb {
        Verb::Fetch | Verb::Count => FetchRequest::decode(body, limits, decoding)
            .and_then(|request| planner.fetch(&request, RowFormat::Json))
            .map(|(rows, count)| match count {
                Some(count) if verb == Verb::Count => count,
                _ => rows,
            }),
        Verb::Insert => {
            InsertRequest::decode(body, limits, decoding).and_then(|request| planner.insert(&request))
        }
        Verb::Update => {
            UpdateRequest::decode(body, limits, decoding).and_then(|request| planner.update(&request))
        }
        Verb::Delete => {
            DeleteRequest::decode(body, limits, decoding).and_then(|request| planner.delete(&request))
        }
    }
}

/// Runs a plan and checks what holds of every answer.
pub(super) async fn execute(backend: &dyn Backend, plan: &Plan) -> Result<Answer, PortError> {
    let mut sink = Recorder::default();
    let done = backend.execute(plan, &mut sink, soon(), &Stopwatch::default()).await?;
    sink.finish();
    assert_eq!(done.rows, sink.rows.len() as u64, "rows that were handed on, of {done:?}");
    assert_eq!(done.statements, 1, "statements of one plan, of {done:?}");
    Ok(Answer { done, sink })
}

/// Runs a request as it stands on the wire.
///
/// # Errors
/// What the backend fails with, and `Unsupported` where nothing is known of the catalog and the request cannot be
/// planned without; one that cannot be planned for another reason panics.
pub async fn run(
    backend: &dyn Backend,
    schema: &dyn SchemaReader,
    verb: Verb,
    request: &str,
) -> Result<Answer, PortError> {
    let schema = known(schema).await;
    match try_plan(&schema, &Limits::default(), &PlanOptions::default(), verb, request) {
        Ok(plan) => execute(backend, &plan).await,
        Err(error) if schema.is_open() => Err(refused(error)),
        Err(fault) => panic!("{fault}: {request}"),
    }
}

/// The planner's refusal as a backend's own; panics for one that is not about what the database can do.
pub(super) fn refused(error: RequestError) -> PortError {
    assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{error}");
    PortError::rejected("planner", Rejection::new(Reason::Unsupported, error.message))
}

/// Runs a read and compares its rows, in their order, with a JSON array. Tells whether there are rows: where nothing is
/// known of the catalog it may be refused instead.
pub(super) async fn expect(
    backend: &dyn Backend,
    schema: &dyn SchemaReader,
    name: &str,
    request: &str,
    rows: &str,
) -> bool {
    let answer = run(backend, schema, Verb::Fetch, request).await;
    let answer = match answer {
        Err(PortError { kind: PortErrorKind::Rejected(_), .. }) if known(schema).await.is_open() => {
            return false;
        }
        answer => answer.unwrap_or_else(|fault| panic!("{name}: {fault}")),
    };
    assert_eq!(answer.done.affected, 0, "{name}: a read changes nothing");
    let found = format!("[{}]", answer.sink.rows.join(","));
    assert_eq!(found, canonical(rows), "{name}: {request}");
    true
}

/// Whether the database said that it cannot do this, or not with the column's type, which nobody else knew.
pub(super) fn is_refused<T>(answer: &Result<T, PortError>) -> bool {
    let reason = answer.as_ref().err().and_then(PortError::reason);
    matches!(reason, Some(Reason::Unsupported | Reason::TypeMismatch))
}
