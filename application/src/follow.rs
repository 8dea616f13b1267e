//! Keeps what is held in memory of the control database up to date.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::Chain;
use crate::ports::{PortError, Versions};

/// Pause before a reading that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How long the first reading waits for the versions: read before, everything would be read again once they are known.
const HEAR: Duration = Duration::from_millis(500);

/// Reads now and whenever `area` of the versions has changed, until nobody tells of changes any more; `what` is read,
/// for the log.
pub async fn follow<R: Future<Output = Result<(), PortError>>>(
    what: &str,
    mut versions: watch::Receiver<Versions>,
    area: fn(&Versions) -> u64,
    read: impl Fn() -> R,
) {
    let mut failing = false;
    // Whoever tells of them may be late or gone; what is read then is no worse.
    drop(tokio::time::timeout(HEAR, versions.wait_for(|versions| versions.reachable)).await);
    loop {
        let seen = area(&versions.borrow_and_update());
        match read().await {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the {what} answers again");
                }
                // Other areas change too.
                while area(&versions.borrow_and_update()) == seen {
                    if versions.changed().await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(error = %Chain(&error), "the {what} cannot be read; what was read before stays in force");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
