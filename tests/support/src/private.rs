//! A cluster for one test alone, which the test may stop and start.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use athena_postgres::managed::{ManagedPostgres, ManagedSettings};
use sqlx::{Connection, Executor, PgConnection};

use crate::server::settings;

/// Nobody but this machine can reach the port, and nothing of worth is behind it.
const PASSWORD: &str = "private-cluster";

/// A directory this old that nobody holds belongs to a test that was killed.
const ABANDONED: Duration = Duration::from_secs(600);

/// A PostgreSQL that listens on a TCP port of its own, with a password.
pub struct PrivateCluster {
    settings: ManagedSettings,
    port: u16,
    running: Option<ManagedPostgres>,
}

impl PrivateCluster {
    /// Makes a cluster and starts it on a free port.
    pub async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        sweep(&env::temp_dir());
        let dir = env::temp_dir().join(format!("athena-private-{}-{count}", process::id()));
        let _ = fs::remove_dir_all(&dir);
        let port = free_port();
        let settings = ManagedSettings { tcp_port: Some(port), ..settings(dir) };
        let mut cluster = Self { settings, port, running: None };
        cluster.start_again().await;
        cluster.set_password().await;
        cluster
    }

    async fn set_password(&self) {
        let uri = self.running.as_ref().map(|running| running.uri("postgres")).expect("the cluster runs");
        let attempt = async {
            let mut connection = PgConnection::connect(&uri).await?;
            connection.execute("ALTER ROLE postgres PASSWORD 'private-cluster'").await?;
            connection.close().await
        };
        attempt.await.expect("set the password");
    }

    /// Where to connect, as a superuser with a password, over TCP.
    #[must_use]
    pub fn uri(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The same by way of `host`, with these options in the query.
    #[must_use]
    pub fn uri_by(&self, host: &str, database: &str, query: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@{host}:{}/{database}?{query}", self.port)
    }

    /// Starts it anew with TLS, and without anything else over TCP; both texts are PEM.
    pub async fn demand_tls(&mut self, certificate: &str, key: &str) {
        self.stop().await;
        let data = self.settings.dir.join("data");
        let owner = fs::metadata(&data).expect("the data directory");
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, text).expect("write for the server");
            // The server refuses a key that others can read, and cannot read one of root's.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("hide it");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("hand it over");
        }
        let change = |name: &str, with: &dyn Fn(String) -> String| {
            let path = data.join(name);
            let text = fs::read_to_string(&path).expect("the server's configuration");
            fs::write(&path, with(text)).expect("the server's configuration");
        };
        change("postgresql.conf", &|text| format!("{text}\nssl = on\n"));
        change("pg_hba.conf", &|text| text.replace("\nhost ", "\nhostssl "));
        self.start_again().await;
    }

    /// The port it listens on, the same after every start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it: connections end, and new ones are refused.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Starts it with the data it had, on the port it had.
    pub async fn start_again(&mut self) {
        if self.running.is_none() {
            let start = ManagedPostgres::start(self.settings.clone()).await;
            self.running = Some(start.unwrap_or_else(|error| panic!("no private cluster: {error}")));
        }
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        drop(self.running.take());
        let give_up = Instant::now() + Duration::from_secs(5);
        while self.settings.dir.join("data/postmaster.pid").exists() && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = fs::remove_dir_all(&self.settings.dir);
    }
}

/// A port that is free now. Another program could take it before the server
/// does; the server cannot be told to choose one itself.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// Removes the directories of tests that were killed.
fn sweep(parent: &Path) {
    let abandoned = |dir: &PathBuf| {
        let ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("athena-private-"));
        let old = || {
            let modified = fs::metadata(dir).and_then(|found| found.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
        };
        let free = || File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        ours && old() && free()
    };
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()).filter(abandoned) {
        let _ = fs::remove_dir_all(dir);
    }
}
