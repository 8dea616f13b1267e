//! Health, probes and documents.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use athena_application::ports::DirectTargets;
use athena_application::{Circuit, Client, ClientRegistry, Gateway};
use athena_domain::breaker::BreakerState;
use bytes::Bytes;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Request, Response};
use poem_openapi::OpenApi;
use serde_json::{Map, Value, json};

use super::Tag;
use super::admin::is_operator;
use super::answer::{Answer, Described};
use super::docs;
use super::documents::{self, Documents, Html, Redirect, Text, Yaml};
use crate::error::{json_response, whole_seconds};
use crate::spec;

/// What a client over CQL is by the name that its backend gives it.
const CQL: &str = "cassandra";

/// Whether the server takes requests: it starts, is ready, or is on its way out.
#[derive(Debug, Clone, Default)]
pub struct Probe(Arc<AtomicU8>);

impl Probe {
    const READY: u8 = 0;
    const STARTING: u8 = 1;
    const DRAINING: u8 = 2;

    /// Until [`Probe::ready`] `/readyz` says no; a server on its way out stays there.
    pub fn starting(&self) {
        self.turn(Self::READY, Self::STARTING);
    }

    /// From now on `/readyz` says yes; a server on its way out stays there.
    pub fn ready(&self) {
        self.turn(Self::STARTING, Self::READY);
    }

    fn turn(&self, from: u8, to: u8) {
        // In any other state there is nothing to turn.
        // Losing is fine: somebody else has gone on already.
        let _ = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.0.store(Self::DRAINING, Ordering::Relaxed);
    }

    /// Why requests are not to be sent here: a word and a sentence; nothing when they are.
    pub fn refusal(&self) -> Option<(&'static str, &'static str)> {
        match self.0.load(Ordering::Relaxed) {
            Self::READY => None,
            Self::STARTING => Some(("starting", "the server is starting")),
            _ => Some(("draining", "the server is shutting down")),
        }
    }
}

/// Health, probes and documents.
pub struct OpsApi {
    registry: Arc<ClientRegistry>,
    direct: Option<Arc<dyn DirectTargets>>,
    probe: Probe,
    documents: Documents,
    reference: OnceLock<Bytes>,
}

/// The answer of `/`.
pub struct Online;
impl Described for Online {
    type Body = docs::Root;
    const SUCCESS: &'static str = "The server answers.";
    const FAILURES: &'static [u16] = &[];
}

/// The answer of a liveness probe.
pub struct Alive;
impl Described for Alive {
    type Body = docs::Probe;
    const SUCCESS: &'static str = "The process answers.";
    const FAILURES: &'static [u16] = &[];
}

/// The answer of a readiness probe.
pub struct Ready;
impl Described for Ready {
    type Body = docs::Probe;
    const SUCCESS: &'static str = "The server takes requests.";
    const FAILURES: &'static [u16] = &[503];
}

#[OpenApi(tag = "Tag::Operations")]
impl OpsApi {
    /// Server state
    ///
    /// Version, what this server can do, and every route it serves.
    #[oai(path = "/", method = "get", operation_id = "root")]
    async fn root(&self) -> Answer<Online> {
        let clients = self.registry.all();
        let connected = || clients.iter().filter(|client| client.is_connected());
        let hosts = self.hosts();
        let circuits = clients.iter().filter_map(|client| client.circuit());
        let circuits = circuits.chain(hosts.iter().map(|(_, circuit)| circuit));
        let breakers = BreakerState::tally(circuits.map(|circuit| circuit.status().state))
            .map(|(state, count)| (state.as_str().to_owned(), count.into()));
        let state = |online: bool| if online { "online" } else { "offline" };
        let body = json!({
            "message": "athena is online",
            "version": self.documents.version,
            "cargo_toml_version": self.documents.version,
            "athena_api": "online",
            "athena_deadpool": state(connected().next().is_some()),
            "athena_scylladb": state(connected().any(|client| client.system() == Some(CQL))),
            "circuit_breakers": breakers.into_iter().collect::<Map<_, _>>(),
            "capabilities": documents::capabilities(),
            "routes": &self.documents.routes,
        });
        Answer::new(json_response(StatusCode::OK, &body))
    }

