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
    /// How many replicas have to agree.
    pub consistency: Consistency,
    /// How many of them agree on what is there, where a write depends on it.
    pub serial: SerialConsistency,
}

impl Effort {
    /// The effort of a plan's statements until `deadline`.
    pub(super) fn of(plan: &Plan, settings: &ScyllaSettings, deadline: Instant) -> Self {
        let most = settings.timeout();
        Self {
            deadline,
            timeout: plan.tuning.timeout.map_or(most, |asked| asked.min(most)),
            consistency: level(plan.tuning.consistency.unwrap_or(settings.consistency)),
            serial: settings.serial(),
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
