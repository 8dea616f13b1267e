//! Runs plans on one PostgREST.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use athena_application::ports::{
    Backend, BackendStatus, Done, PortError, PortErrorKind, Reason, Rejection, RowStream, SchemaReader,
};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::{Guard, InsertPlan, Operation, Output, Plan, SelectPlan};
use athena_domain::rows::Flow;
use athena_domain::schema::Relation;
use reqwest::Response;
use reqwest::header::CONTENT_RANGE;
use tokio::time::{Instant, timeout_at};

use crate::PORT;
use crate::failure::{Fault, broken, late};
use crate::render::{Call, Inexpressible, probe, render};
use crate::rows::{Reading, Splitter, Unreadable};
use crate::schema::OpenSchema;
use crate::settings::SupabaseSettings;
use crate::upstream::Upstream;

mod call;

/// One PostgREST.
pub struct SupabaseBackend {
    upstream: Upstream,
    max_rows: u64,
    /// Whether it has been seen to refuse preferences that it does not know.
    is_strict: AtomicBool,
}

/// Opens a client's PostgREST: nothing is connected before the first use. Once both are dropped, its connections are
/// closed.
///
/// # Errors
/// Why it cannot be used, without a secret.
pub fn open(settings: &SupabaseSettings) -> Result<(Arc<SupabaseBackend>, Arc<dyn SchemaReader>), String> {
    let upstream = Upstream::open(settings)?;
    Ok((Arc::new(SupabaseBackend::over(upstream, settings)), OpenSchema::new(&settings.schema)))
}

fn rejected(reason: Reason, message: impl Into<String>) -> PortError {
    PortError::rejected(PORT, Rejection::new(reason, message))
}

fn unsupported(cause: &Inexpressible) -> PortError {
    let mut rejection = Rejection::new(Reason::Unsupported, cause.reason);
    rejection.hint = Some(cause.fix.to_owned());
    PortError::rejected(PORT, rejection)
}

#[async_trait::async_trait]
impl Backend for SupabaseBackend {
    fn system(&self) -> &'static str {
        "postgrest"
    }

    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        _waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let now = Instant::now();
        if now >= deadline {
            return Err(PortError::new(PORT, PortErrorKind::TimedOut));
        }
        let _under_way = self.upstream.begin();
        let until = deadline.min(now + self.upstream.statement_timeout);
        let call = render(plan).map_err(|cause| unsupported(&cause))?;
        match &plan.operation {
            Operation::Select(select) => self.read(plan, select, &call, sink, until).await,
            Operation::Count(_) => self.count(&call, until).await,
            Operation::Insert(insert) => {
                check_rows(insert)?;
                self.write(plan, &insert.relation, &insert.returning, insert.guard, &call, sink, until).await
            }
            Operation::Update(update) => {
                self.write(plan, &update.relation, &update.returning, update.guard, &call, sink, until).await
            }
            Operation::Delete(delete) => {
                self.write(plan, &delete.relation, &delete.returning, delete.guard, &call, sink, until).await
            }
            Operation::Call(function) => self.call(function, &call, sink, until).await,
            Operation::Raw(_) | Operation::Cql(_) => Err(PortError::new(PORT, PortErrorKind::Internal)),
        }
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        self.upstream.ping(deadline).await
    }

    fn status(&self) -> BackendStatus {
        BackendStatus {
            connected: self.upstream.connected(),
            open: self.upstream.under_way(),
            ..BackendStatus::default()
        }
    }
}

impl SupabaseBackend {
    pub(crate) fn over(upstream: Upstream, settings: &SupabaseSettings) -> Self {
        Self { upstream, max_rows: settings.max_rows, is_strict: AtomicBool::new(false) }
    }

