//! sqlx errors and SQLSTATEs → what a caller and the log are told.

use athena_application::ports::sql_state::{self, Verdict, quoted_name, sanitise};
use athena_application::ports::{Obstacle, PortError, PortErrorKind, Reason, Rejection};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

/// Name of the port in errors.
pub(crate) const PORT: &str = "postgres";

/// Turns a driver's error into a port's.
pub(crate) fn port_error(error: sqlx::Error) -> PortError {
    let kind = match &error {
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(database) => database_kind(database),
            None => PortErrorKind::Internal,
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            PortErrorKind::Unavailable
        }
        sqlx::Error::PoolTimedOut => PortErrorKind::Exhausted,
        _ => PortErrorKind::Internal,
    };
    let obstacle = match kind {
        PortErrorKind::Unavailable | PortErrorKind::TooManyConnections => obstacle(&error),
        // Whatever else the database says, it is there to say it.
        _ => None,
    };
    PortError::new(PORT, kind).meeting(obstacle).caused_by(error)
}

/// What kept the gateway from the database.
pub(crate) fn obstacle(error: &sqlx::Error) -> Option<Obstacle> {
    match error {
        sqlx::Error::Tls(_) => Some(Obstacle::Tls),
        sqlx::Error::Database(_) if is_crowded(error) => Some(Obstacle::TooManyConnections),
        sqlx::Error::Database(database) => database.code().as_deref().and_then(Obstacle::of_sql_state),
        error => Obstacle::of(error),
    }
}

/// Whether the session behind the error can serve another statement.
pub(crate) fn session_survives(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => !database
            .code()
            .is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || code == "25P03"),
        _ => false,
    }
}

/// Whether the database answered and would have none of the statement.
pub(crate) fn is_rejection(error: &sqlx::Error) -> bool {
    let database = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    database.is_some_and(|error| matches!(database_kind(error), PortErrorKind::Rejected(_)))
}

/// Whether a pooler said that it has no connection to give; it has one code for all of its errors.
pub(crate) fn is_crowded(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.is_some_and(|error| crowded_pooler(error.code().as_deref(), error.message()))
}

fn crowded_pooler(code: Option<&str>, message: &str) -> bool {
    code == Some("08P01")
        && ["query_wait_timeout", "no more connections allowed"].iter().any(|words| message.contains(words))
}

fn database_kind(error: &PgDatabaseError) -> PortErrorKind {
    if crowded_pooler(Some(error.code()), error.message()) {
        return PortErrorKind::TooManyConnections;
    }
    match sql_state::judge(error.code(), error.message()) {
        Verdict::Refused(reason) => PortErrorKind::Rejected(Box::new(rejection(error, reason))),
        // A function that raises such a code says nothing of the server, and must not make it look as if it were away.
        Verdict::Failed(PortErrorKind::Unavailable | PortErrorKind::TooManyConnections)
            if error.r#where().is_some() =>
        {
            PortErrorKind::Rejected(Box::new(rejection(error, Reason::Raised)))
        }
        Verdict::Failed(kind) => kind,
    }
}

fn rejection(error: &PgDatabaseError, reason: Reason) -> Rejection {
    let owned = |text: Option<&str>| text.map(Box::<str>::from);
    let named_table = match reason {
        Reason::UndefinedTable => quoted_name(error.message()),
        _ => None,
    };
    Rejection {
        reason,
        sql_state: Some(error.code().into()),
        message: sanitise(error.message()),
        hint: error.hint().map(sanitise),
        constraint: owned(error.constraint()),
        column: owned(error.column()),
        table: owned(error.table()).or(named_table),
        schema: owned(error.schema()),
        detail: error.detail().map(|detail| sanitise(detail).into()),
        position: match error.position() {
            Some(PgErrorPosition::Original(place)) => Some(place as u64),
            _ => None,
        },
        limit: None,
        // Whatever a function says comes with where in it; C code that says nothing of the kind is the server's own.
        told_by_code: error.r#where().is_some() || reason == Reason::Raised,
    }
}
