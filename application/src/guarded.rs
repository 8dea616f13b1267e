//! Any database behind a circuit breaker: one that is away is not asked again by every request.

use std::sync::Arc;
use std::time::Duration;

use athena_domain::breaker::Health;
use athena_domain::plan::Plan;
use athena_domain::schema::Schema;
use tokio::time::Instant;

use crate::circuit::Circuit;
use crate::ports::{Backend, BackendStatus, Done, PortError, PortErrorKind, RowStream, SchemaReader};
use crate::stopwatch::Stopwatch;

/// A backend behind a circuit breaker; outermost, so that who is turned away has waited for nothing.
pub struct Guarded {
    inner: Arc<dyn Backend>,
    circuit: Arc<Circuit>,
}

impl Guarded {
    /// Puts `inner` behind `circuit`.
    pub fn new(inner: Arc<dyn Backend>, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit }
    }
}

#[async_trait::async_trait]
impl Backend for Guarded {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let ticket = self.circuit.admit()?;
        let outcome = self.inner.execute(plan, sink, deadline, waits).await;
        ticket.settle(match health(&outcome) {
            // One of several servers may have gone, and with it many requests at once; the others answer still.
            Health::Ill | Health::Busy { .. } if self.inner.status().nodes > 1 => Health::Doubtful,
            health => health,
        });
        outcome
    }

    /// Is never turned away: it is how the breaker learns that the database is back.
    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        let outcome = self.inner.ping(deadline).await;
        self.circuit.checked(health(&outcome));
        outcome
    }

    fn status(&self) -> BackendStatus {
        self.inner.status()
    }
}

/// A schema reader behind the circuit breaker of its database.
pub struct GuardedSchema {
    inner: Arc<dyn SchemaReader>,
    circuit: Arc<Circuit>,
}

impl GuardedSchema {
    /// Puts `inner` behind `circuit`.
    pub fn new(inner: Arc<dyn SchemaReader>, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit }
    }
}

#[async_trait::async_trait]
impl SchemaReader for GuardedSchema {
    fn loaded(&self) -> Option<Arc<Schema>> {
        self.inner.loaded()
    }

    fn has_reading(&self) -> bool {
        self.inner.has_reading()
    }

    async fn refresh(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError> {
        let ticket = self.circuit.admit()?;
        let before = self.inner.loaded();
        let outcome = self.inner.refresh(seen, deadline).await;
        ticket.settle(match &outcome {
            // The last reading, given once more: the database was not asked.
            Ok(schema) if before.is_some_and(|before| Arc::ptr_eq(&before, schema)) => Health::Unknown,
            outcome => health(outcome),
        });
        outcome
    }

    fn invalidate(&self) {
        self.inner.invalidate();
    }
}

/// What an outcome says about the database.
fn health<T>(outcome: &Result<T, PortError>) -> Health {
    let Err(error) = outcome else { return Health::Well };
    if let Some(health) = error.health {
        return health;
    }
    match error.kind {
        PortErrorKind::Rejected(_) | PortErrorKind::Conflict => Health::Well,
        PortErrorKind::Throttled { retry_after } => {
            Health::Busy { wait: Duration::from_secs(retry_after.into()) }
        }
        PortErrorKind::Unavailable | PortErrorKind::Lost | PortErrorKind::TooManyConnections => Health::Ill,
        PortErrorKind::TimedOut => Health::Doubtful,
        PortErrorKind::Exhausted
        | PortErrorKind::QueueFull
        | PortErrorKind::SlowReaders
        | PortErrorKind::CircuitOpen { .. }
        | PortErrorKind::Unreadable
        | PortErrorKind::Internal => Health::Unknown,
    }
}
