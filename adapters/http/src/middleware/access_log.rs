//! One line a request, without its query string and its body.

use std::time::Instant;

use poem::http::{HeaderValue, Method, Uri};
use poem::{Request, Response};
use tracing::Level;

use crate::headers::CLIENT;
use crate::security::without_key;

/// What a line says of a request, kept until its answer begins.
pub struct Line {
    method: Method,
    uri: Uri,
    client: Option<HeaderValue>,
    began: Instant,
}

impl Line {
    /// Begins a line, unless nobody would read it.
    pub fn begin(request: &Request) -> Option<Self> {
        tracing::enabled!(Level::INFO).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            client: request.headers().get(&CLIENT).cloned(),
            began: Instant::now(),
        })
    }

    /// Writes the line. The time is that until the answer begins; a streamed one may go on.
    pub fn end(self, response: &Response, request_id: &str) {
        tracing::info!(
            method = %self.method,
            path = without_key(self.uri.path()),
            status = response.status().as_u16(),
            duration_us = self.began.elapsed().as_micros() as u64,
            client = self.client.as_ref().and_then(|name| std::str::from_utf8(name.as_bytes()).ok()).map(without_key),
            request_id,
            "request"
        );
    }
}
