//! A keyspace for one test, on the CQL server of this run.

use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::OnceCell;

use crate::forgetful::Forgetful;
use crate::proxy::TcpProxy;

/// How long a statement may take: on a loaded machine a table takes its time.
const PATIENCE: Duration = Duration::from_secs(180);

/// An empty or prepared keyspace. It is not dropped: that would take longer than to make it, and
/// `scripts/ensure-cql.sh wipe` removes all of them.
pub struct TestKeyspace {
    contact: String,
    credentials: Option<(&'static str, &'static str)>,
    name: String,
    session: Session,
}

impl TestKeyspace {
    /// Makes a keyspace in which `cql` has run: statements that end with a semicolon at the end of a line. None where
    /// there is no server and none can be started, which the test then says.
    ///
    /// # Panics
    /// When the server refuses a statement.
    pub async fn with(cql: &str) -> Option<Self> {
        Some(Self::on(contact().await?.to_owned(), 1, None, cql).await)
    }

    /// The same on the server at `contact`, which may be several nodes with commas, with so many replicas.
    pub(crate) async fn on(
        contact: String,
        replicas: usize,
        credentials: Option<(&'static str, &'static str)>,
        cql: &str,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut session = SessionBuilder::new().known_nodes(contact.split(',')).fetch_schema_metadata(false);
        session = session.schema_agreement_timeout(PATIENCE);
        if let Some((user, password)) = credentials {
            session = session.user(user, password);
        }
        let session = session.build().await.expect("the CQL server answers");
        // A table made before all of them know each other is unknown to some for a while.
        while session.get_cluster_state().get_nodes_info().iter().filter(|node| node.is_connected()).count()
            < replicas
        {
            session.refresh_metadata().await.expect("what the server knows of the others");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The server outlives a run of the tests, so that process ids may come again.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis();
        let name = format!("test_{now}_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let keyspace = Self { contact, credentials, name, session };
        let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}");
        keyspace.run(&format!("CREATE KEYSPACE {} WITH replication = {replication}", keyspace.name)).await;
        keyspace.session.use_keyspace(&keyspace.name, true).await.expect("the new keyspace");
        for statement in cql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            keyspace.run(statement.trim_end_matches(';')).await;
        }
        keyspace
    }

    /// Runs one statement.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn run(&self, cql: &str) {
        let mut statement = scylla::statement::Statement::new(cql);
        statement.set_request_timeout(Some(PATIENCE));
        if let Err(error) = self.session.query_unpaged(statement, ()).await {
            panic!("{cql}: {error}");
        }
    }

    /// The session of the test's own.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The keyspace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `host:port` of the server.
    #[must_use]
    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// Puts a proxy in front of the server, through which faults can be made; connect to its [`TcpProxy::uri`].
    pub async fn proxied(&self) -> TcpProxy {
        TcpProxy::in_front_of_keyspace(&self.contact, &self.name).await
    }

    /// Puts something in front of the server that forgets prepared statements when it is told to.
    pub async fn forgetful(&self) -> Forgetful {
        Forgetful::before(&self.contact, &self.name).await
    }

    /// Where the gateway connects.
    #[must_use]
    pub fn uri(&self) -> String {
        match self.credentials {
            Some((user, password)) => self.uri_as(user, password),
            None => format!("cql://{}/{}", self.contact, self.name),
        }
    }

    /// The same as this user.
    #[must_use]
    pub fn uri_as(&self, user: &str, password: &str) -> String {
        format!("cql://{user}:{password}@{}/{}", self.contact, self.name)
    }
}

/// Says that a test of CQL is left out.
///
/// # Panics
/// With the variable `CI`, where every test has to run, unless `ATHENA_TEST_SKIP_CQL=1` leaves these out.
pub fn left_out(why: &str) {
    let set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let skipped = std::env::var_os("ATHENA_TEST_SKIP_CQL").is_some_and(|value| value == "1");
    assert!(skipped || !set("CI"), "{why}; CI is set, and ATHENA_TEST_SKIP_CQL=1 leaves out what needs it");
    eprintln!("LEFT OUT: {why}");
}

/// `host:port` of the server that all tests of this checkout share; `scripts/ensure-cql.sh` chooses or starts it.
async fn contact() -> Option<&'static str> {
    static CONTACT: OnceCell<Option<String>> = OnceCell::const_new();
    let ask = || async { tokio::task::spawn_blocking(ensure).await.expect("scripts/ensure-cql.sh runs") };
    let contact = CONTACT.get_or_init(ask).await.as_deref();
    if contact.is_none() {
        left_out("there is no CQL server; scripts/ensure-cql.sh says why");
    }
    contact
}

fn ensure() -> Option<String> {
    // Set and empty: whoever runs the tests has looked already, and there is none.
    if let Some(given) = std::env::var_os("ATHENA_TEST_CQL") {
        return given.into_string().ok().filter(|contact| !contact.is_empty());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/ensure-cql.sh");
    let output = Command::new(script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().ok()?;
    let contact = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !contact.is_empty()).then_some(contact)
}
