//! Which database is asked when.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::Backend;

/// When a database is asked next.
pub(super) struct Appointment {
    pub backend: Weak<dyn Backend>,
    /// Pause before the last time.
    pub pause: Duration,
    /// Whether an answer is waited for.
    pub asking: bool,
    due: Instant,
    urgent: bool,
}

/// Every appointment. Those that a circuit breaker waits for come before the others; among its like, whoever has waited
/// longest comes first.
#[derive(Default)]
pub(super) struct Diary {
    appointments: HashMap<Box<str>, Appointment>,
    urgent: BTreeSet<(Instant, Box<str>)>,
    usual: BTreeSet<(Instant, Box<str>)>,
}

impl Diary {
    /// Notes a database that is to be asked from `due` on, in the place of whichever had its name.
    pub fn begin(&mut self, key: &str, backend: &Arc<dyn Backend>, pause: Duration, due: Instant) {
        self.strike(key);
        let backend = Arc::downgrade(backend);
        self.usual.insert((due, key.into()));
        self.appointments
            .insert(key.into(), Appointment { backend, pause, asking: false, due, urgent: false });
    }

    /// Forgets a database.
    pub fn strike(&mut self, key: &str) {
        if let Some(gone) = self.appointments.remove(key) {
            let set = if gone.urgent { &mut self.urgent } else { &mut self.usual };
            set.remove(&(gone.due, key.into()));
        }
    }

    /// Forgets every database whose name is not wanted.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        let gone: Vec<Box<str>> = self.appointments.keys().filter(|key| !wanted(key)).cloned().collect();
        gone.iter().for_each(|key| self.strike(key));
    }

    /// What is noted of a database.
    pub fn find(&mut self, key: &str) -> Option<&mut Appointment> {
        self.appointments.get_mut(key)
    }

    /// Sets when a database is asked next, and whether somebody waits for it.
    pub fn put(&mut self, key: &str, due: Instant, urgent: bool) {
        let Some(known) = self.appointments.get_mut(key) else { return };
        let set = if known.urgent { &mut self.urgent } else { &mut self.usual };
        set.remove(&(known.due, key.into()));
        (known.due, known.urgent) = (due, urgent);
        let set = if urgent { &mut self.urgent } else { &mut self.usual };
        set.insert((due, key.into()));
    }

    /// Says that somebody waits for the database from `due` on; it is never asked later than it would have been.
    pub fn hasten(&mut self, key: &str, due: Instant, now: Instant) {
        let Some(known) = self.appointments.get(key) else { return };
        let sooner = due < known.due || (due <= now && !known.urgent);
        let due = due.min(known.due);
        if sooner {
            self.put(key, due, true);
        }
    }

    /// The next database that is due now.
    pub fn next(&self, now: Instant) -> Option<Box<str>> {
        let due = |set: &BTreeSet<(Instant, Box<str>)>| {
            set.first().filter(|(due, _)| *due <= now).map(|(_, key)| key.clone())
        };
        due(&self.urgent).or_else(|| due(&self.usual))
    }

    /// When the next one is due.
    pub fn first(&self) -> Option<Instant> {
        [&self.urgent, &self.usual].into_iter().filter_map(|set| Some(set.first()?.0)).min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    struct Nobody;

    #[async_trait::async_trait]
    impl Backend for Nobody {
        async fn execute(
            &self,
            _: &athena_domain::plan::Plan,
            _: &mut dyn crate::ports::RowStream,
            _: Instant,
            _: &crate::stopwatch::Stopwatch,
        ) -> Result<crate::ports::Done, crate::ports::PortError> {
            Ok(crate::ports::Done::default())
        }

        async fn ping(&self, _: Instant) -> Result<(), crate::ports::PortError> {
            Ok(())
        }

        fn status(&self) -> crate::ports::BackendStatus {
            crate::ports::BackendStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_waited_for_comes_first_and_then_whoever_waits_longest() {
        let nobody: Arc<dyn Backend> = Arc::new(Nobody);
        let mut diary = Diary::default();
        for key in ["a", "b", "c"] {
            diary.begin(key, &nobody, Duration::ZERO, Instant::now());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let now = Instant::now();
        assert_eq!(diary.next(now).as_deref(), Some("a"));
        diary.hasten("c", now, now);
        assert_eq!(diary.next(now).as_deref(), Some("c"));
        diary.put("c", now + Duration::from_secs(1), false);
        diary.put("a", now + Duration::from_secs(2), false);
        assert_eq!(diary.next(now).as_deref(), Some("b"));
        diary.keep(|key| key != "b");
        assert_eq!(diary.next(now), None);
        assert_eq!(diary.first(), Some(now + Duration::from_secs(1)));
        // What comes soon is not put off.
        diary.hasten("a", now + Duration::from_secs(30), now);
        diary.hasten("c", now + Duration::from_millis(500), now);
        diary.hasten("c", now + Duration::from_secs(3), now);
        assert_eq!(diary.first(), Some(now + Duration::from_millis(500)));
        diary.strike("c");
        assert_eq!(diary.first(), Some(now + Duration::from_secs(2)));
    }
}
