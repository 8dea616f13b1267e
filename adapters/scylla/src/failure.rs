//! Driver errors → why a port failed, by the variant that the protocol's code gives. Its words decide nothing but which
//! words the caller gets.

mod obstacle;

use std::time::Duration;

use athena_application::ports::{Obstacle, PortError, PortErrorKind, Reason, Rejection};
use athena_domain::RequestError;
use athena_domain::breaker::Health;
use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

/// Name of the port in errors.
pub(crate) const PORT: &str = "cql";

/// What a failed statement was to do, which decides what its failure leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Nothing has changed, whatever happened.
    Read,
    /// It may have happened.
    Write,
}

/// A refusal.
pub(crate) fn rejected(reason: Reason, message: impl Into<String>) -> PortError {
    PortError::rejected(PORT, Rejection::new(reason, message))
}

/// The failure of a value that is not one of its type.
pub(crate) fn bad_value(error: &RequestError) -> PortError {
    let mut rejection = Rejection::new(Reason::BadValue, &*error.message);
    rejection.column = error.field.as_deref().map(Into::into);
    PortError::rejected(PORT, rejection)
}

/// The failure of making a session.
pub(crate) fn no_session(error: NewSessionError) -> PortError {
    let obstacle = obstacle::of_session(&error);
    PortError::new(PORT, PortErrorKind::Unavailable).meeting(obstacle).caused_by(error)
}

/// The failure of a statement.
pub(crate) fn failed(error: ExecutionError, intent: Intent) -> PortError {
    match error {
        ExecutionError::LastAttemptError(error) => attempt(error, intent),
        // A statement that could not be prepared was not sent.
        ExecutionError::PrepareError(error) => unprepared(error),
        ExecutionError::RequestTimeout(after) => late(after, intent),
        ExecutionError::ConnectionPoolError(error) => {
            let obstacle = obstacle::of_pool(&error);
            PortError::new(PORT, PortErrorKind::Unavailable).meeting(obstacle).caused_by(error)
        }
        ExecutionError::EmptyPlan => {
            let unavailable = PortError::new(PORT, PortErrorKind::Unavailable).meeting(Obstacle::NoNode);
            unavailable.caused_by("no node is known to be up, or none in the datacenter of the URI")
        }
        // The change itself is done; the nodes have not agreed on it yet.
        ExecutionError::SchemaAgreementError(error) => {
            PortError::new(PORT, PortErrorKind::Lost).caused_by(error)
        }
        ExecutionError::MetadataError(error) => PortError::new(PORT, PortErrorKind::Lost).caused_by(error),
        other => PortError::new(PORT, PortErrorKind::Internal).caused_by(other),
    }
}

/// The failure of preparing a statement.
pub(crate) fn unprepared(error: PrepareError) -> PortError {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => attempt(first_attempt, Intent::Read),
        PrepareError::ConnectionPoolError(error) => {
            let obstacle = obstacle::of_pool(&error);
            PortError::new(PORT, PortErrorKind::Unavailable).meeting(obstacle).caused_by(error)
        }
        other => PortError::new(PORT, PortErrorKind::Internal).caused_by(other),
    }
}

/// The failure of a statement whose time is up.
pub(crate) fn late(after: Duration, intent: Intent) -> PortError {
    let kind = match intent {
        Intent::Read => PortErrorKind::TimedOut,
        // Nobody can take it back.
        Intent::Write => PortErrorKind::Lost,
    };
    let failure = PortError::new(PORT, kind).caused_by(format!("no answer within {after:?}"));
    // The statement itself may take so long, or have been given so little time.
    let failure = failure.saying(Health::Doubtful);
    if intent == Intent::Write { failure.meeting(Obstacle::Timeout) } else { failure }
}

fn attempt(error: RequestAttemptError, intent: Intent) -> PortError {
    let kind = match &error {
        // Nothing was carried out, whatever it was.
        error if forgets(error) => PortErrorKind::Exhausted,
        RequestAttemptError::DbError(error, text) => database(error, text, intent),
        RequestAttemptError::BrokenConnectionError(_) => match intent {
            Intent::Read => PortErrorKind::Unavailable,
            Intent::Write => PortErrorKind::Lost,
        },
        RequestAttemptError::UnableToAllocStreamId => PortErrorKind::Exhausted,
        _ => PortErrorKind::Internal,
    };
    let health = match &error {
        // It answers.
        error if forgets(error) => Some(Health::Doubtful),
        RequestAttemptError::DbError(error, _) => doubt(error),
        _ => None,
    };
    let obstacle = match &error {
        RequestAttemptError::BrokenConnectionError(_) => Some(Obstacle::Lost),
        RequestAttemptError::DbError(DbError::Unavailable { .. }, _) => Some(Obstacle::TooFewReplicas),
        RequestAttemptError::DbError(DbError::WriteTimeout { .. }, _) => Some(Obstacle::Timeout),
        _ => None,
    };
    let failure = PortError::new(PORT, kind).meeting(obstacle).caused_by(error);
    PortError { health, ..failure }
}

