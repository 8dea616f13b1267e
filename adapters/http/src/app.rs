//! The application: every route, and what happens around each of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use athena_application::Gateway;
use futures_util::FutureExt;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, IntoEndpoint, Request, Response};

use crate::api::{Apis, Documents, Probe, routes};
use crate::error;
use crate::headers::REQUEST_ID;
use crate::headers::request_id::RequestId;
use crate::middleware::access_log::Line;
use crate::middleware::compression::{Coding, compress};
use crate::middleware::cors::{Cors, Verdict, is_preflight};
use crate::settings::HttpSettings;
use crate::spec;

/// The application as an endpoint; clones share everything.
#[derive(Clone)]
pub struct App {
    routes: Arc<BoxEndpoint<'static>>,
    cors: Arc<Cors>,
    probe: Probe,
}

impl App {
    /// Builds every route over `gateway`.
    pub fn new(settings: &HttpSettings, gateway: &Arc<Gateway>) -> Self {
        let probe = Probe::default();
        let documents = Documents {
            version: settings.version,
            docs_url: settings.docs_url.clone(),
            specification: spec::specification().into(),
            wss_specification: settings.wss_specification,
            routes: routes::<Apis>(),
        };
        let service = spec::service(gateway, settings, probe.clone(), documents);
        Self { routes: Arc::new(service.into_endpoint()), cors: Arc::new(Cors::new(&settings.cors)), probe }
    }

    /// From now on `/readyz` says that the server is going.
    pub fn drain(&self) {
        self.probe.drain();
    }

    /// Answers a request; every failure is an answer too.
    pub async fn answer(&self, mut request: Request) -> Response {
        let id = RequestId::read(request.headers());
        request.extensions_mut().insert(id.clone());
        let line = Line::begin(&request);
        let verdict = self.cors.judge(request.headers());
        let coding = Coding::choose(request.headers());
        let response = match (is_preflight(&request), &verdict) {
            (true, Verdict::Refused) => error::origin_refused(id.as_str()),
            (true, Verdict::Allowed(_)) => Cors::preflight(&request),
            (true, Verdict::Silent) | (false, _) => self.route(request, &id).await,
        };
        let mut response = compress(coding, response).await;
        self.cors.decorate(verdict, &mut response);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id.header());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(line) = line {
            line.end(&response, id.as_str());
        }
        response
    }

    async fn route(&self, request: Request, id: &RequestId) -> Response {
        // Nothing of a request outlives its panic, so no state can be left broken.
        match AssertUnwindSafe(self.routes.call(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => error::from_framework(error, id.as_str()),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("of an unknown kind");
                tracing::error!(request_id = id.as_str(), panic = text, "a request panicked");
                error::unexpected(id.as_str())
            }
        }
    }
}

impl Endpoint for App {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.answer(request).await)
    }
}
