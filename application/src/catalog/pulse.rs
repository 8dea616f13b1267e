//! Asks every database whether it answers: all at start, lost ones with growing pauses for ever, others rarely, and
//! whenever a circuit breaker wants to know.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Catalog;
use crate::ports::Backend;
use crate::registry::{ClientRegistry, ClientState};

/// Databases asked at once.
const AT_ONCE: usize = 16;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after an answer.
const CALM: Duration = Duration::from_secs(60);

/// First and longest pause after none.
const WORRIED: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How often new clients are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// When a database is asked next.
struct Appointment {
    backend: Weak<dyn Backend>,
    due: Instant,
    pause: Duration,
    /// Whether an answer is waited for.
    asking: bool,
}

impl Catalog {
    /// Asks for ever.
    pub async fn watch_over(self: Arc<Self>) {
        let registry = self.registry.clone();
        drop(self);
        let mut appointments: HashMap<Box<str>, Appointment> = HashMap::new();
        let mut asking = FuturesUnordered::new();
        loop {
            refresh(&mut appointments, &registry);
            let now = Instant::now();
            let mut due: Vec<(Instant, Box<str>)> = appointments
                .iter()
                .filter(|(_, appointment)| appointment.due <= now)
                .map(|(key, appointment)| (appointment.due, key.clone()))
                .collect();
            // Who has waited longest comes first: many silent databases must not hide the others.
            due.sort_unstable();
            due.truncate(AT_ONCE.saturating_sub(asking.len()));
            for (_, key) in due {
                let Some(appointment) = appointments.get_mut(&key) else { continue };
                let Some(backend) = appointment.backend.upgrade() else { continue };
                // Not asked again before the answer, or the lack of one, is in.
                appointment.due = now + 2 * PATIENCE;
                appointment.asking = true;
                asking.push(async move {
                    let answered = backend.ping(Instant::now() + PATIENCE).await.is_ok();
                    (key, Arc::downgrade(&backend), answered)
                });
            }
            tokio::select! {
                Some((key, asked, answered)) = asking.next(), if !asking.is_empty() => {
                    if let Some(appointment) = appointments.get_mut(&key).filter(|a| a.backend.ptr_eq(&asked)) {
                        appointment.asking = false;
                        appointment.pause = match answered {
                            true => CALM,
                            false if appointment.pause == CALM => WORRIED.0,
                            false => (2 * appointment.pause).min(WORRIED.1),
                        };
                        appointment.due = Instant::now() + appointment.pause;
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Makes appointments with databases that are new, and drops those that are gone; one that a caller has found
/// silent is asked soon.
fn refresh(appointments: &mut HashMap<Box<str>, Appointment>, registry: &ClientRegistry) {
    let clients = registry.snapshot();
    appointments.retain(|key, _| clients.contains_key(key));
    for (key, client) in clients.iter() {
        let ClientState::Ready { backend, circuit, .. } = &client.state else {
            appointments.remove(key);
            continue;
        };
        let now = Instant::now();
        match appointments.get_mut(key) {
            Some(known) if std::ptr::addr_eq(known.backend.as_ptr(), Arc::as_ptr(backend)) => {
                if known.pause == CALM && !backend.status().connected {
                    known.pause = WORRIED.0;
                    known.due = now;
                }
                if let Some(check_at) = circuit.check_at().filter(|_| !known.asking) {
                    known.due = known.due.min(check_at);
                }
            }
            _ => {
                let backend = Arc::downgrade(backend);
                let appointment = Appointment { backend, due: now, pause: WORRIED.0, asking: false };
                appointments.insert(key.clone(), appointment);
            }
        }
    }
}
