//! What is kept of requests, composed: the log pipeline, retention, slow operations.

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{Observer, Observers};
use athena_application::slow_queries::SlowQueries;
use athena_logging::{LogPipeline, LogSettings};
use athena_postgres::control::{ControlDatabase, PostgresLogStore, RetentionWindows, keep_tidy};
use tokio::task::JoinHandle;

use crate::config::{Config, RetentionConfig};

/// What is kept of requests. Dropped, it stops throwing old records away.
pub struct Records {
    /// Writes to the control database; none without one.
    pub pipeline: Option<Arc<LogPipeline>>,
    /// Everybody who hears of requests.
    pub observer: Option<Arc<dyn Observer>>,
    tidying: Option<JoinHandle<()>>,
}

impl Drop for Records {
    fn drop(&mut self) {
        if let Some(tidying) = &self.tidying {
            tidying.abort();
        }
    }
}

impl Records {
    /// Starts what the configuration asks for. Needs a running runtime.
    pub fn start(
        config: &Config,
        database: Option<&ControlDatabase>,
        others: Vec<Arc<dyn Observer>>,
    ) -> Self {
        let pipeline = database.map(|database| {
            let store = Arc::new(PostgresLogStore::new(database.clone()));
            Arc::new(LogPipeline::start(store, settings(config)))
        });
        let mut observers = others;
        observers.extend(pipeline.clone().map(|pipeline| pipeline as Arc<dyn Observer>));
        observers.extend(
            config.logging.slow_query.map(|bound| Arc::new(SlowQueries::new(bound)) as Arc<dyn Observer>),
        );
        let observer: Option<Arc<dyn Observer>> = match observers.len() {
            0 => None,
            1 => observers.pop(),
            _ => Some(Arc::new(Observers(observers))),
        };
        let RetentionConfig { inactive_after, purge_interval, .. } = config.retention;
        let tidying = database.map(|database| {
            tokio::spawn(keep_tidy(
                database.clone(),
                windows(&config.retention),
                purge_interval,
                inactive_after,
            ))
        });
        Self { pipeline, observer, tidying }
    }

    /// Writes what waits, at most for `within`; the rest waits on disk.
    pub async fn stop(self, within: Duration) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.shutdown(within).await;
        }
    }
}

fn settings(config: &Config) -> LogSettings {
    let logging = &config.logging;
    LogSettings {
        queue_entries: logging.queue_entries,
        flush_interval: logging.flush_interval,
        batch_entries: logging.batch_entries,
        spool_dir: logging.spool_dir.clone(),
        spool_max_bytes: logging.spool_max_bytes,
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
