//! Starts the gateway as production does, over a database of the test's own, and talks HTTP to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use athena_rs::compose;
use athena_rs::config::{Config, Environment};
use athena_test_support::TestDatabase;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::witness;

/// Name of the client over the test's database.
pub const CLIENT: &str = "Main";

/// The static admin key of every gateway in tests.
pub const ADMIN_KEY: &str = "admin-key-marker-of-tests";

/// A password in the URI of every database; the tests' server lets everybody in who reaches its socket.
pub const DATABASE_PASSWORD: &str = "password-marker-of-tests";

/// The variable that holds [`SUPABASE_KEY`] in every gateway of tests.
pub const SUPABASE_KEY_ENV: &str = "ATHENA_REST_KEY_TEST";

/// The key of every Supabase project in tests; the suite watches for its marker.
pub const SUPABASE_KEY: &str = "supabase-secret-marker";

/// An HTTP client; it wants to be told the process's cryptography, as it chooses none.
pub fn http() -> reqwest::ClientBuilder {
    // Whoever comes first chooses the same.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
}

/// The URI with a password that must not turn up anywhere.
pub fn secretly(uri: &str) -> String {
    match uri.strip_prefix("cql://") {
        // The server asks nobody for a password, and takes none amiss; one that asks has a user in its URI.
        Some(place) if !place.contains('@') => format!("cql://athena:{DATABASE_PASSWORD}@{place}"),
        _ => uri.replacen("://postgres@", &format!("://postgres:{DATABASE_PASSWORD}@"), 1),
    }
}

/// A running gateway.
pub struct Gateway {
    /// `http://127.0.0.1:port`
    pub base: String,
    /// Where it listens.
    pub address: SocketAddr,
    http: reqwest::Client,
    /// What the gateway is composed of.
    #[expect(dead_code, reason = "dropped with the gateway, it ends what runs beside it")]
    composed: compose::Composed,
    /// Where its databases are.
    uris: Vec<String>,
    /// Stops the server when the test lets go of it.
    _stop: oneshot::Sender<()>,
    /// The database behind [`CLIENT`].
    pub database: Option<TestDatabase>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON, numbers rounded as `serde_json` does; exact digits are in `text`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// `data.rows` of a fetch or update.
    #[track_caller]
    pub fn rows(&self) -> Value {
        self.ok()["data"]["rows"].clone()
    }

    /// Checks an error envelope and gives its code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], "error", "{}", self.text);
        assert_eq!(body["code"], code, "{}", self.text);
        for field in ["error", "message"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {}", self.text);
        }
        body
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            witness::check_tables(&self.uris);
        }
    }
}

impl Gateway {
    /// A gateway over a fresh database that `sql` has set up.
    pub async fn with(sql: &str) -> Self {
        Self::configured(sql, "").await
    }

    /// The same with more configuration, as YAML sections.
    pub async fn configured(sql: &str, yaml: &str) -> Self {
        let database = TestDatabase::with(sql).await;
        let mut gateway = Self::over(&[(CLIENT, &database.uri())], yaml).await;
        gateway.database = Some(database);
        gateway
    }

    /// A gateway over these clients.
    pub async fn over(clients: &[(&str, &str)], yaml: &str) -> Self {
        Self::within(&[], clients, yaml).await
    }

    /// The same in an environment with these variables.
    pub async fn within(variables: &[(&str, &str)], clients: &[(&str, &str)], yaml: &str) -> Self {
        witness::listen();
        // Soon, so that what a test leaves behind is there to be searched for secrets.
        let soon = if yaml.contains("logging:") { "" } else { "logging: {flush_interval_ms: 20}" };
        let clients: BTreeMap<&str, String> =
            clients.iter().map(|(name, uri)| (*name, secretly(uri))).collect();
        let uris = clients.values().filter(|uri| uri.starts_with("postgres")).cloned().collect();
        let clients = serde_json::to_string(&clients).expect("JSON, which is YAML");
        let text = format!("api: {{host: 127.0.0.1, port: 0}}\npostgres_clients: {clients}\n{yaml}\n{soon}");
        let own = [("ATHENA_KEY_12", ADMIN_KEY), (SUPABASE_KEY_ENV, SUPABASE_KEY)];
        let environment: Environment = own.into_iter().chain(variables.iter().copied()).collect();
        let (config, _) = Config::from_text("test", &text, &environment, None).expect("a configuration");
        let composed = compose::compose(&config);
        let settings = compose::http_settings(&config);
        let listener =
            athena_rs::run::listen(SocketAddr::from(([127, 0, 0, 1], 0)), 128).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let app = athena_http::app(&settings, &composed.services);
        tokio::spawn(async move {
            let stopped = async {
                drop(stopped.await);
            };
            athena_http::serve(listener, app, stopped).await;
        });
        Self {
            base: format!("http://{address}"),
            address,
            http: http().build().expect("an HTTP client"),
            uris,
            _stop: stop,
            composed,
            database: None,
        }
    }

    /// A request for [`CLIENT`], with the audit headers.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("X-Athena-Client", CLIENT)
            .header("X-Company-Id", "c1")
            .header("X-Organization-Id", "o1")
    }

    /// What Prometheus would be told.
    pub async fn metrics(&self) -> Answer {
        self.send(self.bare(Method::GET, "/metrics").bearer_auth(ADMIN_KEY)).await
    }

    /// A request without any header of ours.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.expect("a whole answer");
        witness::check(&text);
        Answer { status, headers, text }
    }

    /// Sends a fetch over a connection of its own and gives the connection back unread: dropped, its caller has left.
    pub async fn fetch_unread(&self, headers: &[(&str, &str)], body: &str) -> TcpStream {
        self.unread("/gateway/fetch", headers, body).await
    }

    /// The same for another route.
    pub async fn unread(&self, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nX-Athena-Client: {CLIENT}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect("a request");
        socket
    }

    async fn body(&self, method: Method, path: &str, body: &str) -> Answer {
        let request =
            self.request(method, path).header("Content-Type", "application/json").body(body.to_owned());
        self.send(request).await
    }

    pub async fn fetch(&self, body: &str) -> Answer {
        self.body(Method::POST, "/gateway/fetch", body).await
    }

    /// Fetches 25 times, waits as it is told to, and gives how many of them failed. The others gave these rows, and none
    /// took longer than it may.
    pub async fn errors_of_25(&self, body: &str, patience: Duration, rows: &Value) -> usize {
        let mut errors = 0;
        for _ in 0..25 {
            let answer = tokio::time::timeout(patience, self.fetch(body)).await.expect("an answer in time");
            if answer.status == 200 {
                assert_eq!(answer.rows(), *rows);
                continue;
            }
            errors += 1;
            let wait = answer.header("retry-after").map_or(0, |wait| wait.parse().expect("seconds"));
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        errors
    }

    pub async fn update(&self, body: &str) -> Answer {
        self.body(Method::POST, "/gateway/update", body).await
    }

    pub async fn insert(&self, body: &str) -> Answer {
        self.body(Method::PUT, "/gateway/insert", body).await
    }

    pub async fn delete(&self, body: &str) -> Answer {
        self.body(Method::DELETE, "/gateway/delete", body).await
    }

    /// Runs SQL through the gateway.
    pub async fn query(&self, sql: &str) -> Answer {
        self.body(Method::POST, "/gateway/query", &serde_json::json!({ "query": sql }).to_string()).await
    }

    /// Runs a raw-query body.
    pub async fn raw(&self, body: &str) -> Answer {
        self.body(Method::POST, "/gateway/query", body).await
    }
}
