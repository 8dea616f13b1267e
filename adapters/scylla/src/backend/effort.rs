//! How a statement is carried out: until when, and by how many replicas.

use std::time::Duration;

use athena_domain::plan::Plan;
use athena_domain::schema;
use scylla::statement::{Consistency, SerialConsistency};
use tokio::time::Instant;

use crate::settings::ScyllaSettings;

/// How the statements of one request are carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// When the answer must be there.
    pub deadline: Instant,
    /// How long one exchange may take.
    pub timeout: Duration,
    /// The same where the request itself has said so.
    asked: Option<Duration>,
    /// How many replicas have to agree.
    pub consistency: Consistency,
    /// How many of them agree on what is there, where a write depends on it.
    pub serial: SerialConsistency,
    /// Most rows that the server sends at once.
    pub fetch_size: i32,
}

impl Effort {
    /// The effort of a plan's statements until `deadline`.
    pub(super) fn of(plan: &Plan, settings: &ScyllaSettings, deadline: Instant) -> Self {
        let most = settings.timeout();
        let rows = plan.tuning.fetch_size.and_then(|rows| i32::try_from(rows).ok());
        let asked = plan.tuning.timeout.map(|asked| asked.min(most));
        Self {
            deadline,
            timeout: asked.unwrap_or(most),
            asked,
            consistency: level(plan.tuning.consistency.unwrap_or(settings.consistency)),
            serial: settings.serial(),
            fetch_size: rows.map_or(settings.page_size, |rows| rows.min(settings.page_size)),
        }
    }

    /// The same until another moment.
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// The same for a read that sees every conditional write that was answered.
    pub(super) fn after_conditional_writes(self) -> Self {
        let consistency = match self.serial {
            SerialConsistency::Serial => Consistency::Serial,
            SerialConsistency::LocalSerial => Consistency::LocalSerial,
        };
        Self { consistency, ..self }
    }

    /// The same for a read that sees what a conditional write of this effort sees and does. Those that are read have met
    /// one of those that were written, where they are most of the replicas; a single one may have missed it, and then
    /// those that agree on such writes are asked.
    pub(super) fn after_own_conditional_write(self) -> Self {
        match self.consistency {
            Consistency::LocalOne | Consistency::One => self.after_conditional_writes(),
            _ => self,
        }
    }

    /// Until when there must be a session to ask, or a statement that is ready. A node that hangs delays both for as
    /// long as the driver takes to give it up, so that only a request that has asked for so little waits no longer.
    pub(super) fn readiness(&self) -> Instant {
        self.asked.map_or(self.deadline, |asked| self.deadline.min(Instant::now() + asked))
    }

    /// How long the next exchange may take.
    pub(super) fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(self.timeout)
    }
}

/// The driver's word for a level.
pub(crate) fn level(level: schema::Consistency) -> Consistency {
    match level {
        schema::Consistency::LocalOne => Consistency::LocalOne,
        schema::Consistency::One => Consistency::One,
        schema::Consistency::Two => Consistency::Two,
        schema::Consistency::Three => Consistency::Three,
        schema::Consistency::LocalQuorum => Consistency::LocalQuorum,
        schema::Consistency::Quorum => Consistency::Quorum,
        schema::Consistency::EachQuorum => Consistency::EachQuorum,
        schema::Consistency::All => Consistency::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_written_with_a_condition_is_read_by_enough_to_see_it() {
        let read = |consistency, serial| {
            let effort = Effort {
                deadline: Instant::now(),
                timeout: Duration::from_secs(1),
                asked: None,
                consistency,
                serial,
                fetch_size: 1,
            };
            effort.after_own_conditional_write().consistency
        };
        let (whole, local) = (SerialConsistency::Serial, SerialConsistency::LocalSerial);
        for few in [Consistency::LocalOne, Consistency::One] {
            assert_eq!(read(few, local), Consistency::LocalSerial, "{few:?}");
            assert_eq!(read(few, whole), Consistency::Serial, "{few:?}");
        }
        for enough in [Consistency::Two, Consistency::LocalQuorum, Consistency::Quorum, Consistency::All] {
            assert_eq!(read(enough, local), enough);
        }
    }
}
