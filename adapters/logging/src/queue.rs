//! The queue between requests and the writer: bounded, and nobody waits at it.
//!
//! Entries stand in it as bytes, one behind the other. As values they would keep a dozen small allocations each alive
//! until they are written, and a busy gateway would work its way through cold memory all the time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use athena_application::ports::LogEntry;
use tokio::sync::Notify;

use crate::counters::Counted;
use crate::entry::decode;

/// Emptied chunks that are kept, so that their memory stays in use.
const SPARE: usize = 2;

/// Entries that are written together, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
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
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let places = starts.zip(&self.ends).skip(self.dropped);
        places.filter_map(|(start, end)| decode(&self.bytes[start..*end])).collect()
    }

    fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.dropped = 0;
    }
}

/// Entries on their way to the writer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Rung when the queue stops being empty, holds a batch, or is closed.
    bell: Notify,
    bound: usize,
    batch: usize,
}

#[derive(Default)]
struct Waiting {
    /// All but the last are full; none is empty.
    chunks: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    /// Entries in all chunks.
    length: usize,
    closing: bool,
    closed: bool,
}

impl Waiting {
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.chunks.front_mut() else { return };
        oldest.dropped += 1;
        self.length -= 1;
        if oldest.len() == 0 {
            self.chunks.pop_front();
        }
    }

    fn push(&mut self, entry: &[u8], batch: usize) {
        if self.chunks.back().is_none_or(|chunk| chunk.ends.len() >= batch) {
            self.chunks.push_back(self.spare.pop().unwrap_or_default());
        }
        if let Some(last) = self.chunks.back_mut() {
            last.push(entry);
            self.length += 1;
        }
    }
}

impl Queue {
    pub fn new(bound: usize, batch: usize) -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new(), bound: bound.max(1), batch }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry; past the bound the oldest goes.
    pub fn push(&self, entry: &[u8], counted: &Counted) {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            counted.dropped_queue.add(1);
            return;
        }
        let full = waiting.length >= self.bound;
        if full {
            waiting.drop_oldest();
        }
        waiting.push(entry, self.batch);
        let length = waiting.length;
        drop(waiting);
        if full {
            counted.dropped_queue.add(1);
        } else if length == 1 || length == self.batch || length == self.spill() {
            self.bell.notify_one();
        }
    }

    /// Length from which on entries must leave even while the store is busy.
    pub fn spill(&self) -> usize {
        (self.bound / 2).max(1)
    }

    /// The oldest entries, at most a batch.
    pub fn take(&self) -> Option<Chunk> {
        let mut waiting = self.lock();
        let chunk = waiting.chunks.pop_front()?;
        waiting.length -= chunk.len();
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
            std::mem::take(&mut waiting.length)
        };
        counted.dropped_queue.add(left as u64);
    }
}
