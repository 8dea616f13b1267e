//! Any backend behind a bulkhead: one slow client fills its own queue and nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use athena_domain::plan::Plan;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::ports::{Backend, BackendStatus, Done, PortError, PortErrorKind, RowStream};
use crate::readers::SlowReaders;
use crate::stopwatch::Stopwatch;

/// Name of the port in errors.
const PORT: &str = "bulkhead";

/// How much of one client may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// Statements at once.
    pub max_concurrent: usize,
    /// Statements that wait; a further one is refused at once.
    pub queue_length: usize,
    /// Longest wait.
    pub queue_wait: Duration,
    /// Statements at once whose answers are read slowly.
    pub slow_readers: usize,
}

/// How many may be under way, and those who wait. Several backends may share them.
pub struct Places {
    free: Semaphore,
    readers: Arc<SlowReaders>,
    settings: BulkheadSettings,
    queued: AtomicUsize,
    rejected: AtomicU64,
}

/// A backend behind a bulkhead.
pub struct Bulkhead {
    inner: Arc<dyn Backend>,
    places: Arc<Places>,
}

/// Counts one who waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bulkhead {
    /// Puts `inner` behind a bulkhead of its own.
    pub fn new(inner: Arc<dyn Backend>, settings: BulkheadSettings) -> Self {
        Self::sharing(inner, Arc::new(Places::new(settings)))
    }

    /// Puts `inner` behind a bulkhead whose places others take, too.
    pub fn sharing(inner: Arc<dyn Backend>, places: Arc<Places>) -> Self {
        Self { inner, places }
    }
}

impl Places {
    /// Places, all of them free.
    pub fn new(settings: BulkheadSettings) -> Self {
        let free = Semaphore::new(settings.max_concurrent.clamp(1, Semaphore::MAX_PERMITS));
        let readers = Arc::new(SlowReaders::at_most(settings.slow_readers));
        Self { free, readers, settings, queued: AtomicUsize::new(0), rejected: AtomicU64::new(0) }
    }

    async fn enter(&self, deadline: Instant, waits: &Stopwatch) -> Result<SemaphorePermit<'_>, PortError> {
        if let Ok(place) = self.free.try_acquire() {
            return Ok(place);
        }
        if self.queued.fetch_add(1, Ordering::Relaxed) >= self.settings.queue_length {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(PortError::new(PORT, PortErrorKind::QueueFull));
        }
        let _waiting = (Waiting(&self.queued), waits.start());
        let until = deadline.min(Instant::now() + self.settings.queue_wait);
        match tokio::time::timeout_at(until, self.free.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => {
                Err(PortError::new(PORT, PortErrorKind::Internal).caused_by("the bulkhead is closed"))
            }
            Err(_) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                Err(PortError::new(PORT, PortErrorKind::Exhausted).caused_by("waited too long in the queue"))
            }
        }
    }
}

#[async_trait::async_trait]
impl Backend for Bulkhead {
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
        let _place = self.places.enter(deadline, waits).await?;
        sink.mind(&self.places.readers);
        self.inner.execute(plan, sink, deadline, waits).await
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        // Whether the database lives must be known when its queue is full, too.
        self.inner.ping(deadline).await
    }

    fn status(&self) -> BackendStatus {
        BackendStatus {
            queued: self.places.queued.load(Ordering::Relaxed),
            rejected: self.places.rejected.load(Ordering::Relaxed),
            ..self.inner.status()
        }
    }
}
