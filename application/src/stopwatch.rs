//! How long things take, also those that nobody waits for any more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Measures how long something takes, again and again, and tells at any moment.
#[derive(Debug, Default)]
pub struct Stopwatch(Mutex<Laps>);

#[derive(Debug, Default)]
struct Laps {
    past: Duration,
    /// Since when it runs.
    running: Option<Instant>,
}

/// A lap under way. Dropped, it is over: when what is measured is done, has failed, or is given up.
#[derive(Debug)]
#[must_use = "dropped, it measures nothing"]
pub struct Lap<'a>(&'a Stopwatch);

impl Stopwatch {
    /// Begins a lap, after the one before is over.
    pub fn start(&self) -> Lap<'_> {
        self.laps().running = Some(Instant::now());
        Lap(self)
    }

    /// All laps together, the one under way up to now.
    pub fn total(&self) -> Duration {
        let laps = self.laps();
        laps.past + laps.running.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Held for a handful of instructions, and only by the request itself and whoever tells of its end.
    fn laps(&self) -> MutexGuard<'_, Laps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lap<'_> {
    fn drop(&mut self) {
        let mut laps = self.0.laps();
        if let Some(since) = laps.running.take() {
            laps.past += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn laps_count_whether_they_are_over_under_way_or_given_up() {
        let watch = Stopwatch::default();
        let second = Duration::from_secs(1);
        let lap = watch.start();
        tokio::time::advance(second).await;
        assert_eq!(watch.total(), second, "under way");
        drop(lap);
        tokio::time::advance(second).await;
        assert_eq!(watch.total(), second, "over");
        let work = async {
            let _lap = watch.start();
            std::future::pending::<()>().await;
        };
        tokio::time::timeout(second, work).await.expect_err("nobody waits for it any more");
        tokio::time::advance(second).await;
        assert_eq!(watch.total(), 2 * second);
    }
}
