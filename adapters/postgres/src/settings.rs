//! What a client's database connection needs to know.

use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// Settings of one client's pool.
#[derive(Clone)]
pub struct PostgresSettings {
    /// Where and as whom to connect. Never printed: it may hold a password.
    options: PgConnectOptions,
    /// Most connections for prepared statements; raw queries have a pool of their own beside it.
    pub max_connections: usize,
    /// Connections for prepared statements that are kept open.
    pub min_connections: usize,
    /// Most connections for raw queries.
    pub max_raw_connections: usize,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a new connection.
    pub connect_timeout: Duration,
    /// After which an unused connection is closed.
    pub idle_timeout: Duration,
    /// After which a connection is closed at its next return.
    pub max_lifetime: Duration,
    /// Time the database may spend on one statement.
    pub statement_timeout: Duration,
    /// How often the schema is read again while the client is in use.
    pub schema_refresh: Duration,
    /// Whether a connection is tested before every use: one round trip more.
    pub test_before_acquire: bool,
}

/// A connection URI that cannot be read. The text holds no part of the URI.
#[derive(Debug, thiserror::Error)]
#[error("the PostgreSQL URI cannot be read; write postgres://user:password@host:5432/database")]
pub struct InvalidUri;

impl PostgresSettings {
    /// Reads a URI and takes the defaults of everything else.
    ///
    /// # Errors
    /// [`InvalidUri`].
    pub fn from_uri(uri: &str) -> Result<Self, InvalidUri> {
        let options = PgConnectOptions::from_str(uri).map_err(|_| InvalidUri)?;
        Ok(Self {
            options,
            max_connections: 50,
            min_connections: 0,
            max_raw_connections: 8,
            acquire_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            max_lifetime: Duration::from_secs(900),
            statement_timeout: Duration::from_secs(30),
            schema_refresh: Duration::from_secs(60),
            test_before_acquire: false,
        })
    }

    /// Options of a connection for prepared statements (`cached` of them are kept) or, with none, for raw
    /// queries. The session settings fix the text forms of contract 29.5.
    pub(crate) fn options(&self, cached: usize) -> PgConnectOptions {
        let timeout = self.statement_timeout.as_millis().to_string();
        let named = match self.options.get_application_name() {
            Some(_) => self.options.clone(),
            None => self.options.clone().application_name("athena"),
        };
        named.statement_cache_capacity(cached).disable_statement_logging().options([
            ("statement_timeout", timeout.as_str()),
            ("IntervalStyle", "iso_8601"),
            ("bytea_output", "hex"),
            ("standard_conforming_strings", "on"),
        ])
    }
}
