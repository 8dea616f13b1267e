//! A schema reader over any database: keeps the last reading, reads again when it is told that it is old.
//!
//! The first reading is made when it is first needed. While the client is in use a task keeps it fresh; a
//! client that nobody asks for has no task and makes no round trip.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use athena_domain::schema::Schema;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::ports::{PortError, PortErrorKind, SchemaReader};

/// Name of the port in errors.
const PORT: &str = "schema";

/// Shortest time between two readings that callers can force; a slow reading lengthens it.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// Pauses after failed readings in the background: the first, and the longest they grow to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Longest reading in the background.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a schema is read from.
#[async_trait::async_trait]
pub trait SchemaSource: Send + Sync + 'static {
    /// One reading: the schema, and what the adapter wants to know beside it.
    type Catalog: AsRef<Arc<Schema>> + Send + Sync;

    /// Reads. It is dropped when it takes too long.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn read(&self, deadline: Instant) -> Result<Self::Catalog, PortError>;
}

/// What is known of the last reading.
#[derive(Default)]
struct Reading {
    /// When the next may be forced.
    next: Option<Instant>,
    /// The changes that it has seen.
    changes: u64,
    /// When an attempt failed after the last reading, and how.
    failed: Option<(Instant, PortErrorKind)>,
}

/// Knows one database's schema.
pub struct SchemaKeeper<S: SchemaSource> {
    me: Weak<Self>,
    source: S,
    /// How old a reading may grow while the client is in use.
    period: Duration,
    /// Without a request for so long, the client is not in use.
    in_use: Duration,
    last: ArcSwapOption<S::Catalog>,
    read_at: BlockingMutex<Option<Instant>>,
    /// Times that somebody was sure of a change.
    changes: AtomicU64,
    /// Held while reading, so that callers who wait share one reading.
    reading: Mutex<Reading>,
    /// Whether somebody asked since the keeper looked last.
    asked: AtomicBool,
    keeping: AtomicBool,
    keeper: BlockingMutex<Option<AbortHandle>>,
}

impl<S: SchemaSource> SchemaKeeper<S> {
    /// Keeps what `source` reads, at most `period` old until nobody has asked for `in_use`. Reads nothing yet.
    pub fn new(source: S, period: Duration, in_use: Duration) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            source,
            period,
            in_use,
            last: ArcSwapOption::empty(),
            read_at: BlockingMutex::new(None),
            changes: AtomicU64::new(0),
            reading: Mutex::new(Reading::default()),
            asked: AtomicBool::new(false),
            keeping: AtomicBool::new(false),
            keeper: BlockingMutex::new(None),
        })
    }

    /// The last reading with what the adapter wants to know beside the schema.
    pub fn catalog(&self) -> Option<Arc<S::Catalog>> {
        self.last.load_full()
    }

    fn schema(&self) -> Option<Arc<Schema>> {
        self.last.load().as_ref().map(|catalog| (**catalog).as_ref().clone())
    }

    /// Notes that the client is in use, and sees to it that what is known of it stays fresh.
    fn touch(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::SeqCst);
        }
        if self.keeping.load(Ordering::SeqCst) || self.keeping.swap(true, Ordering::SeqCst) {
            return;
        }
        // Without a runtime nobody can read in the background.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.keeping.store(false, Ordering::SeqCst);
            return;
        };
        let task = runtime.spawn(keep_fresh(self.me.clone()));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// When the last reading is to be replaced.
    fn due(&self) -> Instant {
        let read_at = *self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.map_or_else(Instant::now, |at| at + self.period)
    }

    async fn read(&self, deadline: Instant) -> Result<Arc<S::Catalog>, PortError> {
        match tokio::time::timeout_at(deadline, self.source.read(deadline)).await {
            Ok(catalog) => catalog.map(Arc::new),
            Err(_) => Err(PortError::new(PORT, PortErrorKind::TimedOut)),
        }
    }
}

