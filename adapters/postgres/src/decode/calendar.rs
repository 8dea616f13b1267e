//! Dates and times from PostgreSQL's binary form (days and microseconds since 2000-01-01) to ISO 8601.
//!
//! Written here because it runs for every timestamp of every row; a library would build a value first.

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days from 0000-03-01 to 2000-01-01 in the proleptic Gregorian calendar.
const EPOCH_SHIFT_DAYS: i64 = 730_425;

/// Year, month, day of a day count since 2000-01-01.
fn civil(days: i64) -> (i64, u8, u8) {
    // Eras of 400 years that start on 1 March, so that the leap day ends its year.
    let shifted = days + EPOCH_SHIFT_DAYS;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

fn two(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

/// `YYYY-MM-DD` of a year of our era or, with `true` as the answer, of one before it.
fn put_date(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(days);
    let before = year <= 0;
    let shown = if before { 1 - year } else { year };
    if shown < 10_000 {
        two((shown / 100) as u8, out);
        two((shown % 100) as u8, out);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(shown).as_bytes());
    }
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
    before
}

/// `HH:MM:SS[.ffffff]`, without trailing zeros.
fn put_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / 1_000_000;
    two((seconds / 3600) as u8, out);
    out.push(b':');
    two((seconds / 60 % 60) as u8, out);
    out.push(b':');
    two((seconds % 60) as u8, out);
    let mut fraction = micros % 1_000_000;
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let length = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    out.extend_from_slice(&digits[..length]);
}

/// A date.
pub(super) fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            if put_date(i64::from(days), out) {
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
            let before = put_date(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b'T');
            put_time(micros.rem_euclid(MICROS_PER_DAY), out);
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
