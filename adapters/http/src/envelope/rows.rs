//! Answers of fetch and update.

use athena_application::use_cases::{Grouped, Page, Written};
use athena_application::{Framing, Tally};
use athena_domain::rows::RowFormat;
use poem::Response;
use poem::http::HeaderValue;

use super::{Shape, number_header, whole};
use crate::headers::{APPLIED, COUNT, FILTERED, NEXT_CURSOR};

/// What a route calls its deed in `message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// `Fetched {n} rows`
    Fetched,
    /// `Updated {n} rows`
    Updated,
    /// Rows that would have been updated.
    WouldUpdate,
}

impl Deed {
    fn message(self, rows: u64) -> String {
        match self {
            Self::Fetched => format!("Fetched {rows} rows"),
            Self::Updated => format!("Updated {rows} rows"),
            Self::WouldUpdate => format!("Dry run: {rows} rows would be updated; nothing was changed"),
        }
    }
}

const ENVELOPE_OPEN: &str = r#"{"status":"success","data":{"rows":["#;
const FLAT_OPEN: &str = r#"{"data":["#;

/// What stands around the rows of a fetch.
pub fn framing(format: RowFormat, shape: Shape) -> Framing {
    match (format, shape) {
        (RowFormat::Ndjson | RowFormat::Csv, _) => Framing::BARE,
        (RowFormat::Json, Shape::Array) => Framing { open: "[", close: |_| "]".to_owned() },
        (RowFormat::Json, Shape::Flat) => Framing { open: FLAT_OPEN, close: close_flat },
        (RowFormat::Json, Shape::Envelope { .. }) => Framing { open: ENVELOPE_OPEN, close: close_envelope },
    }
}

fn close_flat(tally: &Tally) -> String {
    format!("]{}}}", beside(tally.count, tally.filtered))
}

fn close_envelope(tally: &Tally) -> String {
    let beside = beside(tally.count, tally.filtered);
    format!("]{beside}}},\"message\":\"Fetched {} rows\"}}", tally.rows)
}

/// What stands beside the rows.
fn beside(count: Option<u64>, filtered: bool) -> String {
    let count = count.map(|count| format!(",\"count\":{count}")).unwrap_or_default();
    if filtered { format!("{count},\"filtered\":true") } else { count }
}

/// Tells that the database looked at rows that are not in the answer, where the body may have no room for it.
pub fn filtered_beside(response: &mut Response, filtered: bool) {
    if filtered {
        response.headers_mut().insert(FILTERED, HeaderValue::from_static("true"));
    }
}

/// Adds the count where the body has no room for it.
pub fn count_beside(response: &mut Response, format: RowFormat, shape: Shape, count: Option<u64>) {
    if let (Some(count), true) = (count, format != RowFormat::Json || shape == Shape::Array) {
        number_header(response, COUNT, count);
    }
}

/// The answer of a fetch with a cursor.
pub fn page(page: Page, shape: Shape) -> Response {
    let Page { body, tally, next } = page;
    let mut body = Vec::from(body);
    body.push(b']');
    if shape != Shape::Array {
        body.extend_from_slice(beside(tally.count, tally.filtered).as_bytes());
        // A cursor holds no character that JSON escapes.
        let quoted = next.as_ref().map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        body.extend_from_slice(format!(",\"next_cursor\":{quoted}").as_bytes());
    }
    match shape {
        Shape::Array => {}
        Shape::Flat => body.push(b'}'),
        Shape::Envelope { .. } => close(&mut body, shape, &Deed::Fetched.message(tally.rows)),
    }
    let mut response = whole(RowFormat::Json, body);
    count_beside(&mut response, RowFormat::Json, shape, tally.count);
    filtered_beside(&mut response, tally.filtered);
    if let (Shape::Array, Some(cursor)) = (shape, next.and_then(|next| HeaderValue::try_from(next).ok())) {
        response.headers_mut().insert(NEXT_CURSOR, cursor);
    }
    response
}

/// The answer of an update.
pub fn updated(written: &Written, shape: Shape, count: Option<u64>, deed: Deed) -> Response {
    let mut body = Vec::with_capacity(written.rows.len() + 128);
    let open = match shape {
        Shape::Array => "[",
        Shape::Flat => FLAT_OPEN,
        Shape::Envelope { .. } => ENVELOPE_OPEN,
    };
    body.extend_from_slice(open.as_bytes());
    if written.applied != Some(false) {
        body.extend_from_slice(&written.rows);
    }
    body.push(b']');
    if shape != Shape::Array {
        body.extend_from_slice(beside(count, false).as_bytes());
        applied_into(written, &mut body);
    }
    match shape {
        Shape::Array => {}
        Shape::Flat => body.push(b'}'),
        Shape::Envelope { .. } => close(&mut body, shape, &deed.message(written.affected)),
    }
    let mut response = whole(RowFormat::Json, body);
    count_beside(&mut response, RowFormat::Json, shape, count);
    if shape == Shape::Array {
        applied_beside(&mut response, written);
    }
    response
}

/// Writes whether a write was carried out, where that was asked, and the row that is there where it was not.
pub(super) fn applied_into(written: &Written, body: &mut Vec<u8>) {
    match written.applied {
        None => {}
        Some(true) => body.extend_from_slice(b",\"applied\":true"),
        Some(false) => {
            body.extend_from_slice(b",\"applied\":false,\"current\":");
            body.extend_from_slice(if written.row_count == 0 { b"null" } else { &written.rows });
        }
    }
}

/// Tells whether a write was carried out where the body has no room for it.
pub(super) fn applied_beside(response: &mut Response, written: &Written) {
    if let Some(applied) = written.applied {
        let value = HeaderValue::from_static(if applied { "true" } else { "false" });
        response.headers_mut().insert(APPLIED, value);
    }
}

/// The answer of a fetch or update with groups.
pub fn grouped(grouped: &Grouped, shape: Shape, deed: Deed) -> Response {
    let mut body = Vec::with_capacity(grouped.rows.len() + grouped.groups.len() + 160);
    let flat = shape == Shape::Flat;
    let open: &[u8] = if flat { br#"{"data":"# } else { br#"{"status":"success","data":{"rows":"# };
    body.extend_from_slice(open);
    body.extend_from_slice(&grouped.rows);
    body.extend_from_slice(br#","post_processing":{"grouped":"#);
    body.extend_from_slice(&grouped.groups);
    body.push(b'}');
    body.extend_from_slice(beside(grouped.count, grouped.filtered).as_bytes());
    if flat {
        body.push(b'}');
    } else {
        close(&mut body, shape, &deed.message(grouped.row_count));
    }
    let mut response = whole(RowFormat::Json, body);
    filtered_beside(&mut response, grouped.filtered);
    response
}

/// Ends `data` and the envelope around it. Messages hold no character that JSON escapes.
fn close(body: &mut Vec<u8>, shape: Shape, message: &str) {
    body.extend_from_slice(b"},\"message\":\"");
    body.extend_from_slice(message.as_bytes());
    body.push(b'"');
    if shape == (Shape::Envelope { with_empty_error: true }) {
        body.extend_from_slice(b",\"error\":\"\"");
    }
    body.push(b'}');
}
