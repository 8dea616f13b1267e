//! Section `limits`: bounds on what one request may ask for.

use athena_domain::Limits;

use super::reader::Reader;

/// More than a machine holds; keeps sums of limits far from overflow.
const MOST_BYTES: u64 = 1 << 40;
const DAY: u64 = 86_400;

pub(super) fn read(reader: &mut Reader<'_>) -> Limits {
    let key = |name| ("limits", name);
    let default = Limits::default();
    let max_response_bytes =
        reader.integer(key("max_response_bytes"), default.max_response_bytes, 1..=MOST_BYTES);
    // Who wants larger answers has room for some of them.
    let held = default.max_held_bytes.max(max_response_bytes.saturating_mul(4));
    let max_decompressed_bytes =
        reader.integer(key("max_decompressed_bytes"), default.max_decompressed_bytes, 1..=MOST_BYTES);
    let received = default.max_received_bytes.max(max_decompressed_bytes.saturating_mul(8));
    let limits = Limits {
        max_rows: reader.integer(key("max_rows"), default.max_rows, 1..=1_000_000_000),
        max_response_bytes,
        max_held_bytes: reader.integer(key("max_held_bytes"), held, 1..=MOST_BYTES * 4),
        max_received_bytes: reader.integer(key("max_received_bytes"), received, 1..=MOST_BYTES * 8),
        max_body_bytes: reader.integer(key("max_body_bytes"), default.max_body_bytes, 1..=MOST_BYTES),
        max_decompressed_bytes,
        max_conditions: reader.integer(key("max_conditions"), default.max_conditions, 1..=100_000),
        // The condition grammar is read by recursion.
        max_nesting: reader.integer(key("max_nesting"), default.max_nesting, 1..=64),
        max_in_list: reader.integer(key("max_in_list"), default.max_in_list, 1..=1_000_000),
        statement_timeout: reader.seconds(
            key("statement_timeout_secs"),
            default.statement_timeout.as_secs(),
            1..=DAY,
        ),
        request_timeout: reader.seconds(
            key("request_timeout_secs"),
            default.request_timeout.as_secs(),
            1..=DAY,
        ),
    };
    if limits.statement_timeout >= limits.request_timeout {
        let (statement, request) = (limits.statement_timeout.as_secs(), limits.request_timeout.as_secs());
        reader.problem(
            "limits",
            "statement_timeout_secs",
            format!(
                "is {statement}, which must be less than limits.request_timeout_secs ({request}, from {}); \
                 lower the one or raise the other",
                reader.origin("limits", "request_timeout_secs")
            ),
        );
    }
    if limits.max_held_bytes < limits.max_response_bytes.saturating_mul(2) {
        let (held, response) = (limits.max_held_bytes, limits.max_response_bytes);
        reader.problem(
            "limits",
            "max_held_bytes",
            format!(
                "is {held}, which must be at least twice limits.max_response_bytes ({response}, from {}); \
                 raise the one or lower the other",
                reader.origin("limits", "max_response_bytes")
            ),
        );
    }
    if limits.max_received_bytes < limits.max_decompressed_bytes.saturating_mul(4) {
        let (received, decompressed) = (limits.max_received_bytes, limits.max_decompressed_bytes);
        reader.problem(
            "limits",
            "max_received_bytes",
            format!(
                "is {received}, which must be at least four times limits.max_decompressed_bytes ({decompressed}, \
                 from {}); raise the one or lower the other",
                reader.origin("limits", "max_decompressed_bytes")
            ),
        );
    }
    if limits.max_body_bytes > limits.max_decompressed_bytes {
        let (body, decompressed) = (limits.max_body_bytes, limits.max_decompressed_bytes);
        reader.problem(
            "limits",
            "max_body_bytes",
            format!(
                "is {body}, which must not exceed limits.max_decompressed_bytes ({decompressed}, from {}); \
                 lower the one or raise the other",
                reader.origin("limits", "max_decompressed_bytes")
            ),
        );
    }
    limits
}
