//! Answers that are documents: text, pages, redirects.

use bytes::Bytes;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::{Value, json};

use super::answer::response;

/// What the documents of this server say.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// Version.
    pub version: &'static str,
    /// Target of `/docs`.
    pub docs_url: String,
    /// `/openapi-wss.yaml`.
    pub wss_specification: &'static str,
    /// Every route: `{path, methods, summary}`.
    pub routes: Vec<Value>,
}

/// The routes of these operations.
pub fn routes<T: OpenApi>() -> Vec<Value> {
    let paths = T::meta().into_iter().flat_map(|api| api.paths);
    paths
        .map(|path| {
            let methods: Vec<&str> =
                path.operations.iter().map(|operation| operation.method.as_str()).collect();
            let summary = path.operations.first().and_then(|operation| operation.summary).unwrap_or_default();
            json!({ "path": path.path, "methods": methods, "summary": summary })
        })
        .collect()
}

/// What this server can do (contract 15.1).
pub fn capabilities() -> Value {
    let absent = json!({ "available": false, "detail": "not part of this build" });
    let management = json!({
        "available": false,
        "detail": "the routes /management/* (tables, columns, indexes) are not part of this build; keys and clients are \
                   administered under /admin",
    });
    json!({
        "gateway_fetch": { "available": true, "detail": "POST /gateway/fetch" },
        "openapi_download": { "available": true, "detail": "GET /openapi.yaml" },
        "pg_dump": absent, "pg_restore": absent, "s3cmd": absent, "s3_access": absent,
        "backup_create": absent, "backup_restore": absent, "management_api": management,
        "deadpool_experimental": absent,
    })
}

/// A text that is not JSON.
pub struct Document<const KIND: u8>(Response);

/// Plain text.
pub type Text = Document<0>;
/// A page.
pub type Html = Document<1>;
/// A specification.
pub type Yaml = Document<2>;

impl<const KIND: u8> Document<KIND> {
    /// A response that is there already.
    pub fn of(response: Response) -> Self {
        Self(response)
    }

    /// A text with its type.
    pub fn new(status: StatusCode, content_type: &'static str, text: Bytes) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self(Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(text))
    }
}

impl<const KIND: u8> IntoResponse for Document<KIND> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<const KIND: u8> ApiResponse for Document<KIND> {
    fn meta() -> MetaResponses {
        let content_type = match KIND {
            0 => "text/plain; charset=utf-8",
            1 => "text/html; charset=utf-8",
            _ => "application/yaml; charset=utf-8",
        };
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let content = vec![MetaMediaType { content_type, schema }];
        MetaResponses { responses: vec![response(200, "The document.", content)] }
    }

    fn register(_: &mut Registry) {}
}

/// A lasting redirect.
pub struct Redirect(Response);

impl Redirect {
    /// A redirect to `target`.
    pub fn new(target: &str) -> Self {
        let response = Response::builder().status(StatusCode::PERMANENT_REDIRECT);
        Self(match HeaderValue::from_str(target) {
            Ok(target) => response.header(header::LOCATION, target).finish(),
            Err(_) => response.finish(),
        })
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Redirect {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![response(308, "The documentation lies elsewhere.", Vec::new())] }
    }

    fn register(_: &mut Registry) {}
}
