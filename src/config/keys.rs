//! Every key there is, once: what is unknown, what has no effect yet and what is nearest are told from here.

use athena_domain::nearest::nearest;

use super::Warning;
use super::environment::Environment;

/// Prefix of the variables that override keys.
pub const PREFIX: &str = "ATHENA_";

/// A key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Section, such as `api`.
    pub section: &'static str,
    /// Name inside the section.
    pub name: &'static str,
    /// Default as it would be written in the file; empty when there is none.
    pub default: &'static str,
    /// False when this build accepts the key and does nothing with it.
    pub effective: bool,
    /// A second variable that overrides it, known from other installations.
    pub variable: Option<&'static str>,
}

impl Key {
    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The variable that overrides the key: `ATHENA_API__PORT`.
    pub fn override_variable(&self) -> String {
        override_variable(self.section, self.name)
    }
}

/// The variable that overrides `section.name`.
pub fn override_variable(section: &str, name: &str) -> String {
    format!("{PREFIX}{}__{}", section.to_ascii_uppercase(), name.to_ascii_uppercase())
}

const fn key(section: &'static str, name: &'static str, default: &'static str) -> Key {
    Key { section, name, default, effective: true, variable: None }
}

const fn idle(section: &'static str, name: &'static str) -> Key {
    Key { section, name, default: "", effective: false, variable: None }
}

const fn also(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    variable: &'static str,
) -> Key {
    Key { section, name, default, effective: true, variable: Some(variable) }
}

const fn pool(name: &'static str, default: &'static str, variable: &'static str) -> Key {
    Key { section: "pool", name, default, effective: true, variable: Some(variable) }
}

/// Every key with a fixed name.
pub const KEYS: &[Key] = &[
    key("api", "port", "4052"),
    key("api", "host", "0.0.0.0"),
    key("api", "keep_alive_secs", "15"),
    key("api", "client_disconnect_timeout_secs", "60"),
    key("api", "client_request_timeout_secs", "60"),
    key("api", "http_workers", ""),
    key("api", "http_max_connections", "10000"),
    key("api", "http_backlog", "2048"),
    key("api", "tcp_keepalive_secs", "75"),
    key("api", "shutdown_timeout_secs", "30"),
    key("api", "cors_allow_any_origin", "false"),
    key("api", "cors_allowed_origins", ""),
    key("api", "docs_url", "https://xylex.group/docs/athena"),
    key("api", "trusted_proxies", ""),
    key("api", "allowed_hosts", ""),
    key("api", "drain_delay_secs", "0"),
    key("api", "admin_port", ""),
    key("api", "admin_host", "127.0.0.1"),
    key("api", "tls_cert", ""),
    key("api", "tls_key", ""),
    idle("api", "cache_ttl"),
    idle("api", "immortal_cache"),
    idle("api", "pool_idle_timeout"),
    key("api", "prometheus_metrics_enabled", "true"),
    key("gateway", "unknown_fields", "refuse"),
    key("gateway", "require_audit_headers", "strict"),
    key("gateway", "response_shape", "envelope"),
    key("gateway", "force_camel_case_to_snake_case", "false"),
    key("gateway", "auto_cast_uuid_filter_values_to_text", "true"),
    key("gateway", "allow_schema_names_prefixed_as_table_name", "true"),
    key("gateway", "logging_client", ""),
    key("gateway", "auth_client", ""),
    key("gateway", "schema_refresh_secs", "60"),
    key("gateway", "auto_migrate", "true"),
    key("gateway", "cursor_secret", ""),
    key("gateway", "cursor_lifetime_secs", "3600"),
    key("gateway", "circuit_breaker_threshold", "5"),
    key("gateway", "circuit_breaker_timeout_secs", "60"),
    key("gateway", "circuit_breaker_check_interval_secs", "30"),
    idle("gateway", "jdbc_allow_private_hosts"),
    idle("gateway", "jdbc_allowed_hosts"),
    key("gateway", "supabase_allowed_hosts", ""),
    key("gateway", "uri_variables", ""),
    key("gateway", "supabase_allow_insecure", "false"),
    key("limits", "max_rows", "10000"),
    key("limits", "max_response_bytes", "67108864"),
    key("limits", "max_held_bytes", "268435456"),
    key("limits", "max_received_bytes", "134217728"),
    key("limits", "max_body_bytes", "2097152"),
    key("limits", "max_decompressed_bytes", "16777216"),
    key("limits", "max_conditions", "100"),
    key("limits", "max_nesting", "8"),
    key("limits", "max_in_list", "10000"),
    key("limits", "statement_timeout_secs", "30"),
    key("limits", "request_timeout_secs", "35"),
    pool("max_connections", "50", "ATHENA_PG_POOL_MAX_CONNECTIONS"),
    pool("min_connections", "0", "ATHENA_PG_POOL_MIN_CONNECTIONS"),
    pool("acquire_timeout_secs", "8", "ATHENA_PG_POOL_ACQUIRE_TIMEOUT_SECS"),
    pool("idle_timeout_secs", "120", "ATHENA_PG_POOL_IDLE_TIMEOUT_SECS"),
    pool("max_lifetime_secs", "900", "ATHENA_PG_POOL_MAX_LIFETIME_SECS"),
    pool("test_before_acquire", "false", "ATHENA_PG_POOL_TEST_BEFORE_ACQUIRE"),
    pool("monitor_interval_secs", "30", "ATHENA_POOL_MONITOR_INTERVAL_SECS"),
    Key { section: "logging", name: "level", default: "info", effective: true, variable: Some("RUST_LOG") },
    key("logging", "format", ""),
    key("logging", "slow_query_ms", "1000"),
    key("logging", "queue_entries", "10000"),
    key("logging", "queue_max_bytes", "67108864"),
    key("logging", "flush_interval_ms", "500"),
    key("logging", "batch_entries", "1000"),
    key("logging", "spool_dir", ""),
    key("logging", "spool_max_bytes", "268435456"),
    key("retention", "request_log_days", ""),
    key("retention", "operation_log_days", ""),
    key("retention", "auth_log_days", ""),
    key("retention", "alerts_days", ""),
    also("retention", "connections_hours", "24", "ATHENA_POOL_MONITOR_RETENTION_HOURS"),
    also("realtime", "inactive_after_secs", "300", "ATHENA_REALTIME_REGISTRY_INACTIVE_AFTER_SECS"),
    also("realtime", "purge_interval_secs", "30", "ATHENA_REALTIME_REGISTRY_PURGE_INTERVAL_SECS"),
    also("redis", "url", "", "ATHENA_REDIS_URL"),
    also("traces", "otlp_endpoint", "", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    also("traces", "otlp_headers", "", "OTEL_EXPORTER_OTLP_HEADERS"),
    also("traces", "service_name", "athena", "OTEL_SERVICE_NAME"),
    also("traces", "sample_ratio", "1", "OTEL_TRACES_SAMPLER_ARG"),
];

/// Section whose keys are names of clients.
pub const CLIENTS: &str = "postgres_clients";

/// Other name of [`CLIENTS`].
pub const CLIENTS_SYNONYM: &str = "clients";

/// Sections that other builds read and this one does not; any key may stand in them.
pub const IDLE_SECTIONS: [&str; 4] = ["authenticator", "backup", "hosts", "urls"];

/// Whether `section` exists.
pub fn is_section(section: &str) -> bool {
    section == CLIENTS
        || section == CLIENTS_SYNONYM
        || IDLE_SECTIONS.contains(&section)
        || KEYS.iter().any(|key| key.section == section)
}

/// Every section, each once.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section).collect();
    sections.extend(IDLE_SECTIONS);
    sections.extend([CLIENTS, CLIENTS_SYNONYM]);
    sections.sort_unstable();
    sections.dedup();
    sections
}

