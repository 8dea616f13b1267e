//! Notes every so often how full the pools are.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::error::Chain;
use crate::ports::{PoolHistory, PoolSample};
use crate::registry::{ClientRegistry, ClientState};

/// Notes the state of every pool of `registry` each `every`, for ever. A sample that cannot be kept is lost: it is
/// told once per outage.
pub async fn keep_pool_history(registry: &ClientRegistry, history: &dyn PoolHistory, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, when no database has been reached yet.
    ticks.tick().await;
    let mut told = false;
    loop {
        ticks.tick().await;
        match history.record(&samples(registry)).await {
            Ok(()) => told = false,
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(error = %Chain(&error), "how full the pools are is not noted until the control database answers");
            }
            Err(_) => {}
        }
    }
}

fn samples(registry: &ClientRegistry) -> Vec<PoolSample> {
    let clients = registry.all();
    let sample = |client: &std::sync::Arc<crate::registry::Client>| match &client.state {
        ClientState::Ready { backend, .. } => {
            let status = backend.status();
            let client_name = client.name.key().to_owned();
            Some(PoolSample { client_name, open: status.open, idle: status.idle, max: status.max })
        }
        ClientState::Frozen | ClientState::Inactive | ClientState::Misconfigured { .. } => None,
    };
    clients.iter().filter_map(sample).collect()
}
