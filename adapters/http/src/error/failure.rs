//! A failure before it is written, and those that HTTP itself brings.

use std::borrow::Cow;

use athena_domain::ClientName;
use athena_domain::error::excerpt;
use athena_domain::rows::RowFormat;
use poem::http::{HeaderName, StatusCode};
use serde_json::{Map, Value, json};

use super::Route;
use crate::headers::accept::media_type;

/// Text for callers.
pub type Text = Cow<'static, str>;

/// A failure, in words chosen for the caller.
#[derive(Debug)]
pub struct Failure {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine-readable reason.
    pub code: &'static str,
    /// One of the categories of contract 2.3.
    pub category: &'static str,
    /// Title.
    pub message: Text,
    /// Detail; the title when absent.
    pub error: Option<Text>,
    /// The next thing to try.
    pub hint: Option<Text>,
    /// Further fields.
    pub details: Map<String, Value>,
    /// Seconds after which another attempt makes sense.
    pub retry_after: Option<u32>,
    /// Whether its words may quote values, of the request or of the database: then the log keeps the code alone.
    pub quotes: bool,
}

impl Failure {
    /// A failure with a title alone.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        category: &'static str,
        message: impl Into<Text>,
    ) -> Box<Self> {
        Box::new(Self {
            status,
            code,
            category,
            message: message.into(),
            error: None,
            hint: None,
            details: Map::new(),
            retry_after: None,
            quotes: false,
        })
    }

    /// The failure in a box, as it travels.
    pub fn boxed(self) -> Box<Self> {
        Box::new(self)
    }

    /// The same failure with another detail text than its title.
    #[must_use]
    pub fn error(mut self: Box<Self>, error: impl Into<Text>) -> Box<Self> {
        self.error = Some(error.into());
        self
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(mut self: Box<Self>, hint: impl Into<Text>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with a further field.
    #[must_use]
    pub fn detail(mut self: Box<Self>, name: &'static str, value: impl Into<Value>) -> Box<Self> {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same failure with a time after which to come back.
    #[must_use]
    pub fn retry_after(mut self: Box<Self>, seconds: u32) -> Box<Self> {
        self.retry_after = Some(seconds);
        self
    }
}

fn bad_request(code: &'static str, message: impl Into<Text>) -> Box<Failure> {
    Failure::new(StatusCode::BAD_REQUEST, code, "validation", message)
}

/// No `X-Athena-Client`, in the route's words (contract 3.1).
pub fn missing_client(route: Route) -> Box<Failure> {
    let (message, error) = match route {
        // The text names both headers of the contract, though only the first one is served here.
        Route::Query => ("Missing required header", Some("X-Athena-Client or X-JDBC-URL header is required")),
        Route::Sql => (
            "Missing required header",
            Some("X-Athena-Client header is required when using the postgresql driver"),
        ),
        Route::Fetch | Route::Update | Route::Insert | Route::Delete | Route::Call | Route::Admin => {
            ("X-Athena-Client header is required and cannot be empty", None)
        }
    };
    let failure = bad_request("missing_client_header", message).detail("missing_header", "X-Athena-Client");
    match error {
        Some(error) => failure.error(error),
        None => failure,
    }
}

/// A required audit header is absent (contract 8.2).
pub fn missing_header(name: &'static str) -> Box<Failure> {
    bad_request("missing_header", format!("{name} header not found in the request"))
        .detail("missing_header", name)
        .hint("Name the acting company and organization, or set gateway.require_audit_headers to lenient.")
}

/// A request for `custom_supabase` does not say which project, or has no key of it (contract 4.3).
pub fn missing_supabase() -> Box<Failure> {
    bad_request("missing_header", "Failed to fetch data")
        .error("Missing x-supabase-url or x-supabase-key headers")
}

/// `x-supabase-url` names nothing that may be asked.
pub fn refused_supabase(reason: &str) -> Box<Failure> {
    bad_request("invalid_header", format!("x-supabase-url cannot be used: {reason}"))
        .detail("header", "x-supabase-url")
}

/// A header with a value that it cannot have.
pub fn invalid_header(name: &'static str, message: &'static str) -> Box<Failure> {
    bad_request("invalid_header", message).detail("header", name)
}

/// A header that asks for something this server does not do.
pub fn unsupported_header(name: &HeaderName) -> Box<Failure> {
    bad_request("unknown_field", format!("the header {name} has no effect on this server; leave it out"))
        .detail("header", name.as_str())
}

/// No client of that name, or one that is stopped: to callers that is the same (contract 4.1).
pub fn unknown_client(name: &ClientName, route: Route) -> Box<Failure> {
    const GENERAL: &str = "X-Athena-Client does not match a configured client.";
    const HINT: &str = "Check the name. A client that is frozen or inactive is answered the same way: \
                        GET /admin/clients tells, and so does the log under the trace_id.";
    let failure =
        |message: Text| bad_request("unknown_client", message).detail("client", name.as_str()).hint(HINT);
    match route {
        Route::Fetch | Route::Delete | Route::Call | Route::Admin => failure(GENERAL.into()),
        Route::Update => failure(GENERAL.into()).error(format!("Postgres client '{name}' is not configured")),
        Route::Insert => failure(format!("unknown Supabase client '{name}'").into())
            .detail("unknown_client", name.as_str()),
        Route::Query => failure(format!("Client '{name}' is not available in the registry").into())
            .error(format!("Postgres client '{name}' is not configured")),
        Route::Sql => failure("Postgres client not configured".into())
            .error(format!("Client '{name}' is not available in the registry")),
    }
}

/// The catalog that may stop a client has not been read since the start.
pub fn clients_unread() -> Box<Failure> {
    let (code, category) = ("client_catalog_unavailable", "database_connection");
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, category, "Client catalog unavailable")
        .error("The client catalog has not been read from the control database yet.")
        .retry_after(5)
}

/// A client whose target cannot be used.
pub fn client_unavailable(name: &ClientName, reason: String) -> Box<Failure> {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "client_unavailable",
        "database_connection",
        "The client exists, but its database cannot be used",
    )
    .error(format!("client '{name}' cannot be used: {reason}"))
    .detail("client", name.as_str())
    .detail("reason", reason)
    .retry_after(30)
}

