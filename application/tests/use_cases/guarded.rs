//! One client's circuit breaker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_application::ports::{
    Backend, BackendStatus, Connector, Done, OpenFailure, Opened, PortError, PortErrorKind, Reason,
    Rejection, RowStream, SchemaReader,
};
use athena_application::stopwatch::Stopwatch;
use athena_application::{Catalog, Circuit, ClientState};
use athena_domain::ClientName;
use athena_domain::breaker::{BreakerSettings, BreakerState};
use athena_domain::catalog::{ConfigClient, TargetTexts};
use athena_domain::plan::Plan;
use athena_domain::schema::Schema;
use tokio::time::Instant;

use super::bench::name;
use super::bulkhead::{NoRows, plan};

const SETTINGS: BreakerSettings = BreakerSettings {
    threshold: 3,
    timeout: Duration::from_secs(60),
    check_interval: Duration::from_secs(5),
    probes: 1,
};

/// A database that fails as it is told, answers with `None`, and says how often it was asked.
#[derive(Default)]
pub struct Moody {
    requests: Mutex<Option<PortErrorKind>>,
    pings: Mutex<Option<PortErrorKind>>,
    /// Servers that are connected, where it has several.
    nodes: AtomicUsize,
    /// Requests that are never answered.
    stuck: Mutex<bool>,
    asked: AtomicUsize,
    pinged: Mutex<Vec<Instant>>,
    known: Mutex<Option<Arc<Schema>>>,
}

impl Moody {
    pub fn requests(&self, kind: Option<PortErrorKind>) {
        *self.requests.lock().unwrap() = kind;
    }

    fn pings(&self, kind: Option<PortErrorKind>) {
        *self.pings.lock().unwrap() = kind;
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Result<(), PortError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let stuck = *self.stuck.lock().unwrap();
        if stuck {
            std::future::pending::<()>().await;
        }
        outcome(&self.requests)
    }
}

fn outcome(kind: &Mutex<Option<PortErrorKind>>) -> Result<(), PortError> {
    kind.lock().unwrap().clone().map_or(Ok(()), |kind| Err(PortError::new("moody", kind)))
}

#[async_trait::async_trait]
impl Backend for Moody {
    async fn execute(
        &self,
        _: &Plan,
        _: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        self.answer().await.map(|()| Done::default())
    }

    async fn ping(&self, _: Instant) -> Result<(), PortError> {
        self.pinged.lock().unwrap().push(Instant::now());
        outcome(&self.pings)
    }

    fn status(&self) -> BackendStatus {
        let nodes = self.nodes.load(Ordering::SeqCst);
        BackendStatus { connected: true, nodes, ..BackendStatus::default() }
    }
}

#[async_trait::async_trait]
impl SchemaReader for Moody {
    fn loaded(&self) -> Option<Arc<Schema>> {
        self.known.lock().unwrap().clone()
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, seen: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        if let Some(seen) = seen {
            return Ok(seen.clone());
        }
        self.answer().await?;
        Ok(self.known.lock().unwrap().insert(Arc::default()).clone())
    }

    fn invalidate(&self) {}
}

fn opened() -> (Arc<Moody>, Opened) {
    let moody = Arc::new(Moody::default());
    let opened = Opened::guarded(&name("main"), moody.clone(), moody.clone(), SETTINGS, String::new());
    (moody, opened)
}

async fn ask(opened: &Opened) -> Result<Done, PortErrorKind> {
    let deadline = Instant::now() + Duration::from_secs(60);
    opened
        .backend
        .execute(&plan(), &mut NoRows, deadline, &Stopwatch::default())
        .await
        .map_err(|error| error.kind)
}

async fn read(opened: &Opened, seen: Option<&Arc<Schema>>) -> Result<Arc<Schema>, PortErrorKind> {
    let deadline = Instant::now() + Duration::from_secs(60);
    opened.schema.refresh(seen, deadline).await.map_err(|error| error.kind)
}

fn refused(retry_after: u64) -> PortErrorKind {
    PortErrorKind::CircuitOpen { retry_after: Duration::from_secs(retry_after) }
}

