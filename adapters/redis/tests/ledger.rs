//! The ledger over a real Redis.

use athena_application::contract;
use athena_application::ports::{BudgetLedger as _, BudgetUse, PortErrorKind};
use athena_domain::access::{Budget, Cost};
use athena_redis::{RedisLedger, RedisUrl};
use athena_test_support::Redis;

fn ledger(redis: &Redis, gateway: &str) -> RedisLedger {
    RedisLedger::open(&RedisUrl::parse(&redis.url()).expect("a URL"), gateway).expect("a ledger")
}

#[tokio::test]
async fn the_contract_holds() {
    let Some(redis) = Redis::start() else { return };
    let (first, second) = (ledger(&redis, "first"), ledger(&redis, "second"));
    tokio::join!(
        contract::budgets_are_shared(&first, &second),
        contract::silent_gateways_are_forgotten(&first, &second)
    );
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_and_one_that_is_back_is_found() {
    let Some(mut redis) = Redis::start() else { return };
    let ledger = ledger(&redis, "only");
    let budget = Budget { rows_per_minute: Some(10), ..Budget::default() };
    let used = BudgetUse { key: "k".into(), budget, cost: Cost { rows: 4, ..Cost::default() }, running: 0 };
    let told = async || ledger.exchange(std::slice::from_ref(&used)).await;
    told().await.expect("a level");
    redis.stop();
    let error = told().await.expect_err("nobody there");
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("redis-password-marker"), "{error:?}");
    redis.resume();
    let level = told().await.expect("a level")[0].levels[1].expect("bound");
    assert!((6.0..6.5).contains(&level), "{level}: an empty Redis holds full buckets");
}
