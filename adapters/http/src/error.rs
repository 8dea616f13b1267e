//! What goes wrong → status, code and words: the one mapping.
//!
//! Text for callers is chosen here; what a driver said stays in the log.

pub mod auth;
pub mod failure;
mod port;
mod refusal;

pub use failure::Failure;
pub use port::whole_seconds;
pub use refusal::from_request;

use athena_application::Error;
use athena_domain::ClientName;
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::headers::Audit;
use crate::headers::accept::content_type;
use crate::record::{Notes, Record};
use crate::security::without_key;

/// The routes whose errors have words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// POST `/gateway/fetch`.
    Fetch,
    /// POST `/gateway/update`.
    Update,
    /// PUT `/gateway/insert`.
    Insert,
    /// DELETE `/gateway/delete`.
    Delete,
    /// POST `/gateway/query`.
    Query,
    /// POST `/query/sql`.
    Sql,
    /// POST `/gateway/rpc`.
    Call,
    /// A route behind the static admin key.
    Admin,
}

impl Route {
    /// Name of the operation in the log (contract 19.3).
    pub const fn operation(self) -> Option<&'static str> {
        match self {
            Self::Fetch => Some("fetch"),
            Self::Update => Some("gateway_update"),
            Self::Insert => Some("insert"),
            Self::Delete => Some("delete"),
            Self::Query | Self::Sql => Some("query"),
            Self::Call => Some("rpc"),
            Self::Admin => None,
        }
    }
}

/// What is known of a request, when it fails above all.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Route.
    pub route: Route,
    /// Name of the request.
    pub request_id: &'a str,
    /// Who acts.
    pub audit: Audit<'a>,
    /// Client, once it is read.
    pub client: Option<ClientName>,
    /// Table, once it is read.
    pub table: Option<String>,
    /// The database's name as `/query/sql` was told it, once it is read.
    pub db_name: Option<ClientName>,
    /// What is told of the request besides its answer.
    pub record: Record,
    /// Where `record` goes in the end, whether the handler answers or is dropped.
    pub notes: Option<Notes>,
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let Some(notes) = self.notes.take() else { return };
        let mut record = std::mem::take(&mut self.record);
        record.table = self.table.as_deref().map(Box::from);
        record.note_denial(self.route);
        notes.leave(record);
    }
}

/// Turns an error of the application into a failure in the route's words, and logs what is ours.
pub fn from_application(error: Error, scene: &Scene<'_>) -> Box<Failure> {
    match error {
        Error::Request(error) => refusal::from_request(error, scene.route),
        Error::UnknownClient { name, absence } => {
            let reason = absence.as_str();
            tracing::info!(client = %name, reason, request_id = scene.request_id, "a client is not served");
            failure::unknown_client(&name, scene.route)
        }
        Error::ClientsUnread => failure::clients_unread(),
        Error::ClientUnavailable { name, reason } => failure::client_unavailable(&name, reason),
        Error::Port(error) => {
            port::log(&error, scene.request_id);
            let failure = port::from_port(error, scene.route);
            let context = match scene.route {
                Route::Fetch | Route::Update | Route::Delete => scene.table.as_deref(),
                Route::Sql => scene.db_name.as_ref().map(ClientName::as_str),
                Route::Insert | Route::Query | Route::Call | Route::Admin => None,
            };
            match context {
                Some(context) => failure.detail("context", context),
                None => failure,
            }
        }
        Error::Grouping(error) => {
            Failure::new(StatusCode::BAD_REQUEST, "post_processing_failed", "validation", error.to_string())
                .error(format!("Post-processing failure: {error}"))
        }
    }
}

/// A failure of a store that the admin routes administer, under the title of what was tried.
pub fn port_failure(error: athena_application::ports::PortError, title: &'static str) -> Box<Failure> {
    port::log(&error, "");
    let cause = port::from_port(error, Route::Admin);
    let detail = cause.error.unwrap_or(cause.message);
    Failure { error: Some(detail), message: title.into(), ..*cause }.boxed()
}

