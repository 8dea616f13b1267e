//! A change made anywhere is seen within a second, through notifications or without, and after any outage.

use std::time::{Duration, Instant};

use athena_application::ports::Versions;
use athena_postgres::control::{ControlDatabase, ControlWatch, WatchSettings};
use athena_test_support::{Mode, PgBouncer};
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};

use crate::snapshot::Control;

const A_SECOND: Duration = Duration::from_secs(1);

const POLLING: WatchSettings = WatchSettings {
    listen: false,
    poll: Duration::from_millis(500),
    net: Duration::from_secs(5),
    debounce: Duration::from_millis(50),
    patience: Duration::from_secs(2),
};

/// Waits until what is known is as wanted, and tells how long it took.
async fn until(
    seen: &mut Receiver<Versions>,
    limit: Duration,
    wanted: impl FnMut(&Versions) -> bool,
) -> Duration {
    let start = Instant::now();
    let found = timeout(limit, seen.wait_for(wanted)).await.is_ok_and(|found| found.is_ok());
    assert!(found, "not seen within {limit:?}; known is {:?}", *seen.borrow());
    start.elapsed()
}

async fn watched(settings: WatchSettings) -> (Control, ControlWatch, Receiver<Versions>) {
    let control = Control::migrated().await;
    let watch = ControlWatch::start(control.database.clone(), settings);
    let mut seen = watch.versions();
    until(&mut seen, A_SECOND * 5, |known| known.reachable && known.keys > 0 && known.clients > 0).await;
    (control, watch, seen)
}

async fn changes_are_seen(settings: WatchSettings, within: Duration) {
    let (control, _watch, mut seen) = watched(settings).await;
    for round in 0..4 {
        let before = *seen.borrow_and_update();
        control.run("UPDATE api_key_config SET enforce_api_keys = NOT enforce_api_keys").await;
        let took = until(&mut seen, A_SECOND, |known| known.keys != before.keys).await;
        assert!(took < within, "round {round}: {took:?}");
        assert_eq!(seen.borrow_and_update().clients, before.clients);
        control
            .run(&format!("INSERT INTO athena_clients (client_name, pg_uri) VALUES ('c{round}', 'x')"))
            .await;
        until(&mut seen, A_SECOND, |known| known.clients == before.clients + 1).await;
    }
    // What has not been committed, or does not matter, is no change.
    seen.mark_unchanged();
    control
        .run("UPDATE api_keys SET last_used_at = now(); BEGIN; DELETE FROM api_key_rights; ROLLBACK")
        .await;
    sleep(Duration::from_millis(700)).await;
    assert!(!seen.has_changed().unwrap(), "{:?}", *seen.borrow());
}

#[tokio::test]
async fn notifications_bring_changes_at_once() {
    changes_are_seen(WatchSettings::default(), Duration::from_millis(300)).await;
}

#[tokio::test]
async fn polling_alone_brings_changes_within_a_second() {
    changes_are_seen(POLLING, Duration::from_millis(900)).await;
}

#[tokio::test]
async fn a_burst_is_a_few_changes() {
    let (control, _watch, mut seen) = watched(WatchSettings::default()).await;
    let before = seen.borrow_and_update().keys;
    let writing = async {
        let start = Instant::now();
        for _ in 0..300 {
            control.run("UPDATE api_key_config SET enforce_api_keys = NOT enforce_api_keys").await;
        }
        start.elapsed()
    };
    let counting = async {
        let mut changes = 0_u32;
        while seen.borrow_and_update().keys < before + 300 {
            timeout(A_SECOND * 5, seen.changed()).await.unwrap().unwrap();
            changes += 1;
        }
        changes
    };
    let (took, changes) = tokio::join!(writing, counting);
    let most = took.as_millis() / 50 + 3;
    assert!(u128::from(changes) <= most, "{changes} changes in {took:?}");
}

