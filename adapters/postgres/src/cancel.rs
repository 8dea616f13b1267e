//! Stopping statements whose caller has left.
//!
//! The protocol's cancel request needs a key that the driver keeps to itself, so statements are stopped
//! through SQL, by server process, over a connection of the client's own. The session of the stopped
//! statement is held until that is done: its process cannot serve anybody else meanwhile.
//!
//! A process that does not stop when it is told, because it is deep in something that looks at nothing else, keeps its
//! place in the pool: however many callers give up, the database never works for more of them than the pool has
//! places. It is told again, and to end altogether, until it is gone.
//!
//! Behind a transaction pooler the same holds as long as the transaction is open, which is the only time
//! at which a session's process is known here. The statement that stops it names the beginning of that
//! transaction too: whatever the pooler did meanwhile, and should it even have led us to another server,
//! no other transaction is hit. Once stopped, the connection is closed inside its transaction, on which
//! the pooler closes the server's side as well.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use athena_application::ports::PortErrorKind;
use deadpool::managed::Object;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::failure::port_error;
use crate::pool::{Manager, Process};
use crate::settings::Pooler;

/// Longest attempt to stop a statement.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The same behind a pooler, whose servers may all be busy with what is to be stopped: closing the
/// connections stops it too, only later.
const POOLER_TIMEOUT: Duration = Duration::from_millis(500);

/// How long processes are waited for that have been told to stop, before others are looked after.
const OBEYED_WITHIN: Duration = Duration::from_millis(100);

/// How often a process that goes on is told again.
const AGAIN_EVERY: Duration = Duration::from_secs(1);

/// How long a process that goes on keeps its place in the pool.
const HELD_AT_MOST: Duration = Duration::from_secs(600);

/// How long the connection for stopping stays open without work.
const LINGER: Duration = Duration::from_secs(30);

/// Stops statements of one pool. It has a task only while there is something to stop, and a little longer.
pub(crate) struct Canceller {
    work: Arc<Work>,
}

struct Work {
    options: PgConnectOptions,
    pooler: Pooler,
    queue: Mutex<Queue>,
    news: Notify,
}

/// Bounded by the pool: a queued session keeps its place in it until it is closed.
#[derive(Default)]
struct Queue {
    sessions: Vec<Object<Manager>>,
    worked: bool,
    closed: bool,
}

impl Canceller {
    pub(crate) fn new(options: PgConnectOptions, pooler: Pooler) -> Self {
        let work = Work { options, pooler, queue: Mutex::default(), news: Notify::new() };
        Self { work: Arc::new(work) }
    }

    /// Stops what runs in `session` and closes it.
    pub(crate) fn stop(&self, session: Object<Manager>) {
        // Without a runtime, closing the socket is all that can be done.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(session));
            return;
        };
        let mut queue = self.work.queue();
        queue.sessions.push(session);
        if std::mem::replace(&mut queue.worked, true) {
            self.work.news.notify_one();
        } else {
            runtime.spawn(self.work.clone().run());
        }
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        self.work.queue().closed = true;
        self.work.news.notify_one();
    }
}

