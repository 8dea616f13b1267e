//! Apache Cassandra for one test alone, of one node or several, which the test may kill and start again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cql::{TestKeyspace, left_out};

/// The user that a server with authentication has from the start, and its password.
const FIRST_USER: (&str, &str) = ("cassandra", "cassandra");

/// Java's memory for each node; what a test keeps is little.
const HEAP: &str = "256M";

/// Nodes that run at once in this process: three are more than a gigabyte, and many would make each other slow.
const NODES: usize = 4;

static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(NODES)));

/// A cluster of its own. Its nodes have one port and an address each, from 127.0.0.1 on.
pub struct PrivateCassandra {
    dir: PathBuf,
    nodes: usize,
    port: u16,
    auth: bool,
    /// Tells who comes later that the directory is in use.
    _lock: File,
    _room: OwnedSemaphorePermit,
}

impl PrivateCassandra {
    /// Starts so many nodes, with authentication or without; none where they cannot be started, which the test then
    /// says. At most four nodes run in a process: who comes later waits until a cluster is dropped.
    ///
    /// # Panics
    /// When a node does not start though the first one did, or when there is never room for so many.
    pub async fn start(nodes: usize, auth: bool) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(nodes <= NODES, "{nodes} nodes are too many");
        if std::env::var_os("ATHENA_TEST_CQL").is_some_and(|given| given.is_empty()) {
            left_out("whoever runs the tests has looked for a CQL server, and none can be started");
            return None;
        }
        let wanted = u32::try_from(nodes).expect("few nodes");
        let room = ROOM.clone().acquire_many_owned(wanted).await.expect("room that is never closed");
        let parent = target().join("cassandra-private");
        let dir = parent.join(format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&dir).expect("a directory for the cluster");
        sweep(&parent);
        let lock = File::create(dir.join("lock")).and_then(|lock| lock.lock().map(|()| lock));
        let lock = lock.expect("the lock of the cluster's directory");
        let mut cluster = Self { dir, nodes, port: 0, auth, _lock: lock, _room: room };
        let Some(contact) = cluster.launch(0).await else {
            left_out("no Cassandra can be started; scripts/cassandra.sh says why");
            return None;
        };
        cluster.port = contact.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        // They need the first one alone.
        let mut others = Vec::new();
        for node in 1..nodes {
            others.push(cluster.launch(node));
        }
        for other in others {
            other.await.expect("another node of the cluster");
        }
        Some(cluster)
    }

    /// Starts a node and waits until it answers.
    fn launch(&self, node: usize) -> impl Future<Output = Option<String>> + use<> {
        let mut start = script();
        start.arg("start").arg(self.node(node));
        if self.port > 0 {
            start.arg(self.port.to_string());
        }
        if self.auth {
            start.arg("--auth");
        }
        start.env("CASSANDRA_HOME", target().join("cassandra")).env("CASSANDRA_HEAP", HEAP);
        start.env("CASSANDRA_ADDRESS", address(node)).env("CASSANDRA_SEED", address(0));
        let started = tokio::task::spawn_blocking(move || start.output());
        async {
            let output = started.await.expect("a thread").ok()?;
            let contact = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            (output.status.success() && !contact.is_empty()).then_some(contact)
        }
    }

    /// Kills a node as `kill -9` does.
    pub async fn kill(&self, node: usize) {
        let pid = self.signal("KILL", node).await;
        // Not there any more, or waited for by nobody.
        let gone = |stat: String| stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'));
        while !fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, gone) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Makes a node fall silent: its connections stay, and nothing is answered.
    pub async fn silence(&self, node: usize) {
        self.signal("STOP", node).await;
    }

    /// Lets a silent node go on.
    pub async fn wake(&self, node: usize) {
        self.signal("CONT", node).await;
    }

    /// Starts a node that was killed, with the data it had; returns once it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start_again(&self, node: usize) {
        self.launch(node).await.expect("the node is back");
    }

    /// A keyspace with a replica on every node, in which `cql` has run; see [`TestKeyspace::with`].
    pub async fn keyspace(&self, cql: &str) -> TestKeyspace {
        TestKeyspace::on(self.contact(), self.nodes, self.auth.then_some(FIRST_USER), cql).await
    }

    /// `host:port` of every node, with commas.
    #[must_use]
    pub fn contact(&self) -> String {
        let contact = |node| format!("{}:{}", address(node), self.port);
        (0..self.nodes).map(contact).collect::<Vec<_>>().join(",")
    }

    /// Where a node lives.
    fn node(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node{node}"))
    }

    async fn signal(&self, signal: &'static str, node: usize) -> String {
        let pid = fs::read_to_string(self.node(node).join("node/pid")).expect("the process of the node");
        let pid = pid.trim().to_owned();
        let sent = tokio::process::Command::new("kill").args(["-s", signal, &pid]).status().await;
        assert!(sent.expect("kill").success(), "no {signal} for process {pid}");
        pid
    }
}

impl Drop for PrivateCassandra {
    fn drop(&mut self) {
        wipe(&self.dir);
    }
}

fn address(node: usize) -> String {
    format!("127.0.0.{}", node + 1)
}

fn script() -> Command {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/cassandra.sh"));
    script.stdin(Stdio::null()).stderr(Stdio::inherit());
    script
}

/// Where the build is, as `scripts/ensure-cql.sh` sees it.
fn target() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    checkout.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Ends the nodes of a cluster and removes what they wrote.
fn wipe(dir: &Path) {
    let nodes = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for node in nodes.filter(|path| path.is_dir()) {
        let _ = script().arg("wipe").arg(node).stdout(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(dir);
}

/// Ends the clusters of tests that were killed.
fn sweep(parent: &Path) {
    let abandoned = |dir: &PathBuf| File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    for dir in entries.filter(abandoned) {
        wipe(&dir);
    }
}