#[tokio::test]
async fn nothing_is_missed_through_an_outage() {
    for settings in [WatchSettings::default(), POLLING] {
        let control = Control::migrated().await;
        let proxy = control.server.proxied().await;
        let database = ControlDatabase::open(proxy.uri()).unwrap();
        let watch = ControlWatch::start(database, settings);
        let mut seen = watch.versions();
        until(&mut seen, A_SECOND * 5, |known| known.reachable).await;

        let before = *seen.borrow();
        proxy.down().await;
        until(&mut seen, A_SECOND * 6, |known| !known.reachable).await;
        assert_eq!(seen.borrow().keys, before.keys, "what was known stays");
        control.run("UPDATE api_key_config SET enforce_api_keys = true").await;
        proxy.set(Mode::Pass).await;
        let took =
            until(&mut seen, A_SECOND * 2, |known| known.reachable && known.keys == before.keys + 1).await;
        assert!(took < A_SECOND, "{took:?}");

        // And it goes on as before.
        control.run("UPDATE athena_clients SET is_frozen = true").await;
        until(&mut seen, A_SECOND, |known| known.clients == before.clients + 1).await;
    }
}

#[tokio::test]
async fn a_cut_connection_is_replaced_without_an_alarm() {
    let control = Control::migrated().await;
    let proxy = control.server.proxied().await;
    let watch = ControlWatch::start(ControlDatabase::open(proxy.uri()).unwrap(), WatchSettings::default());
    let mut seen = watch.versions();
    until(&mut seen, A_SECOND * 5, |known| known.reachable).await;
    for round in 0..5 {
        let before = seen.borrow_and_update().keys;
        // The cut waits until nothing is open, which the next connection may prevent for ever.
        let (_, ()) = tokio::join!(
            timeout(Duration::from_millis(100), proxy.cut()),
            control.run("UPDATE api_key_config SET enforce_api_keys = NOT enforce_api_keys")
        );
        until(&mut seen, A_SECOND, |known| {
            assert!(known.reachable, "round {round}");
            known.keys == before + 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_found_out() {
    let control = Control::migrated().await;
    let proxy = control.server.proxied().await;
    let settings = WatchSettings {
        net: Duration::from_millis(500),
        patience: Duration::from_millis(500),
        ..WatchSettings::default()
    };
    let watch = ControlWatch::start(ControlDatabase::open(proxy.uri()).unwrap(), settings);
    let mut seen = watch.versions();
    until(&mut seen, A_SECOND * 5, |known| known.reachable).await;
    proxy.set(Mode::Blackhole).await;
    until(&mut seen, A_SECOND * 6, |known| !known.reachable).await;
    let before = seen.borrow().keys;
    control.run("UPDATE api_key_config SET enforce_api_keys = true").await;
    proxy.set(Mode::Pass).await;
    until(&mut seen, A_SECOND * 3, |known| known.reachable && known.keys == before + 1).await;
}

#[tokio::test]
async fn a_database_that_is_not_migrated_yet_is_taken_up_when_it_is() {
    let control = Control::empty().await;
    let watch = ControlWatch::start(control.database.clone(), WatchSettings::default());
    let mut seen = watch.versions();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(*seen.borrow(), Versions::default());
    athena_postgres::control::migrate(&control.database).await.unwrap();
    until(&mut seen, A_SECOND * 2, |known| known.reachable && known.keys > 0).await;
}

/// LISTEN succeeds behind a transaction pooler, and then nothing is ever heard.
#[tokio::test]
async fn behind_a_transaction_pooler_changes_are_seen_all_the_same() {
    if PgBouncer::program().is_none() {
        return;
    }
    let control = Control::migrated().await;
    let lenient = "ignore_startup_parameters = options, extra_float_digits\n";
    let pooler = PgBouncer::in_front_of(&control.server.uri(), 2, lenient).await;
    assert!(ControlDatabase::open(pooler.uri()).is_err(), "a pooler that is named is refused");
    let database = ControlDatabase::open(&pooler.plain_uri()).unwrap();
    let watch = ControlWatch::start(database, WatchSettings::default());
    let mut seen = watch.versions();
    until(&mut seen, A_SECOND * 5, |known| known.reachable).await;
    // For longer than it takes to find out that nothing is heard.
    for _ in 0..12 {
        let before = seen.borrow_and_update().keys;
        control.run("UPDATE api_key_config SET enforce_api_keys = NOT enforce_api_keys").await;
        until(&mut seen, A_SECOND, |known| known.reachable && known.keys == before + 1).await;
        sleep(Duration::from_millis(200)).await;
    }
}
