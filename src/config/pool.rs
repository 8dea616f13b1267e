//! Section `pool`: connections to each PostgreSQL client.

use std::time::Duration;

use athena_domain::Limits;

use super::reader::Reader;
use super::server::narrow;

/// Connections to each PostgreSQL client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolConfig {
    /// `pool.max_connections`, `ATHENA_PG_POOL_MAX_CONNECTIONS`.
    pub max_connections: u32,
    /// `pool.min_connections`, `ATHENA_PG_POOL_MIN_CONNECTIONS`.
    pub min_connections: u32,
    /// `pool.acquire_timeout_secs`, `ATHENA_PG_POOL_ACQUIRE_TIMEOUT_SECS`: wait for a free connection.
    pub acquire_timeout: Duration,
    /// `pool.idle_timeout_secs`, `ATHENA_PG_POOL_IDLE_TIMEOUT_SECS`: an unused connection is closed after it.
    pub idle_timeout: Duration,
    /// `pool.max_lifetime_secs`, `ATHENA_PG_POOL_MAX_LIFETIME_SECS`: every connection is renewed after it.
    pub max_lifetime: Duration,
    /// `pool.test_before_acquire`, `ATHENA_PG_POOL_TEST_BEFORE_ACQUIRE`: costs a round trip per query.
    pub test_before_acquire: bool,
    /// `pool.monitor_interval_secs`, `ATHENA_POOL_MONITOR_INTERVAL_SECS`: how often the control database is told
    /// how full the pools are; `None` is never.
    pub monitor_interval: Option<Duration>,
}

impl PoolConfig {
    pub(super) fn read(reader: &mut Reader<'_>, limits: &Limits) -> Self {
        let key = |name| ("pool", name);
        let pool = Self {
            max_connections: narrow(reader.integer(key("max_connections"), 50, 1..=10_000)),
            min_connections: narrow(reader.integer(key("min_connections"), 0, 0..=10_000)),
            acquire_timeout: reader.seconds(key("acquire_timeout_secs"), 8, 1..=3600),
            idle_timeout: reader.seconds(key("idle_timeout_secs"), 120, 1..=604_800),
            max_lifetime: reader.seconds(key("max_lifetime_secs"), 900, 1..=604_800),
            test_before_acquire: reader.read(
                key("test_before_acquire"),
                false,
                "true or false",
                // The variable has always been written in these ways.
                |text| match text.to_ascii_lowercase().as_str() {
                    "1" | "true" | "yes" | "on" => Some(true),
                    "0" | "false" | "no" | "off" => Some(false),
                    _ => None,
                },
            ),
            monitor_interval: Some(reader.seconds(key("monitor_interval_secs"), 30, 0..=86_400))
                .filter(|interval| !interval.is_zero()),
        };
        pool.check(reader, limits);
        pool
    }

    fn check(&self, reader: &mut Reader<'_>, limits: &Limits) {
        let Self { min_connections: min, max_connections: max, .. } = self;
        if min > max {
            reader.problem(
                "pool",
                "min_connections",
                format!("is {min}, which must not exceed pool.max_connections ({max}); lower the one or raise the other"),
            );
        }
        if self.acquire_timeout >= limits.request_timeout {
            let (acquire, request) = (self.acquire_timeout.as_secs(), limits.request_timeout.as_secs());
            reader.problem(
                "pool",
                "acquire_timeout_secs",
                format!(
                    "is {acquire}, which must be less than limits.request_timeout_secs ({request}); \
                     lower the one or raise the other"
                ),
            );
        }
    }
}
