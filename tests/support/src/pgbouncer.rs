//! A PgBouncer in front of a test's database.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::program::{Program, free_port};

const PROGRAM: Program =
    Program { name: "pgbouncer", given: "ATHENA_PGBOUNCER", skip: "ATHENA_TEST_SKIP_PGBOUNCER" };

/// How long it may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running PgBouncer that pools transactions, on a port of its own; it goes away with this value.
pub struct PgBouncer {
    child: Child,
    dir: PathBuf,
    uri: String,
    console: String,
}

impl PgBouncer {
    /// The program; none where the tests that need it are left out: with `ATHENA_TEST_SKIP_PGBOUNCER=1`, or because
    /// it is neither where `ATHENA_PGBOUNCER` says nor on the usual paths. That is said then.
    ///
    /// # Panics
    /// When it is missing and `CI` is set.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        PROGRAM.find()
    }

    /// Starts one in front of the database that `uri` names, with at most `servers` connections to it.
    /// More lines for the section `[pgbouncer]` come last.
    ///
    /// # Panics
    /// When the program is missing or does not start.
    pub async fn in_front_of(uri: &str, servers: u32, more: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = Self::program().expect("pgbouncer; scripts/ensure-test-server.sh installs it");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("athena-pgbouncer-{}-{count}", process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a directory for PgBouncer");
        let target: PgConnectOptions = uri.parse().expect("the URI of a PostgreSQL");
        let port = free_port();
        let account = Account::choose();
        // A socket's directory is open to its owner alone, so the same account has to knock there.
        let account = match target.get_socket().map(|dir| fs::metadata(dir).expect("the socket's directory"))
        {
            Some(found) if account.is_some() => Some(Account { uid: found.uid(), gid: found.gid() }),
            _ => account,
        };
        let config = dir.join("pgbouncer.ini");
        fs::write(&config, configuration(&target, uri, port, servers, more))
            .expect("write its configuration");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("hide it");
        let mut command = Command::new(&program);
        command.arg("-q").arg(&config).current_dir("/").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(fs::File::create(dir.join("log")).expect("its log"));
        if let Some(Account { uid, gid }) = account {
            for path in [&dir, &config] {
                chown(path, Some(uid), Some(gid)).expect("hand over its files");
            }
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().expect("start pgbouncer");
        let user = target.get_username();
        let address = format!("postgres://{user}@127.0.0.1:{port}");
        let bouncer = Self {
            child,
            dir,
            uri: format!("{address}/behind?sslmode=disable&pooler=transaction"),
            console: format!("{address}/pgbouncer?sslmode=disable"),
        };
        bouncer.wait().await;
        bouncer
    }

    /// Where the gateway connects: the database by way of the pooler, with the option that says so.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The same for programs that do not know that option.
    #[must_use]
    pub fn plain_uri(&self) -> String {
        self.uri.replace("&pooler=transaction", "")
    }

    /// Runs a command of the console (`PAUSE`, `RESUME`, …).
    ///
    /// # Panics
    /// When the command is refused.
    pub async fn command(&self, text: &'static str) {
        let mut console = self.connect().await.expect("PgBouncer's console");
        sqlx::raw_sql(text).execute(&mut console).await.expect(text);
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options: PgConnectOptions = self.console.parse().expect("an own URI");
        // It refuses parameters that it does not know.
        options.extra_float_digits(None::<i8>).disable_statement_logging().connect().await
    }

    async fn wait(&self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    drop(connection.close().await);
                    return;
                }
                Err(error) if Instant::now() > give_up => {
                    let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                    panic!("PgBouncer does not answer: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// To whom root steps down, as PgBouncer refuses to run as root.
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    fn choose() -> Option<Self> {
        if fs::metadata("/proc/self").map_or(1, |found| found.uid()) != 0 {
            return None;
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2);
            Some(Self { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
        };
        ["postgres", "_postgres", "nobody"].into_iter().find_map(find)
    }
}

fn configuration(target: &PgConnectOptions, uri: &str, port: u16, servers: u32, more: &str) -> String {
    let host = match target.get_socket() {
        Some(dir) => dir.display().to_string(),
        None => target.get_host().to_owned(),
    };
    let password = password(uri).map_or_else(String::new, |password| format!(" password={password}"));
    let database = target.get_database().expect("a database in the URI");
    let user = target.get_username();
    format!(
        "[databases]\n\
         behind = host='{host}' port={} dbname={database} user={user}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         admin_users = {user}\n\
         pool_mode = transaction\n\
         default_pool_size = {servers}\n\
         max_client_conn = 500\n\
         server_login_retry = 1\n\
         {more}\n",
        target.get_port()
    )
}

/// The password of a URI whose password needs no decoding, as those of test servers do.
fn password(uri: &str) -> Option<&str> {
    let (user_info, _) = uri.split_once("://")?.1.rsplit_once('@')?;
    user_info.split_once(':').map(|(_, password)| password)
}
