//! One client's circuit breaker with a clock: shared by whoever asks the database, checks it or tells of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use athena_domain::breaker::{Breaker, BreakerSettings, BreakerState, Health, Permit};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ports::{Obstacle, PortError, PortErrorKind};

/// Name of the port in errors.
const PORT: &str = "circuit breaker";

/// One client's circuit breaker.
pub struct Circuit {
    /// The client's name, for the log.
    client: String,
    /// What moments are counted from.
    began: Instant,
    /// Never held while anything is waited for.
    breaker: Mutex<Breaker>,
    /// While nothing is wrong twice the epoch plus one, so that a request costs one load; zero otherwise.
    calm: AtomicU64,
    refused: AtomicU64,
    /// What kept the last request from the database, by its code; zero when nothing did.
    obstacle: AtomicU8,
    /// Rung when something about it may want a check, and by which name.
    bell: OnceLock<(Arc<Bell>, Box<str>)>,
}

/// Tells whoever checks databases which of them to look at.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    names: Mutex<BTreeSet<Box<str>>>,
    rung: Notify,
}

impl Bell {
    fn ring(&self, name: &str) {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into()) {
            self.rung.notify_one();
        }
    }

    /// Resolves once it has been rung.
    pub(crate) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// The names it was rung for.
    pub(crate) fn take(&self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a circuit breaker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitStatus {
    /// Whether requests get through.
    pub state: BreakerState,
    /// Until the next check, or until requests may try.
    pub retry_after: Duration,
    /// How often it has opened.
    pub openings: u64,
    /// Requests it has turned away.
    pub refused: u64,
}

/// A request under way. Dropped without having been settled, it gives its place back.
pub(crate) struct Ticket<'a> {
    circuit: &'a Circuit,
    permit: Option<Permit>,
}

impl Circuit {
    /// A closed breaker for a client.
    pub fn new(client: impl Into<String>, settings: BreakerSettings) -> Self {
        let breaker = Breaker::new(settings);
        let calm = AtomicU64::new(calm_word(&breaker));
        let (began, refused) = (Instant::now(), AtomicU64::new(0));
        let breaker = Mutex::new(breaker);
        let obstacle = AtomicU8::new(0);
        Self { client: client.into(), began, breaker, calm, refused, obstacle, bell: OnceLock::new() }
    }

    /// Rings this bell from now on, by this name, whenever the database may have to be checked.
    pub(crate) fn ring(&self, bell: &Arc<Bell>, name: &str) {
        drop(self.bell.set((bell.clone(), name.into())));
    }

