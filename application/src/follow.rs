//! Keeps what is held in memory of the control database up to date.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::error::Chain;
use crate::ports::{PortError, PortErrorKind, Versions};

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
        // One row that nobody thought of must not end the following for good.
        let outcome = AssertUnwindSafe(read()).catch_unwind().await;
        let fault = |_| PortError::new("control", PortErrorKind::Internal).caused_by("the reading panicked");
        match outcome.unwrap_or_else(|panic| Err(fault(panic))) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_panics_is_made_again() {
        let (changes, versions) = watch::channel(Versions { reachable: true, ..Versions::default() });
        let readings = AtomicU64::new(0);
        let following = follow(
            "test",
            versions,
            |versions| versions.keys,
            || async {
                assert!(readings.fetch_add(1, Ordering::Relaxed) > 0, "the first one fails");
                Ok(())
            },
        );
        let changing = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(readings.load(Ordering::Relaxed), 2);
            changes.send_modify(|versions| versions.keys += 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(readings.load(Ordering::Relaxed), 3);
            drop(changes);
        };
        tokio::join!(following, changing);
    }
}
