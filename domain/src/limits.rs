//! Bounds on what one request may ask for; every value is configurable.

use std::time::Duration;

/// Bounds on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a JSON answer. NDJSON and CSV have no bound.
    pub max_rows: u64,
    /// Bytes of a JSON answer's rows.
    pub max_response_bytes: u64,
    /// Bytes of all answers together that are kept whole, until they are read.
    pub max_held_bytes: u64,
    /// Bytes of all request bodies together that are being received or answered; those that come in one piece and
    /// packed in no way are not counted.
    pub max_received_bytes: u64,
    /// Bytes of a request body as received.
    pub max_body_bytes: u64,
    /// Bytes of a request body after decompression.
    pub max_decompressed_bytes: u64,
    /// Conditions of one request, counted at the leaves.
    pub max_conditions: u64,
    /// Depth of `and(…)`/`or(…)`/`not` in the condition grammar.
    pub max_nesting: u64,
    /// Members of all `in` lists and of what `contains` and `containedBy` are given, in the conditions of one request.
    pub max_in_list: u64,
    /// Time the database may spend on one statement.
    pub statement_timeout: Duration,
    /// Time a request may take until its answer begins.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rows: 10_000,
            max_response_bytes: 64 << 20,
            max_held_bytes: 256 << 20,
            max_received_bytes: 128 << 20,
            max_body_bytes: 2 << 20,
            max_decompressed_bytes: 16 << 20,
            max_conditions: 100,
            max_nesting: 8,
            max_in_list: 10_000,
            statement_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(35),
        }
    }
}

/// Rows of a JSON fetch that names no `limit` and no `page_size` (contract 6.1).
pub const DEFAULT_LIMIT: u64 = 100;
