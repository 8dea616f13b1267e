//! Stopping statements whose caller has left.
//!
//! The protocol's cancel request needs a key that the driver keeps to itself, so statements are stopped
//! through SQL, by server process, over a connection of the client's own. The session of the stopped
//! statement is held until that is done: its process cannot serve anybody else meanwhile.
//!
//! Behind a transaction pooler the same holds as long as the transaction is open, which is the only time
//! at which a session's process is known here. The statement that stops it names the beginning of that
//! transaction too: whatever the pooler did meanwhile, and should it even have led us to another server,
//! no other transaction is hit. Once stopped, the connection is closed inside its transaction, on which
//! the pooler closes the server's side as well.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::Object;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use tokio::sync::Notify;

use crate::pool::{Manager, Process};
use crate::settings::Pooler;

/// Longest attempt to stop a statement.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The same behind a pooler, whose servers may all be busy with what is to be stopped: closing the
/// connections stops it too, only later.
const POOLER_TIMEOUT: Duration = Duration::from_millis(500);

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
        loop {
            let batch = std::mem::take(&mut self.queue().sessions);
            if batch.is_empty() {
                let closed = self.queue().closed;
                let waited = !closed && tokio::time::timeout(LINGER, self.news.notified()).await.is_ok();
                let mut queue = self.queue();
                if queue.sessions.is_empty() && (queue.closed || !waited) {
                    queue.worked = false;
                    return;
                }
                continue;
            }
            let processes: Vec<Process> = batch.iter().filter_map(|session| session.process).collect();
            if !processes.is_empty() {
                connection = self.stop(connection, &processes).await;
            }
            // Taken out, not given back: what is left of the statement dies with the connection.
            batch.into_iter().map(Object::take).for_each(drop);
        }
    }

    /// Stops the processes; gives back the connection that did it.
    async fn stop(&self, open: Option<PgConnection>, processes: &[Process]) -> Option<PgConnection> {
        let patience = match self.pooler {
            Pooler::Session => TIMEOUT,
            Pooler::Transaction => POOLER_TIMEOUT,
        };
        match tokio::time::timeout(patience, self.attempt(open, &statement(processes))).await {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error)) => tracing::warn!(%error, "a statement whose caller left could not be stopped"),
            Err(_) => tracing::warn!("stopping a statement whose caller left took too long"),
        }
        None
    }

    async fn attempt(&self, open: Option<PgConnection>, text: &str) -> Result<PgConnection, sqlx::Error> {
        // Safe: nothing but numbers was put into the text.
        let stop = || sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        if let Some(mut connection) = open
            && stop().execute(&mut connection).await.is_ok()
        {
            return Ok(connection);
        }
        let mut connection = self.options.connect().await?;
        stop().execute(&mut connection).await?;
        Ok(connection)
    }
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
        return format!("SELECT count(pg_cancel_backend(p.id)) FROM (VALUES {values}) AS p(id, began)");
    }
    format!(
        "SELECT count(pg_cancel_backend(p.id)) FROM (VALUES {values}) AS p(id, began) \
         JOIN pg_stat_activity a ON a.pid = p.id \
         AND (extract(epoch FROM a.xact_start) * 1000000)::int8 = p.began"
    )
}
