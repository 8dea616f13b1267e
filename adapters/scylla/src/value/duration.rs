//! Durations: months, days and nanoseconds, which CQL keeps apart because no number of days is a month.

use super::calendar::{put_fraction, read_fraction};

const NANOS: i64 = 1_000_000_000;

/// A duration as CQL keeps it; the three parts never have different signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parts {
    pub months: i32,
    pub days: i32,
    pub nanos: i64,
}

/// Writes ISO 8601, each part with its own sign: `P1Y2M3DT4H5M6.7S`, `PT0S`.
pub(super) fn put(parts: Parts, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let mut part = |value: i64, unit: u8, out: &mut Vec<u8>| {
        if value != 0 {
            out.extend_from_slice(number.format(value).as_bytes());
            out.push(unit);
        }
    };
    if parts == Parts::default() {
        out.extend_from_slice(b"PT0S");
        return;
    }
    out.push(b'P');
    part(i64::from(parts.months / 12), b'Y', out);
    part(i64::from(parts.months % 12), b'M', out);
    part(i64::from(parts.days), b'D', out);
    if parts.nanos == 0 {
        return;
    }
    out.push(b'T');
    let seconds = parts.nanos / NANOS;
    part(seconds / 3600, b'H', out);
    part(seconds / 60 % 60, b'M', out);
    let (seconds, fraction) = (seconds % 60, parts.nanos % NANOS);
    if fraction == 0 {
        part(seconds, b'S', out);
        return;
    }
    if fraction < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(seconds.unsigned_abs()).as_bytes());
    put_fraction(fraction.abs(), out);
    out.push(b'S');
}

/// Reads ISO 8601, weeks and a sign before the `P` or before a part included.
pub(super) fn read(text: &str) -> Option<Parts> {
    let text = text.trim();
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let body = body.strip_prefix(['P', 'p'])?;
    let (date, time) = match body.split_once(['T', 't']) {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (body, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let (mut months, mut days, mut nanos) = (0_i64, 0_i64, 0_i64);
    units(date, "YMWD", |unit, whole, fraction| {
        let target = if matches!(unit, 'Y' | 'M') { &mut months } else { &mut days };
        let factor = match unit {
            'Y' => 12,
            'W' => 7,
            _ => 1,
        };
        *target = target.checked_add(whole.checked_mul(factor)?)?;
        (fraction == 0).then_some(())
    })?;
    units(time, "HMS", |unit, whole, fraction| {
        let factor = match unit {
            'H' => 3600,
            'M' => 60,
            _ => 1,
        };
        if fraction != 0 && unit != 'S' {
            return None;
        }
        nanos = nanos.checked_add(whole.checked_mul(factor * NANOS)?)?.checked_add(fraction)?;
        Some(())
    })?;
    let parts = Parts {
        months: i32::try_from(months.checked_mul(sign)?).ok()?,
        days: i32::try_from(days.checked_mul(sign)?).ok()?,
        nanos: nanos.checked_mul(sign)?,
    };
    let signs = [i64::from(parts.months), i64::from(parts.days), parts.nanos].map(i64::signum);
    // The server refuses parts of different signs.
    (!(signs.contains(&1) && signs.contains(&-1))).then_some(parts)
}

/// Takes `number unit` apart, the units in the order of `known` and each at most once.
fn units(text: &str, known: &str, mut take: impl FnMut(char, i64, i64) -> Option<()>) -> Option<()> {
    let (mut rest, mut left) = (text, known);
    while !rest.is_empty() {
        let end = rest.find(|char: char| char.is_ascii_alphabetic())?;
        let unit = rest[end..].chars().next()?.to_ascii_uppercase();
        left = &left[left.find(unit)? + 1..];
        let (sign, digits) = match rest[..end].strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, rest[..end].strip_prefix('+').unwrap_or(&rest[..end])),
        };
        let (whole, fraction) = match digits.split_once(['.', ',']) {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        take(unit, sign * whole.parse::<i64>().ok()?, sign * read_fraction(fraction)?)?;
        rest = &rest[end + 1..];
    }
    Some(())
}
