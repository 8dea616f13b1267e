//! Where PostgreSQL's programs are, and which of those found can be used.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::account::Account;
use super::error::ManagedError;

/// The oldest major version the gateway's SQL is written for.
const OLDEST_MAJOR: u32 = 13;

/// A directory that holds a working `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// A directory that was looked at and passed over.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The directory.
    pub dir: PathBuf,
    /// Why it does not serve.
    pub reason: String,
}

impl Binaries {
    /// Chooses the binaries for `data`: those named by the operator, else the
    /// first usable ones in the usual places. Existing data is only ever opened
    /// by the major version that wrote it.
    pub(super) fn choose(
        named: Option<&Path>,
        data: &Path,
        needed: Option<u32>,
        account: &Account,
    ) -> Result<Self, ManagedError> {
        let mut usable = Vec::new();
        let mut tried = Vec::new();
        if let Some(dir) = named {
            match probe(dir, account) {
                Ok(binaries) => usable.push(binaries),
                Err(reason) => {
                    return Err(ManagedError::BadBinaries { dir: dir.to_path_buf(), reason });
                }
            }
        } else {
            for dir in usual_places() {
                match probe(&dir, account) {
                    Ok(binaries) if needed.is_none() || needed == Some(binaries.major) => {
                        return Ok(binaries);
                    }
                    Ok(binaries) => usable.push(binaries),
                    Err(reason) => tried.push(Rejected { dir, reason }),
                }
            }
        }
        match needed {
            Some(needed) => {
                usable.iter().find(|binaries| binaries.major == needed).cloned().ok_or_else(|| {
                    ManagedError::WrongMajor {
                        data: data.to_path_buf(),
                        needed,
                        found: usable.iter().map(|binaries| binaries.major).collect(),
                    }
                })
            }
            None => usable.into_iter().next().ok_or(ManagedError::NoBinaries { tried }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Runs both programs with `--version` the way the server would be run, so that a missing
/// library or a directory the account cannot enter shows here.
fn probe(dir: &Path, account: &Account) -> Result<Binaries, String> {
    let dir = if dir.join("postgres").exists() {
        dir.to_path_buf()
    } else if dir.join("bin/postgres").exists() {
        dir.join("bin")
    } else {
        return Err("there is no `postgres` in it".to_owned());
    };
    // A link to the server alone is common; its companions are beside the real one.
    let dir = fs::canonicalize(dir.join("postgres"))
        .ok()
        .and_then(|program| Some(program.parent()?.to_path_buf()))
        .unwrap_or(dir);
    if !dir.join("initdb").exists() {
        return Err("there is no `initdb` in it".to_owned());
    }
    version_of(&dir, "initdb", account)?;
    let major = version_of(&dir, "postgres", account)?;
    if major < OLDEST_MAJOR {
        return Err(format!("version {major} is older than {OLDEST_MAJOR}, the oldest that serves"));
    }
    Ok(Binaries { dir, major })
}

fn version_of(dir: &Path, program: &str, account: &Account) -> Result<u32, String> {
    let output = account
        .command(dir.join(program))
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{program} --version` cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{program} --version` failed: {}", said.trim()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    parse_major(&said)
        .ok_or_else(|| format!("`{program} --version` answered `{}`, which names no version", said.trim()))
}

/// Reads the major version from `postgres (PostgreSQL) 15.18 (Debian …)`,
/// `… 18beta1` or the content of a `PG_VERSION` file.
pub(super) fn parse_major(text: &str) -> Option<u32> {
    text.split_whitespace().find_map(|word| {
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// The directories worth a look, in order, each of which holds a `postgres`.
fn usual_places() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = on_path(&path);
    for (parent, prefix, suffix) in [
        ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
        ("/usr", "pgsql-", "bin"),                   // the PGDG packages for RHEL
        ("/usr/libexec", "postgresql", ""),          // Alpine
        ("/usr/lib", "postgresql", "bin"),           // openSUSE
        ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple silicon
        ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        places.extend(newest_first(Path::new(parent), prefix, suffix));
    }
    places.extend(fetched_for_the_build());
    // Where `ensure-postgres.sh` unpacks when root builds in a place others cannot enter.
    places.push(PathBuf::from("/var/lib/athena/postgres/bin"));
    places.retain(|dir| dir.join("postgres").exists());
    let mut seen = Vec::new();
    places.retain(|dir| {
        let new = !seen.contains(dir);
        seen.push(dir.clone());
        new
    });
    places
}

fn on_path(path: &OsStr) -> Vec<PathBuf> {
    env::split_paths(path).filter(|dir| dir.is_absolute()).collect()
}

/// `parent/<prefix><number>/suffix`, highest number first.
fn newest_first(parent: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?;
            let major = number.split('.').next()?.parse().ok()?;
            Some((major, entry.path().join(suffix)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `postgres/bin` in the build directory this program was built into, if any.
fn fetched_for_the_build() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .map(|target| target.join("postgres/bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 17devel", Some(17)),
            ("16\n", Some(16)),
            ("9.6\n", Some(9)),
            ("postgres", None),
            ("", None),
        ] {
            assert_eq!(parse_major(text), major, "{text:?}");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let parent = env::temp_dir().join(format!("athena-versions-{}", std::process::id()));
        for name in ["postgresql@9", "postgresql@17", "postgresql@16.4", "other@99"] {
            fs::create_dir_all(parent.join(name)).expect("directory");
        }
        let found = newest_first(&parent, "postgresql@", "bin");
        fs::remove_dir_all(&parent).expect("clean up");
        let expected: Vec<PathBuf> = ["postgresql@17/bin", "postgresql@16.4/bin", "postgresql@9/bin"]
            .iter()
            .map(|name| parent.join(name))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn relative_path_entries_are_not_trusted() {
        let found = on_path(OsStr::new("/usr/bin:.:bin:"));
        assert_eq!(found, [PathBuf::from("/usr/bin")]);
    }

    #[test]
    fn a_named_directory_without_programs_says_so() {
        let error =
            Binaries::choose(Some(Path::new("/nonexistent")), Path::new("/data"), None, &Account::Own)
                .expect_err("nothing is there");
        let text = error.to_string();
        assert!(text.contains("/nonexistent") && text.contains("--pg-bin"), "{text}");
    }
}
