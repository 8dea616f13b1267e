//! Why a request of the library gave no rows.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client cannot be made of what was given.
    Configuration,
    /// The request is to be corrected.
    Invalid,
    /// The key or the database's role may not do this.
    Denied,
    /// A row like it is there already, or others hold it.
    Conflict,
    /// The database or the gateway is away or busy; it may be there again later.
    Unavailable,
    /// It took too long.
    TimedOut,
    /// The gateway cannot be reached, or the answer broke off. A write may have been carried out.
    Connection,
    /// A row is not of the type that was asked for.
    Row,
    /// Anything else.
    Other,
}

/// Why a request gave no rows. Holds no secret.
#[derive(Debug)]
pub struct AthenaError {
    /// What may be done about it.
    pub kind: ErrorKind,
    /// The code of the gateway's error, such as `unique_violation`; they are in its documentation.
    pub code: Option<Box<str>>,
    /// What went wrong.
    pub message: String,
    /// What to try.
    pub hint: Option<Box<str>>,
    /// Name of the request in the gateway's log.
    pub trace_id: Option<Box<str>>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The gateway's error body, as far as it is read here.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    code: Option<Box<str>>,
    message: Option<String>,
    error: Option<String>,
    hint: Option<Box<str>>,
    trace_id: Option<Box<str>>,
    status_code: Option<u16>,
}

impl AthenaError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            hint: None,
            trace_id: None,
            retry_after: None,
            source: None,
        }
    }

    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error of an answer with `status`, whatever its body.
    pub(super) fn of_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let kind = match status {
            401 | 403 => ErrorKind::Denied,
            409 => ErrorKind::Conflict,
            429 | 503 => ErrorKind::Unavailable,
            408 | 504 => ErrorKind::TimedOut,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Other,
        };
        let unreadable = || Self::new(kind, format!("the gateway answered with status {status}"));
        let error = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self::of_body(kind, body),
            Err(_) => unreadable(),
        };
        Self { retry_after, ..error }
    }

    fn of_body(kind: ErrorKind, body: ErrorBody) -> Self {
        let message = body.error.or(body.message).unwrap_or_default();
        Self { code: body.code, hint: body.hint, trace_id: body.trace_id, ..Self::new(kind, message) }
    }

    /// The error at the end of an answer that broke off; `None` for anything else, a row that looks like one included,
    /// as the name of the request is known to nobody else.
    pub(super) fn of_last_line(line: &[u8], request_id: &str) -> Option<Self> {
        // Nearly every line is a row: most are told apart without being parsed.
        if !line.windows(request_id.len()).any(|part| part == request_id.as_bytes()) {
            return None;
        }
        let body: ErrorBody = serde_json::from_slice(line).ok()?;
        if body.trace_id.as_deref() != Some(request_id) {
            return None;
        }
        Some(Self::of_answer(body.status_code.unwrap_or(500), line, None))
    }
}

impl fmt::Display for AthenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AthenaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