/// Lets `moody` fail until the breaker opens, then answer again.
async fn open(moody: &Moody, opened: &Opened) {
    moody.requests(Some(PortErrorKind::Unavailable));
    for _ in 0..3 {
        assert_eq!(ask(opened).await, Err(PortErrorKind::Unavailable));
    }
    moody.requests(None);
    assert_eq!(opened.circuit.status().state, BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn only_what_says_that_the_database_is_away_opens_it() {
    let rejected = || PortErrorKind::Rejected(Box::new(Rejection::new(Reason::Syntax, "no")));
    let check = async |kinds: &[PortErrorKind], opens: bool| {
        let (moody, opened) = opened();
        for kind in kinds {
            moody.requests(Some(kind.clone()));
            assert_eq!(ask(&opened).await.as_ref(), Err(kind));
        }
        assert_eq!(opened.circuit.is_offline().is_some(), opens, "{kinds:?}");
        moody.requests(None);
        let last = ask(&opened).await;
        assert_eq!(last.is_err(), opens, "{kinds:?}");
        assert_eq!(moody.asked(), kinds.len() + usize::from(!opens));
    };
    use PortErrorKind::{
        Conflict, Exhausted, Internal, Lost, QueueFull, TimedOut, TooManyConnections, Unavailable,
    };
    check(&[Unavailable, Lost, TooManyConnections], true).await;
    check(&[Unavailable, Exhausted, QueueFull, Internal, Unavailable, Unavailable], true).await;
    check(&[Unavailable, Unavailable, rejected(), Unavailable, Unavailable], false).await;
    check(&[Unavailable, Unavailable, Conflict, Unavailable, Unavailable], false).await;
    for kind in [TimedOut, Exhausted, QueueFull, Internal, rejected(), Conflict] {
        check(&vec![kind; 9], false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_turned_away_costs_the_database_nothing() {
    let (moody, opened) = opened();
    open(&moody, &opened).await;
    moody.pings(Some(PortErrorKind::Unavailable));
    let before = Instant::now();
    opened.backend.ping(Instant::now()).await.unwrap_err();
    assert_eq!(ask(&opened).await, Err(refused(5)));
    assert_eq!(read(&opened, None).await.unwrap_err(), refused(5));
    assert_eq!((moody.asked(), before.elapsed()), (3, Duration::ZERO));
    let status = opened.circuit.status();
    assert_eq!((status.openings, status.refused), (1, 2));
    tokio::time::advance(Duration::from_secs(60)).await;
    ask(&opened).await.unwrap();
    assert_eq!(opened.circuit.status().state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gives_the_place_back() {
    let (moody, opened) = opened();
    open(&moody, &opened).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    *moody.stuck.lock().unwrap() = true;
    let asking = opened.clone();
    let task = tokio::spawn(async move { ask(&asking).await });
    while moody.asked() < 4 {
        tokio::task::yield_now().await;
    }
    *moody.stuck.lock().unwrap() = false;
    // The one place is taken.
    assert_eq!(ask(&opened).await, Err(refused(0)));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    ask(&opened).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_cannot_be_read_opens_it_too() {
    let (moody, opened) = opened();
    let known = read(&opened, None).await.unwrap();
    moody.requests(Some(PortErrorKind::Unavailable));
    for _ in 0..3 {
        assert_eq!(read(&opened, None).await.unwrap_err(), PortErrorKind::Unavailable);
    }
    assert_eq!(ask(&opened).await, Err(refused(0)));
    assert!(Arc::ptr_eq(&opened.schema.loaded().unwrap(), &known));
    tokio::time::advance(Duration::from_secs(60)).await;
    // What was read long ago says nothing about now.
    read(&opened, Some(&known)).await.unwrap();
    assert_eq!(opened.circuit.status().state, BreakerState::HalfOpen);
    moody.requests(None);
    read(&opened, None).await.unwrap();
    assert_eq!(opened.circuit.status().state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_administrator_has_the_last_word() {
    let (moody, opened) = opened();
    opened.circuit.force_offline(Duration::from_secs(100));
    opened.backend.ping(Instant::now()).await.unwrap();
    assert_eq!(opened.circuit.is_offline(), Some(Duration::from_secs(100)));
    assert_eq!(ask(&opened).await, Err(refused(100)));
    opened.circuit.reset_health();
    ask(&opened).await.unwrap();
    assert_eq!(moody.asked(), 1);
}

#[derive(Default)]
struct Databases(Mutex<Vec<(Arc<Moody>, Opened)>>);

impl Connector for Databases {
    fn open(&self, _: &ClientName, _: &str) -> Result<Opened, OpenFailure> {
        let made = opened();
        self.0.lock().unwrap().push(made.clone());
        Ok(made.1)
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn lends(&self, _: &str) -> bool {
        false
    }
}

/// A client that the catalog watches over, asked for the first time.
async fn watched() -> (Arc<Catalog>, Arc<Moody>, Opened) {
    let databases = Arc::new(Databases::default());
    let client = ConfigClient {
        name: "main".to_owned(),
        target: TargetTexts::default(),
        resolved: Ok("postgres://h/d".to_owned()),
    };
    let catalog = Arc::new(Catalog::new(databases.clone(), None, vec![client], Vec::new()));
    tokio::spawn(catalog.clone().watch_over());
    let (moody, opened) = databases.0.lock().unwrap().remove(0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(moody.pinged.lock().unwrap().len(), 1);
    (catalog, moody, opened)
}

#[tokio::test(start_paused = true)]
async fn while_it_is_open_the_database_is_checked_until_it_answers() {
    let (catalog, moody, opened) = watched().await;
    moody.pings(Some(PortErrorKind::Unavailable));
    open(&moody, &opened).await;
    let began = Instant::now();
    let away = Duration::from_secs(600);
    while began.elapsed() < away {
        assert!(matches!(ask(&opened).await, Err(PortErrorKind::CircuitOpen { .. })));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Nobody but the checks has touched it.
    assert_eq!(moody.asked(), 3);
    let pings = moody.pinged.lock().unwrap().clone();
    let longest = pings[1..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= SETTINGS.check_interval + Duration::from_secs(1), "{longest:?}");
    moody.pings(None);
    tokio::time::sleep(SETTINGS.check_interval + Duration::from_secs(1)).await;
    ask(&opened).await.unwrap();
    assert_eq!(opened.circuit.status().openings, 1);
    assert!(matches!(
        catalog.registry().find(&name("main")).unwrap().state,
        ClientState::Ready { ref circuit, .. } if Arc::ptr_eq(circuit, &opened.circuit)
    ));
}

#[tokio::test(start_paused = true)]
async fn who_breaks_connections_takes_the_database_from_nobody() {
    let (_catalog, moody, opened) = watched().await;
    open(&moody, &opened).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    ask(&opened).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slow_statements_open_nothing_and_a_silent_database_does() {
    let (_catalog, moody, opened) = watched().await;
    moody.requests(Some(PortErrorKind::TimedOut));
    for _ in 0..20 {
        assert_eq!(ask(&opened).await, Err(PortErrorKind::TimedOut));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // Every one of them had the database checked, which answered.
    assert!(moody.pinged.lock().unwrap().len() > 10);
    assert_eq!(opened.circuit.status().openings, 0);
    moody.pings(Some(PortErrorKind::TimedOut));
    for _ in 0..3 {
        assert_eq!(ask(&opened).await, Err(PortErrorKind::TimedOut));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(ask(&opened).await, Err(PortErrorKind::CircuitOpen { .. })));
}

#[tokio::test(start_paused = true)]
async fn one_server_of_several_takes_the_others_from_nobody() {
    let (_catalog, moody, opened) = watched().await;
    moody.nodes.store(2, Ordering::SeqCst);
    moody.requests(Some(PortErrorKind::Lost));
    for _ in 0..20 {
        assert_eq!(ask(&opened).await, Err(PortErrorKind::Lost));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((opened.circuit.status().openings, moody.pinged.lock().unwrap().len()), (0, 2));
    // Nor is it waited for when all of them are gone.
    moody.pings(Some(PortErrorKind::Unavailable));
    for _ in 0..3 {
        assert_eq!(ask(&opened).await, Err(PortErrorKind::Lost));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(ask(&opened).await, Err(PortErrorKind::CircuitOpen { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_left_alone() {
    let (catalog, moody, opened) = watched().await;
    moody.pings(Some(PortErrorKind::Unavailable));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(opened.circuit.status().state, BreakerState::Closed);
    // Nothing but the registry keeps it: what watches it does not.
    let circuit: std::sync::Weak<Circuit> = Arc::downgrade(&opened.circuit);
    catalog.reconfigure(Vec::new()).await;
    drop(opened);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(circuit.upgrade().is_none());
}
