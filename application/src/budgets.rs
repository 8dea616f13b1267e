//! How much each key has left, in memory: nothing is awaited, and a key without a budget costs one comparison.
//! Where several gateways share a ledger, what each has used reaches the others beside the requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use athena_domain::access::{ApiKey, Buckets, Budget, Cost, KeyId, Keys, Verdict};
use tokio::time::Instant;

use crate::error::Chain;
use crate::ports::{BudgetLedger, BudgetStanding, BudgetUse, PortError};

/// Between two exchanges with the ledger.
const EXCHANGE: Duration = Duration::from_millis(100);

/// The same when the ledger does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// An account takes part in exchanges for so long after it was used last, and until its buckets must be full.
const AWAKE: Duration = Duration::from_secs(60);

/// A key's budget, and what is left of it.
#[derive(Debug)]
struct Account {
    key: Arc<str>,
    budget: Budget,
    usage: Arc<Usage>,
}

/// What a key has used; outlives a change of its budget, for running requests still pay into it.
#[derive(Debug, Default)]
struct Usage {
    state: Mutex<State>,
    running: AtomicU64,
    /// Requests that run on other gateways.
    elsewhere: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    buckets: Buckets,
    /// What the ledger has not heard of.
    unheard: Cost,
    /// When a request of the key was here last.
    used_at: Option<Duration>,
    /// Whether the ledger failed for this key alone, when it was asked last.
    unshared: bool,
}

impl Account {
    /// Held for a handful of instructions, and never across a wait.
    fn with<T>(&self, act: impl FnOnce(&mut State, &Budget) -> T) -> T {
        let mut state = self.usage.state.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut state, &self.budget)
    }

    /// What to tell the ledger; nothing while the account rests.
    fn report(&self, now: Duration) -> Option<BudgetUse> {
        let running = self.usage.running.load(Ordering::Acquire);
        let cost = self.with(|state, budget| {
            if running > 0 {
                state.used_at = Some(now);
            }
            let idle = now.saturating_sub(state.used_at?);
            let matters = idle <= AWAKE.max(budget.fills_within()) || state.unheard != Cost::default();
            matters.then(|| std::mem::take(&mut state.unheard))
        });
        if cost.is_none() {
            // Nobody tells a resting account what runs elsewhere.
            self.usage.elsewhere.store(0, Ordering::Release);
        }
        cost.map(|cost| BudgetUse { key: self.key.clone(), budget: self.budget, cost, running })
    }

    fn adopt(&self, standing: &BudgetStanding, now: Duration) {
        self.with(|state, budget| {
            state.unshared = false;
            state.buckets.adopt(budget, standing.levels, state.unheard, now);
        });
        self.usage.elsewhere.store(standing.running_elsewhere, Ordering::Release);
    }

    /// The ledger has not heard it; until it answers, only what runs here is known.
    fn take_back(&self, cost: Cost) {
        self.with(|state, _| state.unheard += cost);
        self.usage.elsewhere.store(0, Ordering::Release);
    }

    /// The ledger answers, but not for this key.
    fn stays_alone(&self, cost: Cost, error: &PortError) {
        self.take_back(cost);
        if !self.with(|state, _| std::mem::replace(&mut state.unshared, true)) {
            let key = &*self.key;
            tracing::warn!(key, error = %Chain(error), "the budget of one key is not shared with other gateways");
        }
    }
}

/// The budgets of all keys.
#[derive(Debug)]
pub struct Budgets {
    accounts: ArcSwap<HashMap<KeyId, Arc<Account>>>,
    /// Whether the ledger answered last.
    shared: AtomicBool,
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
        Self { accounts: ArcSwap::default(), shared: AtomicBool::new(false), began: Instant::now() }
    }
}

