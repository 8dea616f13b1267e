//! What a request carries besides its body, and the trail it leaves for the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use athena_domain::access::{ApiKey, AuthReason, Authority, Judgement, Mode};
use athena_domain::{ClientName, RequestError};
use tokio::time::Instant;

use crate::held::Held;
use crate::ports::{Done, Stages};
use crate::stopwatch::{Lap, Stopwatch};
use crate::use_cases::Target;

/// What a request carries besides its body.
#[derive(Debug, Clone)]
pub struct Context {
    /// When the answer must have begun.
    pub deadline: Instant,
    /// Whether integers beyond 2^53 and exact decimals are to be strings.
    pub big_numbers_as_text: bool,
    /// Whether the client is known to lead to a control database, whatever its schema says.
    pub control: bool,
    /// Whether the caller's key is demanded and names the client, so that the tables of a control database are open to
    /// it.
    pub bound: bool,
    /// Who asks.
    pub caller: Caller,
    /// The database that the request itself names, if it does.
    pub direct: Option<Direct>,
    /// What became of the request so far.
    pub trail: Arc<Trail>,
}

/// A database that a request names itself; it lives as long as the request.
#[derive(Clone)]
pub struct Direct(pub(crate) Target);

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Direct")
    }
}

/// Who asks, after the credential was judged and not refused.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    key: Option<Arc<ApiKey>>,
    mode: Mode,
}

impl Caller {
    /// The caller of a judgement that does not refuse.
    pub fn new(judgement: &Judgement) -> Self {
        let good = judgement.reason == AuthReason::Authenticated;
        Self { key: judgement.key.clone().filter(|_| good), mode: judgement.mode }
    }

    /// The id that the caller's key goes by.
    pub fn public_id(&self) -> Option<&str> {
        self.key.as_ref().map(|key| &*key.public_id)
    }

    /// Whether a key is demanded, was given, and names the client.
    pub fn is_bound_to(&self, client: &ClientName) -> bool {
        self.mode.enforces() && self.key.as_ref().is_some_and(|key| key.names(client.key()))
    }

    /// What bounds the request's plans; nothing where keys are not demanded.
    pub fn authority(&self) -> Option<Authority<'_>> {
        self.key.as_deref().filter(|_| self.mode.enforces()).map(Authority::of)
    }

    /// What would bound the request's plans if keys were demanded, where they are not.
    pub fn would_be_authority(&self) -> Option<Authority<'_>> {
        self.key.as_deref().filter(|_| !self.mode.enforces()).map(Authority::of)
    }
}

/// What a key lacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: AuthReason,
    /// The right that was missing, where it was one.
    pub missing_right: Option<Box<str>>,
}

/// The first time that a request asked a database.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// What kind of database it is ([`crate::ports::Backend::system`]).
    pub system: &'static str,
}

/// What became of a request: written while it runs, and true whenever it is read, for a request can be given up at
/// any moment.
#[derive(Debug, Default)]
pub struct Trail {
    denial: OnceLock<Denial>,
    asked: OnceLock<Asked>,
    planning: Stopwatch,
    /// Statements, the waits for them included.
    executing: Stopwatch,
    waiting: Stopwatch,
    rows: AtomicU64,
    /// Rows of the statement under way that are among `rows`.
    handed_out: AtomicU64,
    affected: AtomicU64,
    /// What the answer holds of the memory for answers that are kept whole.
    held: Mutex<Option<Held>>,
}

/// A statement under way. Dropped, it is over, whatever it has come to.
#[derive(Debug)]
pub(crate) struct Execution<'a> {
    trail: &'a Trail,
    _lap: Lap<'a>,
}

impl Execution<'_> {
    /// Notes what the statement did.
    pub(crate) fn did(&self, done: &Done) {
        let told = self.trail.handed_out.load(Ordering::Relaxed);
        self.trail.rows.fetch_add(done.rows.saturating_sub(told), Ordering::Relaxed);
        self.trail.affected.fetch_add(done.affected, Ordering::Relaxed);
    }
}

impl Drop for Execution<'_> {
    fn drop(&mut self) {
        self.trail.handed_out.store(0, Ordering::Relaxed);
    }
}

impl Trail {
    /// Notes that the caller's key lacks something, whether or not that stops the request.
    pub fn deny(&self, error: &RequestError) {
        if let Some(denied) = &error.denied {
            let missing_right = denied.missing_right.as_deref().map(Box::from);
            // The first one decides.
            drop(self.denial.set(Denial { reason: denied.reason, missing_right }));
        }
    }

    /// Notes that the database found the caller's key to lack something.
    pub(crate) fn deny_for(&self, reason: AuthReason) {
        drop(self.denial.set(Denial { reason, missing_right: None }));
    }

    /// What the caller's key lacked.
    pub fn denial(&self) -> Option<&Denial> {
        self.denial.get()
    }

    /// Begins to plan, which includes reading what is not known of the database.
    pub(crate) fn plans(&self) -> Lap<'_> {
        self.planning.start()
    }

    /// Begins a statement on a database of this kind.
    pub(crate) fn executes(&self, system: &'static str) -> Execution<'_> {
        self.asked.get_or_init(|| Asked { at: Instant::now(), system });
        Execution { trail: self, _lap: self.executing.start() }
    }

    /// Measures waits for a place in the queue and for a connection.
    pub(crate) fn waits(&self) -> &Stopwatch {
        &self.waiting
    }

    /// Notes that rows of the statement under way are on their way to the caller.
    pub(crate) fn hand_out(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.handed_out.fetch_add(rows, Ordering::Relaxed);
    }

    /// Keeps what the answer holds of the memory until it is on its way.
    pub(crate) fn keep(&self, held: Option<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held.filter(Held::counts);
    }

    /// What the answer holds of the memory; to be held for as long as somebody has its bytes.
    pub fn take_held(&self) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When a database was asked first; none when it did not come to that.
    pub fn asked(&self) -> Option<Asked> {
        self.asked.get().copied()
    }

    /// Notes that so many rows of a finished statement are not part of the answer.
    pub(crate) fn take_back(&self, rows: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
    }

    /// Rows of the answer so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows changed so far.
    pub fn affected(&self) -> u64 {
        self.affected.load(Ordering::Relaxed)
    }

    /// Where the time has gone so far, as far as planning and the database are concerned.
    pub fn stages(&self) -> Stages {
        let (pool, executing) = (self.waiting.total(), self.executing.total());
        Stages { plan: self.planning.total(), pool, db: executing.saturating_sub(pool), ..Stages::default() }
    }
}
