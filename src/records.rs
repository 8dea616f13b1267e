//! What is kept of requests, composed: the log pipeline, retention, slow operations.

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{DirectTargets, Observer, Observers};
use athena_application::slow_queries::SlowQueries;
use athena_application::{CacheReport, Caches};
use athena_domain::access::AccessState;
use athena_domain::breaker::BreakerState;
use athena_logging::{LogCounters, LogPipeline, LogSettings};
use athena_metrics::{Metrics, Reading, Readings};
use athena_postgres::control::{ControlDatabase, PostgresLogStore, RetentionWindows};
use athena_traces::{TraceCounters, TraceSettings, Traces};
use futures_util::future::join_all;

use crate::compose::DirectSlot;
use crate::config::{Config, RetentionConfig, TracesConfig};
use crate::control::ControlPlane;
use crate::instance::Instance;
use crate::upkeep::Upkeep;

/// What is kept of requests and pools. Dropped, it notes no pools and throws no old records away any more.
pub struct Records {
    /// Write to the control database, and to that of the keys where it is another one; none without either.
    pub pipelines: Vec<Arc<LogPipeline>>,
    /// Numbers about the gateway; none when they are switched off.
    pub metrics: Option<Arc<Metrics>>,
    /// Those who hear of requests, whatever a later configuration says.
    observers: Vec<Arc<dyn Observer>>,
    /// Keeps the control databases in order.
    pub upkeep: Arc<Upkeep>,
    traces: Option<Arc<Traces>>,
}

impl Drop for Records {
    fn drop(&mut self) {
        self.upkeep.end();
    }
}

impl Records {
    /// Starts what the configuration asks for, for this gateway. Needs a running runtime.
    pub fn start(
        config: &Config,
        instance: &Instance,
        control: &ControlPlane,
        caches: &Arc<Caches>,
        direct: Arc<DirectSlot>,
    ) -> Self {
        let pipelines = pipelines(config, control);
        let traces = traces(&config.traces, instance);
        let metrics = config.server.metrics.then(|| {
            let readings =
                readings(pipelines.clone(), traces.clone(), control, caches, direct, config.redis.is_some());
            Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), control.catalog.registry().clone(), readings))
        });
        let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
        observers.extend(metrics.clone().map(|metrics| metrics as Arc<dyn Observer>));
        observers.extend(pipelines.iter().map(|pipeline| pipeline.clone() as Arc<dyn Observer>));
        observers.extend(traces.clone().map(|traces| traces as Arc<dyn Observer>));
        let upkeep = Arc::new(Upkeep::new(control, instance));
        upkeep.follow(config);
        Self { pipelines, metrics, observers, upkeep, traces }
    }

    /// Tells everybody who hears of requests.
    pub fn audience(&self) -> Audience {
        Audience(self.observers.clone())
    }

    /// Writes what waits, at most for `within`; the rest is put on disk, for which
    /// [`SPOOL_GRACE`](athena_logging::SPOOL_GRACE) is left.
    pub async fn stop(self, within: Duration) {
        let pipelines = join_all(self.pipelines.iter().map(|pipeline| pipeline.shutdown(within)));
        let traces = async {
            if let Some(traces) = &self.traces {
                traces.stop(within).await;
            }
        };
        tokio::join!(pipelines, traces);
    }
}

/// Those who hear of requests, but for whom the configuration of the moment adds.
#[derive(Clone)]
pub struct Audience(Vec<Arc<dyn Observer>>);

impl Audience {
    /// All of them together, with the log of operations that take longer than `slow`; nothing where nobody listens.
    pub fn with(&self, slow: Option<Duration>) -> Option<Arc<dyn Observer>> {
        let mut observers = self.0.clone();
        observers.extend(slow.map(|bound| Arc::new(SlowQueries::new(bound)) as Arc<dyn Observer>));
        match observers.len() {
            0 => None,
            1 => observers.pop(),
            _ => Some(Arc::new(Observers(observers))),
        }
    }
}

/// Logging to the control database; what belongs to keys goes where the keys are.
fn pipelines(config: &Config, control: &ControlPlane) -> Vec<Arc<LogPipeline>> {
    let start = |store, database: &ControlDatabase, spool, keys_only| {
        let mut settings = LogSettings { keys_only, ..settings(config) };
        settings.spool_for = database.address().into();
        settings.spool_dir = settings.spool_dir.map(|directory| directory.join(spool));
        Arc::new(LogPipeline::start(Arc::new(store), settings))
    };
    if config.logging.spool_dir.is_none() && (control.logging.is_some() || control.auth.is_some()) {
        tracing::warn!(
            "while the control database is away, records wait in memory only: name a directory in logging.spool_dir"
        );
    }
    let requests = control.logging.as_ref().map(|database| {
        let store = match control.keys_elsewhere {
            true => PostgresLogStore::without_keys(database.clone()),
            false => PostgresLogStore::new(database.clone()),
        };
        start(store, database, "", false)
    });
    let of_keys = |database: &ControlDatabase| {
        start(PostgresLogStore::of_keys(database.clone()), database, "keys", true)
    };
    let keys = control.auth.as_ref().map(of_keys);
    requests.into_iter().chain(keys).collect()
}

