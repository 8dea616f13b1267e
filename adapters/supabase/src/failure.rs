//! What PostgREST, and what stands before it, says of a failure → what a caller and the log are told.

use athena_application::ports::sql_state::{self, Verdict, quoted_name, sanitise};
use athena_application::ports::{Obstacle, PortError, PortErrorKind, Reason, Rejection};
use athena_domain::breaker::Health;

use crate::PORT;

/// Longest wait that an upstream may ask for, in seconds.
const LONGEST_WAIT_SECS: u32 = 3600;

/// A failure, and whether a read may be tried again.
#[derive(Debug)]
pub(crate) struct Fault {
    pub error: PortError,
    pub transient: bool,
}

impl Fault {
    pub(crate) fn lasting(error: PortError) -> Self {
        Self { error, transient: false }
    }
}

/// What was asked when it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Whether it may have changed something.
    pub writes: bool,
    /// Whether the key is the caller's own.
    pub key_of_caller: bool,
}

/// What is said besides the status.
#[derive(Debug, Default)]
struct Said {
    code: String,
    message: String,
    details: Option<String>,
    hint: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        Self {
            code: text("code").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            details: text("details"),
            hint: text("hint"),
        }
    }

    /// Whether it is about the key that was sent, in the words of what stands before a project's PostgREST. Nothing
    /// that a value of a request can bring about says so.
    fn speaks_of_the_key(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let words = ["api key", "apikey", "jwt", "authentication credentials"];
        message == "unauthorized" || words.iter().any(|word| message.contains(word))
    }

    fn rejection(&self, reason: Reason) -> Rejection {
        let quoted = || quoted_name(&self.message);
        let constraint = match reason {
            Reason::Unique | Reason::ForeignKey | Reason::Check | Reason::Exclusion => {
                last_quoted(&self.message)
            }
            _ => None,
        };
        let message =
            if self.message.is_empty() { "the database refused the request" } else { &self.message };
        let mut rejection = Rejection::new(reason, sanitise(message));
        rejection.sql_state = Some(self.code.as_str().into());
        rejection.hint = self.hint.as_deref().map(sanitise);
        rejection.detail = self.details.as_deref().map(|detail| sanitise(detail).into());
        rejection.constraint = constraint;
        // Names are read out of words that a trigger may have chosen: nothing tells its words from the database's.
        rejection.told_by_code = true;
        match (reason, self.code.as_str()) {
            (Reason::NotNull, _) => rejection.column = quoted(),
            (Reason::UndefinedTable, "42P01") => rejection.table = quoted(),
            // "Could not find the table 'public.users' in the schema cache"
            (Reason::UndefinedTable, "PGRST205") => rejection.table = apostrophised(&self.message),
            (Reason::UndefinedColumn, "PGRST204") => rejection.column = apostrophised(&self.message),
            _ => {}
        }
        rejection
    }
}

/// The last name in double quotes: `… relation "t" violates … constraint "c"`.
fn last_quoted(message: &str) -> Option<Box<str>> {
    let (before, _) = message.rsplit_once('"')?;
    before.rsplit_once('"').map(|(_, name)| name.into())
}

fn apostrophised(message: &str) -> Option<Box<str>> {
    let (_, rest) = message.split_once('\'')?;
    rest.split_once('\'').map(|(name, _)| name.into())
}

fn port(kind: PortErrorKind, status: u16, said: &Said) -> PortError {
    let code = if said.code.is_empty() { "no code" } else { &said.code };
    PortError::new(PORT, kind).caused_by(format!("the upstream answered {status} ({code})"))
}

fn rejected(rejection: Rejection) -> PortError {
    PortError::rejected(PORT, rejection)
}

/// The failure that an answer other than success tells of. `retry_after` is that header.
pub(crate) fn answered(status: u16, retry_after: Option<&str>, body: &[u8], asked: Asked) -> Fault {
    let said = Said::read(body);
    if status == 429 {
        let seconds = retry_after.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        let retry_after = u32::min(seconds, LONGEST_WAIT_SECS).max(1);
        return Fault::lasting(port(PortErrorKind::Throttled { retry_after }, status, &said));
    }
    if said.code.starts_with("PGRST") {
        return by_postgrest(status, &said, asked);
    }
    if said.code.len() == 5 && said.code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return by_database(status, &said, asked);
    }
    by_status(status, &said, asked)
}

