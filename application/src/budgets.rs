//! How much each key has left, in memory: nothing is awaited, and a key without a budget costs one comparison.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use athena_domain::access::{ApiKey, Buckets, Budget, Cost, KeyId, Keys, Verdict};
use tokio::time::Instant;

/// A key's budget, and what is left of it.
#[derive(Debug)]
struct Account {
    budget: Budget,
    usage: Arc<Usage>,
}

/// What a key has used; outlives a change of its budget, for running requests still pay into it.
#[derive(Debug, Default)]
struct Usage {
    buckets: Mutex<Buckets>,
    running: AtomicU64,
}

/// The budgets of all keys.
#[derive(Debug)]
pub struct Budgets {
    accounts: ArcSwap<HashMap<KeyId, Arc<Account>>>,
    /// The clock of the buckets begins here.
    began: Instant,
}

/// The part of a budget that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetRefusal {
    /// Field of the budget.
    pub part: &'static str,
    /// Its value.
    pub value: u64,
    /// Time until another request makes sense.
    pub after: Duration,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { accounts: ArcSwap::default(), began: Instant::now() }
    }
}

impl Budgets {
    /// Takes over the budgets of these keys. What a key has used so far stays used, also when its budget changes.
    pub fn follow(&self, keys: &Keys) {
        let before = self.accounts.load();
        let limited = keys.iter().filter_map(|key| Some((key.id, key.budget?)));
        let accounts = limited.map(|(id, budget)| match before.get(&id) {
            Some(account) if account.budget == budget => (id, account.clone()),
            Some(account) => (id, Arc::new(Account { budget, usage: account.usage.clone() })),
            None => (id, Arc::new(Account { budget, usage: Arc::default() })),
        });
        self.accounts.store(Arc::new(accounts.collect()));
    }

    /// Begins a request of a key; nothing when the key has no budget.
    ///
    /// # Errors
    /// [`BudgetRefusal`] when some part of the budget is used up.
    pub fn begin(&self, key: &ApiKey) -> Result<Option<Spending>, BudgetRefusal> {
        if key.budget.is_none() {
            return Ok(None);
        }
        let Some(account) = self.accounts.load().get(&key.id).cloned() else { return Ok(None) };
        let spending = Spending { account, began: self.began };
        let running = spending.account.usage.running.fetch_add(1, Ordering::AcqRel) + 1;
        // From here on dropping `spending` frees the place.
        if let Some(most) = spending.account.budget.concurrent.filter(|most| running > *most) {
            return Err(BudgetRefusal { part: "concurrent", value: most, after: Duration::from_secs(1) });
        }
        let verdict = spending.with(|buckets, budget, now| buckets.begin(budget, now));
        match verdict {
            Verdict::Granted => Ok(Some(spending)),
            Verdict::Refused { part, value, after } => Err(BudgetRefusal { part, value, after }),
        }
    }
}

/// A request of a key with a budget, for as long as it runs.
#[derive(Debug)]
pub struct Spending {
    account: Arc<Account>,
    began: Instant,
}

impl Spending {
    /// Pays for what the request turned out to use.
    pub fn settle(&self, rows: u64, bytes: u64) {
        let cost = Cost { requests: 0, rows, bytes };
        self.with(|buckets, budget, now| buckets.settle(budget, cost, now));
    }

    /// Held for a handful of instructions, and never across a wait.
    fn with<T>(&self, act: impl FnOnce(&mut Buckets, &Budget, Duration) -> T) -> T {
        let mut buckets = self.account.usage.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut buckets, &self.account.budget, self.began.elapsed())
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        self.account.usage.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use athena_domain::access::{Policy, RightSet, Scope};

    use super::*;

    fn key(id: KeyId, budget: Option<Budget>) -> ApiKey {
        ApiKey {
            id,
            external_id: "".into(),
            public_id: id.to_string().into(),
            name: "".into(),
            secret: None,
            previous: None,
            is_active: true,
            expires_at: None,
            clients: None,
            rights: RightSet::default(),
            scope: Scope::default(),
            budget,
        }
    }

    fn keys(list: &[ApiKey]) -> Keys {
        Keys::new(list.iter().cloned().map(Arc::new), Policy::default())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_stays_used_when_keys_are_read_anew() {
        let budgets = Budgets::default();
        let limited =
            |burst| Budget { requests_per_second: Some(1), burst: Some(burst), ..Budget::default() };
        let (one, free) = (key(1, Some(limited(2))), key(2, None));
        budgets.follow(&keys(&[one.clone(), free.clone()]));
        for _ in 0..2 {
            assert!(budgets.begin(&one).is_ok_and(|spending| spending.is_some()));
        }
        assert_eq!(budgets.begin(&one).expect_err("used up").part, "requests_per_second");
        budgets.follow(&keys(&[one.clone(), free.clone()]));
        let changed = key(1, Some(limited(5)));
        budgets.follow(&keys(&[changed.clone(), free.clone()]));
        assert!(budgets.begin(&changed).is_err());
        assert!(budgets.begin(&free).is_ok_and(|spending| spending.is_none()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budgets.begin(&changed).is_ok());
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_request_ends() {
        let budgets = Budgets::default();
        let narrow = key(1, Some(Budget { concurrent: Some(2), ..Budget::default() }));
        budgets.follow(&keys(std::slice::from_ref(&narrow)));
        let running = [budgets.begin(&narrow).expect("free"), budgets.begin(&narrow).expect("free")];
        for _ in 0..3 {
            assert_eq!(budgets.begin(&narrow).expect_err("both taken").part, "concurrent");
        }
        // A change of the budget forgets no running request, and gives their places back like before.
        let wider = key(1, Some(Budget { concurrent: Some(3), ..Budget::default() }));
        budgets.follow(&keys(std::slice::from_ref(&wider)));
        let third = budgets.begin(&wider).expect("one more");
        assert!(budgets.begin(&wider).is_err());
        drop((running, third));
        let _all = [(); 3].map(|()| budgets.begin(&wider).expect("all three are free again"));
    }
}
