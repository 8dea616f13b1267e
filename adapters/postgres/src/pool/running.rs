//! A connection in use, and what becomes of it.

use std::sync::Arc;

use athena_application::ports::PortError;
use deadpool::managed::Object;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::{Manager, Session, Sessions};
use crate::failure::{port_error, session_survives};

/// A connection in use. Dropped before [`Running::finish`], its statement is stopped in the database and
/// the connection is closed: nobody else can meet what is left of it.
pub(crate) struct Running {
    object: Option<Object<Manager>>,
    sessions: Arc<Sessions>,
}

impl Running {
    pub(super) fn new(object: Object<Manager>, sessions: Arc<Sessions>) -> Self {
        Self { object: Some(object), sessions }
    }

    fn session(&mut self) -> &mut Session {
        self.object.as_mut().expect("only finishing takes the session")
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session().connection
    }

    /// Ends the use: a connection whose statement ended cleanly goes back to the pool.
    pub(crate) fn finish<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, PortError> {
        let survives = match &outcome {
            Ok(_) => true,
            Err(error) => session_survives(error),
        };
        let Some(mut object) = self.object.take() else {
            return outcome.map_err(port_error);
        };
        if survives {
            object.last_used = Instant::now();
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

    /// Ends the use of a connection that must not serve again.
    pub(crate) fn discard(mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            self.sessions.canceller.stop(object);
        }
    }
}
