//! Opens the databases of clients, of whichever kind a URI says.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use athena_application::bulkhead::{Bulkhead, BulkheadSettings};
use athena_application::ports::{Connector, OpenFailure, Opened};
use athena_application::readers::SlowReaders;
use athena_domain::ClientName;
use athena_domain::breaker::BreakerSettings;
use athena_domain::catalog::BORROWED_PREFIX;
use athena_postgres::{InvalidUri, PostgresSettings};
use athena_scylla::ScyllaSettings;
use athena_supabase::{InvalidTarget, SupabaseSettings};

use crate::config::{Config, ConnectionUri, Environment, PoolConfig};

/// Requests of one client that wait before its bulkhead.
pub(crate) const QUEUE_LENGTH: usize = 1000;

/// Requests of one CQL client at once: its connections carry many, so that only memory bounds them.
const CQL_CONCURRENT: usize = 256;

/// Connections for raw queries, as a share of those for prepared statements.
const RAW_SHARE: usize = 4;

/// Opens databases as the configuration wants them opened, which may change.
pub struct Databases {
    rules: ArcSwap<Rules>,
}

/// How databases are opened.
#[derive(PartialEq)]
struct Rules {
    opening: Opening,
    environment: Environment,
    uri_variables: Vec<String>,
}

/// What an open database was opened by.
#[derive(PartialEq)]
struct Opening {
    pool: PoolConfig,
    statement_timeout: Duration,
    max_rows: u64,
    schema_refresh: Duration,
    breaker: BreakerSettings,
}

/// What follows for the databases from another configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// They are opened as before.
    Same,
    /// URIs may lead elsewhere.
    Uris,
    /// Those that are open were opened otherwise.
    Reopen,
}

impl Rules {
    fn of(config: &Config) -> Self {
        let opening = Opening {
            // How often somebody looks at the pools is nothing to them.
            pool: PoolConfig { monitor_interval: None, ..config.pool.clone() },
            statement_timeout: config.limits.statement_timeout,
            max_rows: config.limits.max_rows,
            schema_refresh: config.gateway.schema_refresh,
            breaker: config.gateway.breaker,
        };
        let uri_variables = config.gateway.uri_variables.clone();
        Self { opening, environment: config.environment.clone(), uri_variables }
    }
}

impl Databases {
    /// Databases under this configuration.
    pub fn new(config: &Config) -> Self {
        Self { rules: ArcSwap::from_pointee(Rules::of(config)) }
    }

    /// Opens databases as this configuration wants it from now on.
    pub fn renew(&self, config: &Config) -> Renewal {
        let rules = Rules::of(config);
        let before = self.rules.load_full();
        let renewal = match () {
            () if before.opening != rules.opening => Renewal::Reopen,
            () if *before != rules => Renewal::Uris,
            () => Renewal::Same,
        };
        self.rules.store(Arc::new(rules));
        renewal
    }
}

impl Opening {
    fn postgres(&self, name: &ClientName, uri: &ConnectionUri) -> Result<Opened, String> {
        let mut settings = self.settings(uri.expose()).map_err(|error| error.to_string())?;
        name.as_str().clone_into(&mut settings.name);
        let settings = settings.resolved();
        let max_concurrent =
            settings.max_concurrent.unwrap_or(settings.max_connections + settings.max_raw_connections);
        let bulkhead = BulkheadSettings {
            max_concurrent,
            queue_length: settings.queue_length.unwrap_or(QUEUE_LENGTH),
            queue_wait: settings.queue_wait.unwrap_or(settings.acquire_timeout),
            slow_readers: SlowReaders::share_of(max_concurrent.min(settings.max_connections)),
        };
        let (backend, schema) = athena_postgres::open(&settings);
        let place = settings.place();
        let breaker = settings.breaker.over(self.breaker);
        Ok(Opened::guarded(name, Arc::new(Bulkhead::new(backend, bulkhead)), schema, breaker, place))
    }

