//! What is done again and again in the control database: old records deleted, callers who have gone forgotten, the pools
//! written down.

use std::sync::{Arc, Mutex, PoisonError};

use athena_application::ClientRegistry;
use athena_application::pool_history::keep_pool_history;
use athena_postgres::control::{ControlDatabase, PostgresPoolHistory, TidySettings, keep_tidy};
use tokio::task::JoinHandle;

use crate::config::{Config, RetentionConfig};
use crate::control::ControlPlane;
use crate::instance::Instance;
use crate::records::windows;

/// The upkeep of a gateway's control databases. Dropped, it ends.
pub struct Upkeep {
    registry: Arc<ClientRegistry>,
    /// The database of logs and statistics.
    logging: Option<(ControlDatabase, PostgresPoolHistory)>,
    /// That of the keys, where it is another one.
    auth: Option<ControlDatabase>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.end();
    }
}

impl Upkeep {
    /// The upkeep of these databases by this gateway; [`Upkeep::begin`] begins it.
    pub fn new(control: &ControlPlane, instance: &Instance) -> Self {
        let history = |database: &ControlDatabase| {
            PostgresPoolHistory::new(database.clone(), instance.host.clone(), instance.id)
        };
        Self {
            registry: control.catalog.registry().clone(),
            logging: control.logging.as_ref().map(|database| (database.clone(), history(database))),
            auth: control.auth.clone(),
            tasks: Mutex::default(),
        }
    }

    /// From now on as this configuration wants it, whatever another one wanted before. Needs a running runtime.
    pub fn begin(&self, config: &Config) {
        let RetentionConfig { inactive_after, purge_interval, .. } = config.retention;
        let mut tasks = Vec::new();
        for database in self.logging.iter().map(|(database, _)| database).chain(&self.auth) {
            let settings = TidySettings::hourly(windows(&config.retention), inactive_after, purge_interval);
            tasks.push(tokio::spawn(keep_tidy(database.clone(), settings)));
        }
        if let (Some((_, history)), Some(every)) = (&self.logging, config.pool.monitor_interval) {
            let (registry, history) = (self.registry.clone(), history.clone());
            tasks.push(tokio::spawn(async move { keep_pool_history(&registry, &history, every).await }));
        }
        let mut running = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for ended in std::mem::replace(&mut *running, tasks) {
            ended.abort();
        }
    }

    /// Ends it.
    pub fn end(&self) {
        let mut running = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        running.drain(..).for_each(|task| task.abort());
    }
}
