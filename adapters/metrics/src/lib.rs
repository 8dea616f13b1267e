//! Counts and times of requests, and the state of pools, in Prometheus' text form.
//!
//! Labels are few: routes are patterns, clients are those that exist, reasons are names of the code. Nothing a caller
//! makes up becomes a label.

mod requests;

use std::collections::HashMap;
use std::sync::Arc;

use athena_application::ports::{BackendStatus, MetricsSource, Observation, Observer, Rendered};
use athena_application::{CircuitStatus, ClientRegistry, ClientState, DIRECT_CLIENT};
use athena_domain::breaker::BreakerState;
use prometheus::core::Collector;
use prometheus::{Encoder as _, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use requests::Requests;

/// A number that is asked for when somebody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Name of the family; that of a count ends in `_total`.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Which number of the family it is; the numbers of a family have the same labels.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The number.
    pub value: u64,
}

/// Gives further numbers when somebody reads.
pub type Readings = Box<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// Hears of requests and gives numbers.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    clients: Arc<ClientRegistry>,
    readings: Readings,
}

impl Metrics {
    /// Numbers of a gateway of this version over `clients`; `readings` are asked whenever somebody reads.
    pub fn new(version: &'static str, clients: Arc<ClientRegistry>, readings: Readings) -> Self {
        let registry = Registry::new();
        let requests = Requests::new(&registry);
        let build = IntGaugeVec::new(
            Opts::new("athena_build_info", "The version that runs; always 1."),
            &["version"],
        );
        made(&registry, build).with_label_values(&[version]).set(1);
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("no two families have one name");
        Self { registry, requests, clients, readings }
    }

    /// The state of pools and bulkheads, and the readings, as they are now.
    fn now(&self) -> Registry {
        type Number = fn(&BackendStatus) -> u64;
        const GAUGES: [(&str, &str, Number); 6] = [
            ("athena_pool_connected", "Whether the database answered when it was asked last.", |s| {
                u64::from(s.connected)
            }),
            ("athena_pool_open", "Open connections.", |s| s.open as u64),
            ("athena_pool_idle", "Connections that wait for work.", |s| s.idle as u64),
            ("athena_pool_max", "Most connections.", |s| s.max as u64),
            ("athena_pool_waiting", "Requests that wait for a connection.", |s| s.waiting as u64),
            ("athena_bulkhead_queued", "Requests that wait before the bulkhead.", |s| s.queued as u64),
        ];
        let registry = Registry::new();
        let all = self.clients.all();
        let states = all.iter().filter_map(|client| match &client.state {
            ClientState::Ready { backend, circuit, .. } => {
                Some((client.name.key(), backend.status(), circuit.status()))
            }
            ClientState::Frozen | ClientState::Inactive | ClientState::Misconfigured { .. } => None,
        });
        let states: Vec<_> = states.collect();
        for (name, help, number) in GAUGES {
            let gauge = made(&registry, IntGaugeVec::new(Opts::new(name, help), &["client"]));
            for (client, status, _) in &states {
                gauge.with_label_values(&[client]).set(signed(number(status)));
            }
        }
        let breakers = Opts::new("athena_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.");
        let breakers = made(&registry, IntGaugeVec::new(breakers, &["client"]));
        for (client, _, circuit) in &states {
            breakers.with_label_values(&[client]).set(match circuit.state {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            });
        }
        type Count = fn(&BackendStatus, &CircuitStatus) -> u64;
        const COUNTS: [(&str, &str, Count); 3] = [
            ("athena_bulkhead_rejected_total", "Requests that the bulkhead has turned away.", |pool, _| {
                pool.rejected
            }),
            ("athena_breaker_openings_total", "Times that the circuit breaker has opened.", |_, circuit| {
                circuit.openings
            }),
            (
                "athena_breaker_refused_total",
                "Requests that the circuit breaker has turned away.",
                |_, circuit| circuit.refused,
            ),
        ];
        for (name, help, number) in COUNTS {
            let counter = made(&registry, IntCounterVec::new(Opts::new(name, help), &["client"]));
            for (client, status, circuit) in &states {
                counter.with_label_values(&[client]).inc_by(number(status, circuit));
            }
        }
        let mut read = HashMap::new();
        for reading in (self.readings)() {
            add(&registry, &mut read, reading);
        }
        registry
    }
}

/// Adds a reading to its family, which is made with its first number.
fn add(registry: &Registry, families: &mut HashMap<&'static str, Family>, reading: Reading) {
    let Reading { name, help, labels, value } = reading;
    let (names, values): (Vec<&str>, Vec<&str>) = labels.into_iter().unzip();
    let family = families.entry(name).or_insert_with(|| match name.ends_with("_total") {
        true => Family::Count(made(registry, IntCounterVec::new(Opts::new(name, help), &names))),
        false => Family::State(made(registry, IntGaugeVec::new(Opts::new(name, help), &names))),
    });
    match family {
        Family::Count(counters) => counters.with_label_values(&values).inc_by(value),
        Family::State(gauges) => gauges.with_label_values(&values).set(signed(value)),
    }
}

/// Readings of one name.
enum Family {
    Count(IntCounterVec),
    State(IntGaugeVec),
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Registers a family. Names and labels are constants that a scrape in the tests goes through: none can fail.
fn made<T: Clone + Collector + 'static>(registry: &Registry, family: prometheus::Result<T>) -> T {
    let family = family.expect("names and labels of families are constants, and right");
    registry.register(Box::new(family.clone())).expect("no two families have one name");
    family
}

impl Observer for Metrics {
    fn begins(&self) {
        self.requests.begins();
    }

    fn observe(&self, observation: &Observation) {
        self.requests.observe(observation);
    }
}

impl MetricsSource for Metrics {
    fn render(&self) -> Rendered {
        // Clients that are gone take their numbers with them; requests for no client, and for a database that they name
        // themselves, stay.
        let clients = self.clients.snapshot();
        self.requests
            .forget(&|client| client.is_empty() || client == DIRECT_CLIENT || clients.contains_key(client));
        let mut families = self.registry.gather();
        families.extend(self.now().gather());
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "some metrics cannot be written");
        }
        Rendered {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            text: String::from_utf8(text).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