fn by_database(status: u16, said: &Said, asked: Asked) -> Fault {
    match sql_state::judge(&said.code, &said.message) {
        Verdict::Refused(reason) => Fault::lasting(rejected(said.rejection(reason))),
        // A trigger may raise any state, and a loss of PostgREST's own connection comes as one of its own codes as soon
        // as it lasts. What was raised does not turn others away; what is true shows when it is looked after.
        Verdict::Failed(PortErrorKind::Unavailable) if asked.writes && is_broken(&said.code) => {
            Fault::lasting(port(PortErrorKind::Lost, status, said).saying(Health::Doubtful))
        }
        Verdict::Failed(kind @ (PortErrorKind::Unavailable | PortErrorKind::TooManyConnections)) => {
            let transient = kind == PortErrorKind::Unavailable && is_broken(&said.code);
            Fault { error: port(kind, status, said).saying(Health::Doubtful), transient }
        }
        Verdict::Failed(kind) => Fault::lasting(port(kind, status, said)),
    }
}

/// Whether the state says that PostgREST's connection broke, rather than that it was never let in.
fn is_broken(state: &str) -> bool {
    state.starts_with("08") || state.starts_with("57P")
}

fn by_postgrest(status: u16, said: &Said, asked: Asked) -> Fault {
    let refused = |reason| Fault::lasting(rejected(said.rejection(reason)));
    match said.code.as_str() {
        // Nothing was sent to the database.
        "PGRST000" | "PGRST001" | "PGRST002" => {
            Fault { error: port(PortErrorKind::Unavailable, status, said), transient: true }
        }
        "PGRST003" => Fault { error: port(PortErrorKind::Exhausted, status, said), transient: true },
        "PGRST106" | "PGRST125" | "PGRST205" => refused(Reason::UndefinedTable),
        "PGRST204" => refused(Reason::UndefinedColumn),
        "PGRST202" => refused(Reason::UndefinedFunction),
        "PGRST122" | "PGRST117" | "PGRST127" => refused(Reason::Unsupported),
        "PGRST124" => {
            let mut rejection = said.rejection(Reason::TooManyRows);
            rejection.message = "more rows would change than max_affected; nothing was changed".to_owned();
            Fault::lasting(rejected(rejection))
        }
        "PGRST300" | "PGRST301" | "PGRST302" | "PGRST303" => refused_key(status, said, asked),
        _ if status >= 500 => by_status(status, said, asked),
        _ => refused(Reason::Statement),
    }
}

fn by_status(status: u16, said: &Said, asked: Asked) -> Fault {
    let failed = |kind| Fault::lasting(port(kind, status, said));
    match status {
        401 | 403 if asked.key_of_caller || said.speaks_of_the_key() => refused_key(status, said, asked),
        413 | 414 | 431 => {
            let mut rejection = Rejection::new(
                Reason::Unsupported,
                "the request is larger than what stands before the database takes",
            );
            rejection.hint = Some("send fewer values, in several requests".to_owned());
            Fault::lasting(rejected(rejection))
        }
        408 | 504 if !asked.writes => failed(PortErrorKind::TimedOut),
        // It took its time, as the request itself may make it do.
        408 | 504 => Fault::lasting(port(PortErrorKind::Lost, status, said).saying(Health::Doubtful)),
        // By a firewall, say, that does not like a value: whoever sends it can have as many as he likes.
        400..500 => {
            let message = format!("what stands before the database refused the request with {status}");
            let mut rejection = Rejection::new(Reason::Upstream(status), message);
            rejection.hint =
                Some("the answer was not the database's; ask whoever runs its address why".to_owned());
            Fault::lasting(rejected(rejection))
        }
        // A fault of what stands before the database, which a value may bring about as well: whoever asks for it again and
        // again turns nobody else away. What is true shows when it is looked after.
        500 => {
            let kind = if asked.writes { PortErrorKind::Lost } else { PortErrorKind::Internal };
            Fault::lasting(port(kind, status, said).saying(Health::Doubtful))
        }
        // Whether it came as far as the database, nobody says.
        501.. if asked.writes => failed(PortErrorKind::Lost),
        502 | 503 | 520..=530 => {
            Fault { error: port(PortErrorKind::Unavailable, status, said), transient: true }
        }
        // A redirect: no PostgREST is where one should be, or a value has led elsewhere.
        _ => Fault::lasting(port(PortErrorKind::Unavailable, status, said).saying(Health::Doubtful)),
    }
}