/// Whether the server did not know the statement that it was to carry out, and so did nothing.
fn forgets(error: &RequestAttemptError) -> bool {
    matches!(
        error,
        RequestAttemptError::DbError(DbError::Unprepared { .. }, _)
            | RequestAttemptError::RepreparedIdChanged { .. }
            | RequestAttemptError::RepreparedIdMissingInBatch
    )
}

/// Whether the statement failed because the server had forgotten it: it was not carried out.
pub(crate) fn is_forgotten(error: &PortError) -> bool {
    let cause = error.source.as_deref().and_then(|source| source.downcast_ref::<RequestAttemptError>());
    cause.is_some_and(forgets)
}

/// What an answer says about the database where that is not as much as its kind does. A node that answers is there;
/// what it could not do may lie in the statement: in the rows it passes, the replicas its keyspace has, the level it
/// asks for. Whether the node is worth asking shows when it is looked after.
fn doubt(error: &DbError) -> Option<Health> {
    match error {
        DbError::ReadFailure { .. }
        | DbError::WriteFailure { .. }
        | DbError::ReadTimeout { .. }
        | DbError::WriteTimeout { .. }
        | DbError::Unavailable { .. }
        | DbError::Overloaded
        | DbError::TruncateError
        | DbError::RateLimitReached { .. } => Some(Health::Doubtful),
        // It takes nobody, whatever is asked.
        _ => None,
    }
}

/// The failure of a statement in the caller's own words, which may be what broke the connection.
pub(crate) fn of_own_words(error: PortError) -> PortError {
    match error.kind {
        PortErrorKind::Unavailable | PortErrorKind::Lost => error.saying(Health::Doubtful),
        _ => error,
    }
}

fn database(error: &DbError, text: &str, intent: Intent) -> PortErrorKind {
    let unknown_outcome = match intent {
        Intent::Read => PortErrorKind::Unavailable,
        Intent::Write => PortErrorKind::Lost,
    };
    let reason = match error {
        DbError::SyntaxError => Reason::Syntax,
        DbError::Invalid | DbError::ConfigError | DbError::AlreadyExists { .. } => Reason::Statement,
        DbError::FunctionFailure { .. } => Reason::Raised,
        DbError::Unauthorized => Reason::Privilege,
        // The coordinator asked nobody.
        DbError::Unavailable { .. } | DbError::IsBootstrapping | DbError::AuthenticationError => {
            return PortErrorKind::Unavailable;
        }
        // The statement is a good one; a node was away, or has not emptied the table yet.
        DbError::Overloaded | DbError::RateLimitReached { .. } | DbError::TruncateError => {
            return unknown_outcome;
        }
        DbError::ReadTimeout { .. } => return PortErrorKind::TimedOut,
        DbError::ReadFailure { .. } => return PortErrorKind::Unavailable,
        DbError::WriteTimeout { .. } | DbError::WriteFailure { .. } => return PortErrorKind::Lost,
        _ => return PortErrorKind::Internal,
    };
    if matches!(error, DbError::Invalid) && text.starts_with("Invalid amount of bind variables") {
        let message = "the statement takes values, and the request has no `params`";
        return PortErrorKind::Rejected(Box::new(Rejection::new(Reason::Statement, message)));
    }
    if matches!(error, DbError::Invalid) && text.starts_with("Batch too large") {
        let mut rejection =
            Rejection::new(Reason::LimitExceeded, "the rows are more bytes than the database takes at once");
        rejection.hint = Some(
            "send fewer rows at a time; `batch_size_fail_threshold` of the server is the bound".to_owned(),
        );
        return PortErrorKind::Rejected(Box::new(rejection));
    }
    let mut rejection = Rejection::new(reason, sanitised(text));
    rejection.sql_state = Some(format!("{:#06x}", error.code(&Default::default())).into());
    if let DbError::AlreadyExists { table, .. } = error
        && !table.is_empty()
    {
        rejection.table = Some(table.as_str().into());
    }
    PortErrorKind::Rejected(Box::new(rejection))
}

