//! From settings to a client.

use std::sync::Arc;
use std::time::Duration;

use super::AthenaClient;
use super::config::{BackendType, ClientConfig, ConnectionConfig, HealthConfig, PoolConfig};
use super::error::{AthenaError, ErrorKind};
use super::target::uri;
use super::transport::{Embedded, Transport};
use crate::compose;
use crate::config::{Config, ConnectionUri, Environment, Secret};

/// Name of the only client of a gateway in this process.
const CLIENT: &str = "database";

/// The variable that holds its URI; only the gateway made here sees it.
const URI_VARIABLE: &str = "ATHENA_EMBEDDED_URI";

/// The variable that holds the key of its REST interface.
pub(super) const KEY_VARIABLE: &str = "ATHENA_EMBEDDED_KEY";

/// Sets what a client is made of.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct AthenaClientBuilder {
    backend: Option<BackendType>,
    url: Option<Secret>,
    key: Option<Secret>,
    ssl: Option<bool>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    pool: PoolConfig,
    health: HealthConfig,
    request_timeout: Option<Duration>,
    big_numbers_as_text: bool,
}

impl AthenaClientBuilder {
    /// Kind of database.
    pub fn backend(mut self, backend: BackendType) -> Self {
        self.backend = Some(backend);
        self
    }

    /// URL of the database; `host:port` will do for ScyllaDB.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(Secret::new(url.into()));
        self
    }

    /// Key of the REST interface; the password for ScyllaDB. An empty one is none.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret::new(key.into())).filter(|key| !key.expose().is_empty());
        self
    }

    /// URL and key out of environment variables of these names.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], naming the variable that is not set.
    pub fn from_env(mut self, url_variable: &str, key_variable: &str) -> Result<Self, AthenaError> {
        let read = |name: &str| {
            std::env::var(name).map_err(|_| configuration(format!("environment variable {name} is not set")))
        };
        self = self.url(read(url_variable)?).key(read(key_variable)?);
        Ok(self)
    }

    /// Whether connections are encrypted; the URL's own word for it wins. To PostgreSQL they are where the server can,
    /// unless this says no. To ScyllaDB they are if this says so, and then a certificate for the host is demanded, of a
    /// public authority or of those in the URL's `sslrootcert`. What begins with `https://` always is.
    pub fn ssl(mut self, ssl: bool) -> Self {
        self.ssl = Some(ssl);
        self
    }

    /// Port, where the URL has none.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Database, where the URL has none; the keyspace for ScyllaDB.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// User, where the URL has none.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Most connections; where one carries many requests, as to ScyllaDB and PostgREST, most requests at once.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.pool.max_connections = connections;
        self
    }

    /// Connections that are kept when nobody needs them; PostgreSQL alone has such.
    pub fn min_connections(mut self, connections: u32) -> Self {
        self.pool.min_connections = connections;
        self
    }

    /// Longest wait for a connection, or for a turn where so many requests are under way already.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.pool.connection_timeout = timeout;
        self
    }

    /// Time after which a connection that nobody uses is closed.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool.idle_timeout = timeout;
        self
    }

    /// Longest time that a request may take until its answer begins.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// Whether integers beyond 2^53 and exact decimals come as strings.
    pub fn big_numbers_as_text(mut self, as_text: bool) -> Self {
        self.big_numbers_as_text = as_text;
        self
    }

    /// Whether a database that fails is left alone for a while.
    pub fn health_tracking(mut self, enabled: bool) -> Self {
        self.health.enabled = enabled;
        self
    }

    /// How often a database that is left alone is asked whether it is back.
    pub fn health_check_interval(mut self, interval: Duration) -> Self {
        self.health.check_interval = interval;
        self
    }

    /// Failures in a row after which a database is left alone.
    pub fn circuit_breaker_threshold(mut self, failures: u32) -> Self {
        self.health.circuit_breaker_threshold = failures;
        self
    }

    /// For how long a database is left alone.
    pub fn circuit_breaker_timeout(mut self, timeout: Duration) -> Self {
        self.health.circuit_breaker_timeout = timeout;
        self
    }

    /// What a client would be made of.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when the kind or the URL is missing.
    pub fn build_config(&self) -> Result<ClientConfig, AthenaError> {
        let backend = self.backend.ok_or_else(|| configuration("backend type was not specified"))?;
        let url = self.url.clone().filter(|url| !url.expose().trim().is_empty());
        let url = url.ok_or_else(|| configuration("connection URL is required"))?;
        if backend == BackendType::Supabase && self.key.is_none() {
            return Err(configuration("Supabase key is required"));
        }
        let is_cql = backend == BackendType::Scylla;
        Ok(ClientConfig {
            backend,
            connection: ConnectionConfig {
                url,
                key: self.key.clone(),
                ssl: self.ssl.unwrap_or(!is_cql),
                port: self.port,
                database: self.database.clone(),
                user: self.user.clone(),
            },
            pool: self.pool.clone(),
            health: self.health.clone(),
            request_timeout: self.request_timeout.unwrap_or(Duration::from_secs(35)),
            big_numbers_as_text: self.big_numbers_as_text,
        })
    }

    /// Makes the client. Connects when it is first used. Needs a running Tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub async fn build(self) -> Result<AthenaClient, AthenaError> {
        self.open()
    }

    pub(super) fn open(self) -> Result<AthenaClient, AthenaError> {
        let config = self.build_config()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(configuration("a client needs a running Tokio runtime"));
        }
        let gateway = gateway(&config)?;
        let composed = compose::compose(&gateway);
        let app = athena_http::app(&compose::http_settings(&gateway), &composed.services);
        let transport = Transport::Embedded(Arc::new(Embedded {
            app,
            client: CLIENT,
            composed,
            big_numbers_as_text: config.big_numbers_as_text,
        }));
        Ok(AthenaClient::embedded(config, transport))
    }
}

