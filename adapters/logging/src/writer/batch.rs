//! Entries that are written together, wherever they came from.

use std::borrow::Cow;

use athena_application::ports::{BatchId, LogEntry};

use crate::queue::Chunk;

/// A batch in memory.
pub(super) struct Batch {
    /// Place in the order.
    pub number: u64,
    pub id: BatchId,
    pub held: Held,
}

/// The entries of a batch.
pub(super) enum Held {
    /// As they came out of the queue.
    Chunk(Chunk),
    /// As they came out of the spool.
    Spooled(Vec<LogEntry<'static>>),
}

impl Batch {
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Chunk(chunk) => chunk.len(),
            Held::Spooled(entries) => entries.len(),
        }
    }

    pub fn entries(&self) -> Cow<'_, [LogEntry<'_>]> {
        match &self.held {
            Held::Chunk(chunk) => chunk.entries().into(),
            Held::Spooled(entries) => entries.as_slice().into(),
        }
    }
}
