//! One request as spans, with the names of OpenTelemetry's semantic conventions for HTTP servers and databases.

use athena_application::ports::{Observation, OperationObservation};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, SpanId, StringValue};
use opentelemetry_sdk::trace::SdkTracer;

/// A span for the request, and one inside it for what was done to the database; none when it is not sampled. Tells how
/// many.
pub fn emit(tracer: &SdkTracer, observation: &Observation) -> u64 {
    let span = tracer
        .span_builder(format!("{} {}", observation.method, observation.route))
        .with_kind(SpanKind::Server)
        .with_start_time(observation.began);
    let mut span = span.start_with_context(tracer, &parent(observation));
    if !span.is_recording() {
        return 0;
    }
    span.set_attributes(request(observation));
    // What a caller did wrong is no fault of this service.
    if observation.status >= 500 {
        span.set_attribute(KeyValue::new("error.type", observation.code.unwrap_or("error")));
        span.set_status(Status::error(""));
    }
    let end = observation.began + observation.duration;
    if let Some(operation) = &observation.operation {
        let inside = Context::new().with_remote_span_context(span.span_context().clone());
        let began = observation.began + operation.offset;
        let spent = observation.stages.pool + observation.stages.db;
        let mut child = tracer
            .span_builder(match &operation.table {
                Some(table) => format!("{} {table}", operation.name),
                None => operation.name.to_owned(),
            })
            .with_kind(SpanKind::Client)
            .with_start_time(began)
            .start_with_context(tracer, &inside);
        child.set_attributes(database(observation, operation));
        child.end_with_timestamp((began + spent).min(end));
    }
    span.end_with_timestamp(end);
    1 + u64::from(observation.operation.is_some())
}

/// The caller's span, if it told one.
fn parent(observation: &Observation) -> Context {
    let Some(trace) = &observation.trace else { return Context::new() };
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace_id, span_id) = (TraceId::from_bytes(trace.trace_id), SpanId::from_bytes(trace.span_id));
    Context::new().with_remote_span_context(SpanContext::new(
        trace_id,
        span_id,
        flags,
        true,
        TraceState::default(),
    ))
}

fn text(text: &str) -> StringValue {
    text.to_owned().into()
}

fn millis(name: &'static str, duration: std::time::Duration) -> KeyValue {
    KeyValue::new(name, duration.as_secs_f64() * 1000.0)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn request(observation: &Observation) -> Vec<KeyValue> {
    let caller = &observation.caller;
    let stages = observation.stages;
    let key = observation.auth.as_ref().filter(|auth| auth.authenticated).and_then(|auth| auth.key.as_ref());
    let mut told = vec![
        KeyValue::new("http.request.method", text(&observation.method)),
        KeyValue::new("http.route", observation.route),
        KeyValue::new("url.path", text(&observation.path)),
        KeyValue::new("http.response.status_code", i64::from(observation.status)),
        KeyValue::new("http.response.body.size", count(observation.bytes)),
        KeyValue::new("athena.request_id", text(&observation.request_id)),
        millis("athena.decode_ms", stages.decode),
        millis("athena.auth_ms", stages.auth),
        millis("athena.plan_ms", stages.plan),
        millis("athena.shape_ms", stages.shape),
    ];
    let optional = [
        ("athena.client", observation.client.as_ref().map(|client| text(client.as_str()))),
        ("athena.api_key", key.map(|key| text(&key.public_id))),
        ("athena.code", observation.code.map(StringValue::from)),
        ("client.address", caller.ip.map(|ip| ip.to_string().into())),
        ("server.address", caller.host.as_deref().map(text)),
        ("user_agent.original", caller.user_agent.as_deref().map(text)),
    ];
    told.extend(optional.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
    if observation.broken {
        told.push(KeyValue::new("athena.broken", true));
    }
    told
}

fn database(observation: &Observation, operation: &OperationObservation) -> Vec<KeyValue> {
    let mut told = vec![
        KeyValue::new("db.operation.name", operation.name),
        KeyValue::new("db.response.returned_rows", count(operation.rows)),
        KeyValue::new("athena.affected_rows", count(operation.affected)),
        millis("athena.pool_ms", observation.stages.pool),
        millis("athena.db_ms", observation.stages.db),
    ];
    let optional = [
        ("db.system.name", operation.system.map(StringValue::from)),
        ("db.namespace", observation.client.as_ref().map(|client| text(client.as_str()))),
        ("db.collection.name", operation.table.as_deref().map(text)),
    ];
    told.extend(optional.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
    told
}
