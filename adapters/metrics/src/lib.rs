//! Counts and times of requests, and the state of pools, in Prometheus' text form.
//!
//! Labels are few: routes are patterns, clients are those that exist, reasons are names of the code. Nothing a caller
//! makes up becomes a label.

mod process;
mod requests;

use std::sync::Arc;

use athena_application::ClientRegistry;
use athena_application::ports::{MetricsSource, Observation, Observer, Rendered};
use prometheus::{Encoder as _, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use requests::Requests;

/// A number that is asked for when somebody reads: name, help, and the number.
pub type Reading = (&'static str, &'static str, u64);

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
        if let Ok(build) = build {
            build.with_label_values(&[version]).set(1);
            // Names are fixed and differ, so registering cannot fail.
            drop(registry.register(Box::new(build)));
        }
        if let Ok(started) =
            IntGauge::new("athena_process_start_time_seconds", "When the process began, in Unix seconds.")
        {
            started.set(process::now_seconds());
            drop(registry.register(Box::new(started)));
        }
        Self { registry, requests, clients, readings }
    }

    /// The state of pools and bulkheads, read now.
    fn pools(&self) -> Registry {
        type Number = fn(&athena_application::ports::BackendStatus) -> u64;
        const NUMBERS: [(&str, &str, Number); 7] = [
            ("athena_pool_connected", "Whether the database answered when it was asked last.", |s| {
                u64::from(s.connected)
            }),
            ("athena_pool_open", "Open connections.", |s| s.open as u64),
            ("athena_pool_idle", "Connections that wait for work.", |s| s.idle as u64),
            ("athena_pool_max", "Most connections.", |s| s.max as u64),
            ("athena_pool_waiting", "Requests that wait for a connection.", |s| s.waiting as u64),
            ("athena_bulkhead_queued", "Requests that wait before the bulkhead.", |s| s.queued as u64),
            (
                "athena_bulkhead_rejected",
                "Requests that the bulkhead has turned away since the start.",
                |s| s.rejected,
            ),
        ];
        let registry = Registry::new();
        let clients = self.clients.all();
        for (name, help, number) in NUMBERS {
            let Ok(gauge) = IntGaugeVec::new(Opts::new(name, help), &["client"]) else { continue };
            for client in &clients {
                if let athena_application::ClientState::Ready { backend, .. } = &client.state {
                    let value = i64::try_from(number(&backend.status())).unwrap_or(i64::MAX);
                    gauge.with_label_values(&[client.name.key()]).set(value);
                }
            }
            drop(registry.register(Box::new(gauge)));
        }
        for (name, help, value) in (self.readings)().into_iter().chain(process::readings()) {
            if let Ok(gauge) = IntGauge::new(name, help) {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
                drop(registry.register(Box::new(gauge)));
            }
        }
        registry
    }
}

impl Observer for Metrics {
    fn observe(&self, observation: &Arc<Observation>) {
        self.requests.observe(observation);
    }
}

impl MetricsSource for Metrics {
    fn render(&self) -> Rendered {
        let mut families = self.registry.gather();
        families.extend(self.pools().gather());
        let mut text = Vec::new();
        // Writing to memory cannot fail.
        drop(TextEncoder::new().encode(&families, &mut text));
        Rendered {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            text: String::from_utf8(text).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
