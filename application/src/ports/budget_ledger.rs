//! What gateways tell each other of the budgets of keys.

use std::sync::Arc;

use athena_domain::access::{Budget, Cost, Levels};

use super::PortError;

/// What a key used on one gateway since that gateway told last.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetUse {
    /// Public id of the key.
    pub key: Arc<str>,
    /// Its budget, as this gateway knows it.
    pub budget: Budget,
    /// What it used.
    pub cost: Cost,
    /// Requests of the key that run on this gateway now.
    pub running: u64,
}

/// What is left of a key's budget over all gateways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetStanding {
    /// What stands in the buckets that the budget bounds.
    pub levels: Levels,
    /// Requests of the key that run on other gateways.
    pub running_elsewhere: u64,
}

/// Buckets that several gateways draw from. A ledger belongs to one gateway; others have ledgers of their own
/// over the same store.
#[async_trait::async_trait]
pub trait BudgetLedger: Send + Sync + 'static {
    /// Takes what was used out of the shared buckets, and tells how every one of these keys stands, in the same
    /// order. Without any it only finds out whether the store answers.
    ///
    /// - MUST let the buckets fill with time by one clock for all gateways, and hold no more than the budget says.
    /// - MUST let a debt grow no further than one bucket.
    /// - MUST forget the running requests of a gateway that has not told of them for some seconds.
    /// - MUST come to an end by itself when the store does not answer.
    ///
    /// A key for which the store fails has a failure of its own in the answer, and MUST NOT keep the others from
    /// their levels.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer, or for no key. What was used may have been taken out all the same; told
    /// again it counts twice, which errs on the side of refusing.
    async fn exchange(&self, uses: &[BudgetUse])
    -> Result<Vec<Result<BudgetStanding, PortError>>, PortError>;
}
