//! A connection in use, and what becomes of it.

use std::sync::Arc;

use athena_application::ports::{PortError, PortErrorKind};
use deadpool::managed::Object;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::transaction::Begin;
use super::{Manager, Session, Sessions};
use crate::failure::{port_error, session_survives};

/// A connection in use. Dropped before [`Running::finish`], its statement is stopped in the database and
/// the connection is closed: nobody else can meet what is left of it.
pub(crate) struct Running {
    object: Option<Object<Manager>>,
    sessions: Arc<Sessions>,
    /// Whether a transaction is open that [`Running::finish`] has to end.
    open: bool,
    /// Whether the use keeps the connection from being closed as idle.
    counts: bool,
}

impl Running {
    pub(super) fn new(object: Object<Manager>, sessions: Arc<Sessions>) -> Self {
        Self { object: Some(object), sessions, open: false, counts: true }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        self.object.as_mut().expect("only finishing takes the session")
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session().connection
    }

    pub(super) async fn begin(&mut self, begin: Begin) -> Result<(), sqlx::Error> {
        if !self.sessions.behind_transaction_pooler() {
            if let Some(text) = begin.text() {
                sqlx::raw_sql(text).execute(self.connection()).await?;
                self.open = true;
            }
            return Ok(());
        }
        let sessions = self.sessions.clone();
        if let Some(opening) = &sessions.built().opening {
            let process = opening.begin(self.connection(), begin).await?;
            self.session().process = Some(process);
            self.open = true;
        }
        Ok(())
    }

    /// Sends what ends the transaction. From here on the pooler may lend its server process to somebody
    /// else, so that there is nothing left that may be stopped.
    pub(crate) async fn end(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        if self.sessions.behind_transaction_pooler() {
            self.session().process = None;
        }
        sqlx::raw_sql(text).execute(self.connection()).await?;
        self.open = false;
        Ok(())
    }

    /// Leaves an open transaction to whoever cleans the session.
    pub(crate) fn leave_open(&mut self) {
        self.open = false;
    }

    /// Says that this use does not keep the connection from being closed as idle.
    pub(crate) fn uncounted(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Ends the use: an open transaction is committed or, after a failure, rolled back, and a connection
    /// whose statement ended cleanly goes back to the pool.
    pub(crate) async fn finish<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, PortError> {
        let outcome = match outcome {
            Ok(value) if self.open => match self.end("COMMIT").await {
                Ok(()) => Ok(value),
                // A commit that the database refuses has ended the transaction.
                Err(error) => Err(error),
            },
            Err(error) if self.open && session_survives(&error) => match self.end("ROLLBACK").await {
                Ok(()) => Err(error),
                Err(_) => {
                    self.discard();
                    return Err(port_error(error));
                }
            },
            outcome => outcome,
        };
        self.give_back(outcome)
    }

    /// The same for work whose result is not to be kept.
    pub(crate) async fn undo<T>(mut self, value: T) -> Result<T, PortError> {
        let outcome = if self.open { self.end("ROLLBACK").await } else { Ok(()) };
        self.give_back(outcome.map(|()| value))
    }

    fn give_back<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, PortError> {
        let survives = match &outcome {
            Ok(_) => true,
            Err(error) => session_survives(error),
        };
        let counts = self.counts;
        let Some(mut object) = self.object.take() else {
            return outcome.map_err(port_error);
        };
        if survives {
            if counts {
                object.last_used = Instant::now();
            }
            drop(object);
        } else {
            drop(Object::take(object));
        }
        outcome.map_err(|error| {
            let error = port_error(error);
            self.sessions.learn(&error);
            error
        })
    }

    /// Ends the use of a connection that broke.
    pub(crate) fn lose(self, error: sqlx::Error) -> PortError {
        let sessions = self.sessions.clone();
        self.discard();
        let error = port_error(error);
        sessions.learn(&error);
        error
    }

    /// Whether the connection was opened for this use.
    pub(crate) fn is_fresh(&self) -> bool {
        self.object.as_ref().is_some_and(|object| Object::metrics(object).recycle_count == 0)
    }

    /// Ends the use of a connection that must not serve again.
    pub(crate) fn discard(mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }

    /// A failure before anything of the caller's reached the database.
    pub(super) fn not_begun(self, error: sqlx::Error) -> PortError {
        self.discard();
        let error = port_error(error);
        // A session parameter of the URI, perhaps; certainly no fault of the caller's.
        let ours = error.reason().is_some() || error.kind == PortErrorKind::Internal;
        if ours { PortError { kind: PortErrorKind::Unavailable, ..error } } else { error }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            self.sessions.built().canceller.stop(object);
        }
    }
}
