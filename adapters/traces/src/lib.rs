//! Finished requests as OpenTelemetry spans.
//!
//! Spans are made after the answer has left, from what observers are told, so a request waits for nothing here.
//! They are queued, sent in batches by a thread of its own, and dropped when the queue is full.

mod endpoint;
mod exporter;
mod spans;

pub use endpoint::{InvalidEndpoint, InvalidHeaders, OtlpEndpoint, OtlpHeaders};
pub use exporter::{TraceCounters, TraceSettings, Traces};
