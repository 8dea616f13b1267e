//! The server that all tests of a process share.
//!
//! Each process has a cluster of its own, so that nothing has to be counted to
//! know when it may stop: it goes with the process. Its data directory is one
//! of a few that stay under the build directory, and is taken up again by the
//! next process, which saves `initdb`.

use std::collections::hash_map::{Entry, HashMap};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use athena_postgres::managed::{Durability, ManagedError, ManagedPostgres, ManagedSettings};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

/// More processes than this at once means that something is wrong.
const SLOTS: u32 = 64;

/// The server behind every [`crate::TestDatabase`] of this process.
pub(crate) struct Server {
    kind: Kind,
    templates: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    janitor: mpsc::Sender<Leftover>,
}

enum Kind {
    Own {
        cluster: ManagedPostgres,
        /// Keeps other processes out of the slot.
        _slot: File,
    },
    /// `ATHENA_TEST_POSTGRES`.
    Given { uri: String },
}

/// A database nobody needs any longer, and whom to tell when it is gone.
struct Leftover {
    admin_uri: String,
    database: String,
    done: mpsc::Sender<()>,
}

impl Server {
    /// The server of this process, started by whoever asks first.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let kind = match env::var("ATHENA_TEST_POSTGRES") {
            Ok(uri) if !uri.is_empty() => Kind::Given { uri },
            _ => start_own().await,
        };
        Self { kind, templates: Mutex::default(), janitor: start_janitor() }
    }

    pub(crate) fn uri(&self, database: &str) -> String {
        match &self.kind {
            Kind::Own { cluster, .. } => cluster.uri(database),
            Kind::Given { uri } => with_database(uri, database),
        }
    }

    fn admin_uri(&self) -> String {
        match &self.kind {
            Kind::Own { cluster, .. } => cluster.uri("postgres"),
            Kind::Given { uri } => uri.clone(),
        }
    }

    /// Makes `database`, with what `sql` puts into it.
    pub(crate) async fn create(&self, database: &str, sql: &str) {
        if sql.is_empty() || matches!(self.kind, Kind::Given { .. }) {
            // On a server of yours no template is left behind.
            run(&self.admin_uri(), &format!("CREATE DATABASE {database}")).await;
            run(&self.uri(database), sql).await;
            return;
        }
        let cell = match self.templates.lock().unwrap_or_else(PoisonError::into_inner).entry(sql.to_owned()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::default())),
        };
        let template = cell
            .get_or_init(|| async {
                let template = format!("template_for_{database}");
                let create = format!("CREATE DATABASE {template}");
                run(&self.admin_uri(), &create).await;
                run(&self.uri(&template), sql).await;
                template
            })
            .await;
        let copy = format!("CREATE DATABASE {database} TEMPLATE {template}");
        run(&self.admin_uri(), &copy).await;
    }

    /// Drops `database`, whoever is still connected to it.
    pub(crate) fn discard(&self, database: String) {
        let (done, finished) = mpsc::channel();
        let _ = self.janitor.send(Leftover { admin_uri: self.admin_uri(), database, done });
        if let Kind::Given { .. } = self.kind {
            // The process may end with this test, and the server is not ours to litter.
            let _ = finished.recv();
        }
    }
}

async fn run(uri: &str, sql: &str) {
    if sql.is_empty() {
        return;
    }
    let attempt = async {
        let mut connection = PgConnection::connect(uri).await?;
        connection.execute(AssertSqlSafe(sql.to_owned())).await?;
        connection.close().await
    };
    if let Err(error) = attempt.await {
        panic!("the test database refused a statement: {error}\n{sql}");
    }
}