    /// A read. One that broke before its first row is sent again.
    async fn read(
        &self,
        plan: &Plan,
        select: &SelectPlan,
        call: &Call,
        sink: &mut dyn RowStream,
        until: Instant,
    ) -> Result<Done, PortError> {
        if let Some(limit) = select.limit.filter(|limit| *limit > self.max_rows) {
            let mut rejection = Rejection::new(
                Reason::Unsupported,
                format!("`limit` is {limit}; PostgREST gives at most {} rows a request here", self.max_rows),
            );
            rejection.hint = Some(
                "page through the rows with `offset` and `sort_by`; `max_rows` in the client's URI must be \
                 what the project's own setting is"
                    .to_owned(),
            );
            return Err(PortError::rejected(PORT, rejection));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let mut reading = Reading::new(&select.outputs, plan.big_numbers_as_text, plan.keys_to_snake);
            let outcome = match self.upstream.send(call, until).await {
                Ok(response) => {
                    let end = (!select.unbounded).then_some(until);
                    self.rows(response, &mut reading, sink, end, select.limit).await
                }
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok((done, _)) if select.limit.is_none() && done.rows >= self.max_rows => {
                    return Err(cut(self.max_rows));
                }
                // One row more than was asked for has been seen, and not handed on.
                Ok((done, _)) => {
                    let most = select.limit.unwrap_or(u64::MAX);
                    return Ok(Done { rows: done.rows.min(most), ..done });
                }
                Err(fault) if reading.announced() => return Err(fault.error),
                Err(fault) => self.upstream.pause(fault, tries, until).await?,
            }
        }
    }