pub(super) fn configuration(message: impl Into<String>) -> AthenaError {
    AthenaError::new(ErrorKind::Configuration, message)
}

/// The configuration of a gateway with one client.
fn gateway(config: &ClientConfig) -> Result<Config, AthenaError> {
    let uri = uri(config)?;
    ConnectionUri::parse(&uri).map_err(configuration)?;
    let text =
        format!("clients:\n  {CLIENT}: ${{{URI_VARIABLE}}}\ngateway:\n  require_audit_headers: lenient\n");
    // The configuration counts in whole seconds.
    let seconds = |time: Duration| (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1).to_string();
    let request_timeout = config.request_timeout.max(Duration::from_secs(2));
    // Neither a wait for a connection nor a statement may use up the time in which the caller is told of it.
    let within = request_timeout - Duration::from_secs(1);
    let acquire = config.pool.connection_timeout.min(within);
    let min = config.pool.min_connections.min(config.pool.max_connections);
    // So many failures in a row nobody sees.
    let threshold =
        if config.health.enabled { config.health.circuit_breaker_threshold.max(1) } else { 1_000_000 };
    let variables = [
        (URI_VARIABLE, uri),
        (KEY_VARIABLE, config.connection.key.as_ref().map(|key| key.expose().to_owned()).unwrap_or_default()),
        ("ATHENA_POOL__MAX_CONNECTIONS", config.pool.max_connections.to_string()),
        ("ATHENA_POOL__MIN_CONNECTIONS", min.to_string()),
        ("ATHENA_POOL__ACQUIRE_TIMEOUT_SECS", seconds(acquire)),
        ("ATHENA_POOL__IDLE_TIMEOUT_SECS", seconds(config.pool.idle_timeout)),
        ("ATHENA_GATEWAY__CIRCUIT_BREAKER_THRESHOLD", threshold.to_string()),
        ("ATHENA_GATEWAY__CIRCUIT_BREAKER_TIMEOUT_SECS", seconds(config.health.circuit_breaker_timeout)),
        ("ATHENA_GATEWAY__CIRCUIT_BREAKER_CHECK_INTERVAL_SECS", seconds(config.health.check_interval)),
        ("ATHENA_LIMITS__REQUEST_TIMEOUT_SECS", seconds(request_timeout)),
        ("ATHENA_LIMITS__STATEMENT_TIMEOUT_SECS", seconds(within)),
    ];
    let environment: Environment = variables.into_iter().collect();
    let (gateway, _) = Config::from_text("the client's settings", &text, &environment, None)
        .map_err(|error| configuration("the settings do not fit together").caused_by(error))?;
    match gateway.clients.first().map(|client| &client.target) {
        Some(Err(reason)) => Err(configuration(reason.clone())),
        Some(Ok(_)) | None => Ok(gateway),
    }
}
