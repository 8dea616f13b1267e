//! How a statement is carried out: until when, and by how many replicas.

use std::time::Duration;

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
    /// The effort of a client's statements until `deadline`.
    pub(super) fn usual(settings: &ScyllaSettings, deadline: Instant) -> Self {
        Self {
            deadline,
            timeout: settings.timeout(),
            consistency: settings.consistency,
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