/// What the database says of the caller's statement, without a copy of it.
fn sanitised(text: &str) -> String {
    const WORDS: [&str; 4] = ["select ", "insert into ", "update ", "delete from "];
    let lower = text.to_ascii_lowercase();
    let start = WORDS.iter().filter_map(|word| lower.find(word)).min();
    let kept = start.map_or(text, |at| text[..at].trim_end_matches([' ', ':', '(', '[']));
    if kept.is_empty() { "Database query execution failed".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    fn kind(error: DbError, intent: Intent) -> PortErrorKind {
        let error = RequestAttemptError::DbError(error, "text".to_owned());
        failed(ExecutionError::LastAttemptError(error), intent).kind
    }

    #[test]
    fn errors_are_told_by_their_variant() {
        let level = Consistency::Quorum;
        let down = DbError::Unavailable { consistency: level, required: 2, alive: 1 };
        assert_eq!(kind(down, Intent::Write), PortErrorKind::Unavailable);
        let slow = |data_present| DbError::ReadTimeout {
            consistency: level,
            received: 1,
            required: 2,
            data_present,
        };
        assert_eq!(kind(slow(false), Intent::Read), PortErrorKind::TimedOut);
        let write = DbError::WriteTimeout {
            consistency: level,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        assert_eq!(kind(write, Intent::Write), PortErrorKind::Lost);
        assert_eq!(kind(DbError::Overloaded, Intent::Read), PortErrorKind::Unavailable);
        assert_eq!(kind(DbError::Overloaded, Intent::Write), PortErrorKind::Lost);
        assert_eq!(kind(DbError::TruncateError, Intent::Write), PortErrorKind::Lost);
        assert_eq!(kind(DbError::ServerError, Intent::Read), PortErrorKind::Internal);
        let forgotten = || DbError::Unprepared { statement_id: Vec::new().into() };
        for intent in [Intent::Read, Intent::Write] {
            assert_eq!(kind(forgotten(), intent), PortErrorKind::Exhausted, "nothing was carried out");
        }
        for (error, reason, code) in [
            (DbError::SyntaxError, Reason::Syntax, "0x2000"),
            (DbError::Invalid, Reason::Statement, "0x2200"),
            (DbError::Unauthorized, Reason::Privilege, "0x2100"),
        ] {
            let PortErrorKind::Rejected(rejection) = kind(error, Intent::Read) else { panic!("{code}") };
            assert_eq!((rejection.reason, rejection.sql_state.as_deref()), (reason, Some(code)));
        }
    }

    #[test]
    fn what_a_statement_can_bring_about_turns_nobody_else_away() {
        let level = Consistency::Quorum;
        let health = |error: DbError, intent| {
            let error = RequestAttemptError::DbError(error, "text".to_owned());
            failed(ExecutionError::LastAttemptError(error), intent).health
        };
        for intent in [Intent::Read, Intent::Write] {
            for error in [
                // Too many deleted rows.
                DbError::ReadFailure {
                    consistency: level,
                    received: 0,
                    required: 1,
                    numfailures: 1,
                    data_present: false,
                },
                DbError::WriteFailure {
                    consistency: level,
                    received: 0,
                    required: 1,
                    numfailures: 1,
                    write_type: WriteType::Simple,
                },
                // A keyspace with more replicas than there are nodes.
                DbError::Unavailable { consistency: level, required: 2, alive: 1 },
                DbError::Overloaded,
            ] {
                assert_eq!(health(error.clone(), intent), Some(Health::Doubtful), "{error}");
            }
            assert_eq!(health(DbError::IsBootstrapping, intent), None);
            assert_eq!(late(Duration::from_millis(1), intent).health, Some(Health::Doubtful));
        }
        let pool = ExecutionError::EmptyPlan;
        assert_eq!(failed(pool, Intent::Read).health, None, "no node is there");
    }

    #[test]
    fn a_timeout_leaves_a_write_open() {
        let after = Duration::from_secs(1);
        let check = |intent, expected| {
            assert_eq!(failed(ExecutionError::RequestTimeout(after), intent).kind, expected);
        };
        check(Intent::Read, PortErrorKind::TimedOut);
        check(Intent::Write, PortErrorKind::Lost);
    }

    #[test]
    fn what_the_server_says_of_a_request_is_said_in_the_callers_terms() {
        let said = |text: &str| match database(&DbError::Invalid, text, Intent::Write) {
            PortErrorKind::Rejected(rejection) => (rejection.reason, rejection.message),
            other => panic!("{other:?}"),
        };
        let (reason, message) = said("Batch too large");
        assert!(reason == Reason::LimitExceeded && message.contains("bytes"), "{message}");
        let (reason, message) = said("Invalid amount of bind variables");
        assert!(reason == Reason::Statement && message.contains("`params`"), "{message}");
        assert_eq!(said("Undefined column name x").1, "Undefined column name x");
    }

    #[test]
    fn statements_are_cut_out() {
        assert_eq!(
            sanitised("no viable alternative at input 'x' ([select a] from...)"),
            "no viable alternative at input 'x'"
        );
        assert_eq!(sanitised("Undefined column name zip"), "Undefined column name zip");
        assert_eq!(sanitised("SELECT 1"), "Database query execution failed");
    }
}
