//! Dates and times as ISO 8601, in the forms in which every backend of the gateway writes them.
//!
//! Written here because it runs for every timestamp of every row; a library would build a value first.

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

fn two(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + value / 10, b'0' + value % 10]);
}

/// Appends `YYYY-MM-DD` of a day count since 1970-01-01; true when the year is one before our era.
pub fn put_date(days: i64, out: &mut Vec<u8>) -> bool {
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

/// Appends a fraction of a second in nanoseconds, without trailing zeros; nothing when it is none.
pub fn put_fraction(nanos: i64, out: &mut Vec<u8>) {
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

/// Appends `HH:MM:SS[.f]` of nanoseconds since midnight.
pub fn put_time(nanos: i64, out: &mut Vec<u8>) {
    let seconds = nanos / 1_000_000_000;
    two((seconds / 3600) as u8, out);
    out.push(b':');
    two((seconds / 60 % 60) as u8, out);
    out.push(b':');
    two((seconds % 60) as u8, out);
    put_fraction(nanos % 1_000_000_000, out);
}
