//! Asks every database whether it answers: all soon after the start, lost ones with growing pauses for ever, others rarely, and
//! whenever a circuit breaker wants to know.

mod diary;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::diary::Diary;
use super::Catalog;
use crate::circuit::Bell;
use crate::ports::Backend;
use crate::registry::{ClientRegistry, ClientState};

/// Databases asked at once that have not been silent for [`PROMPT`] yet.
const AT_ONCE: usize = 16;

/// How long an answer may take without another database being asked beside: silent ones must not hold up the others.
const PROMPT: Duration = Duration::from_millis(250);

/// Databases whose answer is waited for, in any case.
const MOST: usize = 1024;

/// New databases that are asked at once; of many more, one each [`SPREAD`], so that whoever has just started has its
/// hands free for requests, and a server that holds them all is not knocked at by a crowd.
const NEW_AT_ONCE: u32 = 32;

/// Between two further ones.
const SPREAD: Duration = Duration::from_millis(4);

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after an answer.
const CALM: Duration = Duration::from_secs(60);

/// First and longest pause after none.
const WORRIED: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How often every client is looked at. Changes of the registry and what circuit breakers want are told at once.
const LOOK: Duration = Duration::from_secs(1);

/// The databases that are asked at this moment and may still answer promptly.
#[derive(Default)]
struct Prompt {
    asked: AtomicUsize,
    freed: Notify,
}

/// One of them.
struct Place<'a>(&'a Prompt);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

impl Prompt {
    fn is_full(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= AT_ONCE
    }

    fn enter(&self) -> Place<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Place(self)
    }
}

impl Catalog {
    /// Asks for ever.
    pub async fn watch_over(self: Arc<Self>) {
        let registry = self.registry.clone();
        drop(self);
        let (mut diary, bell, prompt) = (Diary::default(), Arc::new(Bell::default()), Prompt::default());
        let mut asking = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            while !prompt.is_full()
                && asking.len() < MOST
                && let Some(key) = diary.next(now)
            {
                let backend = diary.find(&key).and_then(|appointment| {
                    appointment.asking = true;
                    appointment.backend.upgrade()
                });
                // Not asked again before the answer, or the lack of one, is in.
                diary.put(&key, now + 2 * PATIENCE, false);
                let Some(backend) = backend else { continue };
                asking.push(ask(key, backend, prompt.enter()));
            }
            let may_ask = !prompt.is_full() && asking.len() < MOST;
            let due = diary.first().filter(|_| may_ask).unwrap_or(now + LOOK);
            tokio::select! {
                Some((key, asked, answered)) = asking.next(), if !asking.is_empty() => {
                    let Some(appointment) = diary.find(&key).filter(|known| known.backend.ptr_eq(&asked)) else {
                        continue;
                    };
                    appointment.asking = false;
                    appointment.pause = match answered {
                        true => CALM,
                        false if appointment.pause == CALM => WORRIED.0,
                        false => (2 * appointment.pause).min(WORRIED.1),
                    };
                    let due = Instant::now() + appointment.pause;
                    diary.put(&key, due, false);
                    wanted(&mut diary, &registry, &key);
                }
                () = bell.rung() => {
                    for key in bell.take() {
                        wanted(&mut diary, &registry, &key);
                    }
                }
                () = registry.changed() => refresh(&mut diary, &registry, &bell),
                _ = look.tick() => refresh(&mut diary, &registry, &bell),
                () = prompt.freed.notified() => {}
                () = tokio::time::sleep_until(due), if may_ask => {}
            }
        }
    }
}

/// Asks one database; it gives its place up once it has been silent for a while.
async fn ask(
    key: Box<str>,
    backend: Arc<dyn Backend>,
    place: Place<'_>,
) -> (Box<str>, std::sync::Weak<dyn Backend>, bool) {
    let mut ping = backend.ping(Instant::now() + PATIENCE);
    let outcome = match tokio::time::timeout(PROMPT, &mut ping).await {
        Ok(outcome) => outcome,
        Err(_) => {
            drop(place);
            ping.await
        }
    };
    (key, Arc::downgrade(&backend), outcome.is_ok())
}

/// Has a database asked as soon as its circuit breaker wants to know, and one that a caller has found silent soon.
fn wanted(diary: &mut Diary, registry: &ClientRegistry, key: &str) {
    let clients = registry.snapshot();
    let Some(ClientState::Ready { backend, circuit, .. }) = clients.get(key).map(|client| &client.state)
    else {
        return;
    };
    let Some(known) = diary.find(key).filter(|known| !known.asking) else { return };
    if known.pause == CALM && !backend.status().connected {
        known.pause = WORRIED.0;
        diary.put(key, Instant::now(), true);
    }
    if let Some(check_at) = circuit.check_at() {
        diary.hasten(key, check_at, Instant::now());
    }
}

/// Makes appointments with databases that are new, and drops those that are gone.
fn refresh(diary: &mut Diary, registry: &ClientRegistry, bell: &Arc<Bell>) {
    let clients = registry.snapshot();
    diary
        .keep(|key| clients.get(key).is_some_and(|client| matches!(client.state, ClientState::Ready { .. })));
    let (now, mut new) = (Instant::now(), 0_u32);
    for (key, client) in clients.iter() {
        let ClientState::Ready { backend, circuit, .. } = &client.state else { continue };
        let is_known = diary
            .find(key)
            .is_some_and(|known| std::ptr::addr_eq(known.backend.as_ptr(), Arc::as_ptr(backend)));
        if !is_known {
            diary.begin(key, backend, WORRIED.0, now + SPREAD * new.saturating_sub(NEW_AT_ONCE));
            new = new.saturating_add(1);
            circuit.ring(bell, key);
        }
        wanted(diary, registry, key);
    }
}
