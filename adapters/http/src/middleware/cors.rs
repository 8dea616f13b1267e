//! Which web pages may call us. Credentials are never asked for: callers name themselves by headers.

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use crate::settings;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, X-Athena-Resource-Id, X-Athena-Count, X-Athena-Filtered, X-Athena-Applied, X-Athena-Next-Cursor, Server-Timing, \
     Retry-After",
);
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The rule for origins.
#[derive(Debug, Clone)]
pub struct Cors {
    allow_any: bool,
    origins: Vec<String>,
}

/// What the rule says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No browser asks, or none that we answer to.
    Silent,
    /// The page may read the answer; the value names who.
    Allowed(HeaderValue),
    /// The page may not.
    Refused,
}

impl Cors {
    /// The rule from the settings.
    pub fn new(settings: &settings::Cors) -> Self {
        let origins = settings.origins.iter().map(|origin| origin.trim().trim_end_matches('/'));
        let origins: Vec<String> = origins.map(str::to_ascii_lowercase).collect();
        Self { allow_any: settings.allow_any || origins.iter().any(|origin| origin == "*"), origins }
    }

    /// Judges a request.
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        let Some(origin) = headers.get(header::ORIGIN) else { return Verdict::Silent };
        if self.allow_any {
            return Verdict::Allowed(HeaderValue::from_static("*"));
        }
        let known = self.origins.iter().any(|known| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes()));
        if known { Verdict::Allowed(origin.clone()) } else { Verdict::Refused }
    }

    /// The answer to a pre-flight of a page that may call us.
    pub fn preflight(request: &Request) -> Response {
        let mut response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
            .finish();
        // A wildcard would not cover Authorization, so the names are given back.
        if let Some(names) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        response.headers_mut().append(
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        response
    }

    /// Tells the browser who may read the answer.
    pub fn decorate(&self, verdict: Verdict, response: &mut Response) {
        if !self.allow_any && !self.origins.is_empty() {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Verdict::Allowed(origin) = verdict {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Whether a browser asks before it sends the real request.
pub fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
