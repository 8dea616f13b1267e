//! Sections `retention` and `realtime`: how long records are kept.

use std::time::Duration;

use super::reader::Reader;

/// How long records are kept; `None` is for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// `retention.request_log_days`
    pub request_log: Option<Duration>,
    /// `retention.operation_log_days`
    pub operation_log: Option<Duration>,
    /// `retention.auth_log_days`
    pub auth_log: Option<Duration>,
    /// `retention.connections_hours`, `ATHENA_POOL_MONITOR_RETENTION_HOURS`
    pub connections: Option<Duration>,
    /// `retention.alerts_days`
    pub alerts: Option<Duration>,
    /// `realtime.inactive_after_secs`: after which a caller is no live connection any more.
    pub inactive_after: Duration,
    /// `realtime.purge_interval_secs`: how often such callers are looked for.
    pub purge_interval: Duration,
}

const DAY: u64 = 86_400;

impl RetentionConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let mut days = |name| {
            reader
                .optional_integer(("retention", name), 1..=36_500)
                .map(|days| Duration::from_secs(days * DAY))
        };
        Self {
            request_log: days("request_log_days"),
            operation_log: days("operation_log_days"),
            auth_log: days("auth_log_days"),
            alerts: days("alerts_days"),
            // The one table that grows without requests, so it is not kept for ever unless asked.
            connections: Some(reader.integer(("retention", "connections_hours"), 24, 0..=876_000))
                .filter(|hours| *hours > 0)
                .map(|hours| Duration::from_secs(hours * 3600)),
            inactive_after: reader.seconds(("realtime", "inactive_after_secs"), 300, 1..=DAY),
            purge_interval: reader.seconds(("realtime", "purge_interval_secs"), 30, 1..=DAY),
        }
    }
}
