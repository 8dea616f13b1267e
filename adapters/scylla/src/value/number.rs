//! Numbers of any length: two's complement bytes as decimal digits.

use bigdecimal::num_bigint::BigInt;

/// Writes an integer.
pub(super) fn put_integer(bytes: &[u8], out: &mut Vec<u8>) {
    match small(bytes) {
        Some(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        None => out.extend_from_slice(BigInt::from_signed_bytes_be(bytes).to_string().as_bytes()),
    }
}

/// An integer that fits a machine word.
pub(super) fn small(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 8 {
        return None;
    }
    let mut word = [if first & 0x80 == 0 { 0 } else { 0xFF }; 8];
    word[8 - bytes.len()..].copy_from_slice(bytes);
    Some(i64::from_be_bytes(word))
}

/// Writes a decimal with every digit, trailing zeros too: plain where that stays short, else with an exponent (the
/// rule of Java's `BigDecimal`, so that the text keeps the scale).
pub(super) fn put_decimal(unscaled: &[u8], scale: i32, out: &mut Vec<u8>) {
    let mut written = Vec::new();
    put_integer(unscaled, &mut written);
    let digits = match written.split_first() {
        Some((b'-', digits)) => {
            out.push(b'-');
            digits
        }
        _ => &written,
    };
    let count = digits.len() as i64;
    let adjusted = count - 1 - i64::from(scale);
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if scale > 0 && adjusted >= -6 {
        let before = count - i64::from(scale);
        if before > 0 {
            out.extend_from_slice(&digits[..before as usize]);
            out.push(b'.');
            out.extend_from_slice(&digits[before as usize..]);
        } else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', before.unsigned_abs() as usize));
            out.extend_from_slice(digits);
        }
    } else {
        out.extend_from_slice(&digits[..1]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'E');
        if adjusted >= 0 {
            out.push(b'+');
        }
        out.extend_from_slice(itoa::Buffer::new().format(adjusted).as_bytes());
    }
}
