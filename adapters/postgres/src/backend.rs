//! Runs plans on one PostgreSQL database.

mod overload;
mod raw;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{
    Backend, BackendStatus, Done, PortError, PortErrorKind, Reason, Rejection, RowStream, SchemaReader as _,
};
use athena_application::stopwatch::Stopwatch;
use athena_domain::plan::{CountPlan, Guard, Operation, Output, Plan, SelectPlan};
use athena_domain::query::fetch::Count;
use athena_domain::schema::Relation;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use crate::failure::{PORT, port_error, session_survives};
use crate::pool::{Begin, Running, Sessions};
use crate::reader::{PostgresSchema, PostgresSource};
use crate::render::{Statement, Unencodable, call, render};
use crate::settings::PostgresSettings;

/// Estimates up to this are replaced by a real count when an estimated count is asked for.
const COUNT_ESTIMATES_UP_TO: u64 = 10_000;

/// What is kept of a ping's time for the round trip.
const PING_TIME: Duration = Duration::from_millis(100);

/// One PostgreSQL database.
pub struct PostgresBackend {
    sessions: Arc<Sessions>,
    raw_sessions: Arc<Sessions>,
    schema: Arc<PostgresSchema>,
    statement_timeout: Duration,
}

/// Opens a client's database: the backend and its schema reader. Nothing is connected and nothing is
/// started before the first use: a client that nobody asks for costs its settings. Once both are dropped
/// and the last request has ended, its connections are closed.
pub fn open(settings: &PostgresSettings) -> (Arc<PostgresBackend>, Arc<PostgresSchema>) {
    let settings = Arc::new(settings.resolved());
    let sessions = Sessions::new(&settings, false);
    let raw_sessions = Sessions::new(&settings, true);
    let schema =
        PostgresSchema::new(PostgresSource::new(sessions.clone()), settings.schema_refresh, settings.in_use);
    let backend = PostgresBackend {
        sessions,
        raw_sessions,
        schema: schema.clone(),
        statement_timeout: settings.statement_timeout,
    };
    (Arc::new(backend), schema)
}

/// How a statement ended: by itself, or because its rows were enough.
enum Ending {
    Complete(Done),
    Stopped(Done),
}

/// What the writes have in common.
struct Change<'a> {
    relation: &'a Relation,
    returning: &'a [Output],
    guard: Guard,
}

fn rejected(reason: Reason, message: impl Into<String>) -> PortError {
    PortError::rejected(PORT, Rejection::new(reason, message))
}

#[async_trait::async_trait]
impl Backend for PostgresBackend {
    fn system(&self) -> &'static str {
        "postgresql"
    }

    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        if Instant::now() >= deadline {
            return Err(PortError::new(PORT, PortErrorKind::TimedOut));
        }
        let outcome = if let Operation::Select(SelectPlan { unbounded: true, .. }) = &plan.operation {
            self.select_unbounded(plan, sink, deadline, waits).await
        } else {
            // Dropping the work stops the statement. It is pinned first: what is moved takes its place twice.
            let work = std::pin::pin!(self.work(plan, sink, deadline, waits));
            let ended = tokio::time::timeout_at(deadline, work).await;
            ended.unwrap_or_else(|_| Err(PortError::new(PORT, PortErrorKind::TimedOut)))
        };
        if let Err(error) = &outcome {
            // The database itself says that what is known of it is old; nobody has to wait for the next
            // reading. (A relation that is missing inside a view says so too, but says it for ever.)
            if error.reason() == Some(Reason::Stale) {
                self.schema.invalidate();
            }
        }
        outcome
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        let ping = async {
            // Being looked at is no use: the connection may be closed as idle all the same. The pool gives up first,
            // so that connections which are all busy are not taken for a database that is silent.
            let acquired = deadline.checked_sub(PING_TIME).unwrap_or(deadline);
            if self.sessions.rests() {
                return self.sessions.knock(acquired).await;
            }
            let running = self.sessions.acquire(acquired, false, Begin::Plain, &Stopwatch::default()).await?;
            let mut running = running.uncounted();
            let outcome = sqlx::raw_sql("SELECT 1").execute(running.connection()).await;
            match outcome {
                // A client that nobody uses costs its server no connection.
                Ok(_) if running.is_fresh() => {
                    running.discard();
                    Ok(())
                }
                outcome => running.finish(outcome.map(drop)).await,
            }
        };
        match tokio::time::timeout_at(deadline, ping).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.sessions.unanswered();
                Err(PortError::new(PORT, PortErrorKind::TimedOut))
            }
        }
    }

    fn status(&self) -> BackendStatus {
        self.sessions.status()
    }
}

