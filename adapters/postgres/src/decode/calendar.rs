//! Dates and times from PostgreSQL's binary form (days and microseconds since 2000-01-01) to ISO 8601.

use athena_domain::rows::calendar::{put_date, put_time};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

/// A date.
pub(super) fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            if put_date(i64::from(days) + EPOCH_DAYS, out) {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// A timestamp; with a time zone it is in UTC.
pub(super) fn timestamp(micros: i64, zoned: bool, out: &mut Vec<u8>) {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        micros => {
            let before = put_date(micros.div_euclid(MICROS_PER_DAY) + EPOCH_DAYS, out);
            out.push(b'T');
            put_time(micros.rem_euclid(MICROS_PER_DAY) * 1_000, out);
            if zoned {
                out.extend_from_slice(b"+00:00");
            }
            if before {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    #[test]
    fn days_become_dates() {
        let check = |days: i32, expected: &str| {
            let mut out = Vec::new();
            date(days, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0, "2000-01-01");
        check(-1, "1999-12-31");
        check(59, "2000-02-29");
        check(60, "2000-03-01");
        check(8_765, "2023-12-31");
        check(-730_119, "0001-01-01");
        check(-730_120, "0001-12-31 BC");
        check(-746_117, "0044-03-15 BC");
        check(2_921_940, "10000-01-01");
        check(i32::MAX, "infinity");
        check(i32::MIN, "-infinity");
    }

    #[test]
    fn microseconds_become_timestamps() {
        let check = |micros: i64, zoned: bool, expected: &str| {
            let mut out = Vec::new();
            timestamp(micros, zoned, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0, true, "2000-01-01T00:00:00+00:00");
        check(-1, false, "1999-12-31T23:59:59.999999");
        check(1_500_000, false, "2000-01-01T00:00:01.5");
        check(86_399_000_000, true, "2000-01-01T23:59:59+00:00");
        check(i64::MAX, true, "infinity");
        check(i64::MIN, false, "-infinity");
    }
}
