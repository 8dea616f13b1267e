//! Points and lengths of time, from ISO 8601 text. Days are those of the Gregorian calendar before its beginning too,
//! and the year 0 is the one before the year 1.

/// Milliseconds of a day.
const DAY_MILLIS: i64 = 86_400_000;

/// Days from 1970-01-01 to a day; `None` when there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the day of a leap year stands at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year.rem_euclid(400);
    Some(year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// `[+-]YYYY…-MM-DD`, or `YYYY-MM-DD BC` as answers write it → days since 1970-01-01.
pub(super) fn date(text: &str) -> Option<i64> {
    let (text, before) = era(text);
    day(text, before)
}

/// Takes ` BC` off.
fn era(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |text| (text, true))
}

fn day(text: &str, before: bool) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split('-');
    let year = parts.next().filter(|year| (4..=9).contains(&year.len())).and_then(number)?;
    let mut part = || parts.next().filter(|part| part.len() == 2).and_then(number);
    let (month, day) = (part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    let year = match before {
        // The year 1 BC is the year 0.
        true => (sign > 0 && year > 0).then_some(1 - year)?,
        false => sign * year,
    };
    days(year, month, day)
}

/// `HH:MM[:SS[.f…]]` → nanoseconds since midnight.
pub(super) fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, nanos(fraction)?),
        None => (text, 0),
    };
    let mut parts = clock.split(':');
    let mut part = |most: i64| {
        parts.next().filter(|part| part.len() == 2).and_then(number).filter(|number| *number <= most)
    };
    let (hour, minute) = (part(23)?, part(59)?);
    let second = match clock.len() {
        8 => part(59)?,
        5 if !text.contains('.') => 0,
        _ => return None,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + fraction)
}

/// A day, or a day with a time and an offset from UTC (none is UTC) → milliseconds since 1970; `None` also for a
/// part of a millisecond, which the type cannot hold.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let (text, before) = era(text);
    let Some(at) = text.find(['T', 't', ' ']) else { return day(text, before)?.checked_mul(DAY_MILLIS) };
    let (day, rest) = (day(&text[..at], before)?, &text[at + 1..]);
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        None => (rest, 0),
        Some(at) => (rest[..at].trim_end(), offset(&rest[at..])?),
    };
    let nanos = time(clock)?;
    if nanos % 1_000_000 != 0 {
        return None;
    }
    // The first moment of all lies in a day whose beginning has no number.
    let start = i128::from(day) * i128::from(DAY_MILLIS);
    i64::try_from(start + i128::from(nanos / 1_000_000 - offset * 60_000)).ok()
}

/// `Z`, `±HH`, `±HHMM` or `±HH:MM` → minutes.
fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text[1..].replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    (hours <= 18 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// ISO 8601 `P…`: months, days and nanoseconds, all of one sign.
pub(super) fn duration(text: &str) -> Option<(i32, i32, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix(['P', 'p'])?;
    let (days_part, time_part) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    let (mut months, mut days, mut nanos) = (0_i128, 0_i128, 0_i128);
    read_units(days_part, "YMWD", |unit, whole, fraction| match unit {
        _ if fraction != 0 => false,
        b'Y' => add(&mut months, whole * 12),
        b'M' => add(&mut months, whole),
        b'W' => add(&mut days, whole * 7),
        _ => add(&mut days, whole),
    })?;
    read_units(time_part, "HMS", |unit, whole, fraction| match unit {
        b'S' => add(&mut nanos, whole * 1_000_000_000 + fraction),
        _ if fraction != 0 => false,
        b'H' => add(&mut nanos, whole * 3_600_000_000_000),
        _ => add(&mut nanos, whole * 60_000_000_000),
    })?;
    let all = [months, days, nanos];
    if all.iter().any(|part| *part > 0) && all.iter().any(|part| *part < 0) {
        return None;
    }
    let sign = if negative { -1 } else { 1 };
    Some((
        i32::try_from(sign * months).ok()?,
        i32::try_from(sign * days).ok()?,
        i64::try_from(sign * nanos).ok()?,
    ))
}

fn add(to: &mut i128, amount: i128) -> bool {
    *to += amount;
    true
}

/// Reads `12Y3M` and the like: each unit of `units` once at most, in that order. `take` gets the unit, the number and
/// its nanosecond fraction, both with the number's sign.
fn read_units(text: &str, units: &str, mut take: impl FnMut(u8, i128, i128) -> bool) -> Option<()> {
    let (mut rest, mut known) = (text, units);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = rest.as_bytes()[end].to_ascii_uppercase();
        known = &known[known.find(char::from(unit))? + 1..];
        let (sign, digits) = match rest[..end].strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, &rest[..end]),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, nanos(fraction)?),
            None => (digits, 0),
        };
        let whole = i128::from(number(whole).filter(|_| whole.len() <= 18)?);
        if !take(unit, sign * whole, sign * i128::from(fraction)) {
            return None;
        }
        rest = &rest[end + 1..];
    }
    Some(())
}

