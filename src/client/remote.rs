//! A gateway that runs elsewhere.

use std::time::Duration;

use athena_application::circuit::Circuit;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::config::{BackendType, ClientConfig, ConnectionConfig, HealthConfig, PoolConfig};
use super::error::{AthenaError, ErrorKind};
use super::transport::{Arrived, Form, Reply, Transport, broken, headers, seconds};
use crate::config::Secret;

/// Times that a read is sent at most.
const MOST_TRIES: u32 = 3;

/// Longest wait before the second try; twice that before the third.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Where a gateway is, which of its clients is meant, and who asks.
///
/// ```no_run
/// use athena_rs::AthenaClient;
/// use athena_rs::client::RemoteGateway;
///
/// # async fn example() -> Result<(), athena_rs::AthenaError> {
/// let gateway = RemoteGateway::new("http://localhost:4052", "demo").key("ath_…").acting_for("acme", "acme-eu");
/// let athena = AthenaClient::remote(gateway)?;
/// let customers = athena.select("customers").limit(3).execute().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RemoteGateway {
    url: String,
    client: String,
    key: Option<Secret>,
    company: Option<String>,
    organization: Option<String>,
    backend: BackendType,
    pool: PoolConfig,
    request_timeout: Duration,
    big_numbers_as_text: bool,
}

impl RemoteGateway {
    /// The gateway at `url`, and the client of it that requests go to.
    pub fn new(url: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            client: client.into(),
            key: None,
            company: None,
            organization: None,
            backend: BackendType::Native,
            pool: PoolConfig::default(),
            request_timeout: Duration::from_secs(35),
            big_numbers_as_text: false,
        }
    }

    /// The API key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret::new(key.into())).filter(|key| !key.expose().is_empty());
        self
    }

    /// Company and organization that inserts and deletes are done for.
    #[must_use]
    pub fn acting_for(mut self, company: impl Into<String>, organization: impl Into<String>) -> Self {
        (self.company, self.organization) = (Some(company.into()), Some(organization.into()));
        self
    }

    /// What kind of database the client is, for raw queries.
    #[must_use]
    pub fn backend(mut self, backend: BackendType) -> Self {
        self.backend = backend;
        self
    }

    /// Longest time until an answer begins, and between two pieces of it.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Asks for numbers that would be rounded as strings.
    #[must_use]
    pub fn big_numbers_as_text(mut self, as_text: bool) -> Self {
        self.big_numbers_as_text = as_text;
        self
    }

    pub(super) fn open(self) -> Result<(ClientConfig, Transport), AthenaError> {
        let configuration = |message: &str| AthenaError::new(ErrorKind::Configuration, message);
        let base = reqwest::Url::parse(self.url.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                configuration("the gateway's URL must begin with http:// or https:// and name a host")
            })?;
        if self.client.trim().is_empty() {
            return Err(configuration("the name of the client is required"));
        }
        // A provider that somebody else has installed is as good.
        drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .connect_timeout(self.pool.connection_timeout)
            .read_timeout(self.request_timeout)
            .pool_idle_timeout(self.pool.idle_timeout)
            // The key goes to the gateway that was named and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                configuration("the HTTP client cannot be made").caused_by(error.without_url())
            })?;
        let config = ClientConfig {
            backend: self.backend,
            connection: ConnectionConfig {
                url: Secret::new(self.url.as_str()),
                key: self.key.clone(),
                ssl: base.scheme() == "https",
                port: base.port_or_known_default(),
                database: Some(self.client.clone()),
                user: None,
            },
            pool: self.pool.clone(),
            health: HealthConfig { enabled: false, ..HealthConfig::default() },
            request_timeout: self.request_timeout,
            big_numbers_as_text: self.big_numbers_as_text,
        };
        Ok((config, Transport::Remote(std::sync::Arc::new(Http::new(http, base, self)))))
    }
}

/// A gateway over HTTP.
pub(crate) struct Http {
    http: reqwest::Client,
    base: reqwest::Url,
    gateway: RemoteGateway,
    /// Opened by this program alone: whether the database is away, the gateway knows.
    circuit: Circuit,
}

impl Http {
    fn new(http: reqwest::Client, base: reqwest::Url, gateway: RemoteGateway) -> Self {
        Self { http, base, gateway, circuit: Circuit::default() }
    }

    pub(super) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// Refuses every request for as long as this program has said.
    pub(super) fn check_offline(&self) -> Result<(), AthenaError> {
        let Some(left) = self.circuit.is_offline() else { return Ok(()) };
        let mut error =
            AthenaError::new(ErrorKind::Unavailable, "this program has taken the gateway offline");
        (error.code, error.retry_after) = (Some("circuit_open".into()), Some(left));
        Err(error)
    }

    pub(super) fn client_name(&self) -> &str {
        &self.gateway.client
    }

    /// Sends a request. A read whose connection breaks before an answer has begun, or that a proxy could not hand on,
    /// is sent again; nothing else is, as a write may have been carried out.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
        form: Form,
        request_id: String,
    ) -> Result<Arrived, AthenaError> {
        let until = Instant::now() + self.gateway.request_timeout;
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.call_once(method, path, body.clone(), form, request_id.clone()).await;
            let is_transient = match &outcome {
                Ok(arrived) => arrived.status == 502,
                Err(error) => error.kind == ErrorKind::Connection,
            };
            let wait = jittered(FIRST_WAIT * 2_u32.pow(tries - 1));
            let again = is_transient && is_read(path) && tries < MOST_TRIES && Instant::now() + wait < until;
            if !again {
                return outcome;
            }
            drop(outcome);
            tokio::time::sleep(wait).await;
        }
    }

    async fn call_once(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
        form: Form,
        request_id: String,
    ) -> Result<Arrived, AthenaError> {
        let unsendable =
            |_| AthenaError::new(ErrorKind::Invalid, "the request cannot be sent: its URL or method is none");
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|_| unsendable(()))?;
        let mut request =
            self.http.request(method, url).header("content-type", "application/json").body(body);
        for (name, value) in
            headers(&self.gateway.client, &request_id, form, self.gateway.big_numbers_as_text)
        {
            request = request.header(name, value);
        }
        if let Some(key) = &self.gateway.key {
            request = request.header("x-athena-key", key.expose());
        }
        let acting =
            [("x-company-id", &self.gateway.company), ("x-organization-id", &self.gateway.organization)];
        for (name, value) in acting {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.map_err(|error| {
            let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Connection };
            AthenaError::new(kind, "the gateway did not answer").caused_by(error.without_url())
        })?;
        let retry_after =
            response.headers().get("retry-after").and_then(|value| seconds(value.to_str().ok()?));
        let status = response.status().as_u16();
        let body =
            response.bytes_stream().map(|chunk| chunk.map_err(|error| broken(error.without_url()))).boxed();
        Ok(Arrived { status, retry_after, reply: Reply { request_id, body } })
    }
}

/// Whether asking twice is as asking once.
fn is_read(path: &str) -> bool {
    path == "/gateway/fetch"
}

/// Between half of `wait` and all of it, so that those who failed together do not come again together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the whole wait is as good.
    let share = if getrandom::fill(&mut byte).is_ok() { f64::from(byte[0]) / 255.0 } else { 1.0 };
    wait.mul_f64(0.5 + share / 2.0)
}
