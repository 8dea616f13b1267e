//! The exchange with one PostgREST: headers, time, another try.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use athena_application::ports::{PortError, PortErrorKind};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use tokio::time::{Instant, sleep, timeout_at};

use crate::PORT;
use crate::failure::{Asked, Fault, answered, broken, late};
use crate::render::{Call, Method};
use crate::resolver::{Forbidden, PublicOnly};
use crate::settings::SupabaseSettings;

const API_KEY: HeaderName = HeaderName::from_static("apikey");
const ACCEPT_PROFILE: HeaderName = HeaderName::from_static("accept-profile");
const CONTENT_PROFILE: HeaderName = HeaderName::from_static("content-profile");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Most that is read of a refusal.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// Times that a read is sent at most.
const MOST_TRIES: u32 = 3;

/// Wait before the second try; twice that before the third.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// An HTTP client that follows nobody and goes nowhere but where it is sent.
///
/// # Errors
/// When TLS has no certificate authority at all.
pub(crate) fn client(resolver: Option<PublicOnly>) -> Result<Client, reqwest::Error> {
    builder(Duration::from_secs(5), Duration::from_secs(90), resolver).build()
}

fn builder(
    connect_timeout: Duration,
    idle_timeout: Duration,
    resolver: Option<PublicOnly>,
) -> reqwest::ClientBuilder {
    // The client takes the process's provider; whoever came first has chosen the same.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let builder = Client::builder()
        .redirect(Policy::none())
        // A proxy of the environment would look names up by itself.
        .no_proxy()
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(idle_timeout)
        .tcp_nodelay(true);
    match resolver {
        Some(resolver) => builder.dns_resolver(resolver),
        None => builder,
    }
}

/// The certificates in a file.
fn root_certificates(file: &str) -> Result<Vec<Certificate>, String> {
    let unusable = |why: &str| format!("the file of `sslrootcert` {why}");
    let pem = std::fs::read(file).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| unusable("is no PEM"))?;
    if certificates.is_empty() {
        return Err(unusable("holds no certificate"));
    }
    Ok(certificates)
}

/// One PostgREST.
pub(crate) struct Upstream {
    http: Client,
    base: String,
    headers: HeaderMap,
    /// To be found in texts that must not hold it.
    key: Option<Box<str>>,
    key_of_caller: bool,
    pub statement_timeout: Duration,
    connected: AtomicBool,
    /// Whether the last request was refused because of the key: then an answer to a check says nothing.
    key_refused: AtomicBool,
    under_way: AtomicUsize,
}

impl Upstream {
    /// An upstream with connections of its own.
    ///
    /// # Errors
    /// When the key cannot stand in a header, the certificates cannot be read, or no HTTP client can be made.
    pub(crate) fn open(settings: &SupabaseSettings) -> Result<Self, String> {
        let mut http = builder(settings.connect_timeout, settings.idle_timeout, None);
        if let Some(file) = &settings.root_certificates {
            http = http.tls_certs_only(root_certificates(file)?);
        }
        Self::over(http.build().map_err(|error| error.to_string())?, settings, false)
    }

