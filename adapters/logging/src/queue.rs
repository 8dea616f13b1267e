//! The queue between requests and the writer: bounded in entries and in bytes, and nobody waits at it.
//!
//! Entries stand in it as bytes, one behind the other. As values they would keep a dozen small allocations each alive
//! until they are written, and a busy gateway would work its way through cold memory all the time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use athena_application::ports::LogEntry;
use tokio::sync::Notify;

use crate::counters::Counted;
use crate::entry::decode;
use crate::record::{Extent, Record};
use crate::settings::LogSettings;

/// Emptied chunks that are kept, so that their memory stays in use.
const SPARE: usize = 2;

/// Bytes from which on a chunk is full, whatever the number of its entries.
const CHUNK_BYTES: usize = 1 << 20;

/// Entries that are written together, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    record: Record,
    /// Where each entry ends.
    ends: Vec<Extent>,
    /// Entries at the beginning that were dropped.
    dropped: usize,
}

impl Chunk {
    /// Entries in it.
    pub fn len(&self) -> usize {
        self.ends.len() - self.dropped
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> Vec<LogEntry<'_>> {
        let mut entries = Vec::with_capacity(self.len());
        let mut reader = self.record.read_from(self.start());
        while entries.len() < self.len()
            && let Some(entry) = decode(&mut reader)
        {
            entries.push(entry);
        }
        debug_assert_eq!(entries.len(), self.len(), "what was written is read");
        entries
    }

    fn push(&mut self, entry: &Record) {
        self.record.append(entry);
        self.ends.push(self.record.extent());
    }

    /// Whether no further entry belongs in it, where so many are written together.
    fn is_full(&self, batch: usize) -> bool {
        self.ends.len() >= batch || self.record.extent().bytes() >= CHUNK_BYTES
    }

    /// Where the oldest entry begins that was not dropped.
    fn start(&self) -> Extent {
        self.dropped.checked_sub(1).map_or(Extent::default(), |last| self.ends[last])
    }

    /// Bytes of its entries.
    fn size(&self) -> usize {
        self.record.extent().bytes() - self.start().bytes()
    }

    fn clear(&mut self) {
        self.record.clear();
        self.ends.clear();
        self.dropped = 0;
    }
}

/// Entries on their way to the writer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Rung when the queue stops being empty, holds a batch, or is closed.
    bell: Notify,
    max_entries: usize,
    max_bytes: usize,
    batch: usize,
}

/// How much a queue holds, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Load {
    Nothing,
    Something,
    /// Enough to be written at once.
    Batch,
    /// So much that entries must leave even while the store is busy.
    Flood,
}

#[derive(Default)]
struct Waiting {
    /// All but the last are full; none is empty.
    chunks: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    /// Entries in all chunks.
    length: usize,
    /// Their bytes.
    bytes: usize,
    closing: bool,
    closed: bool,
}

impl Waiting {
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.chunks.front_mut() else { return false };
        let before = oldest.size();
        oldest.dropped += 1;
        self.length -= 1;
        self.bytes -= before - oldest.size();
        if oldest.len() == 0 {
            self.chunks.pop_front();
        }
        true
    }

    fn push(&mut self, entry: &Record, batch: usize) {
        if self.chunks.back().is_none_or(|chunk| chunk.is_full(batch)) {
            self.chunks.push_back(self.spare.pop().unwrap_or_default());
        }
        if let Some(last) = self.chunks.back_mut() {
            last.push(entry);
            self.length += 1;
            self.bytes += entry.extent().bytes();
        }
    }
}

impl Queue {
    pub fn new(settings: &LogSettings) -> Self {
        Self {
            waiting: Mutex::default(),
            bell: Notify::new(),
            max_entries: settings.queue_entries.max(1),
            max_bytes: settings.queue_max_bytes,
            batch: settings.batch_entries.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry; past either bound the oldest go.
    pub fn push(&self, entry: &Record, counted: &Counted) {
        let bytes = entry.extent().bytes();
        let mut waiting = self.lock();
        if waiting.closed || bytes > self.max_bytes {
            drop(waiting);
            counted.dropped_queue.add(1);
            return;
        }
        let before = self.load(&waiting);
        let mut dropped = 0;
        while (waiting.length >= self.max_entries || waiting.bytes + bytes > self.max_bytes)
            && waiting.drop_oldest()
        {
            dropped += 1;
        }
        waiting.push(entry, self.batch);
        let after = self.load(&waiting);
        drop(waiting);
        if dropped > 0 {
            counted.dropped_queue.add(dropped);
        }
        if after > before {
            self.bell.notify_one();
        }
    }

    fn load(&self, waiting: &Waiting) -> Load {
        let half = |bound: usize| (bound / 2).max(1);
        if waiting.length >= half(self.max_entries) || waiting.bytes >= half(self.max_bytes) {
            return Load::Flood;
        }
        match waiting.chunks.front() {
            None => Load::Nothing,
            Some(oldest) if oldest.is_full(self.batch) => Load::Batch,
            Some(_) => Load::Something,
        }
    }

    /// Whether enough waits to be written at once.
    pub fn holds_batch(&self) -> bool {
        self.load(&self.lock()) >= Load::Batch
    }

    /// Whether entries must leave even while the store is busy.
    pub fn floods(&self) -> bool {
        self.load(&self.lock()) == Load::Flood
    }

    /// The oldest entries, at most a batch.
    pub fn take(&self) -> Option<Chunk> {
        let mut waiting = self.lock();
        let chunk = waiting.chunks.pop_front()?;
        waiting.length -= chunk.len();
        waiting.bytes -= chunk.size();
        Some(chunk)
    }

    /// Takes back a chunk that is written, for its memory.
    pub fn recycle(&self, mut chunk: Chunk) {
        chunk.clear();
        let mut waiting = self.lock();
        if waiting.spare.len() < SPARE {
            waiting.spare.push(chunk);
        }
    }

    pub fn len(&self) -> usize {
        self.lock().length
    }

    /// Waits until there may be something new.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Asks the writer to finish.
    pub fn close(&self) {
        self.lock().closing = true;
        self.bell.notify_one();
    }

    pub fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Takes nothing from now on; what is still there is lost and counted.
    pub fn shut(&self, counted: &Counted) {
        let left = {
            let mut waiting = self.lock();
            waiting.closed = true;
            waiting.chunks.clear();
            waiting.bytes = 0;
            std::mem::take(&mut waiting.length)
        };
        counted.dropped_queue.add(left as u64);
    }
}

#[cfg(test)]
mod tests;
