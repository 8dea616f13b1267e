//! Where finished requests are written down: logs, statistics and the registry of live connections.

use serde::{Deserialize, Serialize};

use super::PortError;

/// Text that stands where nothing is known (contract 19.3).
pub const NOT_FOUND: &str = "NOT_FOUND";

/// Text that stands where something secret was (contract 19.3).
pub const REDACTED: &str = "[REDACTED]";

/// Name of a batch: what carries the same name is written once, however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchId(pub u128);

impl BatchId {
    /// Name of a part of this batch. Parts are numbered like the nodes of a binary tree: 1 is the whole,
    /// 2n and 2n + 1 are the halves of n. The same part has the same name after a restart.
    #[must_use]
    pub fn part(self, node: u32) -> Self {
        Self(self.0 ^ u128::from(node.saturating_sub(1)))
    }
}

/// Entries that are written together or not at all.
#[derive(Debug, Clone, Copy)]
pub struct LogBatch<'a> {
    /// Its name.
    pub id: BatchId,
    /// The entries, oldest first.
    pub entries: &'a [LogEntry],
}

/// One finished request, as it is kept. No text in it holds a NUL character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it came, in microseconds since 1970.
    pub at: i64,
    /// Name of the request.
    pub request_id: Box<str>,
    /// The client by its lower-case name, if there is one of that name.
    pub client: Option<Box<str>>,
    /// The client as the caller wrote it.
    pub client_sent: Option<Box<str>>,
    /// HTTP method.
    pub method: Box<str>,
    /// Path.
    pub path: Box<str>,
    /// Query string, free of secrets.
    pub query: Option<Box<str>>,
    /// Status of the answer.
    pub status: u16,
    /// Address of the caller.
    pub address: Option<Box<str>>,
    /// `Host`.
    pub host: Option<Box<str>>,
    /// `{scheme}://{Host}`.
    pub origin: Option<Box<str>>,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// Headers that may be kept, as a JSON object.
    pub headers: Box<str>,
    /// Acting user, as the caller says.
    pub user: Option<Box<str>>,
    /// Acting company.
    pub company: Option<Box<str>>,
    /// Acting organization.
    pub organization: Option<Box<str>>,
    /// Whether the answer came out of a cache.
    pub cached: bool,
    /// What the credential came to.
    pub auth: Option<LoggedAuth>,
    /// What was done to a database.
    pub operation: Option<LoggedOperation>,
    /// What a failure's answer said, else its code.
    pub message: Option<Box<str>>,
    /// The failure as a JSON object; none after a success.
    pub details: Option<Box<str>>,
}

impl LogEntry {
    /// Whether the status is a failure.
    pub fn failed(&self) -> bool {
        self.status >= 400
    }

    /// Whether the status is a success.
    pub fn succeeded(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// The key whose secret was verified, if any.
    pub fn verified_key(&self) -> Option<&LoggedKey> {
        self.auth.as_ref().filter(|auth| auth.authenticated).and_then(|auth| auth.key.as_ref())
    }

    /// Key in the registry of live connections (contract 19.4): known clients only, verified identities
    /// only, and nobody who was turned away for the want of one.
    pub fn registry_key(&self) -> Option<String> {
        let client = self.client.as_deref()?;
        if self.status == 401 {
            return None;
        }
        let or = |text: &Option<Box<str>>| text.as_deref().unwrap_or(NOT_FOUND).to_owned();
        let identity = self.verified_key().map_or("ANON", |key| &key.public_id);
        Some(format!("{client}|{}|{}|{identity}", or(&self.address), or(&self.origin)))
    }
}

/// What a credential came to, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedAuth {
    /// The key that was presented, if there is one of that id.
    pub key: Option<LoggedKey>,
    /// The public id that was presented, verified or not.
    pub presented_public_id: Option<Box<str>>,
    /// Whether the caller is who it says it is.
    pub authenticated: bool,
    /// Whether it had every right it needed.
    pub authorized: bool,
    /// Whether a failure would have refused it.
    pub enforced: bool,
    /// Name of the reason.
    pub reason: Box<str>,
    /// Rights that were needed, as a JSON array.
    pub required: Box<str>,
    /// Rights of the key, as a JSON array.
    pub granted: Box<str>,
    /// Whether the log of authentications gets a row: not when there was no store to ask (contract 5.8).
    pub logged: bool,
}

/// A key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedKey {
    /// Number in the store.
    pub id: i64,
    /// The id that operators use.
    pub external_id: Box<str>,
    /// The id that callers present.
    pub public_id: Box<str>,
}

/// What was done to a database, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOperation {
    /// Name (contract 19.3).
    pub name: Box<str>,
    /// The table, as the caller wrote it.
    pub table: Option<Box<str>>,
    /// From the plan to the last row, in milliseconds.
    pub duration_ms: i64,
}

/// Keeps finished requests.
#[async_trait::async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Writes a batch: a request row an entry, an operation row and an authentication row where there is
    /// one, and what is counted: statistics of clients and tables, the registry of live connections, when
    /// keys and clients were seen last.
    ///
    /// - MUST write everything of the batch or nothing.
    /// - MUST write a batch once, however often it is given the same `id`, also when an earlier call broke
    ///   off at any moment, and side by side with one that still runs.
    /// - MUST count what a refresh of the statistics counts, neither twice nor not at all, while one runs.
    /// - MUST come to an end by itself when the database does not answer.
    ///
    /// # Errors
    /// `Rejected` when the database refuses what the batch holds, so that sending it again is in vain;
    /// anything else may pass.
    async fn write(&self, batch: &LogBatch<'_>) -> Result<(), PortError>;
}
