//! What a client's CQL connection needs to know, all of it out of its URI.

mod uri;

use std::fmt;
use std::time::Duration;

use athena_domain::breaker::BreakerOverrides;
use athena_domain::schema::Consistency;
use scylla::statement::SerialConsistency;

pub use uri::InvalidUri;

use crate::tls::TlsSettings;

/// Settings of one client.
#[derive(Clone)]
pub struct ScyllaSettings {
    /// The client's name, for the log.
    pub name: String,
    /// `host:port` of the nodes that are asked first; the driver finds the others.
    pub(crate) nodes: Vec<String>,
    /// User and password. Never printed.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) keyspace: String,
    /// How many replicas have to agree.
    pub(crate) consistency: Consistency,
    /// The most that a request may ask for; `consistency` when absent.
    pub(crate) max_consistency: Option<Consistency>,
    /// How many replicas agree on what is there, before a write that depends on it.
    pub(crate) serial: Option<SerialConsistency>,
    /// Whose nodes are asked first.
    pub(crate) datacenter: Option<String>,
    /// Rows that the server sends at once; so many are in memory.
    pub(crate) page_size: i32,
    /// Whether requests may make the server read rows only to leave them out.
    pub(crate) allow_filtering: bool,
    /// Whether ranges and sorts take the server's order of types that SQL sorts otherwise.
    pub(crate) database_order: bool,
    /// Time the database may spend on one page or write (`timeout_ms`); the URI can only shorten it.
    pub statement_timeout: Duration,
    /// Longest wait for a session.
    pub connect_timeout: Duration,
    /// After which an unused session is closed.
    pub idle_timeout: Duration,
    /// How often the schema is read again while the client is in use.
    pub schema_refresh: Duration,
    /// Without a request for so long, the schema is no longer kept fresh.
    pub in_use: Duration,
    /// Most rows that a request which filters may read.
    pub max_filtered_rows: u64,
    /// `max_concurrent`: requests of this client that may run at once. Not enforced in this crate.
    pub max_concurrent: Option<usize>,
    /// `queue_length`: requests that may wait for their turn. Not enforced in this crate.
    pub queue_length: Option<usize>,
    /// `queue_wait_ms`: longest wait for a turn. Not enforced in this crate.
    pub queue_wait: Option<Duration>,
    /// When the database is taken to be away. Not enforced in this crate.
    pub breaker: BreakerOverrides,
    /// How connections are encrypted; they are not when absent.
    pub(crate) tls: Option<TlsSettings>,
    timeout: Option<Duration>,
}

impl ScyllaSettings {
    /// Reads a URI and takes the defaults of everything else.
    ///
    /// # Errors
    /// [`InvalidUri`].
    pub fn from_uri(uri: &str) -> Result<Self, InvalidUri> {
        uri::read(uri)
    }

    /// Where the database is: nodes and keyspace, in one order whatever order they are written in.
    pub fn place(&self) -> String {
        let mut nodes: Vec<String> = self.nodes.iter().map(|node| node.to_ascii_lowercase()).collect();
        nodes.sort_unstable();
        format!("cql {}/{}", nodes.join(","), self.keyspace)
    }

    /// Where reads and writes ask all of the cluster, conditions of writes do too.
    pub(crate) fn serial(&self) -> SerialConsistency {
        self.serial.unwrap_or(match self.consistency {
            Consistency::Quorum | Consistency::All | Consistency::EachQuorum => SerialConsistency::Serial,
            _ => SerialConsistency::LocalSerial,
        })
    }

    /// The hosts that the URI names, without ports.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        let host = |node: &'_ str| node.rsplit_once(':').map_or(node.len(), |(host, _)| host.len());
        self.nodes.iter().map(move |node| node[..host(node)].trim_matches(['[', ']']))
    }

    /// The time that one statement may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.map_or(self.statement_timeout, |own| own.min(self.statement_timeout))
    }
}

impl fmt::Debug for ScyllaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScyllaSettings")
            .field("name", &self.name)
            .field("keyspace", &self.keyspace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
