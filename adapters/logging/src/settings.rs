//! How the pipeline is run.

use std::path::PathBuf;
use std::time::Duration;

/// How the pipeline is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Entries that wait in memory; past it the oldest is dropped and counted.
    pub queue_entries: usize,
    /// Bytes that they may take; past it the oldest are dropped and counted as well. Memory of entries that were
    /// dropped is free again with its chunk, a MiB later at most.
    pub queue_max_bytes: usize,
    /// Longest time an entry waits for others to be written with.
    pub flush_interval: Duration,
    /// Entries that are written together.
    pub batch_entries: usize,
    /// Where batches wait on disk while the store is away; without it they wait in the queue.
    pub spool_dir: Option<PathBuf>,
    /// Where the store is, in words without a secret: the spool gives batches of another place to nobody here.
    pub spool_for: Box<str>,
    /// Bytes that the spool may take on disk; past it the oldest batch is dropped and counted. A file
    /// counts as whole blocks of 4 KiB.
    pub spool_max_bytes: u64,
    /// Whether only what concerns keys is kept.
    pub keys_only: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            queue_entries: 10_000,
            queue_max_bytes: 64 << 20,
            flush_interval: Duration::from_millis(500),
            batch_entries: 1_000,
            spool_dir: None,
            spool_for: Box::default(),
            spool_max_bytes: 256 << 20,
            keys_only: false,
        }
    }
}
