//! Budgets that gateways in one process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_application::ports::{BudgetLedger, BudgetStanding, BudgetUse, PortError};
use athena_domain::access::Levels;
use tokio::time::Instant;

/// After this time without news of it a gateway runs nothing.
const STALE: Duration = Duration::from_secs(5);

/// A ledger of one gateway; [`MemoryBudgets::beside`] makes those of others.
pub struct MemoryBudgets {
    store: Arc<Mutex<HashMap<Arc<str>, Entry>>>,
    gateway: u32,
}

struct Entry {
    levels: Levels,
    at: Instant,
    running: HashMap<u32, (u64, Instant)>,
}

impl MemoryBudgets {
    /// The ledger of gateway 0 over an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { store: Arc::default(), gateway: 0 }
    }

    /// The ledger of another gateway over the same store.
    #[must_use]
    pub fn beside(&self, gateway: u32) -> Self {
        Self { store: self.store.clone(), gateway }
    }
}

impl Default for MemoryBudgets {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl BudgetLedger for MemoryBudgets {
    async fn exchange(
        &self,
        uses: &[BudgetUse],
    ) -> Result<Vec<Result<BudgetStanding, PortError>>, PortError> {
        let now = Instant::now();
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let stand = |used: &BudgetUse| {
            let fresh = || Entry { levels: Levels::default(), at: now, running: HashMap::new() };
            let entry = store.entry(used.key.clone()).or_insert_with(fresh);
            let passed = now.duration_since(entry.at).as_secs_f64();
            let parts = used.budget.buckets().into_iter().zip(used.cost.parts()).zip(&mut entry.levels);
            for ((size, cost), level) in parts {
                *level = size.map(|size| {
                    let filled = level.map_or(size.capacity, |level| level + passed * size.per_second);
                    (filled.min(size.capacity) - cost as f64).max(-size.capacity)
                });
            }
            entry.at = now;
            entry.running.insert(self.gateway, (used.running, now));
            entry.running.retain(|_, (_, told)| now.duration_since(*told) <= STALE);
            let others = entry.running.iter().filter(|(gateway, _)| **gateway != self.gateway);
            let running_elsewhere = others.map(|(_, (running, _))| running).sum();
            Ok(BudgetStanding { levels: entry.levels, running_elsewhere })
        };
        Ok(uses.iter().map(stand).collect())
    }
}
