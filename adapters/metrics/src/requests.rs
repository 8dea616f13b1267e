//! What is counted and timed of every request.

mod series;

use std::collections::HashMap;

use athena_application::ports::Observation;
use athena_domain::access::Mode;
use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::made;
use series::{Found, Kind, OfOperation, Series};

/// Bounds of latencies, in seconds.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Counters and histograms of requests.
pub struct Requests {
    in_flight: IntGauge,
    total: IntCounterVec,
    seconds: HistogramVec,
    database: HistogramVec,
    bytes: IntCounterVec,
    rows: IntCounterVec,
    broken: IntCounter,
    refused: IntCounterVec,
    would_refuse: IntCounterVec,
    waited: HistogramVec,
    found: Found,
}

impl Requests {
    /// Registers every family.
    pub fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            made(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let times = |name: &str, help: &str, labels: &[&str]| {
            made(
                registry,
                HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels),
            )
        };
        let in_flight =
            IntGauge::new("athena_http_requests_in_flight", "Requests whose answers have not left whole.");
        Self {
            in_flight: made(registry, in_flight),
            total: counters(
                "athena_http_requests_total",
                "Requests answered.",
                &["route", "method", "status", "client"],
            ),
            seconds: times(
                "athena_http_request_seconds",
                "From a request's head to the last byte of its answer.",
                &["route", "client", "status"],
            ),
            database: times(
                "athena_operation_seconds",
                "Planning, waiting and the database, per operation.",
                &["operation", "client"],
            ),
            bytes: counters("athena_http_response_bytes_total", "Bytes of answers.", &["route", "client"]),
            rows: counters(
                "athena_rows_total",
                "Rows of answers and rows changed.",
                &["operation", "client"],
            ),
            broken: made(
                registry,
                IntCounter::new(
                    "athena_http_broken_answers_total",
                    "Answers that broke off after they had begun.",
                ),
            ),
            refused: counters(
                "athena_auth_refusals_total",
                "Requests refused for their API key.",
                &["reason", "client"],
            ),
            would_refuse: counters(
                "athena_auth_would_refuse_total",
                "Requests let through that would have been refused: clients in the mode `warn`.",
                &["reason", "client"],
            ),
            waited: times(
                "athena_pool_wait_seconds",
                "Time that operations waited for a connection.",
                &["client"],
            ),
            found: Found::default(),
        }
    }

    /// Forgets the numbers of clients that are not known any more; whether there were any.
    pub fn forget(&self, is_known: &dyn Fn(&str) -> bool) -> bool {
        self.found.forget(is_known, || {
            let counters = [&self.total, &self.bytes, &self.rows, &self.refused, &self.would_refuse]
                .map(|vec| forget(vec, is_known));
            let times = [&self.seconds, &self.database, &self.waited].map(|vec| forget(vec, is_known));
            counters.into_iter().chain(times).any(|forgot| forgot)
        })
    }

    /// Counts a request that has come.
    pub fn begins(&self) {
        self.in_flight.inc();
    }

    /// Counts and times one request that is over.
    pub fn observe(&self, seen: &Observation) {
        self.in_flight.dec();
        let client = seen.client.as_ref().filter(|_| seen.client_known).map_or("", |client| client.key());
        let kind = Kind {
            route: seen.route,
            method: method(&seen.method),
            status: seen.status,
            operation: seen.operation.as_ref().map(|operation| operation.name),
        };
        let series = self.found.get(client, kind, || self.series(client, kind));
        series.total.inc();
        series.seconds.observe(seen.duration.as_secs_f64());
        series.bytes.inc_by(seen.bytes);
        if seen.broken {
            self.broken.inc();
        }
        if let (Some(operation), Some(series)) = (&seen.operation, &series.operation) {
            series.seconds.observe(operation.duration.as_secs_f64());
            series.rows.inc_by(operation.rows.max(operation.affected));
            series.waited.observe(seen.stages.pool.as_secs_f64());
        }
        if let Some(auth) = &seen.auth {
            let reason = auth.reason.name();
            if auth.reason.refuses(auth.mode) {
                // Elsewise the request had another fault that was told first, or nobody was left to refuse.
                if matches!(seen.status, 401 | 403 | 429 | 503) {
                    self.refused.with_label_values(&[reason, client]).inc();
                }
            } else if auth.mode == Mode::Warn && !auth.reason.is_good() {
                self.would_refuse.with_label_values(&[reason, client]).inc();
            }
        }
    }
}

impl Requests {
    fn series(&self, client: &str, kind: Kind) -> Series {
        let Kind { route, method, status, operation } = kind;
        Series {
            total: self.total.with_label_values(&[route, method, &status.to_string(), client]),
            seconds: self.seconds.with_label_values(&[route, client, class(status)]),
            bytes: self.bytes.with_label_values(&[route, client]),
            operation: operation.map(|name| OfOperation {
                seconds: self.database.with_label_values(&[name, client]),
                rows: self.rows.with_label_values(&[name, client]),
                waited: self.waited.with_label_values(&[client]),
            }),
        }
    }
}

fn forget<B: MetricVecBuilder>(vec: &MetricVec<B>, is_known: &dyn Fn(&str) -> bool) -> bool {
    let mut forgot = false;
    for family in vec.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> =
                metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            if labels.get("client").is_some_and(|client| !is_known(client)) {
                forgot |= vec.remove(&labels).is_ok();
            }
        }
    }
    forgot
}

/// A status among its like: a histogram costs a series per bucket, so it has one per class, not one per code.
fn class(status: u16) -> &'static str {
    match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// The methods that have a name here; whatever else a caller makes up is one.
fn method(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
