//! PostgreSQL's binary cells as JSON text, for the six types of the table.
//!
//! A cell that is shorter than its type panics: the statements are fixed, so it cannot happen.

use time::{Duration, OffsetDateTime, macros::datetime};

fn i16_at(cell: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([cell[at], cell[at + 1]])
}

fn i64_at(cell: &[u8]) -> i64 {
    i64::from_be_bytes(cell[..8].try_into().expect("eight bytes"))
}

pub fn int8(out: &mut Vec<u8>, cell: &[u8]) {
    out.extend_from_slice(itoa::Buffer::new().format(i64_at(cell)).as_bytes());
}

pub fn text(out: &mut Vec<u8>, cell: &[u8]) {
    out.push(b'"');
    let mut from = 0;
    for (at, &byte) in cell.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&cell[from..at]);
        from = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&cell[from..]);
    out.push(b'"');
}

/// The first byte is the version of the format; the rest is the JSON text.
pub fn jsonb(out: &mut Vec<u8>, cell: &[u8]) {
    out.extend_from_slice(&cell[1..]);
}

/// Base-10,000 digits with the weight of the first and the number of decimals to print.
pub fn numeric(out: &mut Vec<u8>, cell: &[u8]) {
    const NEGATIVE: u16 = 0x4000;
    let (count, weight) = (usize::from(i16_at(cell, 0) as u16), i32::from(i16_at(cell, 2)));
    let (sign, scale) = (i16_at(cell, 4) as u16, usize::from(i16_at(cell, 6) as u16));
    if sign > NEGATIVE {
        out.extend_from_slice(match sign {
            0xC000 => b"\"NaN\"".as_slice(),
            0xD000 => b"\"Infinity\"".as_slice(),
            _ => b"\"-Infinity\"".as_slice(),
        });
        return;
    }
    if sign == NEGATIVE {
        out.push(b'-');
    }
    let digit = |position: i32| -> u16 {
        usize::try_from(position)
            .ok()
            .filter(|at| *at < count)
            .map_or(0, |at| i16_at(cell, 8 + at * 2) as u16)
    };
    if weight < 0 {
        out.push(b'0');
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(digit(0)).as_bytes());
        for position in 1..=weight {
            four_digits(out, digit(position));
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut position = weight + 1;
        while out.len() < end {
            four_digits(out, digit(position));
            position += 1;
        }
        out.truncate(end);
    }
}

fn four_digits(out: &mut Vec<u8>, digit: u16) {
    let ascii = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[ascii(digit / 1000), ascii(digit / 100), ascii(digit / 10), ascii(digit)]);
}

/// Microseconds since 2000-01-01 as `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
pub fn timestamptz(out: &mut Vec<u8>, cell: &[u8]) {
    const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
    let moment = EPOCH + Duration::microseconds(i64_at(cell));
    let two = |value: u8| [b'0' + value / 10, b'0' + value % 10];
    out.push(b'"');
    four_digits(out, moment.year() as u16);
    for (mark, value) in [
        (b'-', u8::from(moment.month())),
        (b'-', moment.day()),
        (b'T', moment.hour()),
        (b':', moment.minute()),
        (b':', moment.second()),
    ] {
        out.push(mark);
        out.extend_from_slice(&two(value));
    }
    let micros = moment.microsecond();
    if micros > 0 {
        out.push(b'.');
        let digits = [100_000, 10_000, 1000, 100, 10, 1].map(|unit| b'0' + (micros / unit % 10) as u8);
        let keep = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
        out.extend_from_slice(&digits[..keep]);
    }
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: fn(&mut Vec<u8>, &[u8]), cell: &[u8], expected: &str) {
        let mut out = Vec::new();
        write(&mut out, cell);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    fn numeric_cell(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let mut cell = (digits.len() as u16).to_be_bytes().to_vec();
        cell.extend(weight.to_be_bytes());
        cell.extend(sign.to_be_bytes());
        cell.extend(scale.to_be_bytes());
        cell.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        cell
    }

    #[test]
    fn numbers_keep_their_digits() {
        check(numeric, &numeric_cell(0, 0, 2, &[12, 3400]), "12.34");
        check(numeric, &numeric_cell(1, 0x4000, 2, &[1, 2, 500]), "-10002.05");
        check(numeric, &numeric_cell(-1, 0, 2, &[500]), "0.05");
        check(numeric, &numeric_cell(-2, 0, 6, &[700]), "0.000007");
        check(numeric, &numeric_cell(1, 0, 0, &[3]), "30000");
        check(numeric, &numeric_cell(0, 0, 2, &[]), "0.00");
        check(numeric, &numeric_cell(0, 0xC000, 0, &[]), "\"NaN\"");
    }

    #[test]
    fn moments_are_iso_8601() {
        check(timestamptz, &0_i64.to_be_bytes(), "\"2000-01-01T00:00:00Z\"");
        check(timestamptz, &1_500_000_i64.to_be_bytes(), "\"2000-01-01T00:00:01.5Z\"");
        check(timestamptz, &(-1_i64).to_be_bytes(), "\"1999-12-31T23:59:59.999999Z\"");
    }

    #[test]
    fn text_is_escaped() {
        check(text, "a\"b\\c\n\u{1}é".as_bytes(), "\"a\\\"b\\\\c\\n\\u0001é\"");
    }
}
