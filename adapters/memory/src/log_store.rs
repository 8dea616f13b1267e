//! Finished requests in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use athena_application::ports::{
    BatchId, ClientStatistics, LogBatch, LogEntry, LogStore, PortError, PortErrorKind, Reason, Rejection,
    StatisticsStore, StoreId, TableStatistics,
};
use time::OffsetDateTime;

const PORT: &str = "memory log";

/// A log store, and the statistics of what it holds.
pub struct MemoryLog {
    id: StoreId,
    state: Mutex<State>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: StoreId(NEXT.fetch_add(1, Ordering::Relaxed).into()), state: Mutex::default() }
    }
}

#[derive(Default)]
struct State {
    batches: HashSet<BatchId>,
    entries: Vec<LogEntry<'static>>,
    away: bool,
    poison: Option<Box<str>>,
}

impl MemoryLog {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it answer like a database that cannot be reached, or come back.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Refuses every batch that holds a request of this name.
    pub fn refuse(&self, request_id: &str) {
        self.lock().poison = Some(request_id.into());
    }

    /// What was written, in the order in which it was.
    pub fn entries(&self) -> Vec<LogEntry<'static>> {
        self.lock().entries.clone()
    }
}

#[async_trait::async_trait]
impl LogStore for MemoryLog {
    async fn write(&self, batch: &LogBatch<'_>) -> Result<(), PortError> {
        let mut state = self.lock();
        if state.away {
            return Err(PortError::new(PORT, PortErrorKind::Unavailable));
        }
        if batch.entries.iter().any(|entry| Some(&*entry.request_id) == state.poison.as_deref()) {
            return Err(PortError::rejected(PORT, Rejection::new(Reason::Check, "a refused entry")));
        }
        if state.batches.insert(batch.id) {
            state.entries.extend(batch.entries.iter().cloned().map(LogEntry::into_owned));
        }
        Ok(())
    }

    async fn identity(&self) -> Result<Option<StoreId>, PortError> {
        match self.lock().away {
            true => Err(PortError::new(PORT, PortErrorKind::Unavailable)),
            false => Ok(Some(self.id)),
        }
    }
}

#[async_trait::async_trait]
impl StatisticsStore for MemoryLog {
    async fn list(&self) -> Result<Vec<ClientStatistics>, PortError> {
        let mut counts: BTreeMap<String, ClientStatistics> = BTreeMap::new();
        for entry in self.lock().entries.iter() {
            let Some(client) = entry.client.as_deref() else { continue };
            let of = counts.entry(client.to_owned()).or_insert_with(|| ClientStatistics {
                client_name: client.to_owned(),
                total_requests: 0,
                successful_requests: 0,
                failed_requests: 0,
                total_cached_requests: 0,
                total_operations: 0,
                last_request_at: None,
                last_operation_at: None,
                updated_at: at(entry),
            });
            of.total_requests += 1;
            of.successful_requests += i64::from(entry.succeeded());
            of.failed_requests += i64::from(entry.failed());
            of.total_cached_requests += i64::from(entry.cached);
            of.last_request_at = of.last_request_at.max(Some(at(entry)));
            if entry.operation.is_some() {
                of.total_operations += 1;
                of.last_operation_at = of.last_operation_at.max(Some(at(entry)));
            }
        }
        let mut list: Vec<_> = counts.into_values().collect();
        list.sort_by_key(|of| std::cmp::Reverse(of.total_requests));
        Ok(list)
    }

    async fn of_client(
        &self,
        client_name: &str,
    ) -> Result<Option<(ClientStatistics, Vec<TableStatistics>)>, PortError> {
        let name = client_name.trim().to_lowercase();
        let Some(found) = self.list().await?.into_iter().find(|of| of.client_name == name) else {
            return Ok(None);
        };
        let mut tables: BTreeMap<(String, String), TableStatistics> = BTreeMap::new();
        for entry in self.lock().entries.iter().filter(|entry| entry.client.as_deref() == Some(&*name)) {
            let Some(operation) = &entry.operation else { continue };
            let Some(table) = operation.table.as_deref() else { continue };
            let of = tables.entry((table.to_owned(), operation.name.to_string())).or_insert_with(|| {
                TableStatistics {
                    client_name: name.clone(),
                    table_name: table.to_owned(),
                    operation: operation.name.to_string(),
                    total_operations: 0,
                    error_operations: 0,
                    last_operation_at: None,
                    updated_at: at(entry),
                }
            });
            of.total_operations += 1;
            of.error_operations += i64::from(entry.failed());
            of.last_operation_at = of.last_operation_at.max(Some(at(entry)));
        }
        let mut tables: Vec<_> = tables.into_values().collect();
        tables.sort_by_key(|of| std::cmp::Reverse(of.total_operations));
        Ok(Some((found, tables)))
    }

    /// Nothing is kept but the entries, so there is nothing to rebuild.
    async fn refresh(&self) -> Result<(), PortError> {
        Ok(())
    }
}

fn at(entry: &LogEntry<'_>) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(entry.at)
}
