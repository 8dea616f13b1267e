//! sqlx errors and SQLSTATEs → what a caller and the log are told.

use athena_application::ports::{PortError, PortErrorKind, Reason, Rejection};
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
    PortError::new(PORT, kind).caused_by(error)
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
    match error.code() {
        "57014" => return PortErrorKind::TimedOut,
        "53300" => return PortErrorKind::TooManyConnections,
        "40001" | "40P01" | "55P03" => return PortErrorKind::Conflict,
        code if code.starts_with("08") || code.starts_with("57P") || code.starts_with("28") => {
            return PortErrorKind::Unavailable;
        }
        "3D000" | "25P03" => return PortErrorKind::Unavailable,
        _ => {}
    }
    match reason(error) {
        Some(reason) => PortErrorKind::Rejected(Box::new(rejection(error, reason))),
        None => PortErrorKind::Internal,
    }
}

fn reason(error: &PgDatabaseError) -> Option<Reason> {
    let code = error.code();
    let by_code = match code {
        "23505" => Reason::Unique,
        "23P01" => Reason::Exclusion,
        "23503" => Reason::ForeignKey,
        "23001" => Reason::ForeignKey,
        "23502" => Reason::NotNull,
        "23514" => Reason::Check,
        "22021" => Reason::Encoding,
        "42703" => Reason::UndefinedColumn,
        "42P01" => Reason::UndefinedTable,
        "42601" => Reason::Syntax,
        "42501" => Reason::Privilege,
        "42883" if is_text_uuid(error.message()) => Reason::TextUuid,
        "42883" | "42804" | "42846" => Reason::TypeMismatch,
        "25006" => Reason::ReadOnly,
        "0A000" if error.message().contains("cached plan must not change result type") => Reason::Stale,
        "26000" => Reason::Stale,
        "0A000" => Reason::Unsupported,
        "2BP01" | "55006" | "55000" => Reason::InUse,
        _ => match code.get(..2)? {
            "22" => Reason::BadValue,
            // A binary value that the parameter's type cannot read: the column has changed its type.
            "42" | "3F" | "54" | "21" | "25" | "34" | "2D" | "3B" | "44" | "09" | "39" | "38" => {
                Reason::Statement
            }
            "23" => Reason::Check,
            "P0" => Reason::Raised,
            _ => return None,
        },
    };
    Some(by_code)
}

fn is_text_uuid(message: &str) -> bool {
    message.contains("text = uuid") || message.contains("uuid = text")
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

/// The name in `relation "name" does not exist`.
fn quoted_name(message: &str) -> Option<Box<str>> {
    let (_, rest) = message.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name.into())
}

/// Cuts statements out of a text that came from the database (contract 2.3).
pub(crate) fn sanitise(text: &str) -> String {
    const STATEMENTS: [(&str, &str); 4] =
        [("select ", " from "), ("insert into ", ""), ("update ", " set "), ("delete from ", "")];
    let lower = text.to_ascii_lowercase();
    let start = STATEMENTS
        .iter()
        .filter_map(|(first, then)| {
            let at = lower.find(first)?;
            lower[at..].contains(then).then_some(at)
        })
        .min();
    let kept = match start {
        Some(at) => text[..at].trim_end_matches([' ', ':', '"', '\'', '(']),
        None => text,
    };
    if kept.is_empty() { "Database query execution failed".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_out() {
        let check = |text: &str, expected: &str| assert_eq!(sanitise(text), expected, "{text}");
        check("column \"a\" does not exist", "column \"a\" does not exist");
        check("failed: SELECT secret FROM t", "failed");
        check("INSERT INTO t VALUES (1)", "Database query execution failed");
        check("cannot update view \"v\"", "cannot update view \"v\"");
        check("bad: update t set x = 1", "bad");
    }

    #[test]
    fn relations_are_named() {
        assert_eq!(quoted_name("relation \"public.x\" does not exist").as_deref(), Some("public.x"));
        assert_eq!(quoted_name("no name"), None);
    }
}
