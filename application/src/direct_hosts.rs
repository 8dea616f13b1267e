//! Databases that requests name, each host behind one circuit breaker and one bulkhead whoever asks: a host that is away
//! or slow takes time and room from nobody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_domain::breaker::BreakerSettings;
use tokio::time::Instant;

use crate::bulkhead::{Bulkhead, BulkheadSettings, Places};
use crate::circuit::Circuit;
use crate::guarded::{Guarded, GuardedSchema};
use crate::ports::{Backend, DirectTarget, DirectTargets};

/// Hosts that are remembered at once. Those beyond share one bulkhead and have no breaker.
pub const MOST_HOSTS: usize = 256;

/// A host that nobody has asked for so long is forgotten, also one that is taken to be away: as many made-up names as
/// are remembered would otherwise keep every other host out for good.
const IDLE: Duration = Duration::from_secs(600);

/// How often those are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Longest wait for the answer to a check.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is remembered of one host.
#[derive(Clone)]
struct Host {
    circuit: Arc<Circuit>,
    places: Arc<Places>,
    /// Whether somebody is looking whether it is back.
    checking: Arc<AtomicBool>,
    used: Instant,
}

struct Hosts {
    by_place: HashMap<Box<str>, Host>,
    swept: Instant,
}

/// Opens databases that requests name, each behind what its host has.
pub struct DirectHosts {
    inner: Arc<dyn DirectTargets>,
    breaker: BreakerSettings,
    bulkhead: BulkheadSettings,
    /// Never held while anything is waited for.
    hosts: Mutex<Hosts>,
    others: Arc<Places>,
}

impl DirectHosts {
    /// Puts what `inner` opens behind breakers and bulkheads of these settings.
    pub fn new(inner: Arc<dyn DirectTargets>, breaker: BreakerSettings, bulkhead: BulkheadSettings) -> Self {
        let hosts = Mutex::new(Hosts { by_place: HashMap::new(), swept: Instant::now() });
        Self { inner, breaker, bulkhead, hosts, others: Arc::new(Places::new(bulkhead)) }
    }

    /// Hosts that are remembered.
    pub fn remembered(&self) -> usize {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).by_place.len()
    }

    /// What the host at `place` has; nothing when there are too many.
    fn host(&self, place: &str) -> Option<Host> {
        let now = Instant::now();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(hosts.swept) >= SWEEP {
            hosts.swept = now;
            hosts.by_place.retain(|_, host| host.is_asked() || now.duration_since(host.used) < IDLE);
        }
        if let Some(host) = hosts.by_place.get_mut(place) {
            host.used = now;
            return Some(host.clone());
        }
        if hosts.by_place.len() >= MOST_HOSTS {
            let idle = hosts.by_place.iter().filter(|(_, host)| !host.is_asked());
            let oldest = idle.min_by_key(|(_, host)| host.used).map(|(place, _)| place.clone())?;
            hosts.by_place.remove(&oldest);
        }
        let host = Host {
            circuit: Arc::new(Circuit::new(format!("custom_supabase, {place}"), self.breaker)),
            places: Arc::new(Places::new(self.bulkhead)),
            checking: Arc::default(),
            used: now,
        };
        hosts.by_place.insert(place.into(), host.clone());
        Some(host)
    }
}

impl Host {
    /// Whether somebody uses it right now.
    fn is_asked(&self) -> bool {
        Arc::strong_count(&self.places) > 1
    }

    /// Looks, besides the request, whether the host is back, or still there, if it is time to.
    fn check(&self, backend: Arc<dyn Backend>) {
        let due = self.circuit.check_at().is_some_and(|at| at <= Instant::now());
        if !due || self.checking.swap(true, Ordering::AcqRel) {
            return;
        }
        let checking = self.checking.clone();
        tokio::spawn(async move {
            // What it finds, the breaker is told.
            drop(backend.ping(Instant::now() + PATIENCE).await);
            checking.store(false, Ordering::Release);
        });
    }
}

impl DirectTargets for DirectHosts {
    fn open(&self, url: &str, key: &str) -> Result<DirectTarget, String> {
        let DirectTarget { backend, schema, place } = self.inner.open(url, key)?;
        let Some(host) = self.host(&place) else {
            let backend = Arc::new(Bulkhead::sharing(backend, self.others.clone()));
            return Ok(DirectTarget { backend, schema, place });
        };
        let bulkhead = Arc::new(Bulkhead::sharing(backend, host.places.clone()));
        let backend: Arc<dyn Backend> = Arc::new(Guarded::new(bulkhead, host.circuit.clone()));
        host.check(backend.clone());
        let schema = Arc::new(GuardedSchema::new(schema, host.circuit.clone()));
        Ok(DirectTarget { backend, schema, place })
    }

    fn circuits(&self) -> Vec<(Box<str>, Arc<Circuit>)> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut circuits: Vec<_> =
            hosts.by_place.iter().map(|(place, host)| (place.clone(), host.circuit.clone())).collect();
        drop(hosts);
        circuits.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        circuits
    }
}
