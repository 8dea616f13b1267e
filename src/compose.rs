//! Configuration → adapters → use cases; the only place that names every adapter.

use std::sync::Arc;
use std::time::Duration;

use athena_application::{Authenticator, Client, ClientRegistry, ClientState, Gateway};
use athena_domain::plan::PlanOptions;
use athena_domain::query::Decoding;
use athena_domain::{ClientName, Limits};
use athena_http::{AdminKey, AuditHeaders, Cors, HttpSettings, ResponseShape, Services};
use athena_postgres::PostgresSettings;

use crate::config::{self, ClientConfig, Config, PoolConfig, Secret, UnknownFields};
use crate::control::ControlPlane;

/// The WebSocket contract, served as it stands.
const WSS_SPECIFICATION: &str = include_str!("../openapi-wss.yaml");

/// Connections for raw queries, as a share of those for prepared statements.
const RAW_SHARE: usize = 4;

/// A gateway and everything that runs beside it. Dropped, what runs beside it stops.
pub struct Composed {
    /// What the HTTP face calls.
    pub services: Services,
    /// Keys and policy.
    pub control: ControlPlane,
}

/// Composes a gateway. Waits for nothing: databases are connected to when they are first used, the control
/// database in the background. Needs a running runtime.
pub fn compose(config: &Config) -> Composed {
    let control = ControlPlane::start(config);
    let services = Services {
        gateway: gateway(config, control.authenticator.clone()),
        admin_key: AdminKey::new(config.admin_key.as_ref().map(Secret::expose)),
        keys: control.keys.clone(),
        observer: None,
    };
    Composed { services, control }
}

fn gateway(config: &Config, authenticator: Arc<Authenticator>) -> Arc<Gateway> {
    let clients = config.clients.iter().map(|client| open(client, config));
    Arc::new(Gateway {
        registry: Arc::new(ClientRegistry::new(clients)),
        limits: config.limits.clone(),
        options: PlanOptions {
            camel_to_snake: config.gateway.force_camel_case_to_snake_case,
            big_numbers_as_text: false,
        },
        authenticator,
        decoding: Decoding {
            refuse_unknown_fields: config.gateway.unknown_fields == UnknownFields::Refuse,
            schema_prefix: config.gateway.allow_schema_names_prefixed_as_table_name,
        },
    })
}

fn open(client: &ClientConfig, config: &Config) -> Client {
    let misconfigured = |reason: &str| ClientState::Misconfigured { reason: reason.to_owned() };
    let state = match &client.target {
        Err(reason) => misconfigured(reason),
        Ok(uri) if matches!(uri.scheme().as_str(), "postgres" | "postgresql") => {
            match settings(uri.expose(), &config.pool, &config.limits, config.gateway.schema_refresh) {
                Ok(mut settings) => {
                    client.name.as_str().clone_into(&mut settings.name);
                    let (backend, schema) = athena_postgres::open(&settings);
                    ClientState::Ready { backend, schema }
                }
                Err(error) => misconfigured(&error.to_string()),
            }
        }
        Ok(uri) => misconfigured(&format!("this build does not speak {}://", uri.scheme())),
    };
    if let ClientState::Misconfigured { reason } = &state {
        tracing::error!(client = %client.name, %reason, "a client cannot be used");
    }
    Client { name: ClientName::clone(&client.name), state }
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
        shutdown_timeout: config.server.shutdown_timeout,
        ..HttpSettings::default()
    }
}
