//! Requests as spans, as a collector receives them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{Endpoint, EndpointExt as _, Route, Server};
use prost::Message as _;
use reqwest::Method;
use serde_json::json;

use crate::enforcement::Plane;
use crate::harness::CLIENT;
use crate::witness;

const SQL: &str = "CREATE TABLE things (id bigint PRIMARY KEY, note text); \
                   INSERT INTO things VALUES (1, 'value-marker'), (2, 'value-marker');";

/// Where a caller's trace comes from.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the user `us er` with the password `otlp-password-marker:@` sends.
const AUTHORIZATION: &str = "Basic dXMgZXI6b3RscC1wYXNzd29yZC1tYXJrZXI6QA==";

/// Takes spans as a collector does, and keeps them with the authorization that they came with.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>);

impl Collector {
    pub async fn start(&self) -> String {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
        let kept = self.clone();
        witness::listen();
        let take = poem::endpoint::make(move |request: poem::Request| {
            let kept = kept.clone();
            async move {
                assert_eq!(request.header("x-token"), Some("a secret"));
                let authorization = request.header("authorization").unwrap_or_default().to_owned();
                let body = request.into_body().into_bytes().await.unwrap();
                let received = ExportTraceServiceRequest::decode(body).unwrap();
                witness::hear(format!("{received:?}"));
                kept.0.lock().unwrap().push((authorization, received));
            }
        });
        tokio::spawn(Server::new_with_acceptor(acceptor).run(route(take)));
        address.to_string()
    }

    fn received(&self) -> Vec<ExportTraceServiceRequest> {
        self.0.lock().unwrap().iter().map(|(_, received)| received.clone()).collect()
    }

    /// The spans of one request, once they are there: the request's, and what lies in it.
    pub async fn spans_of(&self, request_id: &str) -> (Span, Vec<Span>) {
        for _ in 0..200 {
            let spans: Vec<Span> = self.spans();
            let own = |span: &&Span| {
                attributes(&span.attributes).get("athena.request_id") == Some(&json!(request_id))
            };
            if let Some(span) = spans.iter().find(own) {
                let inside = spans.iter().filter(|inner| inner.parent_span_id == span.span_id);
                return (span.clone(), inside.cloned().collect());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no span of {request_id} arrives");
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.received().into_iter().flat_map(|received| received.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn route<E: Endpoint + 'static>(take: E) -> impl Endpoint {
    Route::new().at("/v1/traces", poem::post(take.map_to_response()))
}

fn attributes(pairs: &[KeyValue]) -> HashMap<&str, serde_json::Value> {
    let value = |pair: &KeyValue| match pair.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(json!(text)),
        Any::IntValue(number) => Some(json!(number)),
        Any::DoubleValue(number) => Some(json!(number)),
        Any::BoolValue(flag) => Some(json!(flag)),
        _ => None,
    };
    pairs.iter().filter_map(|pair| Some((pair.key.as_str(), value(pair)?))).collect()
}

#[tokio::test]
async fn requests_arrive_as_spans() {
    let collector = Collector::default();
    let address = collector.start().await;
    witness::guard("otlp-password-marker");
    let yaml = format!(
        "traces: {{otlp_endpoint: 'http://us%20er:otlp-password-marker%3A%40@{address}', \
         otlp_headers: 'x-token=a%20secret', service_name: gw}}"
    );
    let plane = Plane::configured(SQL, &yaml).await;
    plane.policy("enforce").await;
    let (key, _) = plane.key(json!({"name": "k", "rights": ["*"]})).await;
    let send = async |name: &str, trace: Option<&str>, body: serde_json::Value| {
        let request = plane.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
        let request = request.header("apikey", &key).header("X-Request-Id", name);
        let request = match trace {
            Some(trace) => request.header("traceparent", trace),
            None => request,
        };
        plane.gateway.send(request.json(&body)).await.status
    };
    let things =
        json!({"table_name": "things", "conditions": [{"eq_column": "note", "eq_value": "value-marker"}]});
    assert_eq!(send("with-parent", Some(PARENT), things.clone()).await, 200);
    assert_eq!(send("without", None, things.clone()).await, 200);
    assert_eq!(send("unsampled", Some(&PARENT.replace("-01", "-00")), things).await, 200);
    assert_eq!(send("refused", None, json!({"table_name": "nothing"})).await, 400);

    let (span, inside) = collector.spans_of("with-parent").await;
    assert_eq!((span.name.as_str(), span.kind), ("POST /gateway/fetch", 2));
    assert_eq!(span.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    let told = attributes(&span.attributes);
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/gateway/fetch")),
        ("http.response.status_code", json!(200)),
        ("athena.client", json!(CLIENT)),
        ("athena.api_key", json!(key.split_once('.').unwrap().0.trim_start_matches("ath_"))),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}: {told:?}");
    }
    let [query] = inside.as_slice() else { panic!("{inside:?}") };
    assert_eq!((query.name.as_str(), query.kind), ("fetch things", 3));
    let told = attributes(&query.attributes);
    for (name, value) in [
        ("db.system.name", json!("postgresql")),
        ("db.operation.name", json!("fetch")),
        ("db.collection.name", json!("things")),
        ("db.response.returned_rows", json!(2)),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}: {told:?}");
    }
    let (began, ended) = (query.start_time_unix_nano, query.end_time_unix_nano);
    assert!(span.start_time_unix_nano <= began && began < ended && ended <= span.end_time_unix_nano);

    let (span, inside) = collector.spans_of("without").await;
    assert!(span.parent_span_id.is_empty() && inside.len() == 1);
    let (span, inside) = collector.spans_of("refused").await;
    assert_eq!(attributes(&span.attributes).get("athena.code"), Some(&json!("undefined_table")));
    assert!(inside.is_empty(), "no database was asked");
    assert!(span.status.is_none_or(|status| status.code == 0), "the caller's mistake");

    let kept = collector.0.lock().unwrap().clone();
    assert!(kept.iter().all(|(authorization, _)| authorization == AUTHORIZATION), "{:?}", kept[0].0);

    let received = format!("{:?}", collector.received());
    assert!(!received.contains("unsampled"), "the caller has decided");
    let secret = key.split_once('.').unwrap().1;
    for marker in [secret, "value-marker", "hunter2"] {
        assert!(!received.contains(marker), "{marker}");
    }
    // Sent, and every one counted: the collector has been there all the time.
    let metrics = plane.gateway.metrics().await.text;
    let (made, sent) =
        (count(&metrics, "athena_spans_made_total"), count(&metrics, "athena_spans_sent_total"));
    assert!(sent >= 5 && sent <= made, "{sent} of {made}");
    assert_eq!(count(&metrics, "athena_spans_failed_total"), 0);
    let resource = collector.received()[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(attributes(&resource.attributes).get("service.name"), Some(&json!("gw")));
}

fn count(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    witness::guard("otlp-password-marker");
    let nobody = "traces: {otlp_endpoint: 'http://user:otlp-password-marker@127.0.0.1:1'}";
    let plane = Plane::configured(SQL, nobody).await;
    for _ in 0..100 {
        let metrics = plane.gateway.metrics().await;
        assert_eq!(metrics.status, 200);
        if count(&metrics.text, "athena_spans_failed_total") > 0 {
            assert_eq!(count(&metrics.text, "athena_spans_sent_total"), 0);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no span is counted as lost within 10 s");
}
