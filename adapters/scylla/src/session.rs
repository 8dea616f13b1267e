//! The one session of a client: opened when it is first needed, kept while it is used, closed afterwards.
//!
//! The driver keeps its connections to the nodes by itself, and makes them again. What is done here is the beginning,
//! which fails while no node is up, and the end.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use athena_application::ports::{BackendStatus, Obstacle, PortError, PortErrorKind};
use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

use crate::backend::effort::level;
use crate::backend::pages::{Pages, RowSizes};
use crate::failure::{PORT, no_session, unprepared};
use crate::settings::ScyllaSettings;
use crate::statements::Statements;

/// How often the log is told that a database is still out of reach.
const REMINDER: Duration = Duration::from_secs(60);

/// Shortest time between two attempts to reach a database that is out of reach.
const PAUSE: Duration = Duration::from_millis(100);

/// After so long without an answer to a read another node is asked too, once. A node that hangs costs its readers no
/// more than that, and a slow database at most twice the slow reads.
const SECOND_OPINION: Duration = Duration::from_millis(500);

/// How often an idle connection is asked for a sign of life, and how long that may take. A node that hangs delays
/// every statement that is new, as the driver prepares it on all nodes, until its connections are given up.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// A session, and when it was used last.
pub(crate) struct Session {
    driver: scylla::client::session::Session,
    statements: Statements,
    opened: Instant,
    /// Milliseconds after `opened`.
    used: AtomicU64,
    row_sizes: RowSizes,
}

impl Session {
    /// Prepares a statement, or takes it as it was prepared before.
    pub(crate) async fn prepare(&self, text: String) -> Result<PreparedStatement, PortError> {
        match self.statements.get(&text) {
            Some(prepared) => Ok(prepared),
            None => self.prepare_anew(text).await,
        }
    }

    /// Prepares a statement, whether or not it was before.
    pub(crate) async fn prepare_anew(&self, text: String) -> Result<PreparedStatement, PortError> {
        let prepared = self.driver.prepare(text.as_str()).await.map_err(unprepared)?;
        self.statements.put(text, &prepared);
        Ok(prepared)
    }

    /// The pages of the answer to a statement, of `most` rows at most.
    pub(crate) fn pages(&self, text: &str, most: i32) -> Pages<'_> {
        Pages::of(&self.row_sizes, text, most)
    }

    pub(crate) fn driver(&self) -> &scylla::client::session::Session {
        &self.driver
    }

    /// Whether any node is connected. The driver tries again by itself, with pauses that grow to ten seconds.
    fn is_connected(&self) -> bool {
        self.driver().get_cluster_state().get_nodes_info().iter().any(|node| node.is_connected())
    }

    fn touch(&self) {
        self.used.store(self.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn idle_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.used.load(Ordering::Relaxed))
    }
}

/// An attempt that failed, for those who waited for it.
struct Failure {
    at: Instant,
    kind: PortErrorKind,
    obstacle: Option<Obstacle>,
}

impl Failure {
    fn of(error: &PortError) -> Self {
        Self { at: Instant::now(), kind: error.kind.clone(), obstacle: error.obstacle }
    }
}

/// Opens and closes the session of one client.
pub(crate) struct Link {
    me: Weak<Self>,
    settings: ScyllaSettings,
    current: ArcSwapOption<Session>,
    /// Held while a session is made, so that callers who wait share one attempt.
    opening: Mutex<Option<Failure>>,
    connected: AtomicBool,
    running: AtomicUsize,
    keeper: BlockingMutex<Option<AbortHandle>>,
    /// When the log was last told that no session can be made.
    complained: BlockingMutex<Option<Instant>>,
}

