//! The task between the queue and the store: batches, retries, the spool, the end.

mod batch;
mod disk;
mod settle;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_application::ports::{BatchId, LogEntry, LogStore, PortError, PortErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::counters::Counted;
use crate::queue::Queue;
use crate::settings::LogSettings;
use crate::spool::Spool;
use batch::{Batch, Held};
use settle::settle;

/// First and longest wait before the store is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A write that takes longer than this is slow.
const SLOW: Duration = Duration::from_secs(1);

/// How often to look for what other gateways have left.
const ADOPTION: Duration = Duration::from_secs(30);

pub(crate) struct Writer {
    store: Arc<dyn LogStore>,
    queue: Arc<Queue>,
    counted: Arc<Counted>,
    settings: LogSettings,
    asked: watch::Receiver<Option<Instant>>,
    spool: Option<Arc<Mutex<Spool>>>,
    /// Whether the store has said which one it is since it was away last.
    identified: bool,
    /// Batches that neither the store nor the spool has taken, oldest first: one that the spool refused while the
    /// store was busy with another, and that one.
    pending: VecDeque<Batch>,
    pause: Duration,
    /// Not before this is the store tried again.
    next_try: Instant,
}

impl Writer {
    pub fn new(
        store: Arc<dyn LogStore>,
        queue: Arc<Queue>,
        counted: Arc<Counted>,
        settings: LogSettings,
        asked: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let next_try = Instant::now();
        Self {
            store,
            queue,
            counted,
            settings,
            asked,
            spool: None,
            identified: false,
            pending: VecDeque::new(),
            pause: Duration::ZERO,
            next_try,
        }
    }

    pub async fn run(mut self) {
        self.open_spool().await;
        let mut due: Option<Instant> = None;
        let mut adoption = Instant::now();
        while !self.queue.is_closing() {
            let now = Instant::now();
            let queued = self.queue.len();
            due = if queued == 0 { None } else { due.or(Some(now + self.settings.flush_interval)) };
            let full = self.queue.holds_batch();
            // What neither store nor spool has taken is offered again after a pause; what is new waits behind it.
            let may_flush = self.pending.is_empty();
            let backlog = self.has_backlog();
            if may_flush && (full || due.is_some_and(|due| due <= now)) {
                due = None;
                let moved = if backlog { self.spill().await } else { self.deliver_next().await };
                if moved || self.next_try > now {
                    continue;
                }
            }
            if backlog && self.next_try <= now {
                self.replay().await;
                continue;
            }
            if self.spool.is_some() && adoption <= now {
                adoption = now + ADOPTION;
                // Of a store that is away it is not known what is its.
                if self.identified || self.identify().await.is_ok() {
                    self.with_spool(Spool::adopt).await;
                }
                continue;
            }
            let wakes = [
                due.filter(|_| may_flush),
                backlog.then_some(self.next_try),
                self.spool.is_some().then_some(adoption),
            ];
            match wakes.into_iter().flatten().min() {
                Some(at) => tokio::select! {
                    () = self.queue.rung() => {}
                    () = sleep_until(at.max(now + Duration::from_millis(1))) => {}
                },
                None => self.queue.rung().await,
            }
        }
        self.finish().await;
    }

    /// To the store while it takes them and there is time, the rest to the spool.
    async fn finish(&mut self) {
        while self.asked.borrow().is_none_or(|deadline| Instant::now() < deadline) {
            let moved = if self.has_backlog() {
                self.replay().await
            } else if self.queue.len() > 0 {
                self.deliver_next().await
            } else {
                return;
            };
            if !moved {
                break;
            }
        }
        while !self.pending.is_empty() || self.queue.len() > 0 {
            if !self.spill().await {
                break;
            }
        }
        let lost: usize = self.pending.drain(..).map(|batch| batch.len()).sum();
        if lost > 0 {
            self.counted.dropped_queue.add(lost as u64);
            tracing::error!(entries = lost, "log entries are lost: neither store nor spool took them");
        }
        self.queue.shut(&self.counted);
    }

