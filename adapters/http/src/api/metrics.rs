//! Numbers about the gateway.

use std::sync::Arc;

use athena_application::ports::MetricsSource;
use poem::http::StatusCode;
use poem::{Request, Response};
use poem_openapi::OpenApi;

use super::Tag;
use super::admin::Operator;
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
    /// Counts, times and pool states in Prometheus' text form. On the listener that callers reach it asks for the static
    /// admin key; on the one that `api.admin_port` opens it does not. `api.prometheus_metrics_enabled` switches it off.
    #[oai(path = "/metrics", method = "get", operation_id = "metrics")]
    async fn metrics(&self, request: &Request, _operator: Operator) -> Text {
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