    /// Ping
    ///
    /// Answers `pong`.
    #[oai(path = "/ping", method = "get", operation_id = "ping")]
    async fn ping(&self) -> Text {
        Text::new(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"pong"))
    }

    /// Liveness probe
    ///
    /// 200 as long as the process answers.
    #[oai(path = "/livez", method = "get", operation_id = "livez")]
    async fn livez(&self) -> Answer<Alive> {
        Answer::new(json_response(StatusCode::OK, &json!({ "status": "ok" })))
    }

    /// Health probe
    ///
    /// The same as `/livez`.
    #[oai(path = "/health", method = "get", operation_id = "health")]
    async fn health(&self) -> Answer<Alive> {
        self.livez().await
    }

    /// Readiness probe
    ///
    /// 200 while requests are taken; 503 while the server starts and once it has been told to stop. Whoever shows the
    /// static admin key, or asks on the listener of operators, is told how the databases are doing.
    #[oai(path = "/readyz", method = "get", operation_id = "readyz")]
    async fn readyz(&self, request: &Request) -> Answer<Ready> {
        Answer::new(self.readiness(request))
    }

    /// Readiness probe (alias)
    ///
    /// The same as `/readyz`.
    #[oai(path = "/ready", method = "get", operation_id = "ready")]
    async fn ready(&self, request: &Request) -> Answer<Ready> {
        Answer::new(self.readiness(request))
    }

    /// Documentation redirect
    ///
    /// Leads to the documentation.
    #[oai(path = "/docs", method = "get", operation_id = "docs")]
    async fn docs(&self) -> Redirect {
        Redirect::new(&self.documents.docs_url)
    }

    /// Interactive reference
    ///
    /// This specification as a page to read and try; it loads nothing from elsewhere.
    #[oai(path = "/reference", method = "get", operation_id = "reference")]
    async fn reference(&self) -> Html {
        let page = self.reference.get_or_init(|| spec::reference().into());
        Html::new(StatusCode::OK, "text/html; charset=utf-8", page.clone())
    }

    /// OpenAPI specification
    ///
    /// This specification, made from the code that serves it.
    #[oai(path = "/openapi.yaml", method = "get", operation_id = "openapi")]
    async fn openapi(&self) -> Yaml {
        Yaml::new(StatusCode::OK, "application/yaml; charset=utf-8", spec::specification_bytes())
    }

    /// WebSocket specification
    ///
    /// The contract of the WebSocket gateway.
    #[oai(path = "/openapi-wss.yaml", method = "get", operation_id = "openapi_wss")]
    async fn openapi_wss(&self) -> Yaml {
        let text = Bytes::from_static(self.documents.wss_specification.as_bytes());
        Yaml::new(StatusCode::OK, "application/yaml; charset=utf-8", text)
    }
}

impl OpsApi {
    /// The operations over the clients of this gateway and the hosts that requests name.
    pub(crate) fn new(gateway: &Gateway, probe: Probe, documents: Documents) -> Self {
        let (registry, direct) = (gateway.registry.clone(), gateway.direct.clone());
        Self { registry, direct, probe, documents, reference: OnceLock::new() }
    }

    fn hosts(&self) -> Vec<(Box<str>, Arc<Circuit>)> {
        self.direct.as_ref().map(|direct| direct.circuits()).unwrap_or_default()
    }

    fn readiness(&self, request: &Request) -> Response {
        let refusal = self.probe.refusal();
        let mut body = match refusal {
            None => json!({ "status": "ok" }),
            Some((status, error)) => {
                json!({ "status": status, "message": "Service Unavailable", "error": error })
            }
        };
        if is_operator(request) {
            body["clients"] = self.registry.all().iter().map(health).collect();
            let hosts = self.hosts();
            let told = |(place, circuit): &(Box<str>, Arc<Circuit>)| json!({ "host": place, "circuit_breaker": breaker(circuit) });
            body["hosts"] = hosts.iter().map(told).collect();
        }
        if refusal.is_none() {
            return json_response(StatusCode::OK, &body);
        }
        let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, &body);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(5));
        response
    }
}

/// How a client's database is doing and what is in the way, without where it is.
fn health(client: &Arc<Client>) -> Value {
    json!({
        "client_name": client.name.as_str(), "connected": client.is_connected(),
        "reason": client.trouble(),
        "circuit_breaker": client.circuit().map(|circuit| breaker(circuit)),
    })
}

/// The state of a circuit breaker, for operators.
pub fn breaker(circuit: &Circuit) -> Value {
    let status = circuit.status();
    let retry_after = (status.state == BreakerState::Open).then(|| whole_seconds(status.retry_after));
    json!({
        "state": status.state.as_str(), "retry_after_secs": retry_after,
        "openings": status.openings, "refused": status.refused,
    })
}
