//! Scripts behind a transaction pooler.
//!
//! The next transaction of the server session is anybody's. So a script is one transaction, and what it
//! leaves in the session is removed by the message that ends the transaction, while the pooler still holds
//! the server for us. Should we be gone before that, the pooler finds a transaction open and closes the
//! server's connection. What a script cannot have here is a transaction of its own.

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, Rejection};
use athena_domain::breaker::Health;
use athena_domain::plan::statements;

use super::super::{PostgresBackend, lost_write};
use crate::failure::{PORT, port_error, session_survives};
use crate::pool::Running;

/// What `DISCARD ALL` does, which itself cannot run in a transaction: settings and roles, cursors,
/// listeners, locks, temporary tables, sequences' last values. Names prepared through SQL and by this
/// driver go too; those a pooler prepares for its clients stay.
macro_rules! cleansing {
    () => {
        "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); \
         DO $athena$ DECLARE prepared text; BEGIN \
         FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql OR name LIKE 'sqlx\\_s\\_%' \
         LOOP EXECUTE pg_catalog.format('DEALLOCATE %I', prepared); END LOOP; END $athena$; \
         DISCARD TEMP; DISCARD SEQUENCES"
    };
}

/// Deferred constraints are checked first, so that nothing is left that could undo the cleansing.
const KEEP: &str = concat!("SET CONSTRAINTS ALL IMMEDIATE; ", cleansing!(), "; COMMIT");

/// Locks and prepared names outlive a rollback.
const UNDO: &str = concat!("ROLLBACK; ", cleansing!());

const HINT: &str = "run it over a client that connects to the database itself, or through a pooler that pools \
                    sessions (pooler=session)";

impl PostgresBackend {
    /// Ends a script's transaction and cleanses its session.
    pub(super) async fn end_pooled(
        &self,
        mut running: Running,
        outcome: Result<Done, PortError>,
        read_only: bool,
    ) -> Result<Done, PortError> {
        let outcome = match outcome {
            Ok(done) => match running.end(if read_only { UNDO } else { KEEP }).await {
                Ok(()) => return running.finish(Ok(done)).await,
                Err(error) if session_survives(&error) => Err(port_error(error)),
                Err(error) => {
                    let failed = running.lose(error).saying(Health::Doubtful);
                    return Err(if read_only { failed } else { lost_write(failed) });
                }
            },
            Err(error) => Err(explained(error)),
        };
        match running.end(UNDO).await {
            Ok(()) => drop(running.finish(Ok(())).await),
            // The pooler closes the server's connection with ours.
            Err(_) => running.discard(),
        }
        outcome
    }
}

/// Refuses a script with a transaction of its own.
pub(super) fn check(query: &str) -> Result<(), PortError> {
    for statement in statements(query) {
        let words = first_words(statement);
        let word = |place: usize| words.get(place).map_or("", String::as_str);
        let refused = match word(0) {
            "begin" | "start" | "commit" | "end" | "abort" => true,
            // To a savepoint is within the transaction.
            "rollback" => word(1) != "to" && !(matches!(word(1), "work" | "transaction") && word(2) == "to"),
            "prepare" => word(1) == "transaction",
            _ => false,
        };
        if refused {
            return Err(unsupported(format!(
                "`{}` cannot be used here: the client is behind a pooler in transaction mode, where a script \
                 always is one transaction",
                word(0).to_ascii_uppercase()
            )));
        }
    }
    Ok(())
}

/// The first three words of a statement, in lower case, comments left out.
fn first_words(statement: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), statement);
    while words.len() < 3 {
        rest = rest.trim_start();
        if rest.starts_with("--") {
            rest = rest.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = after_comment(rest);
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            if end == 0 {
                break;
            }
            words.push(rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
    }
    words
}

/// What follows a comment; comments nest.
fn after_comment(text: &str) -> &str {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    text.get(at..).unwrap_or("")
}

/// Refusals that a script meets only because it is inside a transaction say so.
fn explained(mut error: PortError) -> PortError {
    if let PortErrorKind::Rejected(rejection) = &mut error.kind
        && matches!(rejection.sql_state.as_deref(), Some("25001" | "2D000"))
    {
        rejection.reason = Reason::Unsupported;
        rejection.message = format!(
            "{}; the client is behind a pooler in transaction mode, where a script always is one transaction",
            rejection.message
        );
        rejection.hint = Some(HINT.to_owned());
    }
    error
}

fn unsupported(message: String) -> PortError {
    let mut rejection = Rejection::new(Reason::Unsupported, message);
    rejection.hint = Some(HINT.to_owned());
    PortError::rejected(PORT, rejection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_with_a_transaction_of_their_own_are_refused() {
        for query in [
            "BEGIN",
            "select 1; commit",
            "/* a /* b */ */ -- c\n RollBack;",
            "start transaction; select 1; commit",
            "END",
            "ABORT",
            "prepare transaction 'x'",
            "rollback work",
            "select E'a'\n'\\'' ; COMMIT; select '",
            "select E'a' -- b\n  '\\'' ; COMMIT; select '",
        ] {
            let error = check(query).expect_err(query);
            assert_eq!(error.reason(), Some(Reason::Unsupported), "{query}");
        }
        for query in [
            "select 1",
            "savepoint a; rollback to a; rollback work to savepoint a; release a",
            "select 'x; commit; y'",
            "do $$ begin perform 1; end $$",
            "prepare p as select 1; execute p",
            "-- commit\nselect 1",
            "/* commit",
        ] {
            assert!(check(query).is_ok(), "{query}");
        }
    }
}