impl PostgresBackend {
    async fn work(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let (relation, returning, guard) = match &plan.operation {
            Operation::Select(select) => return self.select(plan, select, sink, deadline, waits).await,
            Operation::Count(count) => return self.count(plan, count, deadline, waits).await,
            Operation::Raw(raw) => return self.raw(plan, raw, None, sink, deadline, waits).await,
            Operation::Call(function) => {
                let statement = call(function, None);
                return self.raw(plan, &statement, Some(function), sink, deadline, waits).await;
            }
            Operation::Insert(insert) => (&insert.relation, &insert.returning, &insert.guard),
            Operation::Update(update) => (&update.relation, &update.returning, &update.guard),
            Operation::Delete(delete) => (&delete.relation, &delete.returning, &delete.guard),
            Operation::Cql(_) => {
                return Err(PortError::new(PORT, PortErrorKind::Internal).caused_by("a plan for CQL"));
            }
        };
        self.write(plan, Change { relation, returning, guard: *guard }, sink, deadline, waits).await
    }

    /// A read of one statement. A connection that turns out to be dead is replaced once: nothing was read.
    async fn select(
        &self,
        plan: &Plan,
        select: &SelectPlan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let mut second = false;
        loop {
            let statement = self.prepare(plan)?;
            let mut running = self.sessions.acquire(deadline, second, Begin::Plain, waits).await?;
            let mut reading = rows::Reading::new(&select.relation, &select.outputs, select.every, plan);
            let outcome = reading.run(running.connection(), statement, sink, None).await;
            match end(running, outcome).await {
                Err(error) if error.kind == PortErrorKind::Unavailable && !second && !reading.announced() => {
                    second = true;
                }
                outcome => return outcome,
            }
        }
    }

    /// A read without a bound: the statement may take as long as rows keep flowing.
    async fn select_unbounded(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let Operation::Select(select) = &plan.operation else {
            return Err(PortError::new(PORT, PortErrorKind::Internal));
        };
        let statement = self.prepare(plan)?;
        let begin = self.sessions.acquire(deadline, true, Begin::Unbounded, waits);
        let mut running = match tokio::time::timeout_at(deadline, begin).await {
            Ok(running) => running?,
            Err(_) => return Err(PortError::new(PORT, PortErrorKind::TimedOut)),
        };
        let mut reading = rows::Reading::new(&select.relation, &select.outputs, select.every, plan);
        let outcome = reading.run(running.connection(), statement, sink, Some(self.statement_timeout)).await;
        let done = match outcome {
            Ok(Ending::Complete(done)) => done,
            // The transaction goes with the connection.
            Ok(Ending::Stopped(done)) => return Ok(done),
            Err(rows::Fault::Driver(error)) => {
                let failed = port_error(error);
                self.sessions.learn(&failed);
                running.discard();
                return Err(failed);
            }
            Err(fault) => return Err(fault.into_port()),
        };
        match tokio::time::timeout(self.statement_timeout, running.finish(Ok(done.clone()))).await {
            Ok(outcome) => outcome,
            // Every row is there, and a read has nothing to keep.
            Err(_) => Ok(done),
        }
    }

    async fn count(
        &self,
        plan: &Plan,
        count: &CountPlan,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let mut second = false;
        loop {
            let exact = self.prepare(plan)?;
            let estimate = match count.count {
                Count::Exact => None,
                Count::Planned | Count::Estimated => Some(Statement::estimate(count).map_err(too_large)?),
            };
            let mut running = self.sessions.acquire(deadline, second, Begin::Plain, waits).await?;
            let outcome = count_on(running.connection(), count.count, estimate, exact).await;
            match running.finish(outcome).await {
                Err(error) if error.kind == PortErrorKind::Unavailable && !second => second = true,
                outcome => {
                    return outcome.map(|count| Done {
                        count: Some(count),
                        statements: 1,
                        ..Done::default()
                    });
                }
            }
        }
    }

