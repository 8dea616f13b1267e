//! Opens the databases of clients, of whichever kind a URI says.

use std::hash::{BuildHasher as _, Hash as _, Hasher, RandomState};
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
    /// Secrets are among what is hashed.
    hasher: RandomState,
}

/// How databases are opened.
#[derive(PartialEq, Eq)]
struct Rules {
    opening: Opening,
    environment: Environment,
    uri_variables: Vec<String>,
}

/// The settings that databases are opened with.
#[derive(PartialEq, Eq)]
struct Opening {
    pool: PoolConfig,
    statement_timeout: Duration,
    max_rows: u64,
    schema_refresh: Duration,
    breaker: BreakerSettings,
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

    /// Hashes what decides how the database at `uri` is opened.
    fn hash_manner(&self, uri: &str, state: &mut impl Hasher) {
        let Opening { pool, statement_timeout, max_rows, schema_refresh, breaker } = &self.opening;
        (statement_timeout, pool.acquire_timeout, pool.idle_timeout, breaker).hash(state);
        match Kind::of(uri.trim_start().split(':').next().unwrap_or_default()) {
            Some(Kind::Cql) => (max_rows, schema_refresh).hash(state),
            // Its key stands in a variable.
            Some(Kind::Postgrest) => (pool.max_connections, &self.environment).hash(state),
            Some(Kind::Postgres) => (pool, schema_refresh).hash(state),
            None => {}
        }
    }
}

/// What speaks to a database.
enum Kind {
    Postgres,
    Cql,
    Postgrest,
}

impl Kind {
    /// By the scheme of a URI, in whatever case.
    fn of(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" | "neon" => Some(Self::Postgres),
            "cql" | "scylla" | "cassandra" => Some(Self::Cql),
            "supabase+https" | "supabase+http" | "postgrest+https" | "postgrest+http" => {
                Some(Self::Postgrest)
            }
            _ => None,
        }
    }
}

impl Databases {
    /// Databases under this configuration.
    pub fn new(config: &Config) -> Self {
        Self { rules: ArcSwap::from_pointee(Rules::of(config)), hasher: RandomState::new() }
    }

    /// Opens databases as this configuration wants it from now on; whether anything of that is new.
    pub fn renew(&self, config: &Config) -> bool {
        let rules = Rules::of(config);
        let before = self.rules.load_full();
        let renews = *before != rules;
        self.rules.store(Arc::new(rules));
        renews
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
        let scheme = uri.scheme();
        match Kind::of(&scheme) {
            Some(Kind::Postgres) => Ok(rules.opening.postgres(name, &uri)?),
            Some(Kind::Cql) => Ok(rules.opening.cql(name, uri.expose())?),
            Some(Kind::Postgrest) => {
                rules.opening.postgrest(name, &uri, |variable| rules.environment.value(variable))
            }
            None => Err(OpenFailure::Invalid(format!(
                "this build does not speak {scheme}://; it speaks postgres://, postgresql://, neon://, \
                 cql://, supabase+https:// and postgrest+https://"
            ))),
        }
    }

    fn manner(&self, uri: &str) -> u64 {
        let mut state = self.hasher.build_hasher();
        self.rules.load().hash_manner(uri, &mut state);
        state.finish()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.rules.load().environment.value(name)
    }

    fn lends(&self, name: &str) -> bool {
        name.starts_with(BORROWED_PREFIX) || self.rules.load().uri_variables.iter().any(|lent| lent == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str, key: &str) -> Config {
        let environment = [("SUPABASE_KEY", key)].into_iter().collect();
        Config::from_text("test", yaml, &environment, None).expect("a configuration").0
    }

    #[test]
    fn a_database_is_opened_anew_when_what_it_is_opened_by_has_changed() {
        let uris = ["postgres://h/d", "cql://h/k", "supabase+https://h?key_env=SUPABASE_KEY"];
        let databases = Databases::new(&config("", "one"));
        let manners = || uris.map(|uri| databases.manner(uri));
        let before = manners();
        for (yaml, key, expected) in [
            ("", "one", [false; 3]),
            ("pool: {monitor_interval_secs: 7}", "one", [false; 3]),
            ("limits: {request_timeout_secs: 77}", "one", [false; 3]),
            ("pool: {max_connections: 7}", "one", [true, false, true]),
            ("pool: {max_lifetime_secs: 7}", "one", [true, false, false]),
            ("limits: {max_rows: 7}", "one", [false, true, false]),
            ("gateway: {schema_refresh_secs: 7}", "one", [true, true, false]),
            ("limits: {statement_timeout_secs: 7}", "one", [true; 3]),
            ("gateway: {circuit_breaker_threshold: 7}", "one", [true; 3]),
            ("", "two", [false, false, true]),
        ] {
            databases.renew(&config(yaml, key));
            let now = manners();
            assert_eq!([0, 1, 2].map(|at| before[at] != now[at]), expected, "{yaml} {key}");
        }
        assert!(databases.renew(&config("", "one")), "the key of before is back");
        assert!(!databases.renew(&config("", "one")));
        assert_eq!(manners(), before);
    }
}