impl Budgets {
    /// Takes over the budgets of these keys. What a key has used so far stays used, also when its budget changes.
    pub fn follow(&self, keys: &Keys) {
        let before = self.accounts.load();
        let limited = keys.iter().filter_map(|key| Some((key.id, &key.public_id, **key.budget.as_ref()?)));
        let accounts = limited.map(|(id, key, budget)| match before.get(&id) {
            Some(account) if account.budget == budget => (id, account.clone()),
            Some(account) => {
                (id, Arc::new(Account { key: account.key.clone(), budget, usage: account.usage.clone() }))
            }
            None => (id, Arc::new(Account { key: Arc::from(&**key), budget, usage: Arc::default() })),
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
        let usage = &spending.account.usage;
        let now = self.began.elapsed();
        // Refused ones too: what runs elsewhere is only known of an account that takes part.
        spending.account.with(|state, _| state.used_at = Some(now));
        let running = usage.running.fetch_add(1, Ordering::AcqRel) + 1;
        // From here on dropping `spending` frees the place.
        let everywhere = running.saturating_add(usage.elsewhere.load(Ordering::Acquire));
        if let Some(most) = spending.account.budget.concurrent.filter(|most| everywhere > *most) {
            return Err(BudgetRefusal { part: "concurrent", value: most, after: Duration::from_secs(1) });
        }
        let verdict = spending.account.with(|state, budget| {
            let verdict = state.buckets.begin(budget, now);
            state.unheard.requests += u64::from(verdict == Verdict::Granted);
            verdict
        });
        match verdict {
            Verdict::Granted => Ok(Some(spending)),
            Verdict::Refused { part, value, after } => Err(BudgetRefusal { part, value, after }),
        }
    }

    /// Whether other gateways hear of what is used here.
    pub fn are_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// Shares what is used with other gateways, for ever. While the ledger does not answer, every gateway
    /// grants the whole budget by itself.
    pub async fn share(&self, ledger: &dyn BudgetLedger) {
        let mut away = false;
        loop {
            let outcome = self.exchange(ledger).await;
            let was_away = std::mem::replace(&mut away, outcome.is_err());
            self.shared.store(!away, Ordering::Relaxed);
            match outcome {
                Ok(()) if was_away => tracing::info!("budgets are shared with other gateways again"),
                Err(error) if !was_away => {
                    tracing::warn!(error = %Chain(&error), "budgets are not shared with other gateways");
                }
                Ok(()) | Err(_) => {}
            }
            tokio::time::sleep(if away { PAUSE } else { EXCHANGE }).await;
        }
    }

    /// Tells the ledger what was used since the last time and hears what is left.
    async fn exchange(&self, ledger: &dyn BudgetLedger) -> Result<(), PortError> {
        let accounts = self.accounts.load_full();
        let now = self.began.elapsed();
        let (told, uses): (Vec<_>, Vec<_>) =
            accounts.values().filter_map(|account| Some((account, account.report(now)?))).unzip();
        match ledger.exchange(&uses).await {
            Ok(standings) => {
                let now = self.began.elapsed();
                for ((account, used), standing) in told.iter().zip(&uses).zip(&standings) {
                    match standing {
                        Ok(standing) => account.adopt(standing, now),
                        Err(error) => account.stays_alone(used.cost, error),
                    }
                }
                Ok(())
            }
            Err(error) => {
                told.iter().zip(&uses).for_each(|(account, used)| account.take_back(used.cost));
                Err(error)
            }
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
        let (cost, now) = (Cost { requests: 0, rows, bytes }, self.began.elapsed());
        self.account.with(|state, budget| {
            state.buckets.settle(budget, cost, now);
            state.unheard += cost;
            state.used_at = Some(now);
        });
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        self.account.usage.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use athena_domain::access::Policy;

    use super::*;

    fn key(id: KeyId, budget: Option<Budget>) -> ApiKey {
        ApiKey { budget: budget.map(Arc::new), ..ApiKey::new(id, id.to_string()) }
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

    /// Tells what it was told of, and says the same of every key; of key 2 it knows nothing.
    #[derive(Default)]
    struct Told(Mutex<Vec<(Arc<str>, Cost)>>);

    #[async_trait::async_trait]
    impl BudgetLedger for Told {
        async fn exchange(
            &self,
            uses: &[BudgetUse],
        ) -> Result<Vec<Result<BudgetStanding, PortError>>, PortError> {
            self.0.lock().expect("a lock").extend(uses.iter().map(|used| (used.key.clone(), used.cost)));
            let standing = |used: &BudgetUse| match &*used.key {
                "2" => Err(PortError::new("test", crate::ports::PortErrorKind::Unavailable)),
                _ => Ok(BudgetStanding { levels: [Some(0.0); 3], running_elsewhere: 0 }),
            };
            Ok(uses.iter().map(standing).collect())
        }
    }

    impl Told {
        async fn hears(&self, budgets: &Budgets) -> Vec<(Arc<str>, Cost)> {
            budgets.exchange(self).await.expect("an answer");
            std::mem::take(&mut *self.0.lock().expect("a lock"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_rests_only_when_its_buckets_are_full() {
        let (budgets, ledger) = (Budgets::default(), Told::default());
        // Full after two hours, however deep the debt.
        let slow = Budget { requests_per_second: Some(1), burst: Some(3600), ..Budget::default() };
        let (slow, quick) =
            (key(1, Some(slow)), key(3, Some(Budget { concurrent: Some(1), ..Budget::default() })));
        budgets.follow(&keys(&[slow.clone(), quick.clone()]));
        assert!(ledger.hears(&budgets).await.is_empty(), "nothing has been used");
        assert!(budgets.begin(&slow).is_ok() && budgets.begin(&quick).is_ok());
        assert_eq!(ledger.hears(&budgets).await.len(), 2);
        for (minutes, expected) in [(2, 1), (117, 1), (2, 0)] {
            tokio::time::advance(Duration::from_secs(60 * minutes)).await;
            assert_eq!(ledger.hears(&budgets).await.len(), expected, "after {minutes} more minutes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_the_ledger_does_not_know_keeps_what_it_used_and_no_other_waits() {
        let (budgets, ledger) = (Budgets::default(), Told::default());
        let budget = Budget { requests_per_second: Some(1), burst: Some(9), ..Budget::default() };
        let (known, unknown) = (key(1, Some(budget)), key(2, Some(budget)));
        budgets.follow(&keys(&[known.clone(), unknown.clone()]));
        for key in [&known, &unknown, &unknown] {
            assert!(budgets.begin(key).is_ok());
        }
        assert_eq!(ledger.hears(&budgets).await.len(), 2);
        assert!(budgets.begin(&known).is_err(), "the ledger says that nothing is left");
        assert!(budgets.begin(&unknown).is_ok(), "it counts for itself");
        // Nothing is lost, however long nobody hears it.
        tokio::time::advance(Duration::from_secs(3600)).await;
        let told = ledger.hears(&budgets).await;
        assert_eq!(told, [(Arc::from("2"), Cost { requests: 3, ..Cost::default() })]);
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
