//! Which form of rows a caller takes.

use athena_domain::rows::RowFormat;
use poem::http::{HeaderMap, header};

use super::quality::{Quality, members};
use crate::error::{Failure, failure};

/// The best form that both sides know.
///
/// # Errors
/// When the caller excludes all of `offered`.
pub fn negotiate(headers: &HeaderMap, offered: &[RowFormat]) -> Result<RowFormat, Box<Failure>> {
    if !headers.contains_key(header::ACCEPT) {
        return Ok(offered[0]);
    }
    let mut best: Option<((Quality, u8), RowFormat)> = None;
    for &format in offered {
        let rank = rank(headers, format);
        if rank.0 > 0 && best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| failure::not_acceptable(offered))
}

/// Media type without parameters.
pub fn media_type(format: RowFormat) -> &'static str {
    match format {
        RowFormat::Json => "application/json",
        RowFormat::Ndjson => "application/x-ndjson",
        RowFormat::Csv => "text/csv",
    }
}

/// Value of `Content-Type`.
pub fn content_type(format: RowFormat) -> &'static str {
    match format {
        RowFormat::Json => "application/json; charset=utf-8",
        RowFormat::Ndjson => "application/x-ndjson",
        RowFormat::Csv => "text/csv; charset=utf-8; header=present",
    }
}

/// Quality and precision of the most precise range that covers the form.
fn rank(headers: &HeaderMap, format: RowFormat) -> (Quality, u8) {
    let wanted = media_type(format);
    let (wanted_type, _) = wanted.split_once('/').unwrap_or((wanted, ""));
    let mut found = (0, 0);
    for (range, quality) in members(headers, &header::ACCEPT) {
        let precision = match range.split_once('/') {
            _ if range.eq_ignore_ascii_case(wanted) => 3,
            Some((kind, "*")) if kind.eq_ignore_ascii_case(wanted_type) => 2,
            Some(("*", "*")) => 1,
            None if range == "*" => 1,
            _ => continue,
        };
        if precision > found.1 || (precision == found.1 && quality > found.0) {
            found = (quality, precision);
        }
    }
    found
}