async fn start_own() -> Kind {
    let target = build_dir();
    let uid = fs::metadata(env::current_exe().expect("own path")).map_or(0, |found| found.uid());
    let usual = target.join(format!("test-clusters-{uid}"));
    match start_in(&usual).await {
        // Root builds where the server's account cannot follow.
        Err(ManagedError::NotTraversable { .. }) => {
            let elsewhere = env::temp_dir().join(format!("athena-test-clusters-{uid}"));
            start_in(&elsewhere).await
        }
        outcome => outcome,
    }
    .unwrap_or_else(|error| panic!("no PostgreSQL for the tests: {error}"))
}

async fn start_in(base: &Path) -> Result<Kind, ManagedError> {
    let (slot, dir) = take_slot(base);
    let mut settings = settings(dir);
    let cluster = match ManagedPostgres::start(settings.clone()).await {
        // The data is worth nothing: another version's, or broken by a crash of the machine.
        Err(ManagedError::WrongMajor { .. } | ManagedError::Launch { .. }) => {
            settings.reset = true;
            ManagedPostgres::start(settings).await?
        }
        outcome => outcome?,
    };
    drop_leftovers(&cluster.uri("postgres")).await;
    Ok(Kind::Own { cluster, _slot: slot })
}

/// The settings of every cluster that is started for tests.
pub(crate) fn settings(dir: PathBuf) -> ManagedSettings {
    ManagedSettings {
        durability: Durability::Tests,
        pg_bin: env::var_os("ATHENA_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from),
        ..ManagedSettings::new(dir)
    }
}

fn take_slot(base: &Path) -> (File, PathBuf) {
    fs::create_dir_all(base).expect("a directory for the test clusters");
    for number in 0..SLOTS {
        let lock = base.join(format!("{number}.lock"));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .expect("the lock of a test cluster");
        if file.try_lock().is_ok() {
            return (file, base.join(number.to_string()));
        }
    }
    panic!("{SLOTS} test clusters are in use under {}", base.display());
}

/// Drops what the last user of the slot left.
async fn drop_leftovers(admin_uri: &str) {
    let mut connection = PgConnection::connect(admin_uri).await.expect("the test cluster takes connections");
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(datname) FROM pg_database
         WHERE datname NOT IN ('postgres', 'template0', 'template1')",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the list of databases");
    for name in names {
        connection
            .execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
            .await
            .expect("drop a leftover database");
    }
}

/// A thread of its own, as `Drop` can neither wait for a runtime nor make one
/// inside another.
fn start_janitor() -> mpsc::Sender<Leftover> {
    let (sender, leftovers) = mpsc::channel::<Leftover>();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime for cleaning up");
        for leftover in leftovers {
            let drop_it = async {
                let mut connection = PgConnection::connect(&leftover.admin_uri).await?;
                let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", leftover.database);
                connection.execute(AssertSqlSafe(statement)).await?;
                connection.close().await
            };
            if let Err(error) = runtime.block_on(drop_it) {
                eprintln!("{} is left behind: {error}", leftover.database);
            }
            let _ = leftover.done.send(());
        }
    });
    sender
}

/// The build directory this test was built into.
pub(crate) fn build_dir() -> PathBuf {
    let program = env::current_exe().expect("own path");
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .map_or_else(env::temp_dir, Path::to_path_buf)
}

/// Puts another database into a URI.
fn with_database(uri: &str, database: &str) -> String {
    let (head, query) = uri.split_once('?').unwrap_or((uri, ""));
    let start = head.find("://").map_or(0, |at| at + 3);
    let end = head[start..].find('/').map_or(head.len(), |at| start + at);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{database}{mark}{query}", &head[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_uri_is_replaced() {
        for (uri, expected) in [
            ("postgres://u:p@h:1/old?a=b", "postgres://u:p@h:1/new?a=b"),
            ("postgres://u@h/old", "postgres://u@h/new"),
            ("postgres://h", "postgres://h/new"),
            ("postgres:///old?host=/s", "postgres:///new?host=/s"),
            ("postgres://h?host=/s/t", "postgres://h/new?host=/s/t"),
        ] {
            assert_eq!(with_database(uri, "new"), expected, "{uri}");
        }
    }
}
