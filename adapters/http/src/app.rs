//! The application: every route, and what happens around each of them.

mod face;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use athena_application::held::SharedMemory;
use athena_application::ports::Observer;
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, IntoEndpoint, Request, Response};

use crate::api::{Apis, Documents, Probe, routes};
use crate::client_address::ClientAddress;
use crate::error;
use crate::headers::REQUEST_ID;
use crate::headers::request_id::RequestId;
use crate::headers::trace_parent::TraceParent;
use crate::middleware::access_log::Line;
use crate::middleware::compression::{Coding, compress};
use crate::middleware::cors::{Cors, Verdict, is_preflight};
use crate::security::AdminKey;
use crate::server::ConnectionSettings;
use crate::services::Services;
use crate::settings::HttpSettings;
use crate::sighting::{RouteNames, Sighting};
use crate::spec;

pub use face::Face;
use face::is_probe;

/// Longest head of a request, path and headers together. Past four times as much the connection itself answers 431, with
/// no body.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;

/// The application as an endpoint; clones share everything.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    face: Face,
}

/// What every clone has.
struct Shared {
    current: ArcSwap<Current>,
    probe: Probe,
}

/// The application as it is at one moment: a request is answered by the one that it has met.
struct Current {
    settings: HttpSettings,
    routes: BoxEndpoint<'static>,
    cors: Cors,
    admin_key: AdminKey,
    observer: Option<Arc<dyn Observer>>,
    names: RouteNames,
    /// What bodies may take together, and how many bytes that is.
    received: (SharedMemory, u64),
}

impl Current {
    /// With the memory of `before` where its bound is the same: bodies that are under way count.
    fn new(settings: &HttpSettings, services: &Services, probe: Probe, before: Option<&Self>) -> Self {
        let bound = services.gateway.limits.max_received_bytes;
        let kept = before.map(|before| &before.received).filter(|(_, kept)| *kept == bound);
        let received = kept.cloned().unwrap_or_else(|| (SharedMemory::of_bodies(bound), bound));
        let documents = Documents {
            version: settings.version,
            docs_url: settings.docs_url.clone(),
            wss_specification: settings.wss_specification,
            routes: routes::<Apis>(),
        };
        let listed = documents.routes.iter().filter_map(|route| route["path"].as_str());
        let names = RouteNames::new(listed);
        Self {
            settings: settings.clone(),
            routes: spec::service(services, settings, probe, documents, received.0.clone()).into_endpoint(),
            cors: Cors::new(&settings.cors),
            admin_key: services.admin_key.clone(),
            observer: services.observer.clone(),
            names,
            received,
        }
    }
}

impl App {
    /// Builds every route over `services`.
    pub fn new(settings: &HttpSettings, services: &Services) -> Self {
        let probe = Probe::default();
        let current = ArcSwap::from_pointee(Current::new(settings, services, probe.clone(), None));
        Self { shared: Arc::new(Shared { current, probe }), face: Face::Both }
    }

    /// From now on requests are answered by these settings and over these services, on every clone; those that are under
    /// way end as they have begun.
    pub fn renew(&self, settings: &HttpSettings, services: &Services) {
        let before = self.shared.current.load();
        let renewed = Current::new(settings, services, self.shared.probe.clone(), Some(&before));
        self.shared.current.store(Arc::new(renewed));
    }

    /// The settings of now, for whoever serves connections.
    pub(crate) fn connections(&self) -> ConnectionSettings {
        let current = self.shared.current.load();
        let settings = &current.settings;
        ConnectionSettings {
            keep_alive: settings.keep_alive,
            disconnect_timeout: settings.client_disconnect_timeout,
            tcp_keep_alive: settings.tcp_keep_alive,
            most: settings.max_connections,
            drain_delay: settings.drain_delay,
            shutdown_timeout: settings.shutdown_timeout,
        }
    }

    /// The same application with only the routes of `face`; what this one is told holds for both.
    #[must_use]
    pub fn with_face(&self, face: Face) -> Self {
        Self { face, ..self.clone() }
    }

    /// `/readyz` says 503 until [`App::ready`]; to be called before the first request.
    pub fn starting(&self) {
        self.shared.probe.starting();
    }

    /// From now on `/readyz` says that requests are taken, unless the server is going already.
    pub fn ready(&self) {
        self.shared.probe.ready();
    }

    /// From now on `/readyz` says that the server is going.
    pub fn drain(&self) {
        self.shared.probe.drain();
    }

    /// Answers a request; every failure is an answer too.
    pub async fn answer(&self, request: Request) -> Response {
        let current = self.shared.current.load_full();
        current.answer(request, self.face).await
    }
}

impl Current {
    async fn answer(&self, mut request: Request, face: Face) -> Response {
        let id = RequestId::read(request.headers());
        let address = ClientAddress::resolve(&request, &self.settings.trusted_proxies);
        let trace = TraceParent::read(request.headers());
        let refusal = self.refusal(&request, &address, &id, face);
        let extensions = request.extensions_mut();
        extensions.insert(id.clone());
        extensions.insert(address);
        if let Some(trace) = trace {
            extensions.insert(trace);
        }
        // Absent on a shared listener, so that a route which forgets to ask is no more open there.
        if face == Face::Admin {
            extensions.insert(face);
        }
        if !request.uri().path().starts_with("/gateway/") {
            request.extensions_mut().insert(self.admin_key.clone());
        }
        let mut sighting = Sighting::begin(self.observer.as_ref(), &mut request, &self.names);
        let line = Line::begin(&request);
        let verdict = self.cors.judge(request.headers());
        let coding = Coding::choose(request.headers());
        let response = match (refusal, is_preflight(&request), &verdict) {
            (Some(refusal), ..) => refusal,
            (None, true, Verdict::Refused) => error::origin_refused(id.as_str()),
            (None, true, Verdict::Allowed(_)) => Cors::preflight(&request),
            (None, true, Verdict::Silent) | (None, false, _) => self.route(request, &id, face).await,
        };
        let mut response = compress(coding, response).await;
        self.cors.decorate(verdict, &mut response);
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id.header());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(line) = line {
            line.end(&response, id.as_str());
        }
        sighting.answer(&mut response);
        if sighting.matters() {
            sighting.travel_with(&mut response);
        }
        response
    }

    /// Refuses what no route is to see: a head without bound, several hosts or one that is not ours, a path that is no text.
    fn refusal(
        &self,
        request: &Request,
        address: &ClientAddress,
        id: &RequestId,
        face: Face,
    ) -> Option<Response> {
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if headers.sum::<usize>() + target > MAX_HEAD_BYTES {
            return Some(error::head_too_large(id.as_str(), MAX_HEAD_BYTES));
        }
        if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
            return Some(error::several_hosts(id.as_str()));
        }
        // A call of this process comes from no address, and a probe asks whoever answers.
        let path = request.uri().path();
        let asked = address.ip.is_some() && !(is_probe(path) && face != Face::Admin);
        let hosts = &self.settings.allowed_hosts;
        let is_ours = |host: &str| hosts.iter().any(|allowed| allowed.is(host));
        if asked && !hosts.is_empty() && !address.host().is_some_and(is_ours) {
            return Some(error::host_not_allowed(id.as_str()));
        }
        percent_decode_str(path).decode_utf8().is_err().then(|| error::path_is_no_text(id.as_str()))
    }

    async fn route(&self, request: Request, id: &RequestId, face: Face) -> Response {
        if !face.serves(request.uri().path()) {
            return error::not_found(id.as_str());
        }
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
