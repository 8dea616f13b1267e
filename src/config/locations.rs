//! Where `config.yaml` is looked for, and where the bundled default is put when there is none.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{ConfigErrorKind, Inspected};

/// Name of the file in every place.
pub const FILE_NAME: &str = "config.yaml";

/// Kind of operating system, as far as the places differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// Linux and the others.
    Other,
}

impl Platform {
    /// The system this was built for.
    pub const fn current() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Other
        }
    }
}

/// The files that are looked for, in order and without repetition.
pub fn candidates(environment: &Environment, platform: Platform, working_directory: &Path) -> Vec<PathBuf> {
    let windows = platform == Platform::Windows;
    let mac = platform == Platform::MacOs;
    let places = [
        ("APPDATA", "athena", windows),
        ("LOCALAPPDATA", "athena", windows),
        ("USERPROFILE", ".athena", windows),
        ("XDG_CONFIG_HOME", "athena", true),
        ("HOME", ".config/athena", true),
        ("HOME", ".athena", true),
        ("HOME", "Library/Application Support/athena", mac),
    ];
    let mut files: Vec<PathBuf> = Vec::new();
    let found = places.iter().filter(|(_, _, applies)| *applies).filter_map(|(variable, below, _)| {
        environment.filled(variable).map(|root| working_directory.join(root).join(below))
    });
    for place in found.chain([working_directory.to_owned()]) {
        let file = place.join(FILE_NAME);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// What the search came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The first file that exists, and its text.
    File {
        /// Where it lies.
        path: PathBuf,
        /// What it holds.
        text: String,
        /// True when it was written just now.
        seeded: bool,
    },
    /// No file exists and none could be written.
    Nothing,
}

/// Reads the first of `candidates` that exists; writes `default` to the first possible place when none does.
///
/// Every step is noted in `inspected`.
///
/// # Errors
///
/// [`ConfigErrorKind::Unreadable`] when a file exists and cannot be read: a later place must not step in for it.
pub fn search(
    candidates: &[PathBuf],
    default: &str,
    inspected: &mut Vec<Inspected>,
) -> Result<Found, ConfigErrorKind> {
    for path in candidates {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                inspected.push(Inspected { path: path.clone(), outcome: "found".to_owned() });
                return Ok(Found::File { path: path.clone(), text, seeded: false });
            }
            // A place below a directory that is closed to us, or below a file, holds no file for us.
            Err(error) if is_absent(path, &error) => {
                inspected.push(Inspected { path: path.clone(), outcome: outcome(&error) });
            }
            Err(error) => {
                inspected.push(Inspected { path: path.clone(), outcome: outcome(&error) });
                return Err(ConfigErrorKind::Unreadable { path: path.clone(), reason: error.to_string() });
            }
        }
    }
    for (path, place) in candidates.iter().zip(inspected.iter_mut()) {
        match seed(path, default) {
            Ok(()) => {
                place.outcome.push_str(", default written");
                return Ok(Found::File { path: path.clone(), text: default.to_owned(), seeded: true });
            }
            Err(error) => place.outcome.push_str(&format!(", cannot be written ({error})")),
        }
    }
    Ok(Found::Nothing)
}

fn is_absent(path: &Path, error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || (error.kind() == ErrorKind::PermissionDenied && path.metadata().is_err())
}

fn outcome(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => "not found".to_owned(),
        _ => error.to_string(),
    }
}

/// Writes `text` to `path` in one step, so that a second process never reads half of it.
fn seed(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(directory)?;
    let draft = directory.join(format!(".{FILE_NAME}.{}", std::process::id()));
    let written = write_private(&draft, text).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        // The draft may not exist; the error that matters is the one above.
        let _ = std::fs::remove_file(&draft);
    }
    written
}

/// Passwords may be written into the file later, so that nobody but its owner may read it.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
