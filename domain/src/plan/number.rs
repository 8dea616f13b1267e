//! Numbers of binary floating point, as every database keeps them.

/// A number of so many bits; one that is too great or too small for them is none.
pub(super) fn float(word: &str, bits: u8) -> Option<f64> {
    match word.to_ascii_lowercase().as_str() {
        "nan" => return Some(f64::NAN),
        "infinity" | "inf" => return Some(f64::INFINITY),
        "-infinity" | "-inf" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match bits {
        // Read at once, since rounding twice may give another number.
        32 => f64::from(word.parse::<f32>().ok()?),
        _ => word.parse::<f64>().ok()?,
    };
    // So small a number that nothing is left of it is none either.
    let mantissa = word.split(['e', 'E']).next().unwrap_or_default();
    let vanished = number == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    (number.is_finite() && !vanished).then_some(number)
}
