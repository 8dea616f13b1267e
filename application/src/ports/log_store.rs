//! Where finished requests are written down: logs, statistics and the registry of live connections.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::PortError;

/// Text that stands where nothing is known (contract 19.3).
pub const NOT_FOUND: &str = "NOT_FOUND";

/// Text that stands where something secret was (contract 19.3).
pub const REDACTED: &str = "[REDACTED]";

/// Text of an entry, borrowed as long as what the entry was read from is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The same text, on its own.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Borrows where the input holds the text as it is.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Either).map(Self)
    }
}

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

/// Name of a store that stays with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub u128);

/// Entries that are written together or not at all.
#[derive(Debug, Clone, Copy)]
pub struct LogBatch<'a> {
    /// Its name.
    pub id: BatchId,
    /// The entries, oldest first.
    pub entries: &'a [LogEntry<'a>],
}

/// One finished request, as it is kept. No text in it holds a NUL character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry<'a> {
    /// When it came, in microseconds since 1970.
    pub at: i64,
    /// Name of the request.
    #[serde(borrow)]
    pub request_id: Text<'a>,
    /// The client by its lower-case name, if there is one of that name.
    #[serde(borrow)]
    pub client: Option<Text<'a>>,
    /// The client as the caller wrote it.
    #[serde(borrow)]
    pub client_sent: Option<Text<'a>>,
    /// HTTP method.
    #[serde(borrow)]
    pub method: Text<'a>,
    /// Path.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// Query string, free of secrets.
    #[serde(borrow)]
    pub query: Option<Text<'a>>,
    /// Status of the answer.
    pub status: u16,
    /// Address of the caller.
    #[serde(borrow)]
    pub address: Option<Text<'a>>,
    /// `Host`.
    #[serde(borrow)]
    pub host: Option<Text<'a>>,
    /// `{scheme}://{Host}`.
    #[serde(borrow)]
    pub origin: Option<Text<'a>>,
    /// `User-Agent`.
    #[serde(borrow)]
    pub user_agent: Option<Text<'a>>,
    /// Headers that may be kept, as a JSON object.
    #[serde(borrow)]
    pub headers: Text<'a>,
    /// Acting user, as the caller says.
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
    /// Acting company.
    #[serde(borrow)]
    pub company: Option<Text<'a>>,
    /// Acting organization.
    #[serde(borrow)]
    pub organization: Option<Text<'a>>,
    /// Whether the answer came out of a cache.
    pub cached: bool,
    /// What the credential came to.
    #[serde(borrow)]
    pub auth: Option<LoggedAuth<'a>>,
    /// What was done to a database.
    #[serde(borrow)]
    pub operation: Option<LoggedOperation<'a>>,
    /// What a failure's answer said, else its code.
    #[serde(borrow)]
    pub message: Option<Text<'a>>,
    /// The failure, or that the answer broke off, as a JSON object; none after a success.
    #[serde(borrow)]
    pub details: Option<Text<'a>>,
}

impl<'a> LogEntry<'a> {
    /// The same entry, on its own.
    pub fn into_owned(self) -> LogEntry<'static> {
        let own = |text: Option<Text<'_>>| text.map(Text::into_owned);
        LogEntry {
            at: self.at,
            request_id: self.request_id.into_owned(),
            client: own(self.client),
            client_sent: own(self.client_sent),
            method: self.method.into_owned(),
            path: self.path.into_owned(),
            query: own(self.query),
            status: self.status,
            address: own(self.address),
            host: own(self.host),
            origin: own(self.origin),
            user_agent: own(self.user_agent),
            headers: self.headers.into_owned(),
            user: own(self.user),
            company: own(self.company),
            organization: own(self.organization),
            cached: self.cached,
            auth: self.auth.map(|auth| LoggedAuth {
                key: auth.key.map(|key| LoggedKey {
                    id: key.id,
                    external_id: key.external_id.into_owned(),
                    public_id: key.public_id.into_owned(),
                }),
                presented_public_id: own(auth.presented_public_id),
                reason: auth.reason.into_owned(),
                required: auth.required.into_owned(),
                granted: auth.granted.into_owned(),
                authenticated: auth.authenticated,
                authorized: auth.authorized,
                enforced: auth.enforced,
                logged: auth.logged,
            }),
            operation: self.operation.map(|operation| LoggedOperation {
                name: operation.name.into_owned(),
                table: own(operation.table),
                duration_ms: operation.duration_ms,
            }),
            message: own(self.message),
            details: own(self.details),
        }
    }

    /// Whether the status is a failure.
    pub fn failed(&self) -> bool {
        self.status >= 400
    }

    /// Whether the status is a success.
    pub fn succeeded(&self) -> bool {
        (200..400).contains(&self.status)
    }

    /// The key whose secret was verified, if any.
    pub fn verified_key(&self) -> Option<&LoggedKey<'a>> {
        self.auth.as_ref().filter(|auth| auth.authenticated).and_then(|auth| auth.key.as_ref())
    }

    /// Whether the caller stands in the registry of live connections (contract 19.4): known clients only, and nobody who
    /// was turned away for the want of an identity.
    pub fn is_registered(&self) -> bool {
        self.client.is_some() && self.status != 401
    }

    /// Key in that registry of a caller who reached the gateway by the name `origin`; verified identities only.
    pub fn registry_key(&self, origin: &str) -> Option<String> {
        let client = self.client.as_deref().filter(|_| self.is_registered())?;
        let address = self.address.as_deref().unwrap_or(NOT_FOUND);
        let identity = self.verified_key().map_or("ANON", |key| &key.public_id);
        Some(format!("{client}|{address}|{origin}|{identity}"))
    }
}

/// What a credential came to, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedAuth<'a> {
    /// The key that was presented, if there is one of that id.
    #[serde(borrow)]
    pub key: Option<LoggedKey<'a>>,
    /// The public id that was presented, verified or not.
    #[serde(borrow)]
    pub presented_public_id: Option<Text<'a>>,
    /// Whether the caller is who it says it is.
    pub authenticated: bool,
    /// Whether it had every right it needed.
    pub authorized: bool,
    /// Whether a failure would have refused it.
    pub enforced: bool,
    /// Name of the reason.
    #[serde(borrow)]
    pub reason: Text<'a>,
    /// Rights that were needed, as a JSON array.
    #[serde(borrow)]
    pub required: Text<'a>,
    /// Rights of the key, as a JSON array.
    #[serde(borrow)]
    pub granted: Text<'a>,
    /// Whether the log of authentications gets a row: not when there was no store to ask (contract 5.8).
    pub logged: bool,
}

/// A key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedKey<'a> {
    /// Number in the store.
    pub id: i64,
    /// The id that operators use.
    #[serde(borrow)]
    pub external_id: Text<'a>,
    /// The id that callers present.
    #[serde(borrow)]
    pub public_id: Text<'a>,
}

/// What was done to a database, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOperation<'a> {
    /// Name (contract 19.3).
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The table, as the caller wrote it.
    #[serde(borrow)]
    pub table: Option<Text<'a>>,
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

    /// Which store this is, so that what was meant for another one is not written here. Nothing where it has no name
    /// yet.
    ///
    /// - MUST be the same for as long as the data is, wherever the store is reached.
    /// - MUST NOT be the name of a store that was made by itself.
    /// - MUST come to an end by itself when the database does not answer.
    ///
    /// # Errors
    /// When the database cannot be asked.
    async fn identity(&self) -> Result<Option<StoreId>, PortError>;
}