    /// An upstream over connections that others use, too.
    ///
    /// # Errors
    /// When the key cannot stand in a header.
    pub(crate) fn over(
        http: Client,
        settings: &SupabaseSettings,
        key_of_caller: bool,
    ) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(key) = &settings.key {
            let secret = |text: &str| {
                let value = HeaderValue::from_str(text).map(|mut value| {
                    value.set_sensitive(true);
                    value
                });
                value.map_err(|_| "the key holds characters that no header can".to_owned())
            };
            headers.insert(AUTHORIZATION, secret(&format!("Bearer {key}"))?);
            if settings.is_supabase {
                headers.insert(API_KEY, secret(key)?);
            }
        }
        Ok(Self {
            http,
            base: settings.base.clone(),
            headers,
            key: settings.key.clone(),
            key_of_caller,
            statement_timeout: settings.statement_timeout,
            connected: AtomicBool::new(false),
            key_refused: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
        })
    }

    /// Whether the last exchange was answered.
    pub(crate) fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Exchanges under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts an exchange for as long as the guard lives.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.under_way)
    }

    /// Sends a call and gives the answer's head.
    pub(crate) async fn send(&self, call: &Call, until: Instant) -> Result<Response, Fault> {
        let writes = call.method != Method::Get;
        match timeout_at(until, self.exchange(call, writes)).await {
            Ok(outcome) => {
                let outcome = outcome.map_err(|fault| self.scrubbed(fault));
                let away = outcome.as_ref().err().is_some_and(|fault| is_away(&fault.error));
                self.connected.store(!away, Ordering::Relaxed);
                outcome
            }
            Err(_) => {
                self.connected.store(false, Ordering::Relaxed);
                Err(Fault::lasting(late(writes)))
            }
        }
    }

    async fn exchange(&self, call: &Call, writes: bool) -> Result<Response, Fault> {
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let profile = if writes { CONTENT_PROFILE } else { ACCEPT_PROFILE };
        let mut request = self
            .http
            .request(method, format!("{}/{}", self.base, call.target))
            .headers(self.headers.clone())
            .header(profile, &*call.schema);
        if !call.prefer.is_empty() {
            request = request.header(PREFER, call.prefer.join(", "));
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.unsent(error, writes))?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            self.key_refused.store(false, Ordering::Relaxed);
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let said = refusal(response).await;
        let asked = Asked { writes, key_of_caller: self.key_of_caller };
        let fault = answered(status, retry_after.as_deref(), &said, asked);
        let key_refused = is_refusal(status) && fault.error.kind == PortErrorKind::Unavailable;
        self.key_refused.store(key_refused, Ordering::Relaxed);
        Err(fault)
    }

    fn unsent(&self, error: reqwest::Error, writes: bool) -> Fault {
        if !is_forbidden(&error) {
            return broken(error, writes);
        }
        use athena_application::ports::{Reason, Rejection};
        let reason = "the host of x-supabase-url has no address that may be reached";
        let mut rejection = Rejection::new(Reason::Unsupported, reason);
        rejection.hint = Some(
            "name a host of the open internet; a private one needs gateway.supabase_allow_insecure"
                .to_owned(),
        );
        Fault::lasting(PortError::rejected(PORT, rejection))
    }

    /// The same failure without the key, should an upstream repeat it.
    fn scrubbed(&self, mut fault: Fault) -> Fault {
        if let (PortErrorKind::Rejected(rejection), Some(key)) = (&mut fault.error.kind, &self.key) {
            let clean = |text: &str| text.replace(&**key, "***");
            rejection.message = clean(&rejection.message);
            rejection.hint = rejection.hint.as_deref().map(clean);
            rejection.detail = rejection.detail.as_deref().map(|text| clean(text).into());
        }
        fault
    }

    /// Waits before another try of a read, if there is to be one: after `tries`, before `until`.
    pub(crate) async fn pause(&self, fault: Fault, tries: u32, until: Instant) -> Result<(), PortError> {
        let wait = jittered(FIRST_WAIT * 2_u32.saturating_pow(tries - 1));
        if !fault.transient || tries >= MOST_TRIES || Instant::now() + wait >= until {
            return Err(fault.error);
        }
        tracing::debug!(error = %fault.error, tries, "a read is sent again");
        sleep(wait).await;
        Ok(())
    }

    /// Whether anybody answers at the address.
    pub(crate) async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        let request = self.http.head(format!("{}/", self.base)).headers(self.headers.clone());
        let outcome = match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => self.judge(response.status().as_u16()),
            Ok(Err(error)) => Err(broken(error, false).error),
            Err(_) => Err(late(false)),
        };
        self.connected.store(outcome.is_ok(), Ordering::Relaxed);
        outcome
    }
}

impl Upstream {
    /// What the answer to a check says.
    fn judge(&self, status: u16) -> Result<(), PortError> {
        let kind = match status {
            429 => PortErrorKind::Throttled { retry_after: 1 },
            500.. => PortErrorKind::Unavailable,
            // The next request will show whether the key is good again; nothing else can.
            _ if is_refusal(status) && self.key_refused.load(Ordering::Relaxed) => PortErrorKind::Internal,
            // What it says of its root is otherwise a matter of its configuration: many show it to no key.
            _ => return Ok(()),
        };
        Err(PortError::new(PORT, kind).caused_by(format!("the upstream answered a check with {status}")))
    }
}

fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// An exchange under way.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether nobody was there, rather than said no.
fn is_away(error: &PortError) -> bool {
    matches!(error.kind, PortErrorKind::Unavailable | PortErrorKind::Lost | PortErrorKind::TimedOut)
}

fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<Forbidden>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What a refusal says, as far as it is short.
async fn refusal(mut response: Response) -> Vec<u8> {
    let mut said = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        said.extend_from_slice(&piece);
        if said.len() > MAX_REFUSAL_BYTES {
            return Vec::new();
        }
    }
    said
}

/// Between half of `wait` and all of it, so that those who failed together do not come again together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the whole wait is as good.
    let share = if getrandom::fill(&mut byte).is_ok() { f64::from(byte[0]) / 255.0 } else { 1.0 };
    wait.mul_f64(0.5 + share / 2.0)
}
