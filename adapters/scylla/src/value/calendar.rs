//! Dates and times as CQL counts them (days, milliseconds, nanoseconds) as ISO 8601, in the forms in which every
//! backend of the gateway writes them.

use athena_domain::rows::calendar::put_date;
pub(super) use athena_domain::rows::calendar::{put_fraction, put_time};

/// CQL counts days from 2^31 days before 1970-01-01.
const EPOCH: i64 = 1 << 31;
const MILLIS_PER_DAY: i64 = 86_400_000;
pub(super) const NANOS_PER_DAY: i64 = 86_400_000_000_000;

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