impl Link {
    pub(crate) fn new(settings: ScyllaSettings) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            settings,
            current: ArcSwapOption::empty(),
            opening: Mutex::new(None),
            connected: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            keeper: BlockingMutex::new(None),
            complained: BlockingMutex::new(None),
        })
    }

    pub(crate) fn settings(&self) -> &ScyllaSettings {
        &self.settings
    }

    /// The session, unless it has lost every node: a new one finds out at once whether they are back.
    fn usable(&self) -> Option<Arc<Session>> {
        self.current.load_full().filter(|session| session.is_connected())
    }

    /// The session, made now when there is none.
    pub(crate) async fn session(&self, deadline: Instant) -> Result<Arc<Session>, PortError> {
        if let Some(session) = self.usable() {
            session.touch();
            return Ok(session);
        }
        let asked = Instant::now();
        let mut opening = tokio::time::timeout_at(deadline, self.opening.lock())
            .await
            .map_err(|_| PortError::new(PORT, PortErrorKind::TimedOut))?;
        if let Some(session) = self.usable() {
            session.touch();
            return Ok(session);
        }
        if let Some(failure) = &*opening
            && (asked < failure.at || failure.at.elapsed() < PAUSE)
        {
            let error = PortError::new(PORT, failure.kind.clone()).meeting(failure.obstacle);
            return Err(error.caused_by("an attempt to reach the database has just failed"));
        }
        let until = deadline.min(Instant::now() + self.settings.connect_timeout);
        match tokio::time::timeout_at(until, self.open()).await {
            Ok(Ok(session)) => {
                *opening = None;
                self.current.store(Some(session.clone()));
                self.connected.store(true, Ordering::Relaxed);
                *self.complained.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.keep();
                Ok(session)
            }
            Ok(Err(error)) => {
                *opening = Some(Failure::of(&error));
                self.complain(&error);
                Err(error)
            }
            // One caller's patience says nothing of the others'.
            Err(_) if until == deadline => Err(PortError::new(PORT, PortErrorKind::TimedOut)),
            Err(_) => {
                let error = PortError::new(PORT, PortErrorKind::Unavailable).meeting(Obstacle::Timeout);
                let error = error.caused_by("connecting took too long");
                *opening = Some(Failure::of(&error));
                self.complain(&error);
                Err(error)
            }
        }
    }

    /// The session without using it; one made for this alone when there is none. One that has lost every node gives
    /// way to the new one.
    pub(crate) async fn borrowed(&self) -> Result<Arc<Session>, PortError> {
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let lost = self.current.load_full();
        let session = self.open().await?;
        if lost.is_some() {
            // Unless it was closed as idle meanwhile, or somebody else has been first.
            self.current.compare_and_swap(&lost, Some(session.clone()));
        }
        Ok(session)
    }

    /// Boxed, as it is rare and large: every request's future would have room for it.
    fn open(&self) -> Pin<Box<dyn Future<Output = Result<Arc<Session>, PortError>> + Send + '_>> {
        Box::pin(self.connect())
    }

    async fn connect(&self) -> Result<Arc<Session>, PortError> {
        let settings = &self.settings;
        let mut balancing = DefaultPolicy::builder();
        if let Some(datacenter) = &settings.datacenter {
            balancing = balancing.prefer_datacenter(datacenter.clone());
        }
        let profile = ExecutionProfile::builder()
            .consistency(level(settings.consistency))
            .serial_consistency(Some(settings.serial()))
            .request_timeout(Some(settings.timeout()))
            .load_balancing_policy(balancing.build())
            // The driver leaves out what is not said to be idempotent, and that is every write.
            .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
                max_retry_count: 1,
                retry_interval: SECOND_OPINION,
            })))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&settings.nodes)
            .use_keyspace(settings.keyspace.clone(), true)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(settings.connect_timeout)
            .hostname_resolution_timeout(Some(settings.connect_timeout))
            .keepalive_interval(KEEPALIVE)
            .keepalive_timeout(KEEPALIVE)
            // What the gateway knows of tables it reads itself; the driver wants to know where replicas are.
            .keyspaces_to_fetch([settings.keyspace.clone()])
            .fetch_full_schema_metadata(false)
            .pool_size(PoolSize::default());
        if let Some((user, password)) = &settings.credentials {
            builder = builder.user(user.clone(), password.clone());
        }
        if settings.tls.is_some() {
            builder = builder.tls_context(Some(self.tls().await?));
        }
        let driver = builder.build().await.map_err(no_session)?;
        let (opened, used, row_sizes) = (Instant::now(), AtomicU64::new(0), RowSizes::new());
        Ok(Arc::new(Session { driver, statements: Statements::new(), opened, used, row_sizes }))
    }

    /// Reads the files of encryption, anew for every session.
    async fn tls(&self) -> Result<Arc<ClientConfig>, PortError> {
        let settings = self.settings.clone();
        let read = move || settings.tls.as_ref().map(|tls| tls.config(settings.hosts()));
        let unavailable = |cause: Box<dyn std::error::Error + Send + Sync>| {
            PortError::new(PORT, PortErrorKind::Unavailable).meeting(Obstacle::Tls).caused_by(cause)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Some(Ok(config))) => Ok(Arc::new(config)),
            Ok(Some(Err(error))) => Err(unavailable(error.into())),
            Ok(None) => Err(unavailable("nothing is said of encryption".into())),
            Err(error) => Err(unavailable(error.into())),
        }
    }

    /// Sees to it that the session is closed when nobody uses it any more.
    fn keep(&self) {
        let task = tokio::spawn(close_when_idle(self.me.clone(), self.settings.idle_timeout));
        let former = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).replace(task.abort_handle());
        if let Some(former) = former {
            former.abort();
        }
    }

    /// Notes a statement that runs, until the value is dropped.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Notes how an exchange with the database ended.
    pub(crate) fn learn<T>(&self, outcome: &Result<T, PortError>) {
        match outcome {
            Ok(_) => self.connected.store(true, Ordering::Relaxed),
            Err(error) if error.kind == PortErrorKind::Unavailable && error.health.is_none() => {
                self.connected.store(false, Ordering::Relaxed);
                self.complain(error);
            }
            Err(_) => {}
        }
    }

    /// Says that the database did not answer in time.
    pub(crate) fn unanswered(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    /// Tells the log why the database cannot be reached: at once, and then now and again.
    fn complain(&self, error: &PortError) {
        self.connected.store(false, Ordering::Relaxed);
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|last| last.elapsed() > REMINDER) {
            *complained = Some(Instant::now());
            let cause = error.source.as_ref().map(tracing::field::display);
            tracing::warn!(client = %self.settings.name, cause, "no connection to the client's database");
        }
    }

    pub(crate) fn status(&self) -> BackendStatus {
        let open = self.current.load().as_ref().map_or(0, |session| {
            let state = session.driver().get_cluster_state();
            state.get_nodes_info().iter().filter(|node| node.is_connected()).count()
        });
        let running = self.running.load(Ordering::Relaxed);
        // A connection carries many statements at once, so that none is ever taken.
        BackendStatus {
            connected: self.connected.load(Ordering::Relaxed),
            nodes: open,
            open,
            idle: if running == 0 { open } else { 0 },
            max: open.max(1),
            ..BackendStatus::default()
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// A statement under way.
pub(crate) struct Running(Arc<Link>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes the session after `idle` without use, and ends with it.
async fn close_when_idle(link: Weak<Link>, idle: Duration) {
    let mut due = Instant::now() + idle;
    loop {
        tokio::time::sleep_until(due).await;
        let Some(link) = link.upgrade() else { return };
        let Some(session) = link.current.load_full() else { return };
        due = session.idle_since() + idle;
        if Instant::now() < due || link.running.load(Ordering::Relaxed) > 0 {
            due = due.max(Instant::now() + Duration::from_secs(1));
            continue;
        }
        // Whoever took it just now keeps it until its statement ends.
        link.current.store(None);
        link.connected.store(false, Ordering::Relaxed);
        return;
    }
}
