//! Section `api`: the listener and its connections.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::reader::Reader;
use athena_http::{AddressBlock, AllowedHost, TlsFiles};

/// The listener and its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// `api.host`: address to listen on.
    pub host: IpAddr,
    /// `api.port`, or `--port`; 0 takes any free port.
    pub port: u16,
    /// `api.keep_alive_secs`: how long an idle connection stays open.
    pub keep_alive: Duration,
    /// `api.client_disconnect_timeout_secs`: how long a closing connection may take.
    pub client_disconnect_timeout: Duration,
    /// `api.client_request_timeout_secs`: how long the body of a request may take to arrive.
    pub client_request_timeout: Duration,
    /// `api.http_workers`: threads that serve requests; `None` is one per processor.
    pub http_workers: Option<usize>,
    /// `api.http_max_connections`: connections open at once.
    pub http_max_connections: usize,
    /// `api.http_backlog`: connections waiting to be accepted.
    pub http_backlog: u32,
    /// `api.tcp_keepalive_secs`: how long a silent connection waits for its first probe.
    pub tcp_keepalive: Duration,
    /// `api.shutdown_timeout_secs`: how long running requests may take once a stop is asked for.
    pub shutdown_timeout: Duration,
    /// `api.drain_delay_secs`: how long connections are still accepted once a stop is asked for.
    pub drain_delay: Duration,
    /// `api.admin_port`: a second listener for `/admin`, `/metrics` and probes; 0 takes any free port.
    pub admin_port: Option<u16>,
    /// `api.admin_host`: address of the second listener.
    pub admin_host: IpAddr,
    /// `api.tls_cert` and `api.tls_key`: PEM files; the listeners speak TLS when they are given.
    pub tls: Option<TlsFiles>,
    /// `api.prometheus_metrics_enabled`: whether there is a `/metrics`.
    pub metrics: bool,
    /// `api.docs_url`: where `/docs` leads.
    pub docs_url: String,
    /// `api.trusted_proxies`: only from these are forwarding headers believed.
    pub trusted_proxies: Vec<AddressBlock>,
    /// `api.allowed_hosts`: hosts that requests may name; every one where none is listed.
    pub allowed_hosts: Vec<AllowedHost>,
}

const DAY: u64 = 86_400;
const DOCS_URL: &str = "https://xylex.group/docs/athena";

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>, port: Option<u16>) -> Self {
        let key = |name| ("api", name);
        let address = "an IP address such as 0.0.0.0, 127.0.0.1 or ::";
        let configured = reader.integer(key("port"), 4052, 0..=65_535);
        let workers = reader.optional_integer(key("http_workers"), 1..=1024);
        let connections = reader.integer(key("http_max_connections"), 10_000, 1..=1_000_000);
        let backlog = reader.integer(key("http_backlog"), 2048, 1..=65_535);
        Self {
            host: reader.read(key("host"), Ipv4Addr::UNSPECIFIED.into(), address, |text| text.parse().ok()),
            port: port.unwrap_or_else(|| narrow(configured)),
            keep_alive: reader.seconds(key("keep_alive_secs"), 15, 1..=DAY),
            client_disconnect_timeout: reader.seconds(key("client_disconnect_timeout_secs"), 60, 1..=DAY),
            client_request_timeout: reader.seconds(key("client_request_timeout_secs"), 60, 1..=DAY),
            http_workers: workers.map(narrow),
            http_max_connections: narrow(connections),
            http_backlog: narrow(backlog),
            tcp_keepalive: reader.seconds(key("tcp_keepalive_secs"), 75, 1..=DAY),
            shutdown_timeout: reader.seconds(key("shutdown_timeout_secs"), 30, 0..=DAY),
            drain_delay: reader.seconds(key("drain_delay_secs"), 0, 0..=3600),
            admin_port: reader.optional_integer(key("admin_port"), 0..=65_535).map(narrow),
            admin_host: reader
                .read(key("admin_host"), Ipv4Addr::LOCALHOST.into(), address, |text| text.parse().ok()),
            metrics: reader.boolean(key("prometheus_metrics_enabled"), true),
            tls: tls(reader),
            docs_url: reader.read(
                key("docs_url"),
                DOCS_URL.to_owned(),
                "an address that begins with https:// or http://",
                |text| is_web_address(text).then(|| text.to_owned()),
            ),
            trusted_proxies: reader.list(key("trusted_proxies"), |text| {
                AddressBlock::parse(text)
                    .ok_or_else(|| "an address or a block such as 10.0.0.0/8 or ::1".to_owned())
            }),
            allowed_hosts: reader.list(key("allowed_hosts"), |text| {
                AllowedHost::parse(text).ok_or_else(|| {
                    "a name, an address, or .example.com for all names below one; without scheme and port"
                        .to_owned()
                })
            }),
        }
    }
}

/// Both files or neither.
fn tls(reader: &mut Reader<'_>) -> Option<TlsFiles> {
    match (reader.text("api", "tls_cert"), reader.text("api", "tls_key")) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            reader.problem("api", "tls_key", "is required beside api.tls_cert: a PEM file".to_owned());
            None
        }
        (None, Some(_)) => {
            reader.problem("api", "tls_cert", "is required beside api.tls_key: a PEM file".to_owned());
            None
        }
    }
}

/// A number that its range has already been checked for.
pub(super) fn narrow<T: TryFrom<u64>>(number: u64) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(number).expect("the range read with the key fits the type")
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(|c| c.is_ascii_graphic())
    })
}
