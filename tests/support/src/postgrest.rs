//! A PostgREST for tests, over a database of the test's own: no program of it can be had everywhere. It speaks the
//! documented protocol strictly and runs what it is asked as PostgREST would. A request that is not in the grammar
//! fails the test.

mod function;
mod grammar;
mod statement;
mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use wire::{Reply, Request};

/// What a version of PostgREST makes of preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preferences {
    /// As version 13: `handling=strict` and `max-affected` are known.
    Known,
    /// As version 12.0: `handling=strict` refuses `max-affected`.
    Strict,
    /// As version 11: what is not known is skipped.
    Skipped,
}

/// Something that happens to the next request instead of an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer.
    Answer(Reply),
    /// The right answer, of which so many bytes are sent before the connection ends.
    Cut(usize),
    /// The right answer, in pieces of so many bytes with a pause after each.
    Slowly(usize, Duration),
}

/// A running PostgREST; dropped, it stops, and fails the test if it was asked what is not in its grammar.
pub struct Postgrest {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

struct Shared {
    uri: String,
    key: String,
    preferences: Preferences,
    max_rows: Option<u64>,
    /// Whether what Supabase puts before it asks for the key, too.
    gate: AtomicBool,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<Request>>,
    wrong: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Postgrest {
    /// Starts one over the database at `uri`, which lets in who has `key`, below `/rest/v1`.
    pub async fn over(uri: &str, key: &str) -> Self {
        Self::with(uri, key, Preferences::Known, None).await
    }

    /// The same with the ways of a version, and at most `max_rows` rows a read.
    pub async fn with(uri: &str, key: &str, preferences: Preferences, max_rows: Option<u64>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared {
            uri: uri.to_owned(),
            key: key.to_owned(),
            preferences,
            max_rows,
            gate: AtomicBool::new(true),
            faults: Mutex::default(),
            seen: Mutex::default(),
            wrong: Mutex::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(wire::serve(serving.clone(), stream));
            }
        });
        Self { shared, address, accepting }
    }

    /// The same by itself, without what Supabase puts before it: it takes the key in `Authorization` only.
    #[must_use]
    pub fn by_itself(self) -> Self {
        self.shared.gate.store(false, Ordering::Relaxed);
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        locked(&self.shared.seen).clone()
    }

    /// Lets these happen to the next requests, one each.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut waiting = locked(&self.shared.faults);
        waiting.extend(faults);
    }
}

impl Drop for Postgrest {
    fn drop(&mut self) {
        self.accepting.abort();
        let wrong = locked(&self.shared.wrong);
        if !std::thread::panicking() {
            assert!(wrong.is_empty(), "requests that PostgREST would not take: {wrong:#?}");
        }
    }
}
