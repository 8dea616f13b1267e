//! Keeps one server running until it is told to stop.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::error::ManagedError;
use super::postmaster::{Postmaster, Recipe, STOP_SIGNALS};

/// A server that lasted this long did not die of the way it was started.
const STEADY: Duration = Duration::from_secs(10);

/// Deaths in quick succession before the supervisor gives up.
const DEATHS: u32 = 5;

/// The gateway's hold on the supervising thread.
#[derive(Debug)]
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Shared {
    stopping: AtomicBool,
    /// Zero while no server runs.
    pid: AtomicI32,
}

impl Supervisor {
    /// Starts the server and a thread that watches it; returns once it answers.
    ///
    /// The lock goes to the thread, so that it is held until the server is gone.
    pub(super) fn start(recipe: Recipe, lock: File) -> Result<Self, ManagedError> {
        let shared = Arc::new(Shared { stopping: AtomicBool::new(false), pid: AtomicI32::new(0) });
        let (end, ended) = watch::channel(false);
        let (report, first) = mpsc::channel();
        let dir = recipe.layout.dir.clone();
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("athena-postgres".to_owned())
            .spawn(move || {
                match for_thread.run(&recipe) {
                    Ok(first) => {
                        let _ = report.send(Ok(()));
                        for_thread.keep_running(&recipe, first);
                    }
                    Err(error) => {
                        let _ = report.send(Err(error));
                    }
                }
                drop(lock);
                let _ = end.send(true);
            })
            .map_err(super::error::io("start a thread for", &dir))?;
        // The thread reports before it does anything else that could end it.
        first.recv().unwrap_or_else(|_| {
            Err(ManagedError::Launch { reason: "its supervisor ended".to_owned(), log: String::new() })
        })?;
        Ok(Self { shared, ended })
    }

    /// Stops the server and waits until it is gone, harder as time goes by.
    pub(super) async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let mut ended = self.ended.clone();
        for (signal, patience) in STOP_SIGNALS {
            self.shared.signal(signal);
            if tokio::time::timeout(patience, ended.wait_for(|ended| *ended)).await.is_ok() {
                return;
            }
        }
    }

    /// Waits until the server is gone for good.
    pub(super) async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// The server's process id, unless it is down at the moment.
    pub(super) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.shared.pid.load(Ordering::SeqCst))
    }
}

impl Drop for Supervisor {
    /// Asks the server to stop without waiting; the thread sees it through.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.signal(Signal::INT);
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid.load(Ordering::SeqCst)) {
            let _ = kill_process(pid, signal);
        }
    }

    fn run(&self, recipe: &Recipe) -> Result<Postmaster, ManagedError> {
        let postmaster = recipe.run(&|| self.stopping())?;
        self.pid.store(postmaster.pid.as_raw_nonzero().get(), Ordering::SeqCst);
        if self.stopping() {
            self.signal(Signal::INT);
        }
        Ok(postmaster)
    }

    fn keep_running(&self, recipe: &Recipe, first: Postmaster) {
        let mut current = first;
        let mut deaths = 0;
        loop {
            let since = Instant::now();
            let status = current.wait();
            self.pid.store(0, Ordering::SeqCst);
            if self.stopping() {
                return;
            }
            deaths = if since.elapsed() < STEADY { deaths + 1 } else { 1 };
            let status = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
            if deaths >= DEATHS {
                tracing::error!(%status, deaths, log = %recipe.layout.log.display(), "the managed PostgreSQL keeps dying; it stays down");
                return;
            }
            tracing::warn!(%status, log = %recipe.layout.log.display(), "the managed PostgreSQL died; starting it again");
            match self.run(recipe) {
                Ok(next) => current = next,
                Err(error) => {
                    if !self.stopping() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the managed PostgreSQL cannot be started again"
                        );
                    }
                    return;
                }
            }
        }
    }
}
