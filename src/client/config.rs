//! What a client is made of.

use std::time::Duration;

use crate::config::Secret;

/// What kind of database a client speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BackendType {
    /// PostgreSQL, over its own protocol.
    #[default]
    Native,
    /// Supabase, over its REST interface; needs a key.
    Supabase,
    /// Any PostgREST, over HTTP.
    Postgrest,
    /// ScyllaDB or Cassandra, over CQL.
    Scylla,
    /// Neon: PostgreSQL that insists on TLS.
    Neon,
    /// PostgreSQL, over its own protocol.
    PostgreSQL,
}

impl BackendType {
    /// The kind of that name, whatever its case; [`BackendType::Native`] where no kind has it.
    pub fn named(name: &str) -> Self {
        match name.trim().to_ascii_lowercase().as_str() {
            "supabase" => Self::Supabase,
            "postgrest" => Self::Postgrest,
            "scylla" => Self::Scylla,
            "neon" => Self::Neon,
            "postgresql" | "postgres" => Self::PostgreSQL,
            _ => Self::Native,
        }
    }

    /// Its name as the `driver` of a raw query.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Supabase => "supabase",
            Self::Postgrest => "postgrest",
            Self::Scylla => "scylla",
            Self::Neon => "neon",
            Self::PostgreSQL => "postgresql",
        }
    }
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Its URL, or `host:port` for ScyllaDB; may hold a password, so it prints as `***`.
    pub url: Secret,
    /// Key of a REST interface, or the password for ScyllaDB.
    pub key: Option<Secret>,
    /// Whether a connection that would be in clear is to be encrypted where the server can; never for ScyllaDB.
    pub ssl: bool,
    /// Port, where the URL has none.
    pub port: Option<u16>,
    /// Database, where the URL has none; the keyspace for ScyllaDB.
    pub database: Option<String>,
    /// User, where the URL has none.
    pub user: Option<String>,
}

/// How many connections there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Most of them.
    pub max_connections: u32,
    /// Those that are kept when nobody needs them.
    pub min_connections: u32,
    /// Longest wait for one.
    pub connection_timeout: Duration,
    /// Time after which one that nobody uses is closed.
    pub idle_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 50,
            min_connections: 5,
            connection_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
        }
    }
}

/// When a database that fails is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// Whether it is at all.
    pub enabled: bool,
    /// How often it is asked whether it is back.
    pub check_interval: Duration,
    /// Failures in a row after which it is left alone.
    pub circuit_breaker_threshold: u32,
    /// For how long.
    pub circuit_breaker_timeout: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            check_interval: Duration::from_secs(30),
            circuit_breaker_threshold: 5,
            circuit_breaker_timeout: Duration::from_secs(60),
        }
    }
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Kind of database.
    pub backend: BackendType,
    /// Where it is.
    pub connection: ConnectionConfig,
    /// Connections to it.
    pub pool: PoolConfig,
    /// When it is left alone.
    pub health: HealthConfig,
    /// Longest time that one request may take until its answer begins.
    pub request_timeout: Duration,
    /// Whether integers beyond 2^53 and exact decimals come as strings, so that [`serde_json::Value`] keeps them.
    pub big_numbers_as_text: bool,
}
