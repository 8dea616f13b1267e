//! A database that runs plans.

use std::sync::Arc;

use athena_domain::plan::Plan;
use athena_domain::rows::{Flow, RowSink};
use tokio::time::Instant;

use super::PortError;
use crate::readers::SlowReaders;
use crate::stopwatch::Stopwatch;

/// A sink that may ask the backend to wait while it hands on what it holds.
#[async_trait::async_trait]
pub trait RowStream: RowSink {
    /// Hands on what is held. Called after [`Flow::Full`]; answers `More` or `Stop`.
    async fn flush(&mut self) -> Flow;

    /// Tells which places slow readers have, where they are bounded. Called before the first row.
    fn mind(&mut self, _readers: &Arc<SlowReaders>) {}

    /// Takes note of how many bytes the backend keeps for the answer beside the rows that it hands on. False when they
    /// are more than the answer may have, or than there is memory for: the backend MUST then end as after
    /// [`Flow::Stop`], and MUST NOT have changed anything.
    fn keep(&mut self, _bytes: u64) -> bool {
        true
    }
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Rows handed to the sink.
    pub rows: u64,
    /// Rows inserted, changed or removed.
    pub affected: u64,
    /// Statements that were run.
    pub statements: u64,
    /// The number a count plan asked for.
    pub count: Option<u64>,
    /// Whether a write that its answer tells of was carried out; where it was not, the rows handed on are those that are
    /// there instead.
    pub applied: Option<bool>,
    /// Where a page ended behind which there may be a further one, for a plan of such a page: what its next page takes
    /// as its beginning.
    pub next: Option<Box<[u8]>>,
}

/// How a backend is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendStatus {
    /// Whether the last exchange with the database succeeded; false until the first one.
    pub connected: bool,
    /// Servers that are connected, any of which can answer; zero where the database is one server.
    pub nodes: usize,
    /// Connections open.
    pub open: usize,
    /// Connections that wait for work.
    pub idle: usize,
    /// Most connections.
    pub max: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Requests that wait before the bulkhead.
    pub queued: usize,
    /// Requests that the bulkhead has turned away.
    pub rejected: u64,
}

/// A database that runs plans.
#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// What kind of database it is, by the name that OpenTelemetry's conventions give it (`db.system.name`).
    fn system(&self) -> &'static str {
        "other_sql"
    }

    /// Runs `plan` and hands its rows to `sink`, in the order the database gives them, until the last
    /// one or until the sink says stop.
    ///
    /// - MUST announce the columns before the first row, and when there is none.
    /// - MUST NOT hand on a row of a write that is undone afterwards without failing, a dry run aside.
    /// - MUST undo a write that runs in a transaction (see `Guard::needs_transaction`) when the sink says
    ///   stop, and fail with `LimitExceeded`.
    /// - MUST stop the statement in the database when the future is dropped or the sink says stop, and
    ///   MUST NOT let another request use the connection before that.
    /// - MUST leave no trace of one request's session on another's.
    /// - MUST let `waits` run while it waits for a place in a queue or for a connection, and only then, whether
    ///   it gets one, gets none, or is dropped.
    ///
    /// The rows of a call have two columns: a value as JSON text, null for nothing, and whether it is one of a set; a
    /// function that returns no set gives one row.
    ///
    /// # Errors
    /// - MUST be `Rejected` when the database refuses the caller's statement.
    /// - MUST be `TimedOut` once the statement's time has passed, or `deadline` before the statement was
    ///   done; for an unbounded read only before its first row.
    /// - MUST be `Unavailable` when the database cannot be reached.
    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError>;

    /// Makes one round trip.
    ///
    /// # Errors
    /// As [`Backend::execute`].
    async fn ping(&self, deadline: Instant) -> Result<(), PortError>;

    /// Tells how it is doing, without a round trip.
    fn status(&self) -> BackendStatus;
}