    /// The next batch of the queue.
    fn take(&self) -> Option<Batch> {
        let chunk = self.queue.take()?;
        let number = self
            .spool
            .as_ref()
            .map_or(0, |spool| spool.lock().unwrap_or_else(PoisonError::into_inner).reserve());
        let id = BatchId(uuid::Uuid::new_v4().as_u128());
        Some(Batch { number, id, held: Held::Chunk(chunk) })
    }

    /// The next batch of the queue to the store, or where it can wait. False when it has to wait.
    async fn deliver_next(&mut self) -> bool {
        let Some(batch) = self.take() else { return true };
        let written = self.write(batch.id, &batch.entries()).await;
        match written {
            Ok(()) => {
                self.recycle(batch);
                true
            }
            Err(error) => {
                self.failed(&error);
                self.keep(batch).await;
                false
            }
        }
    }

    /// The oldest batch that waits to the store. False when it has to go on waiting.
    async fn replay(&mut self) -> bool {
        if self.spool.is_some()
            && !self.identified
            && let Err(error) = self.identify().await
        {
            if !self.pending.is_empty() {
                self.spill().await;
            }
            self.failed(&error);
            return false;
        }
        let (on_disk, batch) = match self.with_spool(Spool::oldest).await.flatten() {
            Some((number, id, entries)) => (true, Batch { number, id, held: Held::Spooled(entries) }),
            None => match self.pending.pop_front() {
                Some(batch) => (false, batch),
                None => return true,
            },
        };
        let written = self.write(batch.id, &batch.entries()).await;
        if let Err(error) = written {
            if !on_disk {
                self.keep(batch).await;
            } else if !self.pending.is_empty() {
                // The spool may have room again.
                self.spill().await;
            }
            self.failed(&error);
            return false;
        }
        if on_disk {
            self.with_spool(move |spool| spool.remove(batch.number)).await;
        }
        if self.pause > Duration::ZERO {
            tracing::info!("the log store takes entries again");
        }
        self.pause = Duration::ZERO;
        self.next_try = Instant::now();
        true
    }

    async fn write(&mut self, id: BatchId, entries: &[LogEntry<'_>]) -> Result<(), PortError> {
        let store = Arc::clone(&self.store);
        let counted = Arc::clone(&self.counted);
        self.meanwhile(settle(&*store, &counted, id, entries)).await
    }

    /// Waits for the store. While that takes long, the queue empties into the spool.
    async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let mut work = std::pin::pin!(work);
        let mut late = std::pin::pin!(passed(self.asked.clone()));
        // What waits longer than this behind a slow write is safer on disk.
        let mut slow = tokio::time::interval(self.settings.flush_interval.max(SLOW));
        slow.reset();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = &mut late => return Err(PortError::new("logging", PortErrorKind::TimedOut)),
                () = self.queue.rung(), if self.spool.is_some() => {
                    if self.queue.floods() {
                        self.spill_queue().await;
                    }
                }
                _ = slow.tick(), if self.spool.is_some() => self.spill_queue().await,
            }
        }
    }

    fn recycle(&self, batch: Batch) {
        if let Held::Chunk(chunk) = batch.held {
            self.queue.recycle(chunk);
        }
    }

    fn failed(&mut self, error: &PortError) {
        self.counted.failures.add(1);
        // Another one may answer when there is an answer again.
        self.identified = false;
        if self.pause.is_zero() {
            let spooled = self.spool.is_some();
            tracing::warn!(%error, spooled, "the log store does not take entries; they wait");
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.next_try = Instant::now() + self.pause;
    }
}

/// Resolves once a stop was asked for and its deadline has passed.
async fn passed(mut asked: watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *asked.borrow_and_update();
        if let Some(deadline) = deadline {
            return sleep_until(deadline).await;
        }
        if asked.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