/// The upstream does not let the key in. With the gateway's own that is a matter of its configuration.
fn refused_key(status: u16, said: &Said, asked: Asked) -> Fault {
    if !asked.key_of_caller {
        let failed = port(PortErrorKind::Unavailable, status, said);
        return Fault::lasting(failed.meeting(Obstacle::Authentication));
    }
    let mut rejection = Rejection::new(Reason::Privilege, "the project refused the key of x-supabase-key");
    rejection.hint = Some("The project of x-supabase-url refused the key of x-supabase-key.".to_owned());
    Fault::lasting(rejected(rejection))
}

/// The failure of an exchange that gave no whole answer.
pub(crate) fn broken(error: reqwest::Error, writes: bool) -> Fault {
    // The address holds the caller's conditions.
    let error = error.without_url();
    let unsent = error.is_connect() || error.is_builder();
    let kind = match (unsent, writes) {
        (false, true) => PortErrorKind::Lost,
        (false, false) if error.is_timeout() => PortErrorKind::TimedOut,
        _ => PortErrorKind::Unavailable,
    };
    let transient = kind == PortErrorKind::Unavailable;
    let late = error.is_timeout().then_some(Obstacle::Timeout);
    Fault { error: PortError::new(PORT, kind).meeting(late).caused_by(error), transient }
}

