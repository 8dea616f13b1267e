//! The schema reader: keeps the last reading, reads again when it is told that it is old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use athena_application::ports::{PortError, PortErrorKind, SchemaReader};
use athena_domain::schema::Schema;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::failure::PORT;
use crate::pool::Sessions;

/// Shortest time between two readings that callers can force; a slow reading lengthens it.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// What is known of the last reading.
#[derive(Default)]
struct Reading {
    /// When the next may be forced.
    next: Option<Instant>,
    /// The changes that it has seen.
    changes: u64,
}

/// Knows one database's schema.
pub struct PostgresSchema {
    sessions: Arc<Sessions>,
    last: ArcSwapOption<Catalog>,
    /// Times that somebody was sure of a change.
    changes: AtomicU64,
    /// Held while reading, so that callers who wait share one reading.
    reading: Mutex<Reading>,
}

impl PostgresSchema {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self {
            sessions,
            last: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            reading: Mutex::new(Reading::default()),
        }
    }

    /// The last reading with its types by number.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.last.load_full()
    }

    /// Reads the schema in the background: until it succeeds for the first time, and then regularly while
    /// somebody holds the reader.
    pub(crate) fn keep_fresh(self: Arc<Self>, period: Duration) {
        const FIRST_DELAY: Duration = Duration::from_millis(100);
        const LONGEST_DELAY: Duration = Duration::from_secs(5);
        const PATIENCE: Duration = Duration::from_secs(30);
        let reader = Arc::downgrade(&self);
        tokio::spawn(async move {
            let mut delay = FIRST_DELAY;
            loop {
                let Some(this) = reader.upgrade() else { return };
                let seen = this.loaded();
                delay = match this.refresh(seen.as_ref(), Instant::now() + PATIENCE).await {
                    Ok(_) => period,
                    Err(error) => {
                        tracing::warn!(%error, cause = error.source.as_ref().map(tracing::field::display), "the schema cannot be read; trying again");
                        (2 * delay).min(LONGEST_DELAY)
                    }
                };
                drop(this);
                tokio::time::sleep(delay).await;
            }
        });
    }

    async fn read(&self, deadline: Instant) -> Result<Arc<Catalog>, PortError> {
        let read = async {
            let mut running = self.sessions.acquire(deadline, true).await?;
            let outcome = Catalog::read(running.connection()).await;
            running.finish(outcome)
        };
        match tokio::time::timeout_at(deadline, read).await {
            Ok(catalog) => catalog.map(Arc::new),
            Err(_) => Err(PortError::new(PORT, PortErrorKind::TimedOut)),
        }
    }
}

#[async_trait::async_trait]
impl SchemaReader for PostgresSchema {
    fn loaded(&self) -> Option<Arc<Schema>> {
        self.last.load().as_ref().map(|catalog| catalog.schema.clone())
    }

    async fn refresh(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError> {
        let mut reading = tokio::time::timeout_at(deadline, self.reading.lock())
            .await
            .map_err(|_| PortError::new(PORT, PortErrorKind::TimedOut))?;
        let changes = self.changes.load(Ordering::Acquire);
        if let Some(current) = self.loaded() {
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
        let catalog = self.read(deadline).await?;
        // Changes that were told meanwhile ask for another reading.
        *reading = Reading { next: Some(Instant::now() + MIN_INTERVAL.max(2 * start.elapsed())), changes };
        let schema = catalog.schema.clone();
        tracing::debug!(relations = schema.len(), elapsed = ?start.elapsed(), "schema read");
        self.last.store(Some(catalog));
        Ok(schema)
    }

    fn invalidate(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}
