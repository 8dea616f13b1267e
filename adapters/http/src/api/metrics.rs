//! Numbers about the gateway.

use std::sync::Arc;

use athena_application::ports::MetricsSource;
use poem::http::StatusCode;
use poem::{Request, Response};
use poem_openapi::OpenApi;

use super::Tag;
use super::documents::Text;
use crate::error;
use crate::headers::request_id::RequestId;

/// Numbers about the gateway.
pub struct MetricsApi {
    source: Option<Arc<dyn MetricsSource>>,
}

#[OpenApi(tag = "Tag::Operations")]
impl MetricsApi {
    /// Metrics
    ///
    /// Counts, times and pool states in Prometheus' text form. Asks for no key: set `api.admin_port` to keep it from
    /// the listener that callers reach, or switch it off with `api.prometheus_metrics_enabled`.
    #[oai(path = "/metrics", method = "get", operation_id = "metrics")]
    async fn metrics(&self, request: &Request) -> Text {
        match &self.source {
            Some(source) => {
                let rendered = source.render();
                Text::new(StatusCode::OK, rendered.content_type, rendered.text.into())
            }
            None => Text::of(absent(request)),
        }
    }
}

fn absent(request: &Request) -> Response {
    error::not_found(request.extensions().get::<RequestId>().map_or("", RequestId::as_str))
}

impl MetricsApi {
    /// The operation over a source, or its absence.
    pub(crate) fn new(source: Option<Arc<dyn MetricsSource>>) -> Self {
        Self { source }
    }
}
