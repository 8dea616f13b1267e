//! Learning of changes that any gateway, or anybody by hand, made in the control database.

mod session;

use std::time::Duration;

use athena_application::ports::Versions;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::session::Session;
use super::ControlDatabase;

/// How changes are learned of.
#[derive(Debug, Clone, Copy)]
pub struct WatchSettings {
    /// Whether to listen for notifications. Without them, or where they do not arrive (behind a pooler that
    /// changes the session with every transaction), the versions are read every `poll`.
    pub listen: bool,
    /// Time between two readings while nothing is heard.
    pub poll: Duration,
    /// Time between two readings while notifications arrive: a net below them, and a test of the connection.
    pub net: Duration,
    /// Shortest time between two readings that notifications cause, so that a burst is one change.
    pub debounce: Duration,
    /// Longest wait for the database before the connection is given up.
    pub patience: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            listen: true,
            poll: Duration::from_millis(500),
            net: Duration::from_secs(5),
            debounce: Duration::from_millis(50),
            patience: Duration::from_secs(2),
        }
    }
}

/// First and longest pause between two attempts to connect. A change has to be in force within a second of
/// the database's return, so the longest stays below that.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Watches a control database over a connection of its own, until it is dropped.
pub struct ControlWatch {
    versions: watch::Receiver<Versions>,
    task: JoinHandle<()>,
}

impl ControlWatch {
    /// Starts to watch. The database need not be there yet.
    pub fn start(database: ControlDatabase, settings: WatchSettings) -> Self {
        let (changes, versions) = watch::channel(Versions::default());
        Self { versions, task: tokio::spawn(run(database, settings, changes)) }
    }

    /// What is known now, and every change of it. The first reading is a change too.
    pub fn versions(&self) -> watch::Receiver<Versions> {
        self.versions.clone()
    }
}

impl Drop for ControlWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(database: ControlDatabase, settings: WatchSettings, changes: watch::Sender<Versions>) {
    let (first_pause, longest_pause) = PAUSES;
    let mut pause = first_pause;
    loop {
        // Every session begins with a reading, so nothing that happened in between is missed.
        let error = match Session::start(&database, settings, &changes).await {
            Ok(session) => {
                pause = first_pause;
                session.follow().await
            }
            Err(error) => {
                let newly = changes.send_if_modified(|known| std::mem::replace(&mut known.reachable, false));
                if newly {
                    tracing::warn!(%error, "the control database does not answer; what is known of it stays in force");
                }
                error
            }
        };
        tracing::debug!(%error, "watching the control database is tried again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest_pause);
    }
}