    fn settings(&self, uri: &str) -> Result<PostgresSettings, InvalidUri> {
        let pool = &self.pool;
        let max_connections = usize::try_from(pool.max_connections).unwrap_or(usize::MAX);
        let mut settings = PostgresSettings::from_uri(uri)?;
        settings.max_connections = max_connections;
        settings.max_raw_connections = (max_connections / RAW_SHARE).max(1);
        settings.min_connections = usize::try_from(pool.min_connections).unwrap_or(usize::MAX);
        settings.acquire_timeout = pool.acquire_timeout;
        settings.idle_timeout = pool.idle_timeout;
        settings.max_lifetime = pool.max_lifetime;
        settings.statement_timeout = self.statement_timeout;
        settings.schema_refresh = self.schema_refresh;
        settings.test_before_acquire = pool.test_before_acquire;
        Ok(settings)
    }

    fn cql(&self, name: &ClientName, uri: &str) -> Result<Opened, String> {
        let mut settings = ScyllaSettings::from_uri(uri).map_err(|error| error.to_string())?;
        name.as_str().clone_into(&mut settings.name);
        settings.statement_timeout = self.statement_timeout;
        settings.connect_timeout = settings.connect_timeout.min(self.pool.acquire_timeout);
        settings.idle_timeout = self.pool.idle_timeout;
        settings.schema_refresh = self.schema_refresh;
        settings.max_filtered_rows = self.max_rows;
        let max_concurrent = settings.max_concurrent.unwrap_or(CQL_CONCURRENT);
        let bulkhead = BulkheadSettings {
            max_concurrent,
            queue_length: settings.queue_length.unwrap_or(QUEUE_LENGTH),
            queue_wait: settings.queue_wait.unwrap_or(self.pool.acquire_timeout),
            slow_readers: SlowReaders::share_of(max_concurrent),
        };
        let (backend, schema) = athena_scylla::open(&settings);
        let place = settings.place();
        let breaker = settings.breaker.over(self.breaker);
        Ok(Opened::guarded(name, Arc::new(Bulkhead::new(backend, bulkhead)), schema, breaker, place))
    }

    fn postgrest(
        &self,
        name: &ClientName,
        uri: &ConnectionUri,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Opened, OpenFailure> {
        let settings = SupabaseSettings::from_uri(uri.expose(), self.statement_timeout, variable);
        let mut settings = settings.map_err(|error| match error {
            InvalidTarget::Unset(name) => OpenFailure::Unset(name),
            InvalidTarget::Uri(_) => OpenFailure::Invalid(error.to_string()),
        })?;
        settings.connect_timeout = settings.connect_timeout.min(self.pool.acquire_timeout);
        settings.idle_timeout = self.pool.idle_timeout;
        let max_concurrent = settings
            .max_concurrent
            .unwrap_or_else(|| usize::try_from(self.pool.max_connections).unwrap_or(usize::MAX));
        let bulkhead = BulkheadSettings {
            max_concurrent,
            queue_length: settings.queue_length.unwrap_or(QUEUE_LENGTH),
            queue_wait: settings.queue_wait.unwrap_or(self.pool.acquire_timeout),
            slow_readers: SlowReaders::share_of(max_concurrent),
        };
        let (backend, schema) = athena_supabase::open(&settings)?;
        let place = settings.place();
        let breaker = settings.breaker.over(self.breaker);
        Ok(Opened::guarded(name, Arc::new(Bulkhead::new(backend, bulkhead)), schema, breaker, place))
    }
}

impl Connector for Databases {
    fn open(&self, name: &ClientName, uri: &str) -> Result<Opened, OpenFailure> {
        let rules = self.rules.load();
        let uri = ConnectionUri::parse(uri).map_err(str::to_owned)?;
        match uri.scheme().as_str() {
            "postgres" | "postgresql" | "neon" => Ok(rules.opening.postgres(name, &uri)?),
            "cql" | "scylla" | "cassandra" => Ok(rules.opening.cql(name, uri.expose())?),
            "supabase+https" | "supabase+http" | "postgrest+https" | "postgrest+http" => {
                rules.opening.postgrest(name, &uri, |variable| rules.environment.value(variable))
            }
            other => Err(OpenFailure::Invalid(format!(
                "this build does not speak {other}://; it speaks postgres://, postgresql://, neon://, \
                 cql://, supabase+https:// and postgrest+https://"
            ))),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.rules.load().environment.value(name)
    }

    fn lends(&self, name: &str) -> bool {
        name.starts_with(BORROWED_PREFIX) || self.rules.load().uri_variables.iter().any(|lent| lent == name)
    }
}