/// Digits behind a point → nanoseconds; what is smaller must be nothing.
fn nanos(fraction: &str) -> Option<i64> {
    let (kept, lost) = fraction.split_at_checked(9).unwrap_or((fraction, ""));
    if kept.is_empty() || lost.bytes().any(|digit| digit != b'0') {
        return None;
    }
    Some(number(kept)? * 10_i64.pow(u32::try_from(9 - kept.len()).ok()?))
}

fn number(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_are_counted() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(date(text), expected, "{text}");
        check("1970-01-01", Some(0));
        check("2024-02-29", Some(19_782));
        check("2023-02-29", None);
        check("1900-02-29", None);
        check("0001-01-01", Some(-719_162));
        check("0000-12-31", Some(-719_163));
        check("-0001-12-31", Some(-719_529));
        check("+12345-01-01", Some(3_789_391));
        check("0001-12-31 BC", Some(-719_163));
        check("0002-12-31 BC", Some(-719_529));
        check("0000-12-31 BC", None);
        check("-0001-12-31 BC", None);
        for bad in ["", "2024-1-01", "2024-13-01", "2024-00-10", "24-01-01", "2024-01-01-01", "yesterday"] {
            check(bad, None);
        }
    }

    #[test]
    fn times_are_exact_or_nothing() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(time(text), expected, "{text}");
        check("00:00", Some(0));
        check("23:59:59.999999999", Some(86_399_999_999_999));
        check("10:00:00.5", Some(36_000_500_000_000));
        check("10:00:00.5000000000", Some(36_000_500_000_000));
        for bad in
            ["24:00:00", "10", "10:60", "10:00:60", "10:00.5", "10:00:00.", "10:00:00.1234567891", "1:00:00"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn timestamps_are_milliseconds() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(timestamp(text), expected, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01", Some(0));
        check("1970-01-01 01:00:00.250+01:00", Some(250));
        check("1970-01-01T00:00:00.250000-0130", Some(5_400_250));
        check("1970-01-01T02:00+02", Some(0));
        check("0000-12-31T23:59:59.999Z", Some(-62_135_596_800_001));
        check("1969-12-31T23:59:59.999", Some(-1));
        check("0001-12-31T23:59:59.999Z BC", Some(-62_135_596_800_001));
        check("292275056-05-16T16:47:04.192Z BC", Some(i64::MIN));
        for bad in [
            "1970-01-01T00:00:00.0001Z",
            "1970-01-01T",
            "1970-01-01T00:00:00+25",
            "1970-01-01T00:00:00+1é1",
            "T00:00:00Z",
            "now",
            "é",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_have_one_sign() {
        let check =
            |text: &str, expected: Option<(i32, i32, i64)>| assert_eq!(duration(text), expected, "{text}");
        check("P1Y2M3W4DT5H6M7.000000008S", Some((14, 25, 18_367_000_000_008)));
        check("PT0S", Some((0, 0, 0)));
        check("-P1MT1S", Some((-1, 0, -1_000_000_000)));
        check("P-1M-2D", Some((-1, -2, 0)));
        check("-P-1D", Some((0, 1, 0)));
        for bad in [
            "P",
            "PT",
            "P1",
            "P1DT",
            "1D",
            "P1D2M",
            "P1M-1D",
            "P1.5D",
            "PT1H1.5M",
            "P1S",
            "P200000000Y",
            "P1D1D",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn any_day_follows_the_one_before(year in -9999_i64..=99_999, month in 1_i64..=12, day in 1_i64..=28) {
            let sign = if year < 0 { "-" } else { "" };
            let text = |day: i64| format!("{sign}{:04}-{month:02}-{day:02}", year.abs());
            prop_assert_eq!(date(&text(day)).zip(date(&text(1))).map(|(a, b)| a - b), Some(day - 1));
        }
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>(), like in "[-+0-9PTYMDHS:.Z é]{0,24}") {
            for text in [&text, &like, &format!("1970-01-01T{like}"), &format!("1970-01-01T00:00:00+{text}")] {
                let _ = (date(text), time(text), timestamp(text), duration(text));
            }
        }
    }
}
