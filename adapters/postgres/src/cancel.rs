//! Stopping statements whose caller has left.
//!
//! The protocol's cancel request needs a key that the driver keeps to itself, so statements are stopped
//! through SQL, by server process, over a connection of the client's own. The session of the stopped
//! statement is held until that is done: its process cannot serve anybody else meanwhile.

use std::time::Duration;

use deadpool::managed::Object;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::mpsc;

use crate::pool::Manager;

/// Longest attempt to stop a statement.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the connection for stopping stays open without work.
const LINGER: Duration = Duration::from_secs(30);

/// Stops statements of one client.
pub(crate) struct Canceller {
    queue: mpsc::UnboundedSender<Object<Manager>>,
}

impl Canceller {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        // Bounded by the pools: a queued session keeps its place in them until it is closed.
        let (queue, sessions) = mpsc::unbounded_channel();
        tokio::spawn(work(options, sessions));
        Self { queue }
    }

    /// Stops what runs in `session` and closes it.
    pub(crate) fn stop(&self, session: Object<Manager>) {
        // Without a worker the runtime is ending; closing the socket is all that can be done.
        drop(self.queue.send(session));
    }
}

async fn work(options: PgConnectOptions, mut sessions: mpsc::UnboundedReceiver<Object<Manager>>) {
    let mut connection: Option<PgConnection> = None;
    loop {
        let first = match tokio::time::timeout(LINGER, sessions.recv()).await {
            Ok(Some(session)) => session,
            Ok(None) => return,
            Err(_) => {
                connection = None;
                match sessions.recv().await {
                    Some(session) => session,
                    None => return,
                }
            }
        };
        let mut batch = vec![first];
        while let Ok(session) = sessions.try_recv() {
            batch.push(session);
        }
        let processes: Vec<i32> = batch.iter().map(|session| session.process_id).collect();
        match tokio::time::timeout(TIMEOUT, stop(&options, connection.take(), &processes)).await {
            Ok(Ok(open)) => connection = Some(open),
            Ok(Err(error)) => tracing::warn!(%error, "a statement whose caller left could not be stopped"),
            Err(_) => tracing::warn!("stopping a statement whose caller left took too long"),
        }
        // Taken out, not given back: what is left of the statement dies with the connection.
        batch.into_iter().map(Object::take).for_each(drop);
    }
}

async fn stop(
    options: &PgConnectOptions,
    open: Option<PgConnection>,
    processes: &[i32],
) -> Result<PgConnection, sqlx::Error> {
    const STOP: &str = "SELECT count(pg_cancel_backend(p)) FROM unnest($1::int4[]) AS p";
    if let Some(mut connection) = open {
        let stopped = sqlx::query(STOP).bind(processes).execute(&mut connection).await;
        if stopped.is_ok() {
            return Ok(connection);
        }
    }
    let mut connection = options.connect().await?;
    sqlx::query(STOP).bind(processes).execute(&mut connection).await?;
    Ok(connection)
}
