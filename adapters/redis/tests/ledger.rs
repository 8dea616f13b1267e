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
async fn a_key_that_redis_cannot_serve_keeps_no_other_from_its_level() {
    let Some(redis) = Redis::start() else { return };
    let ledger = ledger(&redis, "only");
    let budget = Budget { rows_per_minute: Some(10), ..Budget::default() };
    let of = |key: &str| BudgetUse {
        key: key.into(),
        budget,
        cost: Cost { rows: 4, ..Cost::default() },
        running: 0,
    };
    // Somebody else's value under the name of the second key.
    redis.command(&["SET", "athena:budget:{second}", "a text"]);
    let standings = ledger.exchange(&["first", "second", "third"].map(of)).await.expect("an answer");
    let [first, second, third] = &standings[..] else { panic!("{standings:?}") };
    for level in [first, third] {
        assert_eq!(level.as_ref().expect("a level").levels[1], Some(6.0));
    }
    let error = second.as_ref().expect_err("no level there");
    assert!(!format!("{error:?}").contains("redis-password-marker"), "{error:?}");
    // A Redis that serves nobody is one that is away.
    let error = ledger.exchange(&[of("second")]).await.expect_err("nobody is served");
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    redis.command(&["DEL", "athena:budget:{second}"]);
    let standings = ledger.exchange(&[of("second")]).await.expect("an answer");
    assert_eq!(standings[0].as_ref().expect("a level").levels[1], Some(6.0));
}

/// Over TLS the library makes a configuration by itself, and rustls has no provider of its own choice here.
#[tokio::test]
async fn a_redis_that_does_not_speak_tls_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("rediss://:redis-password-marker@{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let ledger = RedisLedger::open(&RedisUrl::parse(&url).expect("a URL"), "only").expect("a ledger");
    let budget = Budget { rows_per_minute: Some(10), ..Budget::default() };
    let used = BudgetUse { key: "k".into(), budget, cost: Cost::default(), running: 0 };
    let error = ledger.exchange(&[used]).await.expect_err("nobody speaks TLS there");
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("redis-password-marker"), "{error:?}");
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
    let level = told().await.expect("an answer")[0].as_ref().expect("a level").levels[1].expect("bound");
    assert!((6.0..6.5).contains(&level), "{level}: an empty Redis holds full buckets");
}
