//! Durations: months, days and nanoseconds, which CQL keeps apart because no number of days is a month.

use super::calendar::put_fraction;

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
