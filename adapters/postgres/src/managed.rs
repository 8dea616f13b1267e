//! A private PostgreSQL cluster that the gateway starts, watches and stops.
//!
//! It lives in one directory (`lock`, `data`, `socket`, `postgres.log`), is
//! reached through a Unix socket that only its owner can open, and goes away
//! with the gateway, however that ends. Nothing here runs unless it is asked
//! for, and nothing here knows what the databases are for. Unix only.

mod account;
mod binaries;
mod error;
mod layout;
mod postmaster;
mod supervisor;

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

pub use self::binaries::Rejected;
pub use self::error::ManagedError;

use self::account::Account;
use self::binaries::Binaries;
use self::layout::Layout;
use self::postmaster::{Recipe, stop_orphan};
use self::supervisor::Supervisor;

/// The number in the socket's name; nobody else's, as the directory is private.
const SOCKET_PORT: u16 = 5432;

/// How a private cluster is to be run.
#[derive(Debug, Clone)]
pub struct ManagedSettings {
    /// The directory that holds everything; made when missing.
    pub dir: PathBuf,
    /// Where `postgres` and `initdb` are (`--pg-bin`, `ATHENA_PG_BIN`); `None` searches the usual places.
    pub pg_bin: Option<PathBuf>,
    /// What a crash of the machine may cost.
    pub durability: Durability,
    /// Deletes the data first.
    pub reset: bool,
    /// Also listens on this port of 127.0.0.1, where a password is needed; `None` opens no TCP port.
    pub tcp_port: Option<u16>,
}

/// What a crash of the machine may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Safe,
    /// Everything, and a crash of the server alone the last half second; in return tests are quick.
    Tests,
}

impl ManagedSettings {
    /// A durable cluster in `dir`, without TCP, that keeps its data.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), pg_bin: None, durability: Durability::Safe, reset: false, tcp_port: None }
    }

    /// The directory for a cluster called `name` when the operator names none:
    /// under `/var/lib/athena` for root, whose home the server's account cannot
    /// enter, else in the user's data directory, else under the temporary one.
    #[must_use]
    pub fn default_dir(name: &str) -> PathBuf {
        if rustix::process::geteuid().is_root() {
            return Path::new("/var/lib/athena").join(name);
        }
        let absolute =
            |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .map_or_else(
                || env::temp_dir().join(format!("athena-{}", Account::Own.uid())),
                |data| data.join("athena"),
            )
            .join(name)
    }
}

/// A running private cluster.
///
/// [`ManagedPostgres::stop`] ends it in order; dropping it asks the server to
/// stop and does not wait; a gateway killed outright leaves that to a watchdog.
/// A server that dies by itself is started again.
#[derive(Debug)]
pub struct ManagedPostgres {
    supervisor: Supervisor,
    socket_dir: PathBuf,
    port: u16,
    binaries: Binaries,
}

