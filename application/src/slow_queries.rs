//! Tells the log of operations that took long: which, on what, where the time went. Never a value, never SQL.

use std::time::Duration;

use crate::ports::{Observation, Observer};

/// Tells of operations that took longer than a bound.
pub struct SlowQueries {
    bound: Duration,
}

impl SlowQueries {
    /// Tells of what took longer than `bound`.
    pub fn new(bound: Duration) -> Self {
        Self { bound }
    }
}

impl Observer for SlowQueries {
    fn observe(&self, observation: &Observation) {
        let Some(operation) = observation.operation.as_ref().filter(|done| done.duration > self.bound) else {
            return;
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let stages = observation.stages;
        let trace_id = observation.trace.map(|trace| format!("{:032x}", u128::from_be_bytes(trace.trace_id)));
        tracing::warn!(
            request_id = %observation.request_id,
            trace_id,
            route = observation.route,
            client = observation.client.as_ref().map(|client| client.as_str()),
            operation = operation.name,
            table = operation.table.as_deref(),
            rows = operation.rows,
            affected = operation.affected,
            status = observation.status,
            duration_ms = millis(operation.duration),
            decode_ms = millis(stages.decode),
            auth_ms = millis(stages.auth),
            plan_ms = millis(stages.plan),
            pool_ms = millis(stages.pool),
            db_ms = millis(stages.db),
            shape_ms = millis(stages.shape),
            "slow operation"
        );
    }
}
