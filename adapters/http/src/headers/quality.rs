//! Lists with quality values, as in `Accept` and `Accept-Encoding` (RFC 9110, 12.4.2).

use poem::http::{HeaderMap, HeaderName};

/// Thousandths of a quality value; 1000 when none is given, 0 forbids.
pub type Quality = u16;

/// The members of a list header with their quality, in the caller's order; what cannot be read is left out.
pub fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, Quality)> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|member| {
            let mut parts = member.split(';');
            let token = parts.next()?.trim();
            let quality = parts.find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim().eq_ignore_ascii_case("q").then(|| parse(value.trim()))
            });
            (!token.is_empty()).then_some((token, quality.unwrap_or(1000)))
        })
}

fn parse(text: &str) -> Quality {
    match text.parse::<f32>() {
        // In range by the clamp, so the cast cuts nothing but the fraction.
        Ok(quality) => (quality.clamp(0.0, 1.0) * 1000.0) as Quality,
        Err(_) => 0,
    }
}
