//! Configuration → adapters → use cases; the only place that names every adapter.

use std::sync::Arc;
use std::time::Duration;

use athena_application::bulkhead::{Bulkhead, BulkheadSettings};
use athena_application::direct_hosts::DirectHosts;
use athena_application::held::SharedMemory;
use athena_application::ports::{
    Connector, DirectTargets, MetricsSource, OpenFailure, Opened, StatisticsStore,
};
use athena_application::readers::SlowReaders;
use athena_application::use_cases::provision::Provision;
use athena_application::{Caches, Cursors, Gateway};
use athena_domain::breaker::BreakerSettings;
use athena_domain::catalog::BORROWED_PREFIX;
use athena_domain::plan::PlanOptions;
use athena_domain::query::Decoding;
use athena_domain::{ClientName, Limits};
use athena_http::{AdminKey, AuditHeaders, Cors, HttpSettings, ResponseShape, Services};
use athena_postgres::PostgresSettings;
use athena_postgres::control::{PostgresProvisioner, PostgresStatistics};
use athena_scylla::ScyllaSettings;
use athena_supabase::{InvalidTarget, SupabaseDirect, SupabaseSettings};

use crate::config::{self, Config, ConnectionUri, Environment, PoolConfig, Secret, UnknownFields};
use crate::control::ControlPlane;
use crate::instance::Instance;
use crate::records::Records;

/// The WebSocket contract, served as it stands.
const WSS_SPECIFICATION: &str = include_str!("../openapi-wss.yaml");

/// Requests of one client that wait before its bulkhead.
const QUEUE_LENGTH: usize = 1000;

/// Requests of one CQL client at once: its connections carry many, so that only memory bounds them.
const CQL_CONCURRENT: usize = 256;

/// Connections for raw queries, as a share of those for prepared statements.
const RAW_SHARE: usize = 4;

/// A gateway and everything that runs beside it. Dropped, what runs beside it stops.
pub struct Composed {
    /// What the HTTP face calls.
    pub services: Services,
    /// Keys, policy and clients.
    pub control: ControlPlane,
    /// What is kept of requests.
    pub records: Records,
}

impl Composed {
    /// Ends what runs beside the gateway, once no request does: what waits is written for as long as `within`, then
    /// spooled.
    pub async fn stop(self, within: Duration) {
        let Self { services, control, records } = self;
        // Nobody is left who could be observed.
        drop(services);
        records.stop(within).await;
        drop(control);
    }
}

/// Composes a gateway. Waits for nothing: databases are connected to in the background, the control database
/// too. Needs a running runtime.
pub fn compose(config: &Config) -> Composed {
    let instance = Instance::new();
    let control = ControlPlane::start(config, &instance);
    let caches = Arc::new(Caches::default());
    let direct = direct(config);
    let records = Records::start(config, &instance, &control, &caches, direct.clone());
    let statistics = control
        .logging
        .clone()
        .map(|database| -> Arc<dyn StatisticsStore> { Arc::new(PostgresStatistics::new(database)) });
    let services = Services {
        gateway: gateway(config, &control, caches, direct),
        admin_key: AdminKey::new(config.admin_key.as_ref().map(Secret::expose)),
        clients: Some(control.clients.clone()),
        catalog_absence: control.catalog_absence.clone(),
        keys: control.keys.clone(),
        provision: Some(Arc::new(Provision::new(
            Arc::new(PostgresProvisioner),
            control.catalog.clone(),
            control.clients.clone(),
        ))),
        reload: None,
        statistics,
        metrics: records.metrics.clone().map(|metrics| metrics as Arc<dyn MetricsSource>),
        observer: records.observer.clone(),
    };
    Composed { services, control, records }
}

fn gateway(
    config: &Config,
    control: &ControlPlane,
    caches: Arc<Caches>,
    direct: Option<Arc<dyn DirectTargets>>,
) -> Arc<Gateway> {
    Arc::new(Gateway {
        registry: control.catalog.registry().clone(),
        limits: config.limits.clone(),
        options: PlanOptions {
            camel_to_snake: config.gateway.force_camel_case_to_snake_case,
            ..PlanOptions::default()
        },
        authenticator: control.authenticator.clone(),
        budgets: control.budgets.clone(),
        cursors: Arc::new(Cursors::new(
            config.gateway.cursor_secret.as_ref().map(|secret| secret.expose().as_bytes()),
            config.gateway.cursor_lifetime,
        )),
        direct,
        caches,
        memory: SharedMemory::of_answers(config.limits.max_held_bytes),
        decoding: Decoding {
            refuse_unknown_fields: config.gateway.unknown_fields == UnknownFields::Refuse,
            schema_prefix: config.gateway.allow_schema_names_prefixed_as_table_name,
        },
    })
}

/// Opens projects that requests name. Without any certificate authority on this machine there is no way to one.
fn direct(config: &Config) -> Option<Arc<dyn DirectTargets>> {
    let rules = config.gateway.supabase_hosts.clone();
    match SupabaseDirect::new(rules, config.limits.statement_timeout) {
        Ok(direct) => {
            let max_concurrent = usize::try_from(config.pool.max_connections).unwrap_or(usize::MAX);
            let bulkhead = BulkheadSettings {
                max_concurrent,
                queue_length: QUEUE_LENGTH,
                queue_wait: config.pool.acquire_timeout,
                slow_readers: SlowReaders::share_of(max_concurrent),
            };
            Some(Arc::new(DirectHosts::new(Arc::new(direct), config.gateway.breaker, bulkhead)))
        }
        Err(error) => {
            tracing::warn!(%error, "the client custom_supabase is not served");
            None
        }
    }
}