fn traces(config: &TracesConfig, instance: &Instance) -> Option<Arc<Traces>> {
    let settings = TraceSettings {
        endpoint: config.endpoint.clone()?,
        headers: config.headers.clone(),
        service_name: config.service_name.clone(),
        service_version: env!("CARGO_PKG_VERSION"),
        instance: instance.to_string(),
        sample_ratio: config.sample_ratio,
    };
    match Traces::start(&settings) {
        Ok(traces) => Some(Arc::new(traces)),
        Err(error) => {
            tracing::error!(%error, "requests are not traced");
            None
        }
    }
}

/// Numbers that are asked for when somebody reads the metrics.
fn readings(
    pipelines: Vec<Arc<LogPipeline>>,
    traces: Option<Arc<Traces>>,
    control: &ControlPlane,
    caches: &Arc<Caches>,
    direct: Arc<DirectSlot>,
    shared: bool,
) -> Readings {
    let (authenticator, budgets) = (control.authenticator.clone(), control.budgets.clone());
    let schema = control.schema_watch();
    let (caches, clients) = (caches.clone(), control.catalog.registry().clone());
    Box::new(move || {
        let mut readings = if pipelines.is_empty() { Vec::new() } else { logged(&pipelines) };
        if let Some(traces) = &traces {
            let TraceCounters { made, sent, failed } = traces.counters();
            readings.extend([
                reading("athena_spans_made_total", "Spans of sampled requests.", made),
                reading("athena_spans_sent_total", "Spans that the collector has taken.", sent),
                reading("athena_spans_failed_total", "Spans lost: the collector did not take them.", failed),
            ]);
        }
        readings.extend(caches.reports(&clients).iter().flat_map(cached));
        if let Some(is_current) = schema() {
            let help = "Whether the control database has the schema of this gateway.";
            readings.push(reading("athena_control_schema_current", help, u64::from(is_current)));
        }
        if let AccessState::Loaded(keys) = authenticator.state() {
            readings.push(reading("athena_api_keys", "API keys that are not archived.", keys.len() as u64));
        }
        readings.extend(direct.targets().iter().flat_map(|direct| hosts(&**direct)));
        if shared {
            let help = "Whether the Redis that shares budgets answered last.";
            readings.push(reading("athena_budgets_shared", help, u64::from(budgets.are_shared())));
        }
        readings
    })
}

fn reading(name: &'static str, help: &'static str, value: u64) -> Reading {
    Reading { name, help, labels: Vec::new(), value }
}

/// How many hosts that requests have named are in each state. Their names are the callers' and no labels.
fn hosts(direct: &dyn DirectTargets) -> [Reading; 3] {
    let circuits = direct.circuits();
    let states = circuits.iter().map(|(_, circuit)| circuit.status().state);
    BreakerState::tally(states).map(|(state, count)| Reading {
        name: "athena_direct_hosts",
        help: "Hosts that requests for custom_supabase have named lately, by the state of their circuit breaker.",
        labels: vec![("state", state.as_str())],
        value: count as u64,
    })
}

/// What a cache was good for.
fn cached(report: &CacheReport) -> [Reading; 3] {
    const REQUESTS: &str = "athena_cache_requests_total";
    const HELP: &str = "Times that a request looked into a cache, by whether it had what was needed.";
    let cache = ("cache", report.cache);
    let requests = |result, value| Reading {
        name: REQUESTS,
        help: HELP,
        labels: vec![cache, ("result", result)],
        value,
    };
    let entries = Reading {
        name: "athena_cache_entries",
        help: "What a cache holds.",
        labels: vec![cache],
        value: report.entries,
    };
    [requests("hit", report.hits), requests("miss", report.misses), entries]
}

/// What the pipelines have done and lost.
fn logged(pipelines: &[Arc<LogPipeline>]) -> Vec<Reading> {
    let LogCounters {
        queued,
        written,
        spooled_batches,
        spooled_bytes,
        dropped_queue,
        dropped_spool,
        dropped_rejected,
        failures,
        ..
    } = pipelines.iter().map(|pipeline| pipeline.counters()).sum();
    vec![
        reading("athena_log_queued", "Records that wait in memory.", queued),
        reading("athena_log_written_total", "Records written.", written),
        reading("athena_log_spooled_batches", "Batches that wait on disk.", spooled_batches),
        reading("athena_log_spooled_bytes", "Bytes that wait on disk.", spooled_bytes),
        reading("athena_log_dropped_queue_total", "Records dropped: the queue was full.", dropped_queue),
        reading("athena_log_dropped_spool_total", "Records dropped: the spool was full.", dropped_spool),
        reading(
            "athena_log_dropped_rejected_total",
            "Records dropped: the database refused them.",
            dropped_rejected,
        ),
        reading("athena_log_failures_total", "Attempts to write a batch that failed.", failures),
    ]
}

fn settings(config: &Config) -> LogSettings {
    let logging = &config.logging;
    LogSettings {
        queue_entries: logging.queue_entries,
        queue_max_bytes: logging.queue_max_bytes,
        flush_interval: logging.flush_interval,
        batch_entries: logging.batch_entries,
        spool_dir: logging.spool_dir.clone(),
        spool_for: Box::default(),
        spool_max_bytes: logging.spool_max_bytes,
        keys_only: false,
    }
}

/// How old records may grow.
pub fn windows(retention: &RetentionConfig) -> RetentionWindows {
    RetentionWindows {
        request_log: retention.request_log,
        operation_log: retention.operation_log,
        auth_log: retention.auth_log,
        connections: retention.connections,
        alerts: retention.alerts,
    }
}