    async fn count(&self, call: &Call, until: Instant) -> Result<Done, PortError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.upstream.send(call, until).await {
                Ok(response) => {
                    let count = total(&response).ok_or_else(|| {
                        PortError::new(PORT, PortErrorKind::Unreadable)
                            .caused_by("the upstream counted no rows in Content-Range")
                    })?;
                    return Ok(Done { count: Some(count), statements: 1, ..Done::default() });
                }
                Err(fault) => self.upstream.pause(fault, tries, until).await?,
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what three kinds of plans have in common")]
    async fn write(
        &self,
        plan: &Plan,
        relation: &Relation,
        returning: &[Output],
        guard: Guard,
        call: &Call,
        sink: &mut dyn RowStream,
        until: Instant,
    ) -> Result<Done, PortError> {
        if call.strict {
            self.ensure_strict(relation, until).await?;
        }
        let response =
            self.upstream.send(call, until).await.map_err(|fault| with_limit(fault.error, guard))?;
        let affected = total(&response);
        let mut reading = Reading::new(returning, plan.big_numbers_as_text, plan.keys_to_snake);
        if returning.is_empty() {
            let affected = affected.ok_or_else(|| {
                PortError::new(PORT, PortErrorKind::Unreadable)
                    .caused_by("the upstream does not say in Content-Range how many rows it changed")
            })?;
            reading.announce(&[], sink);
            return Ok(Done { affected, statements: 1, ..Done::default() });
        }
        // The rows are changed: whatever happens to the answer now, that must be said.
        let rows = self.rows(response, &mut reading, sink, Some(until), guard.max_returned).await;
        let (done, complete) = rows.map_err(|fault| match fault.error.kind {
            PortErrorKind::Unreadable => fault.error,
            _ => PortError { kind: PortErrorKind::Lost, ..fault.error },
        })?;
        if !complete {
            return Err(too_much(guard, done));
        }
        let affected = affected.unwrap_or(done.rows);
        if affected > done.rows {
            return Err(too_much(guard, done));
        }
        Ok(Done { affected, ..done })
    }

    /// Hands on the rows of an answer, `max_rows` at most; tells whether all of them were wanted. Without `end`, no two pieces may be
    /// further apart than one statement may take.
    async fn rows(
        &self,
        mut response: Response,
        reading: &mut Reading<'_>,
        sink: &mut dyn RowStream,
        end: Option<Instant>,
        max_rows: Option<u64>,
    ) -> Result<(Done, bool), Fault> {
        let mut done = Done { statements: 1, ..Done::default() };
        let mut splitter = Splitter::new();
        let unreadable = |cause: Unreadable| {
            // An answer that ends in the middle is a broken connection, unless somebody says otherwise.
            let is_cut = cause == Unreadable::Cut;
            let kind = if is_cut { PortErrorKind::Unavailable } else { PortErrorKind::Unreadable };
            Fault { error: PortError::new(PORT, kind).caused_by(cause), transient: is_cut }
        };
        loop {
            while let Some(row) = splitter.next().map_err(unreadable)? {
                if max_rows == Some(done.rows) {
                    reading.announce(&[], sink);
                    return Ok((Done { rows: done.rows + 1, ..done }, false));
                }
                reading.row(row, sink).map_err(unreadable)?;
                done.rows += 1;
                let flow = match sink.end_row() {
                    Flow::Full => sink.flush().await,
                    flow => flow,
                };
                if flow == Flow::Stop {
                    return Ok((done, false));
                }
            }
            let end = end.unwrap_or_else(|| Instant::now() + self.upstream.statement_timeout);
            match timeout_at(end, response.chunk()).await {
                Ok(Ok(Some(piece))) => splitter.push(&piece),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(broken(error, false)),
                Err(_) => return Err(Fault::lasting(late(false))),
            }
        }
        splitter.finish().map_err(unreadable)?;
        reading.announce(&[], sink);
        Ok((done, true))
    }

    /// Checks, once, that the upstream refuses preferences it does not know: one that skips them would write without
    /// the bound, or null where a default belongs.
    async fn ensure_strict(&self, relation: &Relation, until: Instant) -> Result<(), PortError> {
        if self.is_strict.load(Ordering::Relaxed) {
            return Ok(());
        }
        let applied = match self.upstream.send(&probe(relation), until).await {
            Ok(response) => response
                .headers()
                .get_all("preference-applied")
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|preference| preference.trim() == "handling=strict"),
            Err(fault) if fault.error.reason() == Some(Reason::Unsupported) => false,
            Err(fault) => return Err(fault.error),
        };
        if !applied {
            return Err(unsupported(&Inexpressible {
                reason: "this PostgREST does not keep to `max_affected`, or to defaults among several rows; \
                         version 13 does",
                fix: "leave `max_affected` out; give every row the same keys, or insert rows one by one",
            }));
        }
        self.is_strict.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Checks what is known of an insert before it is sent.
fn check_rows(insert: &InsertPlan) -> Result<(), PortError> {
    let rows = insert.source.rows() as u64;
    let Some(most) = insert.guard.max_affected.filter(|most| rows > *most) else { return Ok(()) };
    let message = format!("{rows} rows would change, more than max_affected ({most}); nothing was changed");
    let mut rejection = Rejection::new(Reason::TooManyRows, message);
    rejection.limit = Some(("max_affected", most));
    Err(PortError::rejected(PORT, rejection))
}

/// The same failure, naming the limit that it says was passed.
fn with_limit(mut error: PortError, guard: Guard) -> PortError {
    if let PortErrorKind::Rejected(rejection) = &mut error.kind
        && rejection.reason == Reason::TooManyRows
    {
        rejection.limit = guard.max_affected.map(|most| ("max_affected", most));
    }
    error
}

/// The number after the slash of `Content-Range`.
fn total(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

fn cut(max_rows: u64) -> PortError {
    let mut rejection = Rejection::new(
        Reason::LimitExceeded,
        format!("PostgREST gives at most {max_rows} rows a request here: there may be more"),
    );
    rejection.hint = Some("page through the rows with `limit`, `offset` and `sort_by`".to_owned());
    rejection.limit = Some(("max_rows", max_rows));
    PortError::rejected(PORT, rejection)
}

/// A write has been carried out, and its rows cannot all be returned.
fn too_much(guard: Guard, done: Done) -> PortError {
    let rows = guard.max_returned.filter(|most| done.rows > *most);
    let mut rejection = rejected(
        Reason::LimitExceeded,
        "the write was carried out, but it returns more rows or bytes than allowed: nothing of it was undone",
    );
    if let PortErrorKind::Rejected(rejection) = &mut rejection.kind {
        rejection.hint = Some("send \"head\": true to change rows without returning them".to_owned());
        rejection.limit = rows.map(|most| ("max_rows", most));
    }
    rejection
}