impl ManagedPostgres {
    /// Starts the cluster in `settings.dir`, making it on the first run, and
    /// returns once it takes connections. A server left there by an earlier
    /// run is adopted.
    ///
    /// # Errors
    ///
    /// Every [`ManagedError`] but `Sql`; its message names what can be done.
    pub async fn start(settings: ManagedSettings) -> Result<Self, ManagedError> {
        let start = tokio::task::spawn_blocking(move || Self::start_blocking(&settings));
        match start.await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ManagedError::Launch {
                    reason: "the runtime was shut down".to_owned(),
                    log: String::new(),
                }),
            },
        }
    }

    fn start_blocking(settings: &ManagedSettings) -> Result<Self, ManagedError> {
        let layout = Layout::open(&settings.dir)?;
        let lock = layout.lock()?;
        let account = Account::choose(&layout.data)?;
        layout.let_through(&account)?;
        if settings.reset {
            stop_orphan(&layout.data)?;
            layout.delete_data()?;
        }
        let binaries = Binaries::choose(settings.pg_bin.as_deref(), &layout.data, layout.major(), &account)?;
        if layout.major().is_none() {
            layout.init(&binaries, &account, settings.durability)?;
        }
        let port = settings.tcp_port.unwrap_or(SOCKET_PORT);
        let socket_dir = layout.socket_dir(&account, port)?;
        let recipe = Recipe {
            options: options(&layout.data, &socket_dir, settings),
            layout,
            binaries: binaries.clone(),
            account,
            socket_dir: socket_dir.clone(),
            port,
        };
        Ok(Self { supervisor: Supervisor::start(recipe, lock)?, socket_dir, port, binaries })
    }

    /// The URI of `database` through the private socket, in a form that both
    /// sqlx and libpq understand.
    #[must_use]
    pub fn uri(&self, database: &str) -> String {
        self.uri_as("postgres", database)
    }

    /// The same for another role than the superuser.
    #[must_use]
    pub fn uri_as(&self, role: &str, database: &str) -> String {
        // A socket needs no TLS, and asking for it costs a round trip.
        format!(
            "postgres://{}@localhost:{}/{}?host={}&sslmode=disable",
            percent_encode(role.as_bytes()),
            self.port,
            percent_encode(database.as_bytes()),
            percent_encode(self.socket_dir.as_os_str().as_bytes()),
        )
    }

    /// Makes `database` unless it exists; true when it was made.
    ///
    /// # Errors
    ///
    /// [`ManagedError::Sql`] when the server refuses.
    pub async fn ensure_database(&self, database: &str) -> Result<bool, ManagedError> {
        let failed =
            |source| ManagedError::Sql { doing: format!("look for the database `{database}`"), source };
        let mut connection = PgConnection::connect(&self.uri("postgres")).await.map_err(failed)?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(database)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        let _ = connection.close().await;
        if !exists {
            self.create_database_from(database, "template1").await?;
        }
        Ok(!exists)
    }

    /// Makes `role`, an ordinary one, the owner of `database` and of what is in it: for callers whose SQL must reach
    /// neither other databases nor files and programs of this machine.
    ///
    /// # Errors
    ///
    /// [`ManagedError::Sql`] when the server refuses.
    pub async fn ensure_owner(&self, database: &str, role: &str) -> Result<(), ManagedError> {
        let give = async {
            let mut connection = PgConnection::connect(&self.uri(database)).await?;
            sqlx::query("SELECT set_config('athena.owner', $1, false)")
                .bind(role)
                .execute(&mut connection)
                .await?;
            connection.execute(include_str!("managed/owner.sql")).await?;
            connection.close().await
        };
        give.await.map_err(|source| ManagedError::Sql {
            doing: format!("make `{role}` the owner of the database `{database}`"),
            source,
        })
    }

    /// Makes `database` as a copy of `template`, to which nobody may be connected.
    ///
    /// # Errors
    ///
    /// [`ManagedError::Sql`] when the server refuses.
    pub async fn create_database_from(&self, database: &str, template: &str) -> Result<(), ManagedError> {
        let statement = format!("CREATE DATABASE {} TEMPLATE {}", quote(database), quote(template));
        let create = async {
            let mut connection = PgConnection::connect(&self.uri("postgres")).await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            connection.close().await
        };
        create.await.map_err(|source| ManagedError::Sql {
            doing: format!("create the database `{database}` from `{template}`"),
            source,
        })
    }

    /// Where the programs of the server's own version are, `pg_dump` among them.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.binaries.dir
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.binaries.major
    }

    /// The server's process id, unless it is down at the moment.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.supervisor.pid().map(|pid| pid.as_raw_nonzero().get())
    }

    /// Waits until the server is gone for good: stopped, or given up after
    /// it died several times in quick succession.
    pub async fn ended(&self) {
        self.supervisor.ended().await;
    }

    /// Ends every session, writes everything down and stops the server.
    /// Returns when it is gone; the data stays.
    pub async fn stop(self) {
        self.supervisor.stop().await;
    }
}

/// The server's command line. Everything is said here and nothing in
/// `postgresql.conf`, so that a new release of the gateway can change it.
fn options(data: &Path, socket_dir: &Path, settings: &ManagedSettings) -> Vec<OsString> {
    let mut options = vec![OsString::from("-D"), data.as_os_str().to_owned()];
    let mut set = |name: &str, value: OsString| {
        let mut setting = OsString::from(name);
        setting.push("=");
        setting.push(value);
        options.extend([OsString::from("-c"), setting]);
    };
    let listen = if settings.tcp_port.is_some() { "127.0.0.1" } else { "" };
    set("listen_addresses", listen.into());
    set("port", settings.tcp_port.unwrap_or(SOCKET_PORT).to_string().into());
    // A list, in which a path with a comma or a blank needs its quotes.
    let mut quoted = OsString::from("\"");
    quoted.push(socket_dir);
    quoted.push("\"");
    set("unix_socket_directories", quoted);
    set("unix_socket_permissions", "0700".into());
    set("shared_buffers", "64MB".into());
    set("timezone", "UTC".into());
    set("log_timezone", "UTC".into());
    set("logging_collector", "off".into());
    match settings.durability {
        Durability::Safe => set("max_connections", "60".into()),
        Durability::Tests => {
            set("max_connections", "200".into());
            set("fsync", "off".into());
            set("synchronous_commit", "off".into());
            set("full_page_writes", "off".into());
        }
    }
    options
}

/// Writes a name the way SQL wants it.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn percent_encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_opens_no_port_unless_told_to() {
        let mut settings = ManagedSettings::new("/d");
        let render = |settings: &ManagedSettings| {
            options(Path::new("/d/data"), Path::new("/d/socket"), settings)
                .iter()
                .map(|option| option.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let safe = render(&settings);
        assert!(safe.contains("-c listen_addresses= -c"), "{safe}");
        assert!(!safe.contains("fsync"), "{safe}");

        settings.durability = Durability::Tests;
        settings.tcp_port = Some(6001);
        let tests = render(&settings);
        assert!(tests.contains("listen_addresses=127.0.0.1"), "{tests}");
        assert!(tests.contains("port=6001"), "{tests}");
        assert!(tests.contains("fsync=off"), "{tests}");
    }

    #[test]
    fn names_and_paths_survive_quoting() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(percent_encode(b"/a b/\xc3\xa9?"), "%2Fa%20b%2F%C3%A9%3F");
        assert_eq!(percent_encode(b"athena_logging-1.x~"), "athena_logging-1.x~");
    }
}
