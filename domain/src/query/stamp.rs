//! What a write says of its values to a CQL database: how long they live, and when they were written.

use super::body::Object;
use crate::error::RequestError;

/// Longest life of a value, in seconds: the 20 years that the database keeps one at most.
pub const MAX_TTL_SECS: i32 = 20 * 365 * 86_400;

/// What a write says of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Seconds after which they are gone; 0 keeps them, whatever the table says.
    pub ttl: Option<i32>,
    /// Microseconds since 1970 at which the database takes them to be written.
    pub timestamp: Option<i64>,
}

impl Stamp {
    /// Takes `ttl` and `timestamp` out of a body.
    ///
    /// # Errors
    /// A number outside of what the database takes.
    pub fn take(body: &mut Object<'_>) -> Result<Self, RequestError> {
        let ttl = match body.take_count("ttl")?.map(i32::try_from) {
            None => None,
            Some(Ok(seconds)) if seconds <= MAX_TTL_SECS => Some(seconds),
            Some(_) => {
                let message =
                    format!("`ttl` must be a whole number of seconds from 0 to {MAX_TTL_SECS}, 20 years");
                return Err(RequestError::invalid(body.path("ttl"), message));
            }
        };
        Ok(Self { ttl, timestamp: take_timestamp(body)? })
    }
}

/// Takes `timestamp` out of a body: microseconds since 1970.
///
/// # Errors
/// What is no such number.
pub fn take_timestamp(body: &mut Object<'_>) -> Result<Option<i64>, RequestError> {
    // A count is at most `i64::MAX`.
    Ok(body.take_count("timestamp")?.and_then(|micros| i64::try_from(micros).ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::super::body::JsonText;
    use super::*;

    #[test]
    fn stamps() {
        let check = |text: &str, expected: Option<(Option<i32>, Option<i64>)>| {
            let mut body = JsonText::parse(text.as_bytes()).unwrap().expect_object("").unwrap();
            assert_eq!(
                Stamp::take(&mut body).ok().map(|stamp| (stamp.ttl, stamp.timestamp)),
                expected,
                "{text}"
            );
        };
        check("{}", Some((None, None)));
        check(r#"{"ttl":0,"timestamp":0}"#, Some((Some(0), Some(0))));
        check(r#"{"ttl":"630720000"}"#, Some((Some(MAX_TTL_SECS), None)));
        check(r#"{"timestamp":9223372036854775807}"#, Some((None, Some(i64::MAX))));
        for bad in ["630720001", "4294967296", "-1", "1.5", "\"soon\"", "true"] {
            check(&format!(r#"{{"ttl":{bad}}}"#), None);
        }
        for bad in ["9223372036854775808", "-1", "1.5", "\"2024-01-01\""] {
            check(&format!(r#"{{"timestamp":{bad}}}"#), None);
        }
    }
}
