//! The shapes of answers, written around row bytes that are never read again.

pub mod rows;
pub mod written;

use athena_application::use_cases::Queried;
use athena_application::{Body, Tally};
use athena_domain::query::{DatabaseKind, SqlRequest};
use athena_domain::rows::{RowFormat, escape_into};
use bytes::Bytes;
use poem::Response;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};

use crate::headers::StripNulls;
use crate::headers::accept::content_type;
use crate::settings::ResponseShape;

/// Shape of an answer with rows (contract 6.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A bare array: S1.
    Array,
    /// `data` is the array: S2.
    Flat,
    /// `data.rows` is the array: S3.
    Envelope {
        /// Whether an empty `error` stands beside `message`, for a reader that takes a message for one.
        with_empty_error: bool,
    },
}

impl Shape {
    /// The shape for a request (decisions D1 and D2).
    pub fn choose(header: StripNulls, grouped: bool, configured: ResponseShape) -> Self {
        match (header.is_present(), grouped, configured) {
            (true, false, _) => Self::Array,
            (true, true, _) => Self::Envelope { with_empty_error: true },
            (false, _, ResponseShape::Envelope) => Self::Envelope { with_empty_error: false },
            (false, _, ResponseShape::Flat) => Self::Flat,
        }
    }
}

/// A header with a number.
pub(crate) fn number_header(response: &mut Response, name: HeaderName, value: u64) {
    response.headers_mut().insert(name, HeaderValue::from(value));
}

/// An answer of known length.
pub fn whole(format: RowFormat, bytes: impl Into<Bytes>) -> Response {
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type(format)))
        .body(bytes.into())
}

/// The answer of `/gateway/query` (contract 10).
pub const QUERY_OPEN: &str = r#"{"status":"success","message":"Successfully executed query","data":["#;

/// What stands after the rows of `/gateway/query`.
pub fn query_close(tally: &Tally) -> String {
    format!(
        r#"],"meta":{{"backend":"sqlx","statement_count":{},"rows_affected":{},"returned_row_count":{}}}}}"#,
        tally.done.statements, tally.done.affected, tally.rows
    )
}

/// The answer of `/query/sql` (contract 11).
pub const SQL_OPEN: &str = r#"{"status":"success","message":"Successfully executed query","data":{"rows":["#;

/// The row that stands for a statement without rows, where the database is one of CQL (contract 11).
const CQL_DONE: &str = r#"{"status":"success","message":"Query executed successfully"}"#;

/// The answer of `/query/sql`, once its rows are written behind [`SQL_OPEN`].
pub fn sql_answer(queried: Queried, request: &SqlRequest) -> Response {
    let Queried { body, tally, columns, took } = queried;
    let mut body = Vec::from(body);
    let mut rows = tally.rows;
    if request.driver.kind == DatabaseKind::Cql && columns.is_empty() && rows == 0 {
        body.extend_from_slice(CQL_DONE.as_bytes());
        rows = 1;
    }
    body.extend_from_slice(b"],\"columns\":[");
    for (place, column) in columns.iter().enumerate() {
        body.extend_from_slice(if place > 0 { b",\"" } else { b"\"" });
        escape_into(column, &mut body);
        body.push(b'"');
    }
    body.extend_from_slice(b"],\"db_name\":\"");
    escape_into(request.db_name.as_str(), &mut body);
    let numbers = format!(
        r#"","duration_ms":{},"statement_count":{},"rows_affected":{},"returned_row_count":{}}}}}"#,
        took.as_millis(),
        tally.done.statements,
        tally.done.affected,
        rows
    );
    body.extend_from_slice(numbers.as_bytes());
    whole(RowFormat::Json, body)
}

/// The answer of `/gateway/rpc` around what the function gave.
pub fn call_answer(result: &[u8]) -> Response {
    const OPEN: &[u8] =
        br#"{"status":"success","message":"Successfully called the function","data":{"result":"#;
    whole(RowFormat::Json, [OPEN, result, b"}}"].concat())
}

/// The answer that carries `body`: its bytes, or a stream whose failure `on_failure` puts into a last line;
/// where there is no such line the connection is broken off.
pub fn carry(
    format: RowFormat,
    body: Body,
    on_failure: impl FnOnce(athena_application::Error) -> Option<String> + Send + 'static,
) -> Response {
    match body {
        Body::Whole(bytes, _) => whole(format, bytes),
        Body::Stream(chunks) => {
            let state = Some((chunks, on_failure));
            let stream = futures_util::stream::unfold(state, |state| async move {
                let (mut chunks, on_failure) = state?;
                match chunks.recv().await? {
                    Ok(chunk) => Some((Ok(chunk), Some((chunks, on_failure)))),
                    Err(error) => {
                        let last = match on_failure(error) {
                            Some(line) => Ok(Bytes::from(line)),
                            None => Err(std::io::Error::other("the rows broke off")),
                        };
                        Some((last, None))
                    }
                }
            });
            Response::builder()
                .status(StatusCode::OK)
                .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type(format)))
                .body(poem::Body::from_bytes_stream(stream))
        }
    }
}
