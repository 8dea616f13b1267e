//! What a request carries besides its body, and the trail it leaves for the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use athena_domain::access::{ApiKey, AuthReason, Authority, Judgement, Mode};
use athena_domain::{ClientName, RequestError};
use tokio::time::Instant;

use crate::ports::{Done, Stages};
use crate::use_cases::Target;

/// What a request carries besides its body.
#[derive(Debug, Clone)]
pub struct Context {
    /// When the answer must have begun.
    pub deadline: Instant,
    /// Whether integers beyond 2^53 and exact decimals are to be strings.
    pub big_numbers_as_text: bool,
    /// Whether the tables that decide about callers are shut.
    pub shielded: bool,
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

    /// Whether a key is demanded, was given, and names the client.
    pub fn is_bound_to(&self, client: &ClientName) -> bool {
        let clients = self.key.as_ref().and_then(|key| key.clients.as_ref());
        self.mode.enforces() && clients.is_some_and(|clients| clients.contains(client.key()))
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

/// What became of a request: written while it runs, read when it is over.
#[derive(Debug, Default)]
pub struct Trail {
    denial: OnceLock<Denial>,
    asked: OnceLock<Asked>,
    plan_ns: AtomicU64,
    pool_ns: AtomicU64,
    db_ns: AtomicU64,
    rows: AtomicU64,
    affected: AtomicU64,
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

    pub(crate) fn planned(&self, took: Duration) {
        add(&self.plan_ns, took);
    }

    pub(crate) fn asks(&self, at: Instant, system: &'static str) {
        self.asked.get_or_init(|| Asked { at, system });
    }

    /// When a database was asked first; none when it did not come to that.
    pub fn asked(&self) -> Option<Asked> {
        self.asked.get().copied()
    }

    pub(crate) fn executed(&self, took: Duration, done: Option<&Done>) {
        let waited = done.map_or(Duration::ZERO, |done| done.waited.min(took));
        add(&self.pool_ns, waited);
        add(&self.db_ns, took - waited);
        if let Some(done) = done {
            self.rows.fetch_add(done.rows, Ordering::Relaxed);
            self.affected.fetch_add(done.affected, Ordering::Relaxed);
        }
    }

    /// Rows of the answer so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows changed so far.
    pub fn affected(&self) -> u64 {
        self.affected.load(Ordering::Relaxed)
    }

    /// Where the time went, as far as planning and the database are concerned.
    pub fn stages(&self) -> Stages {
        let read = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        Stages {
            plan: read(&self.plan_ns),
            pool: read(&self.pool_ns),
            db: read(&self.db_ns),
            ..Stages::default()
        }
    }
}

fn add(nanos: &AtomicU64, took: Duration) {
    nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