/// What is known about a key that was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is read.
    Effective,
    /// It is accepted and changes nothing.
    Idle,
    /// Nobody knows it.
    Unknown,
}

/// How `section.name` stands; `section` must exist.
pub fn standing(section: &str, name: &str) -> Standing {
    if section == CLIENTS || section == CLIENTS_SYNONYM {
        return Standing::Effective;
    }
    if IDLE_SECTIONS.contains(&section) {
        return Standing::Idle;
    }
    match KEYS.iter().find(|key| key.section == section && key.name == name) {
        Some(Key { effective: true, .. }) => Standing::Effective,
        Some(_) => Standing::Idle,
        None => Standing::Unknown,
    }
}

/// The known key that `section.name` resembles most: in its own section first, else in another one.
pub fn nearest_key(section: &str, name: &str) -> Option<String> {
    let own = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    match nearest(name, own) {
        Some(own) => Some(format!("{section}.{own}")),
        None => KEYS.iter().find(|key| key.name == name).map(Key::path),
    }
}

/// Variables that look like overrides and reach no key: a misspelt name, or one underscore where two belong.
pub fn stray_variables(environment: &Environment) -> Vec<Warning> {
    let unknown = |variable: &str, nearest: Option<String>| Warning::UnknownKey {
        origin: "environment".to_owned(),
        key: variable.to_owned(),
        nearest,
    };
    let mut warnings = Vec::new();
    for (variable, _) in environment.iter() {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let Some((section, name)) = rest.split_once("__") else {
            let meant = KEYS.iter().find(|key| {
                rest.eq_ignore_ascii_case(&format!("{}_{}", key.section, key.name))
                    && key.variable != Some(variable)
            });
            warnings.extend(meant.map(|key| unknown(variable, Some(key.override_variable()))));
            continue;
        };
        let (section, name) = (section.to_ascii_lowercase(), name.to_ascii_lowercase());
        if !is_section(&section) {
            let section = nearest(&section, sections().into_iter());
            warnings.push(unknown(variable, section.map(|section| override_variable(section, &name))));
        } else if standing(&section, &name) == Standing::Unknown {
            let key = nearest_key(&section, &name);
            let key = key.as_deref().and_then(|path| path.split_once('.'));
            warnings.push(unknown(variable, key.map(|(section, name)| override_variable(section, name))));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
