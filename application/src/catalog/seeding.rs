//! Telling the catalog what the configuration says. A catalog that takes nothing is obeyed all the same.

use std::time::Duration;

use athena_domain::catalog::Seed;

use super::{Catalog, State};
use crate::error::Chain;
use crate::ports::ClientStore;

/// First and longest pause before the catalog is told again what it has not taken.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Catalog {
    /// Writes `seeds`; what fails is tried again in the background.
    pub(super) async fn seed(&self, state: &mut State, store: &dyn ClientStore, seeds: &[Seed]) {
        let outcome = if seeds.is_empty() { Ok(()) } else { store.seed(seeds).await };
        let failed_before = std::mem::replace(&mut state.is_unseeded, outcome.is_err());
        match outcome {
            Ok(()) if failed_before => {
                tracing::info!("the client catalog has taken the clients of the configuration");
            }
            Ok(()) => {}
            Err(error) => {
                if !failed_before {
                    let clients: Vec<&str> = seeds.iter().map(|seed| seed.client().name.trim()).collect();
                    tracing::warn!(
                        error = %Chain(&error),
                        ?clients,
                        "clients of the configuration cannot be written into the client catalog; it has been read and \
                         is obeyed, and they are served; trying again"
                    );
                }
                self.unseeded.notify_one();
            }
        }
    }

    /// Tells the catalog again what it has not taken, ever more rarely, for ever.
    pub(super) async fn keep_seeding(&self) {
        let (first, longest) = PAUSES;
        loop {
            self.unseeded.notified().await;
            let mut pause = first;
            while self.state.lock().await.is_unseeded {
                tokio::time::sleep(pause).await;
                // A catalog that cannot be read is told of where it is followed.
                drop(self.reload().await);
                pause = (2 * pause).min(longest);
            }
        }
    }
}
