//! Where one configuration differs from another. A running gateway cannot change its listeners, its control databases,
//! and what writes to them or elsewhere.

use crate::config::Config;

/// The parts in which `config` is another than `before`, clients apart.
pub(crate) fn changed(config: &Config, before: &Config) -> Vec<&'static str> {
    let parts = [
        ("api", config.server != before.server || config.cors != before.cors),
        ("gateway", config.gateway != before.gateway),
        ("limits", config.limits != before.limits),
        ("pool", config.pool != before.pool),
        ("retention", config.retention != before.retention),
        ("logging.level", config.logging.level != before.logging.level),
        ("logging.slow_query_ms", config.logging.slow_query != before.logging.slow_query),
        ("ATHENA_KEY_12", config.admin_key != before.admin_key),
        ("environment", config.environment != before.environment),
    ];
    parts.into_iter().filter_map(|(part, changed)| changed.then_some(part)).collect()
}

/// Leaves in `config` as it was `before` whatever cannot change; the keys that this held back.
pub(crate) fn hold(config: &mut Config, before: &Config) -> Vec<String> {
    let mut held = Vec::new();
    macro_rules! hold {
        ($($key:literal: $section:ident.$field:ident),+ $(,)?) => {
            $(
                if config.$section.$field != before.$section.$field {
                    config.$section.$field.clone_from(&before.$section.$field);
                    held.push($key.to_owned());
                }
            )+
        };
    }
    hold! {
        "api.host": server.host,
        "api.port": server.port,
        "api.admin_host": server.admin_host,
        "api.admin_port": server.admin_port,
        "api.http_workers": server.http_workers,
        "api.http_max_connections": server.http_max_connections,
        "api.http_backlog": server.http_backlog,
        // What the files hold is read again, and from then on by itself.
        "api.tls_cert": server.tls,
        "api.prometheus_metrics_enabled": server.metrics,
        "gateway.logging_client": gateway.logging_client,
        "gateway.auth_client": gateway.auth_client,
        "gateway.auto_migrate": gateway.auto_migrate,
        "logging.queue_entries": logging.queue_entries,
        "logging.queue_max_bytes": logging.queue_max_bytes,
        "logging.flush_interval_ms": logging.flush_interval,
        "logging.batch_entries": logging.batch_entries,
        "logging.spool_dir": logging.spool_dir,
        "logging.spool_max_bytes": logging.spool_max_bytes,
    }
    if config.logging.hold_form(&before.logging) {
        held.push("logging.format".to_owned());
    }
    if config.redis != before.redis {
        config.redis.clone_from(&before.redis);
        held.push("redis.url".to_owned());
    }
    if config.traces != before.traces {
        config.traces.clone_from(&before.traces);
        held.push("traces".to_owned());
    }
    held
}
