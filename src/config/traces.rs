//! Section `traces`: requests as spans, sent to an OpenTelemetry collector.

use athena_traces::{OtlpEndpoint, OtlpHeaders};

use super::reader::Reader;

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// `traces.otlp_endpoint`, `OTEL_EXPORTER_OTLP_ENDPOINT`: no spans are made without it.
    pub endpoint: Option<OtlpEndpoint>,
    /// `traces.otlp_headers`, `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: OtlpHeaders,
    /// `traces.service_name`, `OTEL_SERVICE_NAME`.
    pub service_name: String,
    /// `traces.sample_ratio`, `OTEL_TRACES_SAMPLER_ARG`: share of the requests without a trace of the caller's.
    pub sample_ratio: f64,
}

impl TracesConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let endpoint = reader.text("traces", "otlp_endpoint").map(|text| OtlpEndpoint::parse(&text));
        let headers = reader.text("traces", "otlp_headers").map(|text| OtlpHeaders::parse(&text));
        let mut note = |name: &str, error: String| reader.problem("traces", name, error);
        Self {
            endpoint: endpoint.transpose().unwrap_or_else(|error| {
                note("otlp_endpoint", error.to_string());
                None
            }),
            headers: headers.transpose().map(Option::unwrap_or_default).unwrap_or_else(|error| {
                note("otlp_headers", error.to_string());
                OtlpHeaders::default()
            }),
            service_name: reader.text("traces", "service_name").unwrap_or_else(|| "athena".to_owned()),
            sample_ratio: reader.read(("traces", "sample_ratio"), 1.0, "a number from 0 to 1", |text| {
                text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
            }),
        }
    }
}

// A ratio is never NaN.
impl Eq for TracesConfig {}
