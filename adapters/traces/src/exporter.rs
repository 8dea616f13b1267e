//! The way of spans to a collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use athena_application::ports::{Observation, Observer};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::runtime::Handle;

use crate::endpoint::{OtlpEndpoint, OtlpHeaders};
use crate::spans;

/// Spans that wait to be sent.
const QUEUE: usize = 16_384;

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The collector.
    pub endpoint: OtlpEndpoint,
    /// What it wants to be told.
    pub headers: OtlpHeaders,
    /// What the gateway is called.
    pub service_name: String,
    /// Its version.
    pub service_version: &'static str,
    /// Name of this gateway among others.
    pub instance: String,
    /// Share of the requests without a trace of the caller's, from 0 to 1; with one, the caller has decided.
    pub sample_ratio: f64,
}

/// Makes spans of finished requests.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counted: Arc<Counted>,
}

/// What has become of spans so far. What is in none but the first waits, or did not fit into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceCounters {
    /// Made.
    pub made: u64,
    /// Taken by the collector.
    pub sent: u64,
    /// Lost: the collector did not take them.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counted {
    made: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

/// Counts what an exporter did.
#[derive(Debug)]
struct CountingExporter {
    exporter: SpanExporter,
    counted: Arc<Counted>,
}

impl opentelemetry_sdk::trace::SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outcome = self.exporter.export(batch).await;
        let count = if outcome.is_ok() { &self.counted.sent } else { &self.counted.failed };
        count.fetch_add(spans, Ordering::Relaxed);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl Traces {
    /// Begins to send spans. Needs a running runtime, and waits for nobody.
    ///
    /// # Errors
    /// When no HTTP client can be made, which is what TLS without any certificate authority does.
    pub fn start(settings: &TraceSettings) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // The client takes the process's provider; whoever came first has chosen the same.
        drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let authorization = authorization(&http, &settings.endpoint)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(settings.endpoint.url())
            .with_headers(settings.headers.to_map())
            .with_timeout(PATIENCE)
            .with_http_client(OnRuntime { http, authorization, runtime: Handle::current() })
            .build()?;
        let counted = Arc::new(Counted::default());
        let exporter = CountingExporter { exporter, counted: counted.clone() };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_scheduled_delay(Duration::from_secs(1))
            .build();
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attributes([
                opentelemetry::KeyValue::new("service.version", settings.service_version),
                opentelemetry::KeyValue::new("service.instance.id", settings.instance.clone()),
            ])
            .build();
        let sampler = Sampler::TraceIdRatioBased(settings.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("athena");
        Ok(Self { provider, tracer, counted })
    }

    /// What has become of spans so far.
    pub fn counters(&self) -> TraceCounters {
        let Counted { made, sent, failed } = &*self.counted;
        let [made, sent, failed] = [made, sent, failed].map(|count| count.load(Ordering::Relaxed));
        TraceCounters { made, sent, failed }
    }

    /// Sends what waits, at most for `within`.
    pub async fn stop(&self, within: Duration) {
        let provider = self.provider.clone();
        let stopping = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        if !matches!(tokio::time::timeout(within, stopping).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

impl Observer for Traces {
    fn observe(&self, observation: &Observation) {
        let made = spans::emit(&self.tracer, observation);
        self.counted.made.fetch_add(made, Ordering::Relaxed);
    }
}

/// What a collector is told of the user in its address.
fn authorization(http: &reqwest::Client, endpoint: &OtlpEndpoint) -> reqwest::Result<Option<HeaderValue>> {
    let Some(user) = endpoint.user() else { return Ok(None) };
    let request = http.post(endpoint.url()).basic_auth(&user.name, Some(&user.password)).build()?;
    Ok(request.headers().get(AUTHORIZATION).cloned())
}

/// Lets the exporter's own thread send over the runtime's connections.
#[derive(Debug)]
struct OnRuntime {
    http: reqwest::Client,
    /// Marked as sensitive. A header that is configured goes before it.
    authorization: Option<HeaderValue>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        let http = self.http.clone();
        self.runtime.spawn(async move { http.send_bytes(request).await }).await?
    }
}