    /// Lets a request through.
    ///
    /// # Errors
    /// `CircuitOpen`, at once.
    pub(crate) fn admit(&self) -> Result<Ticket<'_>, PortError> {
        let permit = match self.calm.load(Ordering::Acquire) {
            0 => self.change(Breaker::admit).map_err(|retry_after| {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let open = PortError::new(PORT, PortErrorKind::CircuitOpen { retry_after });
                open.meeting(self.obstacle())
            })?,
            word => Permit::calm(word >> 1),
        };
        Ok(Ticket { circuit: self, permit: Some(permit) })
    }

    /// What kept the last request or check from the database; nothing when it was reached.
    pub fn obstacle(&self) -> Option<Obstacle> {
        Obstacle::of_code(self.obstacle.load(Ordering::Relaxed))
    }

    /// Takes note of what an exchange with the database met.
    pub(crate) fn met<T>(&self, outcome: &Result<T, PortError>) {
        let code = match outcome {
            Ok(_) => 0,
            Err(error) => match (&error.kind, error.obstacle) {
                (_, Some(obstacle)) => obstacle.code(),
                (PortErrorKind::Rejected(_) | PortErrorKind::Conflict, None) => 0,
                // It says nothing of the way there.
                (_, None) => return,
            },
        };
        // The usual request changes nothing, and shares the line with all others.
        if self.obstacle.load(Ordering::Relaxed) != code {
            self.obstacle.store(code, Ordering::Relaxed);
        }
    }

    /// Takes note of how a check of the database ended.
    pub(crate) fn checked(&self, health: Health) {
        self.change(|breaker, now| breaker.checked(health, now));
    }

    /// When the database is to be checked next; never while nothing is wrong.
    pub(crate) fn check_at(&self) -> Option<Instant> {
        if self.calm.load(Ordering::Acquire) != 0 {
            return None;
        }
        self.look(|breaker, _| breaker.check_at()).map(|at| self.began + at)
    }

    /// For how long everybody is turned away; none when requests may get through.
    pub fn is_offline(&self) -> Option<Duration> {
        self.look(|breaker, now| breaker.is_offline(now).map(|until| until - now))
    }

    /// For how long somebody has everybody turned away yet; none when nobody has.
    pub(crate) fn is_forced(&self) -> Option<Duration> {
        self.look(|breaker, now| breaker.is_forced(now).map(|until| until - now))
    }

    /// Turns everybody away for so long, whatever the database says.
    pub fn force_offline(&self, how_long: Duration) {
        self.change(|breaker, now| breaker.force_offline(how_long, now));
    }

    /// Forgets every failure: requests go through at once.
    pub fn reset_health(&self) {
        self.change(|breaker, _| breaker.reset_health());
    }

    /// How it is doing.
    pub fn status(&self) -> CircuitStatus {
        self.look(|breaker, now| CircuitStatus {
            state: breaker.state(now),
            retry_after: breaker.retry_after(now),
            openings: breaker.openings(),
            refused: self.refused.load(Ordering::Relaxed),
        })
    }

    fn look<T>(&self, look: impl FnOnce(&Breaker, Duration) -> T) -> T {
        look(&self.breaker.lock().unwrap_or_else(PoisonError::into_inner), self.began.elapsed())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no moment is older than what the breaker knows.
        let now = self.began.elapsed();
        let before = breaker.state(now);
        let (was_calm, check_was) = (breaker.calm_permit().is_some(), breaker.check_at());
        let outcome = change(&mut breaker, now);
        self.calm.store(calm_word(&breaker), Ordering::Release);
        let (after, retry_after) = (breaker.state(now), breaker.retry_after(now));
        let is_wanted = breaker.check_at().is_some() && breaker.check_at() != check_was;
        let is_new = was_calm && breaker.calm_permit().is_none();
        drop(breaker);
        if (is_wanted || is_new)
            && let Some((bell, name)) = self.bell.get()
        {
            bell.ring(name);
        }
        match (before, after) {
            (BreakerState::Closed | BreakerState::HalfOpen, BreakerState::Open) => tracing::warn!(
                client = %self.client, ?retry_after,
                "the client's database is taken to be away; its requests are refused"
            ),
            (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Closed) => {
                tracing::info!(client = %self.client, "the client's database is asked again");
            }
            _ => {}
        }
        outcome
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self::new("", BreakerSettings::default())
    }
}

impl Ticket<'_> {
    /// Says what the request has shown.
    pub(crate) fn settle(mut self, health: Health) {
        let Some(permit) = self.permit.take() else { return };
        // The usual end of the usual request: there is nothing to learn.
        let word = calm_of(permit);
        if health == Health::Well && self.circuit.calm.load(Ordering::Acquire) == word {
            return;
        }
        self.circuit.change(|breaker, now| breaker.settle(permit, health, now));
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take().filter(|permit| permit.is_probe()) {
            self.circuit.change(|breaker, now| breaker.settle(permit, Health::Unknown, now));
        }
    }
}

fn calm_word(breaker: &Breaker) -> u64 {
    breaker.calm_permit().map_or(0, calm_of)
}

fn calm_of(permit: Permit) -> u64 {
    permit.epoch() << 1 | 1
}
