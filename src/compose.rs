//! Configuration → adapters → use cases; with `databases.rs` the only place that names every adapter.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use athena_application::bulkhead::BulkheadSettings;
use athena_application::catalog::Reconfigured;
use athena_application::direct_hosts::DirectHosts;
use athena_application::held::SharedMemory;
use athena_application::ports::{DirectTargets, MetricsSource, StatisticsStore};
use athena_application::readers::SlowReaders;
use athena_application::use_cases::provision::Provision;
use athena_application::{Caches, Catalog, Cursors, Gateway};
use athena_domain::breaker::BreakerSettings;
use athena_domain::plan::PlanOptions;
use athena_domain::query::Decoding;
use athena_http::{AdminKey, AuditHeaders, Cors, HttpSettings, ResponseShape, Services};
use athena_postgres::control::{PostgresProvisioner, PostgresStatistics};
use athena_supabase::{HostRules, SupabaseDirect};

use crate::config::{self, Config, Secret, UnknownFields};
use crate::control::{ControlPlane, config_clients};
use crate::databases::{Databases, QUEUE_LENGTH};
use crate::instance::Instance;
use crate::records::{Audience, Records};
use crate::upkeep::Upkeep;

/// The WebSocket contract, served as it stands.
const WSS_SPECIFICATION: &str = include_str!("../openapi-wss.yaml");

/// A gateway and everything that runs beside it. Dropped, what runs beside it stops.
pub struct Composed {
    /// What the HTTP face calls.
    pub services: Services,
    /// Keys, policy and clients.
    pub control: ControlPlane,
    /// What is kept of requests.
    pub records: Records,
    direct: Arc<DirectSlot>,
}

impl Composed {
    /// What of it can follow another configuration than `config`, which it was composed from.
    pub fn renewable(&self, config: &Config) -> Renewable {
        Renewable {
            services: self.services.clone(),
            catalog: self.control.catalog.clone(),
            databases: self.control.databases.clone(),
            direct: self.direct.clone(),
            audience: self.records.audience(),
            upkeep: self.records.upkeep.clone(),
            current: config.clone(),
        }
    }

    /// Ends what runs beside the gateway, once no request does: what waits is written for as long as `within`, then
    /// spooled.
    pub async fn stop(self, within: Duration) {
        let Self { services, control, records, direct: _ } = self;
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
    let direct = Arc::new(DirectSlot(ArcSwapOption::new(direct(config))));
    let records = Records::start(config, &instance, &control, &caches, direct.clone());
    let statistics = control
        .logging
        .clone()
        .map(|database| -> Arc<dyn StatisticsStore> { Arc::new(PostgresStatistics::new(database)) });
    let gateway = Gateway {
        registry: control.catalog.registry().clone(),
        limits: config.limits.clone(),
        options: options(config),
        authenticator: control.authenticator.clone(),
        budgets: control.budgets.clone(),
        cursors: cursors(config),
        direct: direct.targets(),
        caches,
        memory: SharedMemory::of_answers(config.limits.max_held_bytes),
        decoding: decoding(config),
    };
    let services = Services {
        gateway: Arc::new(gateway),
        admin_key: admin_key(config),
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
        observer: records.audience().with(config.logging.slow_query),
    };
    Composed { services, control, records, direct }
}

/// What of a running gateway can follow another configuration.
pub struct Renewable {
    /// What the HTTP face calls.
    pub services: Services,
    /// The clients.
    pub catalog: Arc<Catalog>,
    databases: Arc<Databases>,
    direct: Arc<DirectSlot>,
    audience: Audience,
    upkeep: Arc<Upkeep>,
    /// The configuration in force.
    pub current: Config,
}

impl Renewable {
    /// Follows `config`, of which nothing is different that a running gateway cannot change: all but the clients, for which
    /// [`Renewable::reconfigure`] comes next. The HTTP face is left to the caller.
    pub fn follow(&mut self, config: &Config) {
        let before = &self.current;
        if before.logging.slow_query != config.logging.slow_query {
            self.services.observer = self.audience.with(config.logging.slow_query);
        }
        self.upkeep.follow(config);
        if direct_rules(before) != direct_rules(config) {
            self.direct.0.store(direct(config));
        }
        let gateway = &self.services.gateway;
        let renewed = Gateway {
            registry: gateway.registry.clone(),
            limits: config.limits.clone(),
            options: options(config),
            authenticator: gateway.authenticator.clone(),
            budgets: gateway.budgets.clone(),
            cursors: match before.gateway.cursor_secret == config.gateway.cursor_secret {
                // One that was drawn stays.
                true => Arc::new(gateway.cursors.with_lifetime(config.gateway.cursor_lifetime)),
                false => cursors(config),
            },
            direct: self.direct.targets(),
            caches: gateway.caches.clone(),
            memory: match before.limits.max_held_bytes == config.limits.max_held_bytes {
                true => gateway.memory.clone(),
                false => SharedMemory::of_answers(config.limits.max_held_bytes),
            },
            decoding: decoding(config),
        };
        self.services.gateway = Arc::new(renewed);
        self.services.admin_key = admin_key(config);
    }

