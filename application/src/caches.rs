//! What is kept ready for requests, and how often that was of use: counted where it is looked for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::registry::{ClientRegistry, ClientState};
use crate::use_cases::Apart;

/// The caches of a gateway.
#[derive(Default)]
pub struct Caches {
    /// Readings of databases' schemas, kept by their readers.
    schemas: Uses,
    /// Databases that were found to keep no control tables.
    pub(crate) apart: Apart,
    control_tables: Uses,
}

/// How often a cache was asked, by what came of it.
#[derive(Debug, Default)]
struct Uses {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Uses {
    fn count(&self, hit: bool) {
        let of = if hit { &self.hits } else { &self.misses };
        of.fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, cache: &'static str, entries: usize) -> CacheReport {
        let [hits, misses] = [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed));
        CacheReport { cache, hits, misses, entries: entries as u64 }
    }
}

/// How a cache is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheReport {
    /// Its name.
    pub cache: &'static str,
    /// Times that it had what a request needed.
    pub hits: u64,
    /// Times that it had not.
    pub misses: u64,
    /// What it holds now.
    pub entries: u64,
}

impl Caches {
    /// Notes whether a request found the schema of its database.
    pub(crate) fn looked_for_schema(&self, hit: bool) {
        self.schemas.count(hit);
    }

    /// Notes whether a request had not to ask its database for control tables.
    pub(crate) fn looked_for_control_tables(&self, hit: bool) {
        self.control_tables.count(hit);
    }

    /// How they are doing; `registry` has the clients whose schemas are counted.
    pub fn reports(&self, registry: &ClientRegistry) -> [CacheReport; 2] {
        let clients = registry.snapshot();
        let is_read = |state: &ClientState| match state {
            ClientState::Ready { schema, .. } => schema.has_reading(),
            ClientState::Misconfigured { .. } | ClientState::Frozen | ClientState::Inactive => false,
        };
        let schemas = clients.values().filter(|client| is_read(&client.state)).count();
        [
            self.schemas.report("schema", schemas),
            self.control_tables.report("control_tables", self.apart.len()),
        ]
    }
}
