//! Decimal numbers as text, read without losing a digit.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};

#[cfg(test)]
mod tests;

/// Largest written exponent, either way. `1e1000000000` is ten characters of
/// request and gigabytes of digits; real columns end at 1e308 (double) or
/// write their digits out (numeric).
const EXPONENT_MAX: i64 = 5_000;

/// Most digits of one number: what PostgreSQL's `numeric` holds before and
/// after its point. Conversion takes quadratic time, so it must end somewhere.
const DIGITS_MAX: usize = 131_072 + 16_383;

/// A finite decimal in its one normal form: `1.10`, `1.1` and `11e-1` are
/// equal and hash alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    negative: bool,
    /// Significant digits, no zero at either end; empty for zero.
    digits: String,
    /// Power of ten of the last digit; 0 for zero.
    exponent: i64,
}

impl Decimal {
    /// Reads `[sign] digits [. digits] [e [sign] digits]`, at least one digit
    /// before or after the point. None for anything else, `NaN` and
    /// `Infinity` among it, and for numbers too large to work with.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, written) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let length = whole.len() + fraction.len();
        if length == 0 || length > DIGITS_MAX || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let mut digits = String::with_capacity(length);
        digits.push_str(whole);
        digits.push_str(fraction);
        let kept = digits.trim_end_matches('0').len();
        if kept == 0 {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let dropped = length - kept;
        digits.truncate(kept);
        digits.drain(..digits.len() - digits.trim_start_matches('0').len());
        // Both lengths are bounded by DIGITS_MAX, so nothing here overflows.
        let exponent = written - fraction.len() as i64 + dropped as i64;
        Some(Self { negative, digits, exponent })
    }

    /// The number to calculate with.
    pub(super) fn to_big(&self) -> BigDecimal {
        let digits = match self.digits.parse::<u64>() {
            Ok(small) => BigInt::from(small),
            // Too many digits, or none: zero.
            Err(_) => BigInt::parse_bytes(self.digits.as_bytes(), 10).unwrap_or_default(),
        };
        BigDecimal::new(if self.negative { -digits } else { digits }, -self.exponent)
    }

    /// The largest whole number not above this one, if it fits.
    pub(super) fn floor(&self) -> Option<i64> {
        let (whole, zeros, has_fraction) = if self.exponent >= 0 {
            (self.digits.as_str(), usize::try_from(self.exponent).ok()?, false)
        } else {
            let fraction = usize::try_from(self.exponent.unsigned_abs()).ok()?;
            (&self.digits[..self.digits.len().saturating_sub(fraction)], 0, true)
        };
        let magnitude = if whole.is_empty() {
            0
        } else {
            let power = 10_i64.checked_pow(u32::try_from(zeros).ok()?)?;
            whole.parse::<i64>().ok()?.checked_mul(power)?
        };
        if !self.negative {
            return Some(magnitude);
        }
        (-magnitude).checked_sub(i64::from(has_fraction))
    }
}

/// A JSON number with every digit: no exponent, no zeros after the last
/// decimal digit that counts.
pub(super) fn render(number: &BigDecimal) -> String {
    // Numbers that cancel out keep their scale, which would print as zeros.
    if number.sign() == Sign::NoSign {
        return "0".to_owned();
    }
    let mut text = number.to_plain_string();
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text
}

/// A written exponent within bounds. Leading zeros do not count as size.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !is_digits(digits) {
        return None;
    }
    let exponent: i64 = text.parse().ok()?;
    (exponent.abs() <= EXPONENT_MAX).then_some(exponent)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
