//! What can go wrong with a private cluster, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::binaries::Rejected;

/// Why the private cluster could not be started, used or prepared.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// No place that was searched holds a usable server.
    #[error(
        "no usable PostgreSQL was found{}\n\
         Do one of these:\n\
         - install it (`apt-get install postgresql`, `dnf install postgresql-server`, \
         `apk add postgresql`, `brew install postgresql`),\n\
         - name the directory that holds `postgres` and `initdb` with --pg-bin or ATHENA_PG_BIN,\n\
         - run `scripts/ensure-postgres.sh` (`make demo` does), which fetches one under target/,\n\
         - leave the managed cluster out and give the gateway the URI of a server you run.",
        list_rejected(.tried)
    )]
    NoBinaries {
        /// The directories that looked right and why each was passed over.
        tried: Vec<Rejected>,
    },

    /// The directory the operator named cannot be used.
    #[error(
        "the PostgreSQL binaries in {} cannot be used: {reason}\n\
         Point --pg-bin or ATHENA_PG_BIN at a directory that holds `postgres` and `initdb`, \
         or leave it out to have the usual places searched.",
        .dir.display()
    )]
    BadBinaries {
        /// The directory that was named.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The data belongs to a major version that is not installed.
    #[error(
        "{} was written by PostgreSQL {needed}, and only {} was found\n\
         Install PostgreSQL {needed}, or name its directory with --pg-bin or ATHENA_PG_BIN, \
         or move the data over with pg_upgrade or pg_dump, or start afresh with --reset \
         (which deletes the data).",
        .data.display(), list_majors(.found)
    )]
    WrongMajor {
        /// The data directory.
        data: PathBuf,
        /// The major version that wrote it.
        needed: u32,
        /// The major versions at hand.
        found: Vec<u32>,
    },

    /// Another gateway holds the directory.
    #[error(
        "another gateway is using {}\n\
         Stop it, or give this one a directory of its own with --managed-postgres DIR or --demo-dir DIR.",
        .dir.display()
    )]
    InUse {
        /// The directory both want.
        dir: PathBuf,
    },

    /// The directory holds something that is not ours.
    #[error(
        "{} {reason}\n\
         Give the gateway an empty directory, or one it has filled itself; nothing was touched.",
        .path.display()
    )]
    NotOurs {
        /// What stands in the way.
        path: PathBuf,
        /// How it shows.
        reason: &'static str,
    },

    /// Started by root, and there is nobody to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and neither `postgres` nor `nobody` is in /etc/passwd\n\
         Add one (`useradd --system postgres`), or start the gateway as an ordinary user."
    )]
    NoAccount,

    /// Started by root, and the account the server runs as cannot get to the directory.
    #[error(
        "{} does not let the user `{user}` through, whom PostgreSQL runs as\n\
         Choose a directory such as /var/lib/athena with --managed-postgres DIR or --demo-dir DIR, \
         or `chmod o+x` it, or start the gateway as an ordinary user.",
        .path.display()
    )]
    NotTraversable {
        /// The first directory on the way that is shut.
        path: PathBuf,
        /// The account that must pass.
        user: String,
    },

    /// The directory for the socket is not ours alone.
    #[error(
        "{} is not a private directory of the user PostgreSQL runs as\n\
         Remove it, or choose a shorter path with --managed-postgres DIR or --demo-dir DIR so that the socket \
         fits beside the data.",
        .path.display()
    )]
    SocketDirectory {
        /// The directory in question.
        path: PathBuf,
    },

    /// `initdb` failed.
    #[error("initdb could not make a cluster in {}:\n{output}", .dir.display())]
    InitDb {
        /// Where it was to be.
        dir: PathBuf,
        /// What it said.
        output: String,
    },

    /// The server ended, or did not answer in time, while starting.
    #[error(
        "PostgreSQL did not start ({reason}); its log says:\n{log}\n\
         If the data is beyond repair, start afresh with --reset (which deletes it)."
    )]
    Launch {
        /// How it showed.
        reason: String,
        /// What this start wrote to the log.
        log: String,
    },

    /// A server left behind by an earlier run would not stop.
    #[error(
        "a server left behind by an earlier run (process {pid}) does not stop\nEnd it with `kill -QUIT {pid}` and try again."
    )]
    StubbornOrphan {
        /// Its process id.
        pid: i32,
    },

    /// The file system or the operating system said no.
    #[error("could not {doing} {}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What came back.
        #[source]
        source: io::Error,
    },

    /// The cluster runs, but refused a statement.
    #[error("could not {doing}")]
    Sql {
        /// What was being done.
        doing: String,
        /// What came back.
        #[source]
        source: sqlx::Error,
    },
}

/// Builds the closure that names an I/O failure: `.map_err(io("create", path))`.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ManagedError {
    let path = path.to_path_buf();
    move |source| ManagedError::Io { doing, path, source }
}

fn list_rejected(tried: &[Rejected]) -> String {
    tried.iter().fold(String::new(), |mut text, rejected| {
        text.push_str(&format!("\n- {}: {}", rejected.dir.display(), rejected.reason));
        text
    })
}

fn list_majors(found: &[u32]) -> String {
    if found.is_empty() {
        return "no usable version".to_owned();
    }
    let mut majors: Vec<String> = found.iter().map(u32::to_string).collect();
    majors.dedup();
    majors.join(", ")
}
