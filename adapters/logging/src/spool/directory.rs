//! Directories of the spool: who owns which.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::segment::{self, Segment};

/// Most gateways that share a spool directory.
const SLOTS: u32 = 256;

/// Name of the file that is locked.
pub(super) const LOCK: &str = "lock";

fn slot(root: &Path, number: u32) -> PathBuf {
    root.join(format!("{number:03}"))
}

/// The lock of a directory; `None` when somebody else has it.
pub(super) fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Takes the first directory that nobody has.
pub(super) fn take(root: &Path) -> io::Result<(PathBuf, File)> {
    for number in 0..SLOTS {
        let directory = slot(root, number);
        private(&directory)?;
        if let Some(lock) = lock(&directory)? {
            return Ok((directory, lock));
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{SLOTS} gateways use the spool already")))
}

/// Makes a directory that only its owner can look into: log entries tell who does what.
pub(super) fn private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Directories besides `own` whose gateway is gone, locked for as long as the file is held.
pub(super) fn abandoned(root: &Path, own: &Path) -> Vec<(PathBuf, File)> {
    let others = (0..SLOTS).map(|number| slot(root, number)).take_while(|directory| directory.is_dir());
    let others = others.filter(|directory| directory != own);
    others.filter_map(|directory| Some((lock(&directory).ok()??, directory))).map(|(l, d)| (d, l)).collect()
}

/// What waits in a directory, oldest first; what a crash has left half written goes.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(segment::UNFINISHED) {
            drop(fs::remove_file(file.path()));
        } else if let Some(segment) = Segment::parse(name, file.metadata()?.len()) {
            found.push(segment);
        }
    }
    found.sort_unstable_by_key(|segment| segment.number);
    Ok(found)
}