    async fn write(
        &self,
        plan: &Plan,
        Change { relation, returning, guard }: Change<'_>,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let statement = self.prepare(plan)?;
        let begin = if guard.needs_transaction() { Begin::Transaction } else { Begin::Plain };
        let mut running = self.sessions.acquire(deadline, true, begin, waits).await?;
        let mut reading = rows::Reading::new(relation, returning, false, plan);
        if !guard.needs_transaction() {
            let outcome = reading.run(running.connection(), statement, sink, None).await;
            return end(running, outcome).await.map_err(lost_write);
        }
        reading.stop_after(guard.max_returned);
        let outcome = reading.run(running.connection(), statement, sink, None).await;
        let verdict = match outcome {
            Ok(Ending::Complete(done)) => judge(plan, guard, done),
            Ok(Ending::Stopped(done)) => Err(too_much_returned(guard, done)),
            Err(rows::Fault::Driver(error)) => {
                // The transaction is rolled back, or ends with its connection: nothing was written.
                if session_survives(&error) {
                    return running.finish(Err(error)).await;
                }
                let failed = port_error(error);
                self.sessions.learn(&failed);
                running.discard();
                return Err(failed);
            }
            Err(fault) => Err(fault.into_port()),
        };
        match verdict {
            Ok(done) if guard.dry_run => running.undo(done).await,
            Ok(done) => running.finish(Ok(done)).await.map_err(lost_write),
            // Dropping `running` stops the statement and closes the connection, which rolls back.
            Err(error) => Err(error),
        }
    }

    /// Renders; a value too large for the protocol is the caller's.
    fn prepare(&self, plan: &Plan) -> Result<Statement, PortError> {
        let mut statement = render(plan).map_err(too_large)?;
        // The next transaction behind the pooler may meet a server that has never heard of the name.
        statement.persistent &= !self.sessions.behind_transaction_pooler();
        Ok(statement)
    }
}

/// The failure of a write that was under way: whether it happened is not known.
fn lost_write(error: PortError) -> PortError {
    match error.kind {
        PortErrorKind::Unavailable => PortError { kind: PortErrorKind::Lost, ..error },
        _ => error,
    }
}

fn too_large(error: Unencodable) -> PortError {
    rejected(Reason::BadValue, "a value is too large").caused_by(error)
}

/// Counts by estimate where that is wanted and good enough, else by counting.
async fn count_on(
    connection: &mut PgConnection,
    wanted: Count,
    estimate: Option<Statement>,
    exact: Statement,
) -> Result<u64, sqlx::Error> {
    if let Some(statement) = estimate {
        let row = statement.query().fetch_one(&mut *connection).await?;
        let estimate = planned_rows(row.try_get_raw(0)?.as_bytes().map_err(sqlx::Error::Decode)?);
        if wanted == Count::Planned || estimate > COUNT_ESTIMATES_UP_TO {
            return Ok(estimate);
        }
    }
    let row = exact.query().fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
}

/// Gives the connection back after a statement of no transaction but a pooler's.
async fn end(running: Running, outcome: Result<Ending, rows::Fault>) -> Result<Done, PortError> {
    match outcome {
        Ok(Ending::Complete(done)) => running.finish(Ok(done)).await,
        // Dropping `running` stops what is left of the statement.
        Ok(Ending::Stopped(done)) => Ok(done),
        Err(rows::Fault::Driver(error)) => running.finish(Err(error)).await,
        Err(fault) => Err(fault.into_port()),
    }
}

fn judge(plan: &Plan, guard: Guard, done: Done) -> Result<Done, PortError> {
    if let Operation::Insert(insert) = &plan.operation
        && insert.check.is_some()
        && done.affected < insert.source.rows() as u64
    {
        // A conflict was met on a row that is not the caller's to change.
        return Err(rows::row_out_of_scope());
    }
    match guard.max_affected {
        Some(most) if done.affected > most => {
            let mut rejection = Rejection::new(
                Reason::TooManyRows,
                format!(
                    "{} rows would change, more than max_affected ({most}); nothing was changed",
                    done.affected
                ),
            );
            rejection.limit = Some(("max_affected", most));
            Err(PortError::rejected(PORT, rejection))
        }
        _ => Ok(done),
    }
}

fn too_much_returned(guard: Guard, done: Done) -> PortError {
    let rows = guard.max_returned.filter(|most| done.rows > *most);
    let what = match rows {
        Some(most) => format!("the write would return more than {most} rows (limits.max_rows)"),
        None => "the write would return too many bytes (limits.max_response_bytes)".to_owned(),
    };
    let mut rejection = Rejection::new(Reason::LimitExceeded, format!("{what}; nothing was changed"));
    rejection.hint = Some("send \"head\": true to change the rows without returning them".to_owned());
    rejection.limit = rows.map(|most| ("max_rows", most));
    PortError::rejected(PORT, rejection)
}

/// `"Plan Rows"` of the outermost node of EXPLAIN's JSON.
fn planned_rows(json: &[u8]) -> u64 {
    const KEY: &str = "\"Plan Rows\":";
    let text = String::from_utf8_lossy(json);
    let number = text.find(KEY).map(|at| text[at + KEY.len()..].trim_start());
    let digits = number.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
