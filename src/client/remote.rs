//! A gateway that runs elsewhere.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::config::{BackendType, ClientConfig, ConnectionConfig, HealthConfig, PoolConfig};
use super::error::{AthenaError, ErrorKind};
use super::transport::{Arrived, Form, Reply, Transport, broken, headers, seconds};
use crate::config::Secret;

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
        Ok((config, Transport::Remote(std::sync::Arc::new(Http { http, base, gateway: self }))))
    }
}

/// A gateway over HTTP.
pub(crate) struct Http {
    http: reqwest::Client,
    base: reqwest::Url,
    gateway: RemoteGateway,
}

impl Http {
    pub(super) fn client_name(&self) -> &str {
        &self.gateway.client
    }

    pub(super) async fn call(
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
