//! Batches on disk while the store is away.
//!
//! One file a batch, written whole under another name, synced, renamed, and the directory synced: after a
//! crash it is there whole or not at all. The name holds its place in the order and how many entries it
//! has. A gateway locks a directory of its own below that of its store; the lock goes with the process.
//! What a gateway has left that is gone is taken over by the next one of the same store that looks.
//!
//! A store is known by its place, also while it is away, and by the name that it gives itself, once it has been
//! asked. Batches of another place or another name are left where they are.

mod directory;
mod owner;
mod segment;

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use athena_application::ports::{BatchId, LogEntry, StoreId};

use crate::counters::Counted;
use segment::Segment;

/// Size of a block of most file systems: a small file takes one.
const BLOCK: u64 = 4096;

/// The batches of one gateway that wait on disk, oldest first.
pub(crate) struct Spool {
    /// Where all gateways of the store have their directories.
    root: PathBuf,
    directory: PathBuf,
    /// The store whose batches these are, once it has said so.
    owner: Option<StoreId>,
    /// Directories of other stores that were told of.
    told: HashSet<PathBuf>,
    /// Held for as long as the directory is ours.
    _lock: File,
    segments: VecDeque<Segment>,
    bytes: u64,
    max_bytes: u64,
    next: u64,
    counted: Arc<Counted>,
}

