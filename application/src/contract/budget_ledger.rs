//! What every ledger of budgets must do alike.

use std::sync::Arc;
use std::time::Duration;

use athena_domain::access::{Budget, Cost};

use super::super::ports::{BudgetLedger, BudgetStanding, BudgetUse};

/// A key of the test's own, with a budget.
fn used(key: &str, budget: Budget, cost: Cost, running: u64) -> BudgetUse {
    BudgetUse { key: Arc::from(format!("contract-{key}")), budget, cost, running }
}

async fn tell(ledger: &dyn BudgetLedger, used: BudgetUse) -> BudgetStanding {
    standings(ledger, &[used]).await[0]
}

async fn standings(ledger: &dyn BudgetLedger, uses: &[BudgetUse]) -> Vec<BudgetStanding> {
    let standings = ledger.exchange(uses).await.expect("a ledger that answers");
    assert_eq!(standings.len(), uses.len());
    standings.into_iter().map(|standing| standing.expect("a level of every key")).collect()
}

fn rows(rows: u64) -> Cost {
    Cost { rows, ..Cost::default() }
}

/// Two gateways over one empty store, each with a ledger of its own.
pub async fn budgets_are_shared(first: &dyn BudgetLedger, second: &dyn BudgetLedger) {
    let hourly = Budget { rows_per_minute: Some(60_000), ..Budget::default() };
    let near = |level: Option<f64>, expected: f64| {
        // A thousand rows a second flow in while the test runs.
        let level = level.expect("a bound part has a level");
        assert!((expected..expected + 20_000.0).contains(&level), "{level} is not near {expected}");
    };

    // What one uses, the other has not.
    let standing = tell(first, used("shared", hourly, rows(40_000), 0)).await;
    near(standing.levels[1], 20_000.0);
    assert_eq!((standing.levels[0], standing.levels[2]), (None, None), "no bound, no level");
    near(tell(second, used("shared", hourly, rows(30_000), 0)).await.levels[1], -10_000.0);
    near(tell(first, used("shared", hourly, rows(0), 0)).await.levels[1], -10_000.0);
    // A debt ends at one bucket, and every key has buckets of its own.
    near(tell(first, used("shared", hourly, rows(u64::from(u32::MAX)), 0)).await.levels[1], -60_000.0);
    assert_eq!(tell(second, used("other", hourly, rows(0), 0)).await.levels[1], Some(60_000.0));

    // Buckets fill with time, and no higher than the budget says, also when that changes.
    let quick = Budget { requests_per_second: Some(1000), burst: Some(50), ..Budget::default() };
    let spent = Cost { requests: 50, ..Cost::default() };
    let low = tell(first, used("quick", quick, spent, 0)).await.levels[0].expect("a level");
    assert!(low < 50.0, "{low}");
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(tell(second, used("quick", quick, Cost::default(), 0)).await.levels[0], Some(50.0));
    let lower = Budget { burst: Some(7), ..quick };
    assert_eq!(tell(first, used("quick", lower, Cost::default(), 0)).await.levels[0], Some(7.0));

    // Running requests are those of others.
    let narrow = Budget { concurrent: Some(5), ..Budget::default() };
    let none = Cost::default();
    assert_eq!(tell(first, used("narrow", narrow, none, 3)).await.running_elsewhere, 0);
    assert_eq!(tell(second, used("narrow", narrow, none, 1)).await.running_elsewhere, 3);
    assert_eq!(tell(first, used("narrow", narrow, none, 0)).await.running_elsewhere, 1);
    assert_eq!(tell(second, used("narrow", narrow, none, 1)).await.running_elsewhere, 0);

    // Many keys at once, answered in their order; none, too.
    let many: Vec<_> = (0..1203).map(|n| used(&format!("many-{n}"), hourly, rows(n * 10), 0)).collect();
    let all = standings(first, &many).await;
    assert_eq!(all[0].levels[1], Some(60_000.0));
    for (n, standing) in [(700, all[700]), (1202, all[1202])] {
        assert_eq!(standing.levels[1], Some(60_000.0 - f64::from(n) * 10.0));
    }
    assert!(first.exchange(&[]).await.expect("an answer").is_empty());

    // A budget of which no bucket is ever full again, as older versions could store it, stops nobody's.
    let endless = Budget { requests_per_second: Some(1), burst: Some(u64::MAX), ..Budget::default() };
    let both = [used("endless", endless, spent, 0), used("beside", hourly, rows(0), 0)];
    let [huge, beside] = standings(first, &both).await[..] else { panic!("two answers") };
    assert!(huge.levels[0].is_some_and(|level| level > 1e18), "{huge:?}");
    assert_eq!(beside.levels[1], Some(60_000.0));
}

/// A gateway that falls silent runs nothing after some seconds.
pub async fn silent_gateways_are_forgotten(first: &dyn BudgetLedger, second: &dyn BudgetLedger) {
    let narrow = Budget { concurrent: Some(5), ..Budget::default() };
    tell(first, used("silent", narrow, Cost::default(), 4)).await;
    for _ in 0..100 {
        if tell(second, used("silent", narrow, Cost::default(), 1)).await.running_elsewhere == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what a silent gateway runs is never forgotten");
}
