//! What the pipeline has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the pipeline has done since it was started. Entries unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounters {
    /// Waiting in memory now.
    pub queued: u64,
    /// Written to the store.
    pub written: u64,
    /// Batches that wait on disk now.
    pub spooled_batches: u64,
    /// Bytes that wait on disk now.
    pub spooled_bytes: u64,
    /// Dropped past the queue's bound, or because nothing could take them at the end.
    pub dropped_queue: u64,
    /// Dropped past the spool's bound, or unreadable there.
    pub dropped_spool: u64,
    /// Dropped because the store refuses what they hold.
    pub dropped_rejected: u64,
    /// Writes and spool operations that failed, whether or not anything was lost.
    pub failures: u64,
}

/// Of several pipelines together.
impl std::iter::Sum for LogCounters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            queued: sum.queued + one.queued,
            written: sum.written + one.written,
            spooled_batches: sum.spooled_batches + one.spooled_batches,
            spooled_bytes: sum.spooled_bytes + one.spooled_bytes,
            dropped_queue: sum.dropped_queue + one.dropped_queue,
            dropped_spool: sum.dropped_spool + one.dropped_spool,
            dropped_rejected: sum.dropped_rejected + one.dropped_rejected,
            failures: sum.failures + one.failures,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub written: Count,
    pub spooled_batches: Count,
    pub spooled_bytes: Count,
    pub dropped_queue: Count,
    pub dropped_spool: Count,
    pub dropped_rejected: Count,
    pub failures: Count,
}

/// A number that is only ever read for information.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counted {
    pub fn read(&self, queued: usize) -> LogCounters {
        LogCounters {
            queued: queued as u64,
            written: self.written.get(),
            spooled_batches: self.spooled_batches.get(),
            spooled_bytes: self.spooled_bytes.get(),
            dropped_queue: self.dropped_queue.get(),
            dropped_spool: self.dropped_spool.get(),
            dropped_rejected: self.dropped_rejected.get(),
            failures: self.failures.get(),
        }
    }
}