impl Spool {
    /// Takes a directory below `shared` for the store at this place: one that a gateway has left, else a new one.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open(shared: &Path, place: &str, max_bytes: u64, counted: Arc<Counted>) -> io::Result<Self> {
        let root = owner::root(shared, place)?;
        let (directory, lock) = directory::take(&root)?;
        for (foreign, batches) in owner::foreign(shared, &root) {
            tracing::warn!(
                directory = %foreign.display(), batches, of = owner::place_of(&foreign),
                "the spool holds records of another control database; they are left for a gateway of that one"
            );
        }
        let mut spool = Self {
            owner: owner::read(&directory)?,
            told: HashSet::new(),
            root,
            directory,
            _lock: lock,
            segments: VecDeque::new(),
            bytes: 0,
            max_bytes,
            next: 1,
            counted,
        };
        for segment in directory::segments(&spool.directory)? {
            spool.next = spool.next.max(segment.number + 1);
            spool.keep(segment);
        }
        if !spool.segments.is_empty() {
            tracing::info!(
                batches = spool.segments.len(),
                bytes = spool.bytes,
                "log entries wait in the spool"
            );
        }
        Ok(spool)
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The next place in the order.
    pub fn reserve(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Keeps a batch at the place `number`; older ones go when there is no room.
    ///
    /// # Errors
    /// When it cannot be written, or is larger than the bound; nothing of it stays then.
    pub fn push(&mut self, number: u64, id: BatchId, entries: &[LogEntry<'_>]) -> io::Result<()> {
        let bytes = segment::encode(id, entries)?;
        let size = (bytes.len() as u64).next_multiple_of(BLOCK);
        if size > self.max_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the batch is larger than the spool"));
        }
        while self.bytes + size > self.max_bytes {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.counted.dropped_spool.add(oldest.entries);
            tracing::error!(entries = oldest.entries, "the log spool is full; its oldest batch is dropped");
            self.forget(&oldest);
        }
        let segment = Segment { number, entries: entries.len() as u64, size };
        segment::write(&self.directory, &segment, &bytes)?;
        self.keep(segment);
        Ok(())
    }

    /// The oldest batch with its place. Files that cannot be read are set aside on the way.
    pub fn oldest(&mut self) -> Option<(u64, BatchId, Vec<LogEntry<'static>>)> {
        while let Some(segment) = self.segments.front() {
            let path = self.directory.join(segment.name());
            match segment::read(&path) {
                Ok((id, entries)) => return Some((segment.number, id, entries)),
                Err(error) => {
                    let segment = self.segments.pop_front()?;
                    self.counted.dropped_spool.add(segment.entries);
                    self.counted.failures.add(1);
                    match segment::set_aside(&path) {
                        Ok(aside) => tracing::error!(
                            %error, file = %aside.display(), entries = segment.entries,
                            "a file of the log spool cannot be read; it is set aside"
                        ),
                        // It may be read yet, so it is not thrown away.
                        Err(second) => tracing::error!(
                            %error, %second, file = %path.display(), entries = segment.entries,
                            "a file of the log spool can be neither read nor set aside; it stays until the next start"
                        ),
                    }
                    self.bytes = self.bytes.saturating_sub(segment.size);
                    self.count();
                }
            }
        }
        None
    }

    /// Throws the batch at `number` away: it is written, or dropped.
    pub fn remove(&mut self, number: u64) {
        if let Some(at) = self.segments.iter().position(|segment| segment.number == number)
            && let Some(segment) = self.segments.remove(at)
        {
            self.forget(&segment);
        }
    }

    /// Takes note of which store the batches are to be written to. What waits for one of another name is set aside; a
    /// store that has no name is that of batches that were kept for none.
    ///
    /// # Errors
    /// When that cannot be noted, or the store has no name and the batches are of one that has: nothing may be
    /// written then.
    pub fn belongs_to(&mut self, store: Option<StoreId>) -> io::Result<()> {
        match (self.owner, store) {
            (owner, store) if owner == store => return Ok(()),
            (Some(_), None) => return Err(io::Error::other("the store does not say which one it is")),
            (None, _) => {}
            (Some(_), Some(_)) => {
                let aside = self.segments.len();
                while let Some(segment) = self.segments.pop_front() {
                    let path = self.directory.join(segment.name());
                    std::fs::rename(&path, path.with_extension(owner::FOREIGN))?;
                    self.bytes = self.bytes.saturating_sub(segment.size);
                    self.count();
                }
                if aside > 0 {
                    tracing::error!(
                        batches = aside, directory = %self.directory.display(),
                        "another control database answers where the one was that the spool has records of; \
                         they are set aside (*.foreign)"
                    );
                }
            }
        }
        if let Some(store) = store {
            owner::write(&self.directory, store)?;
        }
        self.owner = store;
        Ok(())
    }

    /// Takes over what gateways of the same store have left that are gone. Returns whether there was anything.
    pub fn adopt(&mut self) -> bool {
        let mut found = false;
        for (directory, lock) in directory::abandoned(&self.root, &self.directory) {
            let theirs = owner::read(&directory);
            if !matches!(theirs, Ok(theirs) if theirs.is_none() || theirs == self.owner) {
                let waits = directory::segments(&directory).is_ok_and(|segments| !segments.is_empty());
                if waits && self.told.insert(directory.clone()) {
                    tracing::warn!(
                        directory = %directory.display(),
                        "the spool holds records of another control database that was at the same place; \
                         they are left alone"
                    );
                }
                continue;
            }
            for segment in directory::segments(&directory).unwrap_or_default() {
                let own = Segment { number: self.reserve(), ..segment.clone() };
                let (from, to) = (directory.join(segment.name()), self.directory.join(own.name()));
                match std::fs::rename(&from, &to) {
                    Ok(()) => {
                        found = true;
                        self.keep(own);
                    }
                    Err(error) => {
                        tracing::warn!(%error, file = %from.display(), "a spooled batch cannot be taken over");
                    }
                }
            }
            drop(lock);
        }
        if found {
            drop(segment::sync(&self.directory));
        }
        found
    }

    fn keep(&mut self, segment: Segment) {
        self.bytes += segment.size;
        let at = self.segments.partition_point(|known| known.number < segment.number);
        self.segments.insert(at, segment);
        self.count();
    }

    fn forget(&mut self, segment: &Segment) {
        if let Err(error) = std::fs::remove_file(self.directory.join(segment.name())) {
            self.counted.failures.add(1);
            tracing::warn!(%error, "a batch cannot be removed from the log spool");
        }
        self.bytes = self.bytes.saturating_sub(segment.size);
        self.count();
    }

    fn count(&self) {
        self.counted.spooled_batches.set(self.segments.len() as u64);
        self.counted.spooled_bytes.set(self.bytes);
    }
}

#[cfg(test)]
mod tests;