/// Reads again when the last reading is old, until nobody has asked for a while or the reader is gone.
async fn keep_fresh<S: SchemaSource>(reader: Weak<SchemaKeeper<S>>) {
    let (mut last_asked, mut delay, mut retry_at) = (Instant::now(), RETRY.0, None);
    loop {
        let Some(this) = reader.upgrade() else { return };
        let (due, in_use) = (retry_at.unwrap_or_else(|| this.due()), this.in_use);
        drop(this);
        tokio::time::sleep_until(due.min(last_asked + in_use)).await;
        let Some(this) = reader.upgrade() else { return };
        if this.asked.swap(false, Ordering::SeqCst) {
            last_asked = Instant::now();
        } else if last_asked.elapsed() >= in_use {
            this.keeping.store(false, Ordering::SeqCst);
            // Somebody may have asked just now and found a keeper that was about to leave.
            if !this.asked.load(Ordering::SeqCst) || this.keeping.swap(true, Ordering::SeqCst) {
                return;
            }
            continue;
        }
        if Instant::now() < due {
            continue;
        }
        let seen = this.schema();
        match this.reread(seen.as_ref(), Instant::now() + PATIENCE).await {
            Ok(_) => (delay, retry_at) = (RETRY.0, None),
            Err(error) => {
                tracing::warn!(%error, cause = error.source.as_ref().map(tracing::field::display), "the schema cannot be read; trying again");
                retry_at = Some(Instant::now() + delay);
                delay = (2 * delay).min(RETRY.1);
            }
        }
    }
}

impl<S: SchemaSource> SchemaKeeper<S> {
    async fn reread(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError> {
        let asked = Instant::now();
        let mut reading = tokio::time::timeout_at(deadline, self.reading.lock())
            .await
            .map_err(|_| PortError::new(PORT, PortErrorKind::TimedOut))?;
        // Those who waited for an attempt share its failure too, or they would fail one after the other.
        if let Some((at, kind)) = &reading.failed
            && asked < *at
        {
            let shared = PortError::new(PORT, kind.clone());
            return Err(shared.caused_by("the reading that this request waited for has failed"));
        }
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(current) = self.schema() {
            let newer = !seen.is_some_and(|seen| Arc::ptr_eq(seen, &current));
            let too_soon = reading.next.is_some_and(|next| Instant::now() < next);
            if changes == reading.changes && (newer || too_soon) {
                return Ok(current);
            }
        }
        // Sure of a change or not: nobody can force readings one after the other without a pause.
        if let Some(next) = reading.next {
            tokio::time::sleep_until(next.min(deadline)).await;
        }
        let start = Instant::now();
        let catalog = match self.read(deadline).await {
            Ok(catalog) => catalog,
            Err(error) => {
                // One caller's patience says nothing of the others'.
                if error.kind != PortErrorKind::TimedOut {
                    reading.failed = Some((Instant::now(), error.kind.clone()));
                }
                return Err(error);
            }
        };
        // Changes that were told meanwhile ask for another reading.
        let next = Some(Instant::now() + MIN_INTERVAL.max(2 * start.elapsed()));
        *reading = Reading { next, changes, failed: None };
        let schema = (*catalog).as_ref().clone();
        tracing::debug!(relations = schema.len(), elapsed = ?start.elapsed(), "schema read");
        self.last.store(Some(catalog));
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
        Ok(schema)
    }
}

#[async_trait::async_trait]
impl<S: SchemaSource> SchemaReader for SchemaKeeper<S> {
    fn loaded(&self) -> Option<Arc<Schema>> {
        let schema = self.schema()?;
        self.touch();
        Some(schema)
    }

    fn has_reading(&self) -> bool {
        self.last.load().is_some()
    }

    async fn refresh(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError> {
        let schema = self.reread(seen, deadline).await?;
        self.touch();
        Ok(schema)
    }

    fn invalidate(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl<S: SchemaSource> Drop for SchemaKeeper<S> {
    fn drop(&mut self) {
        if let Some(task) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}
