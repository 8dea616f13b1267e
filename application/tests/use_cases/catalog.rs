//! The client catalog: what is opened, kept and let go, and how databases are watched.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_application::error::Absence;
use athena_application::ports::{
    Backend, BackendStatus, ClientStore as _, Connector, Done, NewClient, Opened, PortError, PortErrorKind,
    RowStream, Versions,
};
use athena_application::stopwatch::Stopwatch;
use athena_application::{Catalog, ClientState, Error};
use athena_domain::ClientName;
use athena_domain::breaker::BreakerSettings;
use athena_domain::catalog::{ConfigClient, TargetTexts};
use athena_domain::plan::Plan;
use athena_memory::{MemoryClientStore, MemoryDatabase};
use tokio::time::Instant;

use super::bench::name;

/// A database that answers or not, and knows when it was asked.
#[derive(Default)]
struct Pinged {
    silent: AtomicBool,
    /// Whether it keeps whoever asks waiting.
    hangs: AtomicBool,
    connected: AtomicBool,
    asked: Mutex<Vec<Instant>>,
}

impl Pinged {
    fn asked(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().clone()
    }

    fn pauses(&self) -> Vec<Duration> {
        self.asked().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
        self.connected.store(false, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Backend for Pinged {
    async fn execute(
        &self,
        _: &Plan,
        _: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        Ok(Done::default())
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        self.asked.lock().unwrap().push(Instant::now());
        if self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep_until(deadline).await;
        }
        let answers = !self.silent.load(Ordering::SeqCst);
        self.connected.store(answers, Ordering::SeqCst);
        if answers { Ok(()) } else { Err(PortError::new("pinged", PortErrorKind::Unavailable)) }
    }

    fn status(&self) -> BackendStatus {
        BackendStatus { connected: self.connected.load(Ordering::SeqCst), ..BackendStatus::default() }
    }
}

/// Opens such databases, by URI.
#[derive(Default)]
struct Databases(Mutex<BTreeMap<String, Vec<Arc<Pinged>>>>);

impl Databases {
    /// Every database that was opened at `uri`, in order.
    fn at(&self, uri: &str) -> Vec<Arc<Pinged>> {
        self.0.lock().unwrap().get(uri).cloned().unwrap_or_default()
    }
}

impl Connector for Databases {
    fn open(&self, name: &ClientName, uri: &str) -> Result<Opened, String> {
        if uri.contains("bad") {
            return Err("a bad address".to_owned());
        }
        let backend = Arc::new(Pinged::default());
        self.0.lock().unwrap().entry(uri.to_owned()).or_default().push(backend.clone());
        let schema = Arc::new(MemoryDatabase::new([]));
        Ok(Opened::guarded(name, backend, schema, BreakerSettings::default(), uri.to_owned()))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

struct Bench {
    databases: Arc<Databases>,
    store: Arc<MemoryClientStore>,
    catalog: Arc<Catalog>,
}

fn bench(config: &[(&str, &str)]) -> Bench {
    let (databases, store) = (Arc::new(Databases::default()), Arc::new(MemoryClientStore::default()));
    let config = config.iter().map(|(name, uri)| ConfigClient {
        name: (*name).to_owned(),
        target: TargetTexts { config_uri_template: Some((*uri).to_owned()), ..TargetTexts::default() },
        resolved: Ok((*uri).to_owned()),
    });
    let essential = vec!["control".to_owned()];
    let catalog = Catalog::new(databases.clone(), Some(store.clone()), config.collect(), essential);
    Bench { databases, store, catalog: Arc::new(catalog) }
}

impl Bench {
    fn backend(&self, client: &str) -> Arc<dyn Backend> {
        match &self.catalog.registry().find(&name(client)).unwrap().state {
            ClientState::Ready { backend, .. } => backend.clone(),
            ClientState::Misconfigured { reason } => panic!("{client}: {reason}"),
            ClientState::Frozen | ClientState::Inactive => panic!("{client} is stopped"),
        }
    }

    async fn point(&self, client: &str, uri: &str) {
        let change = |fields: &mut athena_application::ports::ClientFields| {
            fields.target.pg_uri = Some(uri.to_owned());
        };
        self.store.update(client, &change).await.unwrap().unwrap();
        self.catalog.reload().await.unwrap();
    }
}

#[tokio::test]
async fn only_what_leads_elsewhere_is_opened_again() {
    let bench = bench(&[("control", "c"), ("steady", "a"), ("moved", "b")]);
    bench.catalog.reload().await.unwrap();
    let (steady, moved) = (bench.backend("steady"), bench.backend("moved"));
    bench.point("moved", "elsewhere").await;
    assert!(Arc::ptr_eq(&steady, &bench.backend("steady")));
    assert!(!Arc::ptr_eq(&moved, &bench.backend("moved")));
    for (uri, opened) in [("a", 1), ("b", 1), ("elsewhere", 1)] {
        assert_eq!(bench.databases.at(uri).len(), opened, "{uri}");
    }
    // Whoever has begun with the old one is the last to hold it.
    let old = bench.databases.at("b").remove(0);
    let holders = Arc::strong_count(&old);
    drop(moved);
    assert_eq!(Arc::strong_count(&old), holders - 1);
    bench.point("moved", "bad").await;
    let error = bench.catalog.registry().find(&name("moved")).unwrap();
    assert!(matches!(&error.state, ClientState::Misconfigured { reason } if reason == "a bad address"));
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_leaves_what_runs() {
    let bench = bench(&[("control", "c"), ("steady", "a")]);
    let client = NewClient {
        name: "added".to_owned(),
        target: TargetTexts { pg_uri: Some("x".to_owned()), ..TargetTexts::default() },
        is_active: true,
        description: None,
    };
    bench.catalog.reload().await.unwrap();
    bench.store.create(&client).await.unwrap();
    bench.store.set_reachable(false);
    assert_eq!(bench.catalog.reload().await.unwrap_err().kind, PortErrorKind::Unavailable);
    let steady = bench.backend("steady");
    let unknown = bench.catalog.registry().find(&name("added")).err();
    assert!(matches!(unknown, Some(Error::UnknownClient { absence: Absence::Unknown, .. })));
    bench.store.set_reachable(true);
    bench.catalog.reload().await.unwrap();
    assert!(Arc::ptr_eq(&steady, &bench.backend("steady")));
    bench.backend("added");
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_takes_nothing_is_obeyed_and_told_ever_more_rarely() {
    let bench = bench(&[("steady", "a")]);
    bench.store.set_seedable(false);
    let (_changes, versions) = tokio::sync::watch::channel(Versions::default());
    let following = tokio::spawn(bench.catalog.clone().follow(versions));
    tokio::time::sleep(Duration::from_secs(600)).await;
    bench.backend("steady");
    bench.catalog.reload().await.expect("it can be read");
    let tried = bench.store.seedings();
    assert!((10..=20).contains(&tried), "{tried} times in ten minutes");
    bench.store.set_seedable(true);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(bench.store.load().await.unwrap().len(), 1);
    let tried = bench.store.seedings();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.store.seedings(), tried, "what it has taken is not told again");
    following.abort();
}

#[tokio::test]
async fn what_the_gateway_needs_is_never_stopped() {
    let bench = bench(&[("control", "c"), ("other", "a")]);
    bench.catalog.reload().await.unwrap();
    for client in ["control", "other"] {
        let stop = |fields: &mut athena_application::ports::ClientFields| fields.is_frozen = true;
        bench.store.update(client, &stop).await.unwrap().unwrap();
    }
    bench.catalog.reload().await.unwrap();
    bench.backend("control");
    assert!(bench.catalog.registry().find(&name("other")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_is_asked_ever_more_rarely_and_never_given_up() {
    let bench = bench(&[("far", "a")]);
    bench.catalog.reload().await.unwrap();
    let far = bench.databases.at("a").remove(0);
    far.fall_silent();
    let watching = tokio::spawn(bench.catalog.clone().watch_over());
    tokio::time::sleep(Duration::from_secs(300)).await;
    let pauses = far.pauses();
    assert!(pauses.is_sorted_by(|one, next| *one <= *next + Duration::from_millis(250)), "{pauses:?}");
    assert!(pauses[0] < Duration::from_secs(1), "{pauses:?}");
    let last = *pauses.last().unwrap();
    assert!((Duration::from_secs(29)..Duration::from_secs(31)).contains(&last), "{pauses:?}");
    assert!((10..=17).contains(&pauses.len()), "{pauses:?}");
    far.silent.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(bench.catalog.registry().find(&name("far")).unwrap().is_connected());
    let asked = far.asked().len();
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert!((1..=2).contains(&(far.asked().len() - asked)), "a calm database is asked once a minute");
    // A caller has found it silent, so it is asked at once and again soon.
    far.fall_silent();
    let asked = far.asked().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(far.asked().len() >= asked + 2, "{:?}", far.pauses());
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_new_databases_is_asked_bit_by_bit() {
    let names: Vec<String> = (0..1000).map(|number| format!("client-{number}")).collect();
    let config: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
    let bench = bench(&config);
    let watching = tokio::spawn(bench.catalog.clone().watch_over());
    let asked = || names.iter().filter(|uri| !bench.databases.at(uri)[0].asked().is_empty()).count();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!((16..50).contains(&asked()), "a few at once: {}", asked());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!((200..400).contains(&asked()), "some within a second: {}", asked());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(asked(), 1000);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn many_silent_databases_hide_nobody() {
    let silent: Vec<String> = (0..100).map(|number| format!("silent-{number}")).collect();
    let config: Vec<(&str, &str)> = silent.iter().map(|name| (&**name, &**name)).collect();
    let bench = bench(&config);
    for uri in &silent {
        bench.databases.at(uri)[0].fall_silent();
    }
    let watching = tokio::spawn(bench.catalog.clone().watch_over());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let added = NewClient {
        name: "added".to_owned(),
        target: TargetTexts { pg_uri: Some("answers".to_owned()), ..TargetTexts::default() },
        is_active: true,
        description: None,
    };
    bench.store.create(&added).await.unwrap();
    bench.catalog.reload().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.catalog.registry().find(&name("added")).unwrap().is_connected());
    for uri in &silent {
        assert!(!bench.databases.at(uri)[0].asked().is_empty(), "{uri}");
    }
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn what_a_circuit_breaker_wants_to_know_does_not_wait_behind_silent_databases() {
    let silent: Vec<String> = (0..300).map(|number| format!("silent-{number}")).collect();
    let mut config: Vec<(&str, &str)> = silent.iter().map(|name| (&**name, &**name)).collect();
    config.push(("late", "late"));
    let bench = bench(&config);
    bench.catalog.reload().await.unwrap();
    for uri in &silent {
        let database = &bench.databases.at(uri)[0];
        database.fall_silent();
        database.hangs.store(true, Ordering::SeqCst);
    }
    let watching = tokio::spawn(bench.catalog.clone().watch_over());
    tokio::time::sleep(Duration::from_secs(30)).await;
    for uri in &silent {
        assert!(bench.databases.at(uri)[0].asked().len() >= 2, "{uri} is not asked again");
    }
    let late = bench.databases.at("late").remove(0);
    assert_eq!(late.asked().len(), 1);
    let client = bench.catalog.registry().find(&name("late")).unwrap();
    for round in 2..5 {
        client.circuit().unwrap().force_offline(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert_eq!(late.asked().len(), round, "checked when its breaker wants to know");
        assert_eq!(client.circuit().unwrap().is_offline(), None);
    }
    watching.abort();
}

#[tokio::test]
async fn nobody_is_served_before_it_is_known_who_is_stopped() {
    let bench = bench(&[("control", "c"), ("frozen", "a"), ("steady", "b")]);
    for client in ["control", "frozen", "steady"] {
        let unread = bench.catalog.registry().find(&name(client)).err();
        assert!(matches!(unread, Some(Error::ClientsUnread)), "{client}: {unread:?}");
    }
    bench.catalog.reload().await.unwrap();
    let stop = |fields: &mut athena_application::ports::ClientFields| fields.is_frozen = true;
    bench.store.update("frozen", &stop).await.unwrap().unwrap();
    bench.catalog.reload().await.unwrap();
    bench.backend("steady");
    let frozen = bench.catalog.registry().find(&name("frozen")).err();
    assert!(matches!(frozen, Some(Error::UnknownClient { absence: Absence::Frozen, .. })));
    // What was known once stays known.
    bench.store.set_reachable(false);
    bench.catalog.reload().await.unwrap_err();
    bench.backend("steady");
}

#[tokio::test]
async fn every_way_to_the_gateways_own_database_is_known() {
    let bench = bench(&[("control", "c"), ("alias", "c"), ("other", "a")]);
    bench.catalog.reload().await.unwrap();
    let is_control = |client: &str| bench.catalog.registry().find(&name(client)).unwrap().is_control;
    assert!(is_control("control") && is_control("alias") && !is_control("other"));
    bench.point("other", "c").await;
    assert!(is_control("other"));
}