    /// Has the clients follow `config`, which is in force from now on; what came of them.
    pub async fn reconfigure(&mut self, config: Config) -> Reconfigured {
        let renews = self.databases.renew(&config);
        let reconfigured = if renews || self.current.clients != config.clients {
            self.catalog.reconfigure(config_clients(&config)).await
        } else {
            Reconfigured { overruled: self.catalog.overruled().await, ..Reconfigured::default() }
        };
        self.current = config;
        reconfigured
    }
}

fn options(config: &Config) -> PlanOptions {
    PlanOptions { camel_to_snake: config.gateway.force_camel_case_to_snake_case, ..PlanOptions::default() }
}

fn decoding(config: &Config) -> Decoding {
    Decoding {
        refuse_unknown_fields: config.gateway.unknown_fields == UnknownFields::Refuse,
        schema_prefix: config.gateway.allow_schema_names_prefixed_as_table_name,
    }
}

fn cursors(config: &Config) -> Arc<Cursors> {
    let secret = config.gateway.cursor_secret.as_ref().map(|secret| secret.expose().as_bytes());
    Arc::new(Cursors::new(secret, config.gateway.cursor_lifetime))
}

fn admin_key(config: &Config) -> AdminKey {
    AdminKey::new(config.admin_key.as_ref().map(Secret::expose))
}

/// Where projects that requests name are opened, by the rules of now; empty where there is no way to one.
pub struct DirectSlot(ArcSwapOption<DirectHosts>);

impl DirectSlot {
    /// Opens such projects.
    pub fn targets(&self) -> Option<Arc<dyn DirectTargets>> {
        self.0.load_full().map(|hosts| hosts as Arc<dyn DirectTargets>)
    }
}

/// What decides how projects that requests name are opened.
fn direct_rules(config: &Config) -> (&HostRules, Duration, BulkheadSettings, BreakerSettings) {
    let max_concurrent = usize::try_from(config.pool.max_connections).unwrap_or(usize::MAX);
    let bulkhead = BulkheadSettings {
        max_concurrent,
        queue_length: QUEUE_LENGTH,
        queue_wait: config.pool.acquire_timeout,
        slow_readers: SlowReaders::share_of(max_concurrent),
    };
    (&config.gateway.supabase_hosts, config.limits.statement_timeout, bulkhead, config.gateway.breaker)
}

/// Opens projects that requests name. Without any certificate authority on this machine there is no way to one.
fn direct(config: &Config) -> Option<Arc<DirectHosts>> {
    let (rules, statement_timeout, bulkhead, breaker) = direct_rules(config);
    match SupabaseDirect::new(rules.clone(), statement_timeout) {
        Ok(direct) => Some(Arc::new(DirectHosts::new(Arc::new(direct), breaker, bulkhead))),
        Err(error) => {
            tracing::warn!(%error, "the client custom_supabase is not served");
            None
        }
    }
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