/// The caller takes none of the forms an answer could have.
pub fn not_acceptable(offered: &[RowFormat]) -> Box<Failure> {
    let offered: Vec<&str> = offered.iter().map(|format| media_type(*format)).collect();
    Failure::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "validation", "Not Acceptable")
        .error(format!("the Accept header excludes every form of this answer: {}", offered.join(", ")))
        .detail("offered", offered)
}

/// A body that is declared to be something else than JSON.
pub fn not_json(content_type: &str) -> Box<Failure> {
    bad_request("invalid_content_type", "Content type error")
        .error(format!("Content type error: expected application/json, not {:?}", excerpt(content_type)))
}

/// A body that a page has sent without a `Content-Type`.
pub fn undeclared_json() -> Box<Failure> {
    bad_request("invalid_content_type", "Content type error")
        .error("Content type error: a request with an Origin needs Content-Type: application/json")
}

/// A `Content-Encoding` that cannot be undone.
pub fn unknown_encoding(encoding: &str) -> Box<Failure> {
    Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        "validation",
        "Unsupported content encoding",
    )
    .error(format!("the content encoding {:?} is not one of gzip, br, zstd, identity", excerpt(encoding)))
}

/// A compressed body that cannot be read.
pub fn broken_encoding(encoding: &'static str) -> Box<Failure> {
    bad_request("invalid_encoding", format!("the body is not valid {encoding}"))
}

/// A body past a limit.
pub fn too_large(limit: &'static str, bytes: u64) -> Box<Failure> {
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "limit_exceeded", "validation", "Payload Too Large")
        .error(format!("the body is too large; the limit `limits.{limit}` is {bytes} bytes"))
        .detail("limit", json!({ "name": limit, "value": bytes }))
}

/// A body that did not arrive in time.
pub fn too_slow(seconds: u64) -> Box<Failure> {
    Failure::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "validation", "Request Timeout")
        .error(format!("the body did not arrive within {seconds} s"))
}

/// The memory for bodies is taken.
pub fn too_many_bodies() -> Box<Failure> {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies", "rate_limiting", "Service Unavailable")
        .error("too many request bodies are being received at present")
        .hint("Nothing was done. Send the request again after Retry-After, or the rows in smaller requests.")
        .retry_after(1)
}

/// A body that broke off.
pub fn broken_body() -> Box<Failure> {
    bad_request("incomplete_body", "the body broke off before its end")
}

/// A key header given several times with different values.
pub fn ambiguous_key(name: &HeaderName) -> Box<Failure> {
    bad_request("invalid_header", format!("the header {name} is given several times with different values"))
        .detail("header", name.as_str())
}

/// Different API keys in several headers.
pub fn different_keys() -> Box<Failure> {
    bad_request("invalid_header", "the request holds several API keys that differ")
        .hint("Send one API key, in one of X-Athena-Key, apikey, X-API-Key and Authorization: Bearer.")
}
