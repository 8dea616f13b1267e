//! The files of a cluster: the lock, the data, the socket, the log.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::Durability;
use super::account::Account;
use super::binaries::{Binaries, parse_major};
use super::error::{ManagedError, io};

/// Longest path of a Unix socket in bytes, without the closing NUL.
const SOCKET_PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How long a gateway that is just ending may still hold the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A log longer than this is started over.
const LOG_BYTES: u64 = 4 << 20;

/// Where everything of one cluster lies.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The directory the operator named, absolute.
    pub(super) dir: PathBuf,
    /// `PGDATA`.
    pub(super) data: PathBuf,
    /// What the server writes.
    pub(super) log: PathBuf,
}

impl Layout {
    /// Makes the directory where it is missing and refuses what is not ours.
    pub(super) fn open(dir: &Path) -> Result<Self, ManagedError> {
        fs::create_dir_all(dir).map_err(io("create", dir))?;
        let dir = fs::canonicalize(dir).map_err(io("resolve", dir))?;
        if dir.join("PG_VERSION").exists() {
            return Err(ManagedError::NotOurs {
                path: dir,
                reason: "is itself the data directory of a PostgreSQL server",
            });
        }
        let data = dir.join("data");
        if data.exists() && !data.join("PG_VERSION").exists() {
            return Err(ManagedError::NotOurs {
                path: data,
                reason: "exists, but is no PostgreSQL data directory",
            });
        }
        Ok(Self { log: dir.join("postgres.log"), data, dir })
    }

    /// Takes the lock that keeps two gateways apart; it is held as long as the
    /// file stays open, and no longer than the process lives.
    pub(super) fn lock(&self) -> Result<File, ManagedError> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io("open", &path))?;
        let give_up = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(ManagedError::InUse { dir: self.dir.clone() });
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            }
        }
    }

    /// The major version that wrote the data; `None` before the first start.
    pub(super) fn major(&self) -> Option<u32> {
        parse_major(&fs::read_to_string(self.data.join("PG_VERSION")).ok()?)
    }

    /// Deletes the data. The lock MUST be held and no server run.
    pub(super) fn delete_data(&self) -> Result<(), ManagedError> {
        remove(&self.data)
    }

    /// Makes the cluster beside its final place and moves it there when it is
    /// whole, so that a killed `initdb` leaves nothing that looks like data.
    pub(super) fn init(
        &self,
        binaries: &Binaries,
        account: &Account,
        durability: Durability,
    ) -> Result<(), ManagedError> {
        let unfinished = self.dir.join("data.init");
        remove(&unfinished)?;
        account.private_dir(&unfinished)?;
        let mut command = account.command(binaries.program("initdb"));
        command
            .arg("-D")
            .arg(&unfinished)
            .args(["--username=postgres", "--encoding=UTF8", "--locale=C"])
            // TCP, where it is on at all, asks for a password; the socket is ours alone.
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .stdin(Stdio::null());
        if binaries.major >= 17 {
            // Upper and lower case beyond ASCII, the same on every system.
            command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        }
        if durability == Durability::Tests {
            command.arg("--no-sync");
        }
        let output = command.output().map_err(io("run", &binaries.program("initdb")))?;
        if !output.status.success() {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            return Err(ManagedError::InitDb { dir: unfinished, output: said });
        }
        fs::rename(&unfinished, &self.data).map_err(io("move into place", &unfinished))?;
        if durability == Durability::Safe {
            File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io("sync", &self.dir))?;
        }
        Ok(())
    }

    /// Makes the directory for the socket: beside the data, or, where that path
    /// is too long for a socket, under /tmp by a name derived from it.
    pub(super) fn socket_dir(&self, account: &Account, port: u16) -> Result<PathBuf, ManagedError> {
        let beside = self.dir.join("socket");
        let dir = if fits(&beside, port) { beside } else { short_socket_dir(&self.dir) };
        account.private_dir(&dir)?;
        Ok(dir)
    }

    /// Opens the log for a server to write to; answers with its length so far.
    pub(super) fn open_log(&self) -> Result<(File, u64), ManagedError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let file = options.open(&self.log).map_err(io("open the log", &self.log))?;
        let length = file.metadata().map_or(0, |found| found.len());
        if length <= LOG_BYTES {
            return Ok((file, length));
        }
        file.set_len(0).map_err(io("shorten the log", &self.log))?;
        Ok((file, 0))
    }

    /// What was written to the log after `from`, at most the last few kilobytes.
    pub(super) fn log_since(&self, from: u64) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(from.max(end.saturating_sub(4096))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }

    /// Lets the account through the directory, whose contents stay shut.
    pub(super) fn let_through(&self, account: &Account) -> Result<(), ManagedError> {
        if let Account::Lesser { .. } = account {
            let found = fs::metadata(&self.dir).map_err(io("read", &self.dir))?;
            let mode = found.permissions().mode() | 0o011;
            fs::set_permissions(&self.dir, fs::Permissions::from_mode(mode))
                .map_err(io("set the permissions of", &self.dir))?;
        }
        account.must_reach(&self.dir)
    }
}

fn remove(path: &Path) -> Result<(), ManagedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("delete", path)(error)),
        _ => Ok(()),
    }
}

fn fits(dir: &Path, port: u16) -> bool {
    let socket = dir.join(format!(".s.PGSQL.{port}"));
    socket.as_os_str().len() <= SOCKET_PATH_BYTES
}

/// `/tmp` and not `TMPDIR`, which is long itself on some systems.
fn short_socket_dir(dir: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    PathBuf::from(format!("/tmp/athena-{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_fits_up_to_the_last_byte() {
        // "/", then the name, then "/.s.PGSQL.5432".
        let room = SOCKET_PATH_BYTES - 1 - "/.s.PGSQL.5432".len();
        assert!(fits(Path::new(&format!("/{}", "x".repeat(room))), 5432));
        assert!(!fits(Path::new(&format!("/{}", "x".repeat(room + 1))), 5432));
    }

    #[test]
    fn the_short_directory_is_short_and_differs_by_cluster() {
        let one = short_socket_dir(Path::new("/a"));
        assert_eq!(one, short_socket_dir(Path::new("/a")));
        assert_ne!(one, short_socket_dir(Path::new("/b")));
        assert!(fits(&one, u16::MAX));
    }
}
