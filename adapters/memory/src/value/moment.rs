//! Dates and times in one canonical form each, so that the order of their texts is their own order.

use time::{Date, Duration, Month, PrimitiveDateTime, Time, UtcOffset};

/// `2024-01-31`
pub(super) fn date(text: &str) -> Option<Box<str>> {
    read_date(text.trim()).map(|date| write_date(date).into())
}

/// `2024-01-31T12:00:00`, a fraction only where there is one.
pub(super) fn timestamp(text: &str) -> Option<Box<str>> {
    let (moment, _) = read(text.trim())?;
    Some(write(moment).into())
}

/// `2024-01-31T12:00:00+00:00`, always in UTC; text without a zone is taken as UTC.
pub(super) fn timestamp_tz(text: &str) -> Option<Box<str>> {
    let (moment, offset) = read(text.trim())?;
    let utc = moment.checked_sub(Duration::seconds(offset.whole_seconds().into()))?;
    Some(format!("{}+00:00", write(utc)).into())
}

fn write_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn write(moment: PrimitiveDateTime) -> String {
    let (hour, minute, second, micros) = moment.as_hms_micro();
    let whole = format!("{}T{hour:02}:{minute:02}:{second:02}", write_date(moment.date()));
    if micros == 0 {
        return whole;
    }
    let fraction = format!("{micros:06}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|part| part.len() == 4).and_then(digits)?;
    let month = Month::try_from(u8::try_from(parts.next().and_then(digits)?).ok()?).ok()?;
    let day = u8::try_from(parts.next().and_then(digits)?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()
}

fn read(text: &str) -> Option<(PrimitiveDateTime, UtcOffset)> {
    let Some((date, rest)) = text.split_once(['T', ' ']) else {
        return Some((PrimitiveDateTime::new(read_date(text)?, Time::MIDNIGHT), UtcOffset::UTC));
    };
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    Some((PrimitiveDateTime::new(read_date(date)?, read_time(clock.trim())?), read_zone(zone)?))
}

fn read_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        Some(rest) => rest.split_once('.').unwrap_or((rest, "")),
        None => ("0", ""),
    };
    let kept: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let part = |number: u32| u8::try_from(number).ok();
    Time::from_hms_micro(part(hour)?, part(minute)?, part(digits(second)?)?, digits(&kept)?).ok()
}

fn read_zone(text: &str) -> Option<UtcOffset> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(UtcOffset::UTC);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let part = |text: &str| i8::try_from(digits(text)?).ok();
    UtcOffset::from_hms(sign * part(hours)?, sign * part(minutes)?, 0).ok()
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}
