//! What the writer does with the spool: opening it, whose records it holds, and what waits there.

use std::sync::{Arc, Mutex, PoisonError};

use athena_application::ports::{PortError, PortErrorKind};

use super::Writer;
use super::batch::Batch;
use crate::spool::Spool;

impl Writer {
    pub(super) async fn open_spool(&mut self) {
        let Some(root) = self.settings.spool_dir.clone() else { return };
        let (max_bytes, counted, shown) =
            (self.settings.spool_max_bytes, self.counted.clone(), root.display().to_string());
        let place = self.settings.spool_for.clone();
        let opened =
            tokio::task::spawn_blocking(move || Spool::open(&root, &place, max_bytes, counted)).await;
        match opened {
            Ok(Ok(spool)) => self.spool = Some(Arc::new(Mutex::new(spool))),
            Ok(Err(error)) => {
                self.counted.failures.add(1);
                tracing::error!(%error, directory = shown, "the log spool cannot be used; entries wait in memory");
            }
            Err(error) => tracing::error!(%error, "the log spool was not opened"),
        }
    }

    /// Does something with the spool where it may block. `None` without a spool.
    pub(super) async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Option<T> {
        let spool = self.spool.clone()?;
        let done = tokio::task::spawn_blocking(move || {
            work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.ok()
    }

    pub(super) fn has_backlog(&self) -> bool {
        let spooled =
            |spool: &Arc<Mutex<Spool>>| !spool.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        !self.pending.is_empty() || self.spool.as_ref().is_some_and(spooled)
    }

    /// Asks the store which one it is, before anything of the spool is given to it.
    pub(super) async fn identify(&mut self) -> Result<(), PortError> {
        let store = Arc::clone(&self.store);
        let id = self.meanwhile(store.identity()).await?;
        let noted = self.with_spool(move |spool| spool.belongs_to(id)).await;
        match noted {
            Some(Err(error)) => Err(PortError::new("log spool", PortErrorKind::Unavailable).caused_by(error)),
            Some(Ok(())) | None => {
                self.identified = id.is_some();
                Ok(())
            }
        }
    }

    pub(super) async fn spill_queue(&mut self) {
        while self.pending.is_empty() && self.queue.len() > 0 && self.spill().await {}
    }

    /// Moves what is pending, else a batch of the queue, to the spool. False when it cannot.
    pub(super) async fn spill(&mut self) -> bool {
        match self.pending.pop_front().or_else(|| self.take()) {
            Some(batch) => self.keep(batch).await,
            None => true,
        }
    }

    /// Puts a batch into the spool, else keeps it pending. Returns whether the spool has it.
    pub(super) async fn keep(&mut self, batch: Batch) -> bool {
        if self.spool.is_none() {
            self.hold(batch);
            return false;
        }
        let entries = batch.len() as u64;
        let kept = self
            .with_spool(move |spool| {
                // The batch goes along and comes back, as the spool works on another thread.
                (spool.push(batch.number, batch.id, &batch.entries()), batch)
            })
            .await;
        match kept {
            Some((Ok(()), _)) => true,
            Some((Err(error), batch)) => {
                self.counted.failures.add(1);
                tracing::error!(%error, "a batch of log entries cannot be spooled; it waits in memory");
                self.hold(batch);
                false
            }
            None => {
                self.counted.dropped_spool.add(entries);
                tracing::error!(entries, "a batch of log entries is lost: the spool broke off");
                false
            }
        }
    }

    /// Keeps a batch in memory, in its place.
    fn hold(&mut self, batch: Batch) {
        let place = self.pending.partition_point(|held| held.number < batch.number);
        self.pending.insert(place, batch);
    }
}
