//! Dates and times as CQL counts them (days, milliseconds, nanoseconds) to and from ISO 8601, in the forms in which
//! every backend of the gateway writes them.

/// CQL counts days from 2^31 days before 1970-01-01.
const EPOCH: i64 = 1 << 31;
const MILLIS_PER_DAY: i64 = 86_400_000;
pub(super) const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_SHIFT_DAYS: i64 = 719_468;

/// Year, month, day of a day count since 1970-01-01.
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
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8, day as u8)
}

/// The day count since 1970-01-01 of a date that the calendar has.
fn days(year: i64, month: u8, day: u8) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let year_of_era = shifted.rem_euclid(400);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let count = era * 146_097 + of_era - EPOCH_SHIFT_DAYS;
    // The 31st of a month of 30 days has a count too, another day's.
    (civil(count) == (year, month, day)).then_some(count)
}

fn two(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

/// `YYYY-MM-DD`; true when the year is one before our era.
fn put_date(count: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(count);
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

/// A fraction of a second in nanoseconds, without trailing zeros.
pub(super) fn put_fraction(nanos: i64, out: &mut Vec<u8>) {
    if nanos == 0 {
        return;
    }
    out.push(b'.');
    let mut digits = [b'0'; 9];
    let mut rest = nanos;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let length = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    out.extend_from_slice(&digits[..length]);
}

/// `HH:MM:SS[.f]` of nanoseconds since midnight.
pub(super) fn put_time(nanos: i64, out: &mut Vec<u8>) {
    let seconds = nanos / 1_000_000_000;
    two((seconds / 3600) as u8, out);
    out.push(b':');
    two((seconds / 60 % 60) as u8, out);
    out.push(b':');
    two((seconds % 60) as u8, out);
    put_fraction(nanos % 1_000_000_000, out);
}

/// A date.
pub(super) fn put_cql_date(count: u32, out: &mut Vec<u8>) {
    if put_date(i64::from(count) - EPOCH, out) {
        out.extend_from_slice(b" BC");
    }
}

/// A moment in milliseconds since 1970, in UTC.
pub(super) fn put_timestamp(millis: i64, out: &mut Vec<u8>) {
    let before = put_date(millis.div_euclid(MILLIS_PER_DAY), out);
    out.push(b'T');
    put_time(millis.rem_euclid(MILLIS_PER_DAY) * 1_000_000, out);
    out.extend_from_slice(b"+00:00");
    if before {
        out.extend_from_slice(b" BC");
    }
}

/// `Y-MM-DD` with a year of at least four digits, before our era with a minus or when `before`.
fn read_date(text: &str, before: bool) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !(4..=9).contains(&year.len()) || month.len() != 2 || day.len() != 2 {
        return None;
    }
    if !year.bytes().chain(month.bytes()).chain(day.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year: i64 = year.parse().ok()?;
    let year = match (before, sign) {
        (true, 1) if year > 0 => 1 - year,
        (true, _) => return None,
        (false, sign) => sign * year,
    };
    days(year, month.parse().ok()?, day.parse().ok()?)
}

/// `HH:MM[:SS[.f]]` as nanoseconds since midnight.
pub(super) fn read_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let mut part = |below: i64| -> Option<Option<i64>> {
        let Some(digits) = parts.next() else { return Some(None) };
        let whole = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = whole.then(|| digits.parse().ok()).flatten()?;
        (number < below).then_some(Some(number))
    };
    let (hours, minutes, seconds) = (part(24)??, part(60)??, part(60)?);
    if parts.next().is_some() || (text.contains('.') && (seconds.is_none() || fraction.is_empty())) {
        return None;
    }
    let nanos = read_fraction(fraction)?;
    Some(((hours * 60 + minutes) * 60 + seconds.unwrap_or(0)) * 1_000_000_000 + nanos)
}

/// Digits after a point as nanoseconds; none when they are finer than that.
pub(super) fn read_fraction(digits: &str) -> Option<i64> {
    let kept = digits.trim_end_matches('0');
    if kept.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{kept:0<9}").parse().ok()
}

/// A date as CQL counts it.
pub(super) fn read_cql_date(text: &str) -> Option<u32> {
    let text = text.trim();
    let (date, before) = text.strip_suffix(" BC").map_or((text, false), |date| (date, true));
    u32::try_from(read_date(date, before)? + EPOCH).ok()
}

/// A moment as milliseconds since 1970. Without a zone it is in UTC; finer than milliseconds is none.
pub(super) fn read_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let (moment, before) = text.strip_suffix(" BC").map_or((text, false), |moment| (moment, true));
    let Some(gap) = moment.find(['T', 't', ' ']) else {
        return read_date(moment, before)?.checked_mul(MILLIS_PER_DAY);
    };
    let (clock, zone) = zone(&moment[gap + 1..])?;
    let nanos = read_time(clock)?;
    if nanos % 1_000_000 != 0 {
        return None;
    }
    // The first moment of all lies in a day whose beginning has no number.
    let day = i128::from(read_date(&moment[..gap], before)?) * i128::from(MILLIS_PER_DAY);
    i64::try_from(day + i128::from(nanos / 1_000_000 - zone)).ok()
}

/// Splits a time from its zone, and gives that as milliseconds east of Greenwich.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, zone) = text.split_at(at);
    let digits: String = zone[1..].chars().filter(|char| *char != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().unwrap_or(0));
    if hours > 18 || minutes > 59 {
        return None;
    }
    let millis = (hours * 60 + minutes) * 60_000;
    Some((clock, if zone.starts_with('-') { -millis } else { millis }))
}