impl Work {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let mut connection: Option<PgConnection> = None;
        let mut stubborn: Vec<Stubborn> = Vec::new();
        let mut again_at = Instant::now();
        loop {
            // Also when there is always somebody new to stop.
            if !stubborn.is_empty() && Instant::now() >= again_at && !self.queue().closed {
                connection = self.insist(connection, &mut stubborn).await;
                again_at = Instant::now() + AGAIN_EVERY;
            }
            let batch = std::mem::take(&mut self.queue().sessions);
            if batch.is_empty() {
                let closed = self.queue().closed;
                let until = if stubborn.is_empty() { Instant::now() + LINGER } else { again_at };
                let waited = !closed && tokio::time::timeout_at(until, self.news.notified()).await.is_ok();
                if !stubborn.is_empty() && !closed {
                    continue;
                }
                let mut queue = self.queue();
                if queue.sessions.is_empty() && (queue.closed || !waited) {
                    queue.worked = false;
                    return;
                }
                continue;
            }
            let processes: Vec<Process> = batch.iter().filter_map(|session| session.process).collect();
            let mut reached = Reached::No;
            if !processes.is_empty() {
                (connection, reached) = self.ask(connection, &statement(&processes)).await;
            }
            match (self.pooler, reached) {
                (Pooler::Session, Reached::Yes(_) | Reached::Crowded) => {
                    if stubborn.is_empty() {
                        again_at = Instant::now() + AGAIN_EVERY;
                    }
                    stubborn.extend(still_at_work(batch).await);
                }
                // Taken out, not given back: what is left of the statement dies with the connection.
                (Pooler::Session | Pooler::Transaction, _) => {
                    batch.into_iter().map(Object::take).for_each(drop)
                }
            }
        }
    }

    /// Tells those who did not stop to end, and lets go of the places of those who have.
    async fn insist(&self, open: Option<PgConnection>, stubborn: &mut Vec<Stubborn>) -> Option<PgConnection> {
        let (connection, reached) = self.ask(open, &ending(stubborn)).await;
        let goes_on = |held: &Stubborn| match &reached {
            Reached::Yes(alive) => held.session.process.is_some_and(|process| alive.contains(&process.id)),
            Reached::Crowded => true,
            Reached::No => false,
        };
        for held in std::mem::take(stubborn) {
            let late = held.since.elapsed() > HELD_AT_MOST;
            if late {
                tracing::warn!(
                    "a statement cannot be stopped; its connection no longer counts as one of the pool"
                );
            }
            if goes_on(&held) && !late {
                stubborn.push(held);
            } else {
                drop(Object::take(held.session));
            }
        }
        connection
    }

    /// Sends a statement about processes; gives back the connection that did it.
    async fn ask(&self, open: Option<PgConnection>, text: &str) -> (Option<PgConnection>, Reached) {
        let patience = match self.pooler {
            Pooler::Session => TIMEOUT,
            Pooler::Transaction => POOLER_TIMEOUT,
        };
        match tokio::time::timeout(patience, self.attempt(open, text)).await {
            Ok(Ok((connection, processes))) => return (Some(connection), Reached::Yes(processes)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a statement whose caller left could not be stopped");
                if port_error(error).kind == PortErrorKind::TooManyConnections {
                    return (None, Reached::Crowded);
                }
            }
            Err(_) => tracing::warn!("stopping a statement whose caller left took too long"),
        }
        (None, Reached::No)
    }

    async fn attempt(
        &self,
        open: Option<PgConnection>,
        text: &str,
    ) -> Result<(PgConnection, Vec<i32>), sqlx::Error> {
        // Safe: nothing but numbers was put into the text.
        let ask = || sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        let numbers = |rows: Vec<PgRow>| rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>();
        if let Some(mut connection) = open
            && let Ok(rows) = ask().fetch_all(&mut connection).await
        {
            return Ok((connection, numbers(rows)?));
        }
        let mut connection = self.options.connect().await?;
        let rows = ask().fetch_all(&mut connection).await?;
        Ok((connection, numbers(rows)?))
    }
}

/// A session whose process goes on although it was told to stop.
struct Stubborn {
    session: Object<Manager>,
    since: Instant,
}

/// Whether the database could be asked.
enum Reached {
    /// It could, and named these processes.
    Yes(Vec<i32>),
    /// It is there, but has no connection left.
    Crowded,
    No,
}

/// Closes the sessions whose processes have stopped; gives back the others.
async fn still_at_work(batch: Vec<Object<Manager>>) -> Vec<Stubborn> {
    let since = Instant::now();
    let waits = batch.into_iter().map(|mut session| async move {
        // Answered once what was under way has ended, whichever way.
        match tokio::time::timeout(OBEYED_WITHIN, session.connection.ping()).await {
            Ok(_) => {
                drop(Object::take(session));
                None
            }
            Err(_) => Some(Stubborn { session, since }),
        }
    });
    join_all(waits).await.into_iter().flatten().collect()
}

/// Ends processes, and names those that are there: by the time at which they began too, as a number can be given to
/// somebody else.
fn ending(stubborn: &[Stubborn]) -> String {
    let mut values = String::new();
    for Stubborn { session, since } in stubborn {
        let Some(Process { id, .. }) = session.process else { continue };
        let comma = if values.is_empty() { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(values, "{comma}({id}, {})", since.elapsed().as_millis());
    }
    format!(
        "SELECT p.id FROM (VALUES {values}) AS p(id, ms) JOIN pg_stat_activity a ON a.pid = p.id \
         AND a.backend_start < clock_timestamp() - p.ms * interval '1 millisecond' \
         WHERE pg_terminate_backend(p.id) IS NOT NULL"
    )
}
/// One statement of the simple protocol, which every pooler carries whole.
fn statement(processes: &[Process]) -> String {
    let mut values = String::new();
    for Process { id, began } in processes {
        let comma = if values.is_empty() { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = match began {
            Some(began) => write!(values, "{comma}({id}, {began}::int8)"),
            None => write!(values, "{comma}({id}, NULL::int8)"),
        };
    }
    if processes.iter().all(|process| process.began.is_none()) {
        return format!(
            "SELECT p.id FROM (VALUES {values}) AS p(id, began) WHERE pg_cancel_backend(p.id) IS NOT NULL"
        );
    }
    format!(
        "SELECT p.id FROM (VALUES {values}) AS p(id, began) JOIN pg_stat_activity a ON a.pid = p.id \
         AND (extract(epoch FROM a.xact_start) * 1000000)::int8 = p.began \
         WHERE pg_cancel_backend(p.id) IS NOT NULL"
    )
}
