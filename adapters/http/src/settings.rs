//! How the HTTP face behaves; the composition root fills this in from the configuration.

use std::time::Duration;

use crate::client_address::AddressBlock;
use crate::hosts::AllowedHost;

/// Where `/docs` leads when nothing else is configured.
pub const DOCS_URL: &str = "https://xylex.group/docs/athena";

/// Shape of fetch and update answers when `X-Strip-Nulls` is absent (contract 6.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseShape {
    /// `{"status", "message", "data": {"rows": […]}}`
    #[default]
    Envelope,
    /// `{"data": […]}`, for dashboards written against the first gateway.
    Flat,
}

/// Whether insert and delete need `X-Company-Id` and `X-Organization-Id` (contract 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditHeaders {
    /// A request without them is refused.
    #[default]
    Strict,
    /// A request without them is taken.
    Lenient,
}

/// Which web pages may call the gateway from a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Every origin.
    pub allow_any: bool,
    /// Origins such as `https://app.example.com`, compared without regard to case.
    pub origins: Vec<String>,
}

/// How the HTTP face behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Shape of fetch and update answers.
    pub response_shape: ResponseShape,
    /// Whether audit headers are required.
    pub require_audit_headers: AuditHeaders,
    /// Browser access.
    pub cors: Cors,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<AddressBlock>,
    /// Hosts that requests may name; every one where none is listed.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Target of the redirect at `/docs`.
    pub docs_url: String,
    /// Version that `/` and the specification tell.
    pub version: &'static str,
    /// What `/openapi-wss.yaml` serves.
    pub wss_specification: &'static str,
    /// Time a connection may stay without a request, the reading of its head included.
    pub keep_alive: Duration,
    /// Time within which a request's body must arrive.
    pub client_request_timeout: Duration,
    /// Time a caller may leave an answer unread before the connection is closed.
    pub client_disconnect_timeout: Duration,
    /// Time after which the kernel probes a silent peer.
    pub tcp_keep_alive: Duration,
    /// Connections served at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Time between the wish to stop and the end of accepting; `/readyz` says 503 meanwhile.
    pub drain_delay: Duration,
    /// Time that running requests have after that.
    pub shutdown_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            response_shape: ResponseShape::default(),
            require_audit_headers: AuditHeaders::default(),
            cors: Cors::default(),
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
            docs_url: DOCS_URL.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            wss_specification: "openapi: 3.1.0\ninfo:\n  title: Athena WebSocket gateway\n  version: 2.9.0\n  \
                                description: Not part of this build.\npaths: {}\n",
            keep_alive: Duration::from_secs(15),
            client_request_timeout: Duration::from_secs(60),
            client_disconnect_timeout: Duration::from_secs(60),
            tcp_keep_alive: Duration::from_secs(75),
            max_connections: 10_000,
            drain_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}
