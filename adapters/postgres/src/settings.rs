//! What a client's database connection needs to know.

mod libpq;
mod neon;
mod uri;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use athena_domain::breaker::BreakerOverrides;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

pub use uri::InvalidUri;

/// What stands between the gateway and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing, or a pooler that gives each connection a server session of its own.
    #[default]
    Session,
    /// A pooler such as PgBouncer that lends a server session for one transaction.
    Transaction,
}

/// Settings of one client's pool. The public fields are the configured values; what the URI says about
/// the client itself wins over them once the client is opened (see [`PostgresSettings::resolved`]).
#[derive(Clone)]
pub struct PostgresSettings {
    /// Where and as whom to connect. Never printed: it may hold a password.
    options: PgConnectOptions,
    /// Session parameters of the URI that a transaction pooler would refuse at the start of a connection.
    parameters: Vec<(String, String)>,
    /// What the URI says beside libpq's own options.
    own: Own,
    /// The client's name, for the log.
    pub name: String,
    /// What stands in between (`pooler`).
    pub pooler: Pooler,
    /// Most connections for prepared statements; raw queries have a pool of their own beside it.
    pub max_connections: usize,
    /// Connections for prepared statements that are kept open after the first use.
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
    /// Without a request for so long, the schema is no longer kept fresh.
    pub in_use: Duration,
    /// Whether a connection is tested before every use: one round trip more.
    pub test_before_acquire: bool,
    /// `max_concurrent`: requests of this client that may run at once. Not enforced in this crate.
    pub max_concurrent: Option<usize>,
    /// `queue_length`: requests that may wait for their turn. Not enforced in this crate.
    pub queue_length: Option<usize>,
    /// `queue_wait_ms`: longest wait for a turn. Not enforced in this crate.
    pub queue_wait: Option<Duration>,
    /// When the client's database is taken to be away. Not enforced in this crate.
    pub breaker: BreakerOverrides,
}

/// What a URI says that takes the place of a configured value.
#[derive(Debug, Clone, Default)]
struct Own {
    max_connections: Option<usize>,
    min_connections: Option<usize>,
    statement_timeout: Option<Duration>,
    acquire_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
}

impl PostgresSettings {
    /// Where the database is: host, port and name, as they are written; this machine has one name, sockets and every
    /// address that leads to it by itself included.
    pub fn place(&self) -> String {
        let options = &self.options;
        let host = options.get_host().to_ascii_lowercase();
        let host = host.trim_end_matches('.');
        let by_itself = |address: IpAddr| {
            let address = address.to_canonical();
            // Connecting to "any address" connects to this machine.
            address.is_loopback() || address.is_unspecified()
        };
        let here = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse().is_ok_and(by_itself);
        let host = if here { "here" } else { host };
        let database = options.get_database().unwrap_or(options.get_username());
        format!("postgres {host}:{}/{database}", options.get_port())
    }

    /// The same for records that wait: a socket is a place of its own, as each of them leads to another server.
    pub(crate) fn address(&self) -> String {
        let options = &self.options;
        let host = options.get_host();
        let socket = options.get_socket().map(|path| path.display().to_string());
        let host = socket.unwrap_or_else(|| host.to_ascii_lowercase());
        let database = options.get_database().unwrap_or(options.get_username());
        format!("{host}:{}/{database}", options.get_port())
    }

    /// Reads a URI and takes the defaults of everything else.
    ///
    /// # Errors
    /// [`InvalidUri`].
    pub fn from_uri(uri: &str) -> Result<Self, InvalidUri> {
        let read = uri::read(uri)?;
        let mut options = PgConnectOptions::from_str(&read.driver).map_err(|_| InvalidUri::unreadable())?;
        // The driver would look an IPv6 address up as a name, brackets included.
        let bare = options.get_host().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(bare) = bare.map(str::to_owned) {
            options = options.host(&bare);
        }
        let parameters = match read.pooler {
            Pooler::Session => Vec::new(),
            Pooler::Transaction => read.parameters,
        };
        Ok(Self {
            options,
            parameters,
            own: read.own,
            name: "postgres".to_owned(),
            pooler: read.pooler,
            max_connections: 50,
            min_connections: 0,
            max_raw_connections: 8,
            acquire_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            max_lifetime: Duration::from_secs(900),
            statement_timeout: Duration::from_secs(30),
            schema_refresh: Duration::from_secs(60),
            in_use: Duration::from_secs(300),
            test_before_acquire: false,
            max_concurrent: read.max_concurrent,
            queue_length: read.queue_length,
            queue_wait: read.queue_wait,
            breaker: read.breaker,
        })
    }

    /// The same settings with what the URI says in the place of the configured values. The configured
    /// statement timeout is a limit: the URI can only shorten it.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let mut settings = self.clone();
        let own = &self.own;
        settings.max_connections = own.max_connections.unwrap_or(self.max_connections).max(1);
        settings.min_connections =
            own.min_connections.unwrap_or(self.min_connections).min(settings.max_connections);
        settings.max_raw_connections = self.max_raw_connections.clamp(1, settings.max_connections);
        settings.acquire_timeout = own.acquire_timeout.unwrap_or(self.acquire_timeout);
        settings.connect_timeout = own.connect_timeout.unwrap_or(self.connect_timeout);
        settings.statement_timeout =
            own.statement_timeout.map_or(self.statement_timeout, |own| own.min(self.statement_timeout));
        settings
    }

    /// Options of a connection for prepared statements (`cached` of them are kept) or, with none, for raw
    /// queries. Without a pooler the session settings go with the connection.
    pub(crate) fn options(&self, cached: usize) -> PgConnectOptions {
        let named = match self.options.get_application_name() {
            Some(_) => self.options.clone(),
            None => self.options.clone().application_name("athena"),
        };
        let quiet = named.disable_statement_logging();
        match self.pooler {
            Pooler::Session => {
                let timeout = self.statement_timeout.as_millis().to_string();
                let timeout = [("statement_timeout", timeout.as_str())];
                quiet.statement_cache_capacity(cached).options(timeout.into_iter().chain(TEXT_FORMS))
            }
            // Such a pooler refuses both, and names of prepared statements mean nothing in the next transaction.
            Pooler::Transaction => quiet.statement_cache_capacity(0).extra_float_digits(None::<i8>),
        }
    }

    /// The session parameters of one transaction behind a transaction pooler, in the order they are set.
    pub(crate) fn parameters(&self) -> Vec<(&str, &str)> {
        let own = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // The pooler keeps track of these three, until a script resets them.
        own.chain([("TimeZone", "UTC"), ("DateStyle", "ISO, MDY"), ("client_encoding", "UTF8")])
            .chain(TEXT_FORMS)
            .collect()
    }
}

/// The session settings that fix the text forms of contract 29.5.
const TEXT_FORMS: [(&str, &str); 3] =
    [("IntervalStyle", "iso_8601"), ("bytea_output", "hex"), ("standard_conforming_strings", "on")];

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("name", &self.name)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
