//! What happened: every request is told once, and logs, metrics and statistics listen.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use athena_domain::ClientName;
use athena_domain::access::{ApiKey, AuthReason, Mode};
use smol_str::SmolStr;

/// Hears of every request.
///
/// - MUST return at once: no I/O, no lock that is held long, no panic. What cannot be kept is counted.
pub trait Observer: Send + Sync + 'static {
    /// Hears that a request has come; it will be observed when it is over.
    fn begins(&self) {}

    /// Hears of one request, after its answer has left or broken off.
    fn observe(&self, observation: &Observation);
}

/// A finished request. Nothing secret stands in it: headers are an allow-list, the query string is redacted.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Name of the request, as answered in `X-Request-Id`.
    pub request_id: SmolStr,
    /// When it came.
    pub began: SystemTime,
    /// From its head to the last byte of its answer.
    pub duration: Duration,
    /// Where the time went.
    pub stages: Stages,
    /// HTTP method.
    pub method: SmolStr,
    /// The route's pattern, such as `/gateway/fetch`; `unmatched` when no route fits. Few values.
    pub route: &'static str,
    /// The path as it was asked for.
    pub path: SmolStr,
    /// The query string, secrets replaced.
    pub query: Option<Box<str>>,
    /// Status of the answer.
    pub status: u16,
    /// Machine-readable reason of a failure.
    pub code: Option<&'static str>,
    /// What the failure's answer said.
    pub message: Option<Box<str>>,
    /// Whether the answer broke off after its first byte.
    pub broken: bool,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The client, when the header named one.
    pub client: Option<ClientName>,
    /// Whether that client exists; others must not make rows or metrics of their own.
    pub client_known: bool,
    /// Who called.
    pub caller: CallerAddress,
    /// Acting user, company and organization, as the caller says.
    pub audit: AuditIds,
    /// Headers that may be kept, by lower-case name, as a JSON object.
    pub headers: String,
    /// What the credential came to; none where no key is asked for.
    pub auth: Option<AuthObservation>,
    /// What was done to a database; none when it did not come to that.
    pub operation: Option<OperationObservation>,
    /// Whether the answer came out of a cache.
    pub cached: bool,
    /// The trace that the caller is in.
    pub trace: Option<TraceParent>,
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stages {
    /// Reading and decoding the body.
    pub decode: Duration,
    /// Credential, rights, budget.
    pub auth: Duration,
    /// Planning.
    pub plan: Duration,
    /// Waiting for a place in the queue and for a connection.
    pub pool: Duration,
    /// The database.
    pub db: Duration,
    /// Shaping and writing the answer.
    pub shape: Duration,
}

impl Stages {
    /// The stages by name, in their order.
    pub fn named(&self) -> [(&'static str, Duration); 6] {
        [
            ("decode", self.decode),
            ("auth", self.auth),
            ("plan", self.plan),
            ("pool", self.pool),
            ("db", self.db),
            ("shape", self.shape),
        ]
    }

    /// What of `total` is in no stage.
    pub fn rest(&self, total: Duration) -> Duration {
        self.named().iter().fold(total, |left, (_, took)| left.saturating_sub(*took))
    }
}

/// Who called, from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerAddress {
    /// Address of the caller, behind trusted proxies.
    pub ip: Option<IpAddr>,
    /// `https` or `http`, as the caller used it; empty where nobody knows.
    pub scheme: &'static str,
    /// `Host`.
    pub host: Option<SmolStr>,
    /// `User-Agent`.
    pub user_agent: Option<SmolStr>,
}

/// Who acts, as the caller says it; for the record only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditIds {
    /// `X-User-Id`.
    pub user: Option<SmolStr>,
    /// `X-Company-Id`.
    pub company: Option<SmolStr>,
    /// `X-Organization-Id`.
    pub organization: Option<SmolStr>,
}

/// What a credential came to.
#[derive(Debug, Clone)]
pub struct AuthObservation {
    /// The key whose secret was presented.
    pub key: Option<Arc<ApiKey>>,
    /// The public id that was presented, verified or not, when the credential had the form of one.
    pub presented_public_id: Option<Box<str>>,
    /// Whether the caller is who it says it is.
    pub authenticated: bool,
    /// Whether it had every right it needed.
    pub authorized: bool,
    /// How strictly keys are demanded for the client.
    pub mode: Mode,
    /// Why.
    pub reason: AuthReason,
    /// The right that was needed, by name.
    pub required: Option<Box<str>>,
}

/// What was done to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationObservation {
    /// `fetch`, `gateway_update`, `insert`, `delete`, `query` and the like (contract 19.3).
    pub name: &'static str,
    /// What kind of database it is, as OpenTelemetry calls it: `postgresql`.
    pub system: Option<&'static str>,
    /// The table, as the caller wrote it.
    pub table: Option<Box<str>>,
    /// Rows of the answer.
    pub rows: u64,
    /// Rows changed.
    pub affected: u64,
    /// From the plan to the last row.
    pub duration: Duration,
    /// From the request's head to when the database was asked first.
    pub offset: Duration,
}

/// W3C trace context of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Trace.
    pub trace_id: [u8; 16],
    /// The caller's span.
    pub span_id: [u8; 8],
    /// Whether the caller records.
    pub sampled: bool,
}

/// Several observers as one.
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn begins(&self) {
        self.0.iter().for_each(|observer| observer.begins());
    }

    fn observe(&self, observation: &Observation) {
        self.0.iter().for_each(|observer| observer.observe(observation));
    }
}