/// Writes a failure in the route's form.
pub fn respond(failure: Failure, scene: &Scene<'_>) -> Response {
    let mut details = failure.details;
    details.insert("category".to_owned(), failure.category.into());
    let mut body = Map::new();
    if scene.route == Route::Insert {
        body.insert("success".to_owned(), false.into());
        let known = [
            ("client", scene.client.as_ref().map(ClientName::as_str)),
            ("table_name", scene.table.as_deref()),
            ("user_id", scene.audit.user.map(without_key)),
            ("company_id", scene.audit.company.map(without_key)),
            ("organization_id", scene.audit.organization.map(without_key)),
        ];
        for (name, value) in known {
            if name == "client" || value.is_some() {
                details.entry(name).or_insert_with(|| value.into());
            }
        }
    }
    details.insert("trace_id".to_owned(), scene.request_id.into());
    let error = failure.error.unwrap_or_else(|| failure.message.clone());
    let fixed: [(&str, Value); 7] = [
        ("status", "error".into()),
        ("code", failure.code.into()),
        ("message", failure.message.into()),
        ("error", error.into()),
        ("status_code", failure.status.as_u16().into()),
        ("trace_id", scene.request_id.into()),
        ("details", details.into()),
    ];
    body.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
    if let Some(hint) = failure.hint {
        body.insert("hint".to_owned(), hint.into());
    }
    let mut response = json_response(failure.status, &Value::Object(body));
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The line that ends an NDJSON answer which cannot be completed.
pub fn last_line(error: Error, scene: &Scene<'_>) -> String {
    let failure = from_application(error, scene);
    let error = failure.error.unwrap_or_else(|| failure.message.clone());
    let line = json!({
        "status": "error", "code": failure.code, "message": failure.message, "error": error,
        "status_code": failure.status.as_u16(), "trace_id": scene.request_id,
    });
    format!("{line}\n")
}

/// Gives what the framework answers by itself (no such path, no such method) our envelope.
pub fn from_framework(error: poem::Error, request_id: &str) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    match error.status() {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => not_found(request_id),
        status if status.is_client_error() => {
            let title = status.canonical_reason().unwrap_or("Bad Request");
            json_response(
                status,
                &json!({
                    "status": "error", "code": "invalid_request", "message": title,
                    "error": error.to_string(), "trace_id": request_id,
                }),
            )
        }
        _ => {
            tracing::error!(request_id, %error, "a request failed inside the framework");
            unexpected(request_id)
        }
    }
}

/// The answer where there is nothing.
pub fn not_found(request_id: &str) -> Response {
    json_response(
        StatusCode::NOT_FOUND,
        &json!({
            "status": "error", "code": "not_found", "message": "Not Found",
            "error": "The requested resource was not found", "trace_id": request_id,
        }),
    )
}

/// The answer to a head that is too long.
pub fn head_too_large(request_id: &str, most: usize) -> Response {
    refused(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ("headers_too_large", "Request Header Fields Too Large"),
        &format!("path and headers of a request may take {most} bytes together"),
        request_id,
    )
}

/// The answer to a request for a host that is not ours.
pub fn host_not_allowed(request_id: &str) -> Response {
    refused(
        StatusCode::MISDIRECTED_REQUEST,
        ("host_not_allowed", "Misdirected Request"),
        "the host that the request names is not one of this server's; those are listed in api.allowed_hosts",
        request_id,
    )
}

/// The answer to a request that names several hosts: what stands before the gateway may have looked at another one.
pub fn several_hosts(request_id: &str) -> Response {
    refused(
        StatusCode::BAD_REQUEST,
        ("invalid_header", "Invalid header"),
        "Host is given more than once; give it once",
        request_id,
    )
}

/// The answer to a path whose bytes are no text.
pub fn path_is_no_text(request_id: &str) -> Response {
    refused(
        StatusCode::BAD_REQUEST,
        ("invalid_path", "Invalid path"),
        "the path is not UTF-8 once it is decoded; encode names as UTF-8, such as %C3%BC for an ü",
        request_id,
    )
}

fn refused(
    status: StatusCode,
    (code, message): (&'static str, &'static str),
    error: &str,
    request_id: &str,
) -> Response {
    json_response(
        status,
        &json!({
            "status": "error", "code": code, "message": message, "error": error,
            "status_code": status.as_u16(), "trace_id": request_id,
            "details": { "category": "validation", "trace_id": request_id },
        }),
    )
}

/// The answer to a request that made the server panic.
pub fn unexpected(request_id: &str) -> Response {
    json_response(
        StatusCode::INTERNAL_SERVER_ERROR,
        &json!({
            "status": "error", "code": "internal_error", "message": "Internal Server Error",
            "error": "An unexpected error occurred", "trace_id": request_id,
        }),
    )
}

/// The answer to a pre-flight from a page that may not call us.
pub fn origin_refused(request_id: &str) -> Response {
    json_response(
        StatusCode::BAD_REQUEST,
        &json!({
            "status": "error", "code": "origin_not_allowed", "message": "Origin not allowed",
            "error": "Origin is not allowed to make this request", "trace_id": request_id,
        }),
    )
}

/// A JSON answer.
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type(athena_domain::rows::RowFormat::Json))
        .body(serde_json::to_vec(body).unwrap_or_default())
}