/// Opens databases as the configuration wants them opened.
pub struct Databases {
    pool: PoolConfig,
    limits: Limits,
    schema_refresh: Duration,
    breaker: BreakerSettings,
    environment: Environment,
    uri_variables: Vec<String>,
}

impl Databases {
    /// Databases under this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            pool: config.pool.clone(),
            limits: config.limits.clone(),
            schema_refresh: config.gateway.schema_refresh,
            breaker: config.gateway.breaker,
            environment: config.environment.clone(),
            uri_variables: config.gateway.uri_variables.clone(),
        }
    }
}

impl Databases {
    fn postgres(&self, name: &ClientName, uri: &ConnectionUri) -> Result<Opened, String> {
        let settings = settings(uri.expose(), &self.pool, &self.limits, self.schema_refresh);
        let mut settings = settings.map_err(|error| error.to_string())?;
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

    fn cql(&self, name: &ClientName, uri: &str) -> Result<Opened, String> {
        let mut settings = ScyllaSettings::from_uri(uri).map_err(|error| error.to_string())?;
        name.as_str().clone_into(&mut settings.name);
        settings.statement_timeout = self.limits.statement_timeout;
        settings.connect_timeout = settings.connect_timeout.min(self.pool.acquire_timeout);
        settings.idle_timeout = self.pool.idle_timeout;
        settings.schema_refresh = self.schema_refresh;
        settings.max_filtered_rows = self.limits.max_rows;
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

    fn postgrest(&self, name: &ClientName, uri: &ConnectionUri) -> Result<Opened, OpenFailure> {
        let variable = |name: &str| self.variable(name);
        let settings = SupabaseSettings::from_uri(uri.expose(), self.limits.statement_timeout, variable);
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
        let uri = ConnectionUri::parse(uri).map_err(str::to_owned)?;
        match uri.scheme().as_str() {
            "postgres" | "postgresql" | "neon" => Ok(self.postgres(name, &uri)?),
            "cql" | "scylla" | "cassandra" => Ok(self.cql(name, uri.expose())?),
            "supabase+https" | "supabase+http" | "postgrest+https" | "postgrest+http" => {
                self.postgrest(name, &uri)
            }
            other => Err(OpenFailure::Invalid(format!(
                "this build does not speak {other}://; it speaks postgres://, postgresql://, neon://, \
                 cql://, supabase+https:// and postgrest+https://"
            ))),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.environment.value(name)
    }

    fn lends(&self, name: &str) -> bool {
        name.starts_with(BORROWED_PREFIX) || self.uri_variables.iter().any(|lent| lent == name)
    }
}

fn settings(
    uri: &str,
    pool: &PoolConfig,
    limits: &Limits,
    schema_refresh: Duration,
) -> Result<PostgresSettings, athena_postgres::InvalidUri> {
    let max_connections = usize::try_from(pool.max_connections).unwrap_or(usize::MAX);
    let mut settings = PostgresSettings::from_uri(uri)?;
    settings.max_connections = max_connections;
    settings.max_raw_connections = (max_connections / RAW_SHARE).max(1);
    settings.min_connections = usize::try_from(pool.min_connections).unwrap_or(usize::MAX);
    settings.acquire_timeout = pool.acquire_timeout;
    settings.idle_timeout = pool.idle_timeout;
    settings.max_lifetime = pool.max_lifetime;
    settings.statement_timeout = limits.statement_timeout;
    settings.schema_refresh = schema_refresh;
    settings.test_before_acquire = pool.test_before_acquire;
    Ok(settings)
}

/// What the HTTP face needs of the configuration.
pub fn http_settings(config: &Config) -> HttpSettings {
    HttpSettings {
        response_shape: match config.gateway.response_shape {
            config::ResponseShape::Envelope => ResponseShape::Envelope,
            config::ResponseShape::Flat => ResponseShape::Flat,
        },
        require_audit_headers: match config.gateway.require_audit_headers {
            config::AuditHeaders::Strict => AuditHeaders::Strict,
            config::AuditHeaders::Lenient => AuditHeaders::Lenient,
        },
        cors: Cors { allow_any: config.cors.allow_any_origin, origins: config.cors.allowed_origins.clone() },
        docs_url: config.server.docs_url.clone(),
        version: env!("CARGO_PKG_VERSION"),
        wss_specification: WSS_SPECIFICATION,
        keep_alive: config.server.keep_alive,
        client_request_timeout: config.server.client_request_timeout,
        client_disconnect_timeout: config.server.client_disconnect_timeout,
        tcp_keep_alive: config.server.tcp_keepalive,
        max_connections: config.server.http_max_connections,
        trusted_proxies: config.server.trusted_proxies.clone(),
        allowed_hosts: config.server.allowed_hosts.clone(),
        drain_delay: config.server.drain_delay,
        shutdown_timeout: config.server.shutdown_timeout,
    }
}
