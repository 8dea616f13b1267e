//! The queue between requests and the writer: bounded, and nobody waits at it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use athena_application::ports::Observation;
use tokio::sync::Notify;

use crate::counters::Counted;

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
    entries: VecDeque<Arc<Observation>>,
    closing: bool,
    closed: bool,
}

impl Queue {
    pub fn new(bound: usize, batch: usize) -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new(), bound: bound.max(1), batch }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry; past the bound the oldest goes.
    pub fn push(&self, observation: Arc<Observation>, counted: &Counted) {
        let (dropped, length) = {
            let mut waiting = self.lock();
            if waiting.closed {
                drop(waiting);
                counted.dropped_queue.add(1);
                return;
            }
            let full = waiting.entries.len() >= self.bound;
            let dropped = if full { waiting.entries.pop_front() } else { None };
            waiting.entries.push_back(observation);
            (dropped, waiting.entries.len())
        };
        if dropped.is_some() {
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
    pub fn take(&self) -> Vec<Arc<Observation>> {
        let mut waiting = self.lock();
        let length = waiting.entries.len().min(self.batch);
        waiting.entries.drain(..length).collect()
    }

    pub fn len(&self) -> usize {
        self.lock().entries.len()
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
            std::mem::take(&mut waiting.entries)
        };
        counted.dropped_queue.add(left.len() as u64);
    }
}