/// The time was up.
pub(crate) fn late(writes: bool) -> PortError {
    // Closing the connection does not stop PostgREST: a write may be carried out all the same.
    PortError::new(PORT, if writes { PortErrorKind::Lost } else { PortErrorKind::TimedOut })
        .caused_by("the upstream did not answer in time")
        .saying(Health::Doubtful)
        .meeting(Obstacle::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Asked = Asked { writes: false, key_of_caller: false };
    const WRITE: Asked = Asked { writes: true, key_of_caller: false };

    fn body(code: &str, message: &str) -> Vec<u8> {
        serde_json::json!({"code": code, "message": message, "details": null, "hint": null})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn refusals_are_those_of_the_database() {
        let check = |status, code: &str, message: &str, expected: Reason| {
            for asked in [READ, WRITE] {
                let fault = answered(status, None, &body(code, message), asked);
                assert_eq!(fault.error.reason(), Some(expected), "{code}");
                assert!(!fault.transient, "{code}");
            }
        };
        check(409, "23505", "duplicate key value violates unique constraint \"k\"", Reason::Unique);
        check(409, "23503", "x", Reason::ForeignKey);
        check(400, "23502", "null value in column \"a\" of relation \"t\"", Reason::NotNull);
        check(400, "22P02", "invalid input syntax for type integer: \"x\"", Reason::BadValue);
        check(400, "42703", "column t.x does not exist", Reason::UndefinedColumn);
        check(404, "42P01", "relation \"public.x\" does not exist", Reason::UndefinedTable);
        check(403, "42501", "permission denied for table t", Reason::Privilege);
        check(401, "42501", "permission denied for table t", Reason::Privilege);
        check(
            404,
            "PGRST205",
            "Could not find the table 'public.x' in the schema cache",
            Reason::UndefinedTable,
        );
        check(400, "PGRST204", "Could not find the 'x' column of 't'", Reason::UndefinedColumn);
        check(406, "PGRST106", "Invalid schema: x", Reason::UndefinedTable);
        check(400, "PGRST124", "Query result exceeds max-affected", Reason::TooManyRows);
        check(400, "PGRST122", "Invalid preferences", Reason::Unsupported);
        check(400, "P0001", "no", Reason::Raised);
        check(402, "PT402", "pay", Reason::Raised);
        check(414, "", "", Reason::Unsupported);
    }

    #[test]
    fn names_are_read_out_of_messages() {
        let rejection =
            |code: &str, message: &str| match answered(400, None, &body(code, message), READ).error.kind {
                PortErrorKind::Rejected(rejection) => *rejection,
                kind => panic!("{kind:?}"),
            };
        let unique = rejection("23505", "duplicate key value violates unique constraint \"users_email_key\"");
        assert_eq!(unique.constraint.as_deref(), Some("users_email_key"));
        let mut told = unique;
        told.hide_values(false);
        assert_eq!(told.constraint, None, "a trigger may have said it");
        let check =
            rejection("23514", "new row for relation \"t\" violates check constraint \"t_age_check\"");
        assert_eq!(check.constraint.as_deref(), Some("t_age_check"));
        let column =
            rejection("23502", "null value in column \"a\" of relation \"t\" violates not-null constraint");
        assert_eq!(column.column.as_deref(), Some("a"));
        let table = rejection("PGRST205", "Could not find the table 'public.x' in the schema cache");
        assert_eq!(table.table.as_deref(), Some("public.x"));
    }

    #[test]
    fn failures_say_whether_a_write_may_have_happened() {
        let check = |status, body: &[u8], read: PortErrorKind, write: PortErrorKind, transient: bool| {
            let fault = answered(status, None, body, READ);
            assert_eq!((fault.error.kind, fault.transient), (read, transient), "{status}");
            assert_eq!(answered(status, None, body, WRITE).error.kind, write, "{status}");
        };
        use PortErrorKind::{Conflict, Exhausted, Internal, Lost, TimedOut, Unavailable};
        check(503, &body("PGRST000", "x"), Unavailable, Unavailable, true);
        check(503, &body("PGRST001", "x"), Unavailable, Unavailable, true);
        check(504, &body("PGRST003", "x"), Exhausted, Exhausted, true);
        check(503, &body("57P01", "x"), Unavailable, Lost, true);
        check(500, &body("57014", "x"), TimedOut, TimedOut, false);
        check(500, &body("40001", "x"), Conflict, Conflict, false);
        check(500, &body("XX000", "x"), Internal, Internal, false);
        check(502, b"<html>", Unavailable, Lost, true);
        check(503, b"", Unavailable, Lost, true);
        check(504, b"", TimedOut, Lost, false);
        check(500, b"", Internal, Lost, false);
        check(302, b"", Unavailable, Unavailable, false);
        check(401, b"{\"message\":\"Invalid API key\"}", Unavailable, Unavailable, false);
        check(401, &body("PGRST301", "JWT expired"), Unavailable, Unavailable, false);
    }

    #[test]
    fn what_a_value_can_bring_about_turns_nobody_else_away() {
        let check = |status, body: &[u8], expected| {
            for asked in [READ, WRITE] {
                let fault = answered(status, None, body, asked);
                assert_eq!(fault.error.reason(), Some(expected), "{status}");
            }
        };
        for status in [400, 401, 403, 404, 405, 406, 409, 410, 415, 418, 422, 451] {
            check(status, b"<html>Forbidden</html>", Reason::Upstream(status));
            check(status, b"", Reason::Upstream(status));
            check(status, b"{\"message\":\"blocked\"}", Reason::Upstream(status));
        }
        let doubtful = |status, body: &[u8]| {
            for asked in [READ, WRITE] {
                let error = answered(status, None, body, asked).error;
                assert_eq!(error.health, Some(Health::Doubtful), "{status} {error:?}");
            }
        };
        for state in ["08006", "08P01", "57P01", "57P03", "53300", "28000", "3D000"] {
            doubtful(503, &body(state, "raised"));
            doubtful(400, &body(state, "raised"));
        }
        doubtful(302, b"");
        doubtful(500, b"");
        doubtful(500, b"<html>Internal Server Error</html>");
        assert_eq!(answered(504, None, b"", WRITE).error.health, Some(Health::Doubtful));
        // These nobody can bring about by a value.
        for (status, body) in [
            (503, body("PGRST001", "x")),
            (502, b"<html>".to_vec()),
            (401, b"{\"message\":\"Invalid API key\"}".to_vec()),
        ] {
            assert_eq!(answered(status, None, &body, READ).error.health, None, "{status}");
        }
    }

    #[test]
    fn a_key_of_the_caller_is_the_callers_fault() {
        let asked = Asked { key_of_caller: true, ..READ };
        let fault = answered(401, None, b"{\"message\":\"Invalid API key\"}", asked);
        assert_eq!(fault.error.reason(), Some(Reason::Privilege));
    }

    #[test]
    fn too_many_requests_say_when_to_come_back() {
        let check = |header: Option<&str>, seconds| {
            let kind = answered(429, header, b"", READ).error.kind;
            assert_eq!(kind, PortErrorKind::Throttled { retry_after: seconds }, "{header:?}");
        };
        check(Some("7"), 7);
        check(Some("0"), 1);
        check(Some("99999999"), 3600);
        check(Some("Wed, 21 Oct 2015 07:28:00 GMT"), 1);
        check(None, 1);
    }
}
