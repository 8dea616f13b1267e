//! What is done again and again in the control database: old records deleted, callers who have gone forgotten, the pools
//! written down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    state: Mutex<State>,
}

/// What runs, and by which settings.
#[derive(Default)]
struct State {
    tidying: (Option<RetentionConfig>, Vec<JoinHandle<()>>),
    noting: (Option<Duration>, Vec<JoinHandle<()>>),
    ended: bool,
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.end();
    }
}

fn abort(tasks: &mut Vec<JoinHandle<()>>) {
    tasks.drain(..).for_each(|task| task.abort());
}

impl Upkeep {
    /// The upkeep of these databases by this gateway; [`Upkeep::follow`] begins it.
    pub fn new(control: &ControlPlane, instance: &Instance) -> Self {
        let history = |database: &ControlDatabase| {
            PostgresPoolHistory::new(database.clone(), instance.host.clone(), instance.id)
        };
        Self {
            registry: control.catalog.registry().clone(),
            logging: control.logging.as_ref().map(|database| (database.clone(), history(database))),
            auth: control.auth.clone(),
            state: Mutex::default(),
        }
    }

    /// From now on as this configuration wants it; what it wants as before goes on. Needs a running runtime.
    pub fn follow(&self, config: &Config) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return;
        }
        let (retention, tasks) = &mut state.tidying;
        if retention.as_ref() != Some(&config.retention) {
            abort(tasks);
            *retention = Some(config.retention.clone());
            let RetentionConfig { inactive_after, purge_interval, .. } = config.retention;
            for database in self.logging.iter().map(|(database, _)| database).chain(&self.auth) {
                let settings =
                    TidySettings::hourly(windows(&config.retention), inactive_after, purge_interval);
                tasks.push(tokio::spawn(keep_tidy(database.clone(), settings)));
            }
        }
        let (interval, tasks) = &mut state.noting;
        if *interval != config.pool.monitor_interval {
            abort(tasks);
            *interval = config.pool.monitor_interval;
            if let (Some((_, history)), Some(every)) = (&self.logging, *interval) {
                let (registry, history) = (self.registry.clone(), history.clone());
                tasks.push(tokio::spawn(async move { keep_pool_history(&registry, &history, every).await }));
            }
        }
    }

    /// Ends it for good.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        abort(&mut state.tidying.1);
        abort(&mut state.noting.1);
    }
}
