//! Which part of the matching rows an answer holds.

use super::body::Object;
use crate::error::RequestError;

/// Paging as the caller wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Most rows; `page_size` stands in for it (contract 6.1).
    pub limit: Option<u64>,
    /// Rows to skip: `(max(current_page, 1) - 1) * page_size + offset`.
    pub offset: u64,
    /// Where the page before ended; empty for the first page of an order that is gone on with.
    pub cursor: Option<Box<str>>,
    /// Whether any part of it was given, so that pages must not overlap.
    pub paged: bool,
}

/// Rows of a page whose size is not given, for the offset (contract 6.1).
const DEFAULT_PAGE_SIZE: u64 = 100;

/// Takes the paging fields out of a body.
///
/// # Errors
/// A field that is not a whole number, an offset past 2^63 - 1, a cursor beside what counts rows or pages.
pub fn take(body: &mut Object<'_>) -> Result<Window, RequestError> {
    let limit = body.take_count("limit")?;
    let current_page = body.take_count("current_page")?;
    let page_size = body.take_count("page_size")?;
    let offset = body.take_count("offset")?;
    body.take_count("total_pages")?;
    let cursor = body.take_string("cursor")?.map(Box::from);
    if cursor.is_some() {
        let beside = [("offset", offset), ("current_page", current_page), ("limit", limit)];
        if let Some((field, _)) = beside.iter().find(|(_, value)| value.is_some()) {
            let message =
                format!("`{field}` cannot stand beside `cursor`; `page_size` says how many rows come");
            return Err(RequestError::invalid(*field, message));
        }
        if page_size == Some(0) {
            return Err(RequestError::invalid("page_size", "`page_size` must be at least 1 beside `cursor`"));
        }
    }
    let pages = current_page.unwrap_or(1).max(1) - 1;
    let skipped = pages
        .checked_mul(page_size.unwrap_or(DEFAULT_PAGE_SIZE))
        .and_then(|rows| rows.checked_add(offset.unwrap_or(0)))
        .filter(|rows| i64::try_from(*rows).is_ok())
        .ok_or_else(|| RequestError::invalid("current_page", "the page lies beyond the last possible row"))?;
    Ok(Window {
        limit: limit.or(page_size),
        offset: skipped,
        cursor,
        paged: current_page.is_some() || offset.is_some() || page_size.is_some(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::super::body::JsonText;
    use super::*;

    #[test]
    fn windows() {
        let check = |text: &str, expected: Option<(Option<u64>, u64)>| {
            let mut body = JsonText::parse(text.as_bytes()).unwrap().expect_object("").unwrap();
            assert_eq!(take(&mut body).ok().map(|w| (w.limit, w.offset)), expected, "{text}");
        };
        check("{}", Some((None, 0)));
        check(r#"{"limit":0}"#, Some((Some(0), 0)));
        check(r#"{"current_page":0}"#, Some((None, 0)));
        check(r#"{"current_page":3,"page_size":20}"#, Some((Some(20), 40)));
        check(r#"{"current_page":3,"limit":5}"#, Some((Some(5), 200)));
        check(r#"{"current_page":2,"page_size":10,"offset":"3","limit":4}"#, Some((Some(4), 13)));
        check(r#"{"current_page":9223372036854775807,"page_size":100}"#, None);
        check(r#"{"limit":-1}"#, None);
        check(r#"{"cursor":"","page_size":3}"#, Some((Some(3), 0)));
        for beside in [r#""offset":0"#, r#""current_page":1"#, r#""limit":5"#, r#""page_size":0"#] {
            check(&format!(r#"{{"cursor":"",{beside}}}"#), None);
            check(
                &format!(r#"{{"cursor":null,{beside}}}"#).replace("page_size", "offset"),
                if beside.contains("limit") { Some((Some(5), 0)) } else { Some((None, 0)) },
            );
        }
        check(r#"{"limit":"many"}"#, None);
    }
}
