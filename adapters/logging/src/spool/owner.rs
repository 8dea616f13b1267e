//! Whose the batches are: the place of a store, and its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use athena_application::ports::StoreId;

use super::{directory, segment};

/// End of the names of batches that were set aside.
pub(super) const FOREIGN: &str = "foreign";

/// File that tells people which place a directory is for.
const PLACE: &str = "place";

/// File with the name of the store.
const OWNER: &str = "store";

/// The directory of all gateways of the store at this place, made where it is missing.
///
/// # Errors
/// When it cannot be made, or is another place's.
pub(super) fn root(shared: &Path, place: &str) -> io::Result<PathBuf> {
    let root = shared.join(format!("{:016x}", segment::sum(place.as_bytes())));
    directory::private(&root)?;
    match fs::read_to_string(root.join(PLACE)) {
        Ok(known) if known == place => {}
        Ok(_) => {
            return Err(io::Error::other("the directory of this control database is taken by another one"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => keep(&root, PLACE, place)?,
        Err(error) => return Err(error),
    }
    Ok(root)
}

/// The store whose batches a directory holds, where that is known.
///
/// # Errors
/// When it cannot be read: then it is not known whose they are.
pub(super) fn read(directory: &Path) -> io::Result<Option<StoreId>> {
    match fs::read_to_string(directory.join(OWNER)) {
        Ok(text) => match u128::from_str_radix(text.trim(), 16) {
            Ok(id) => Ok(Some(StoreId(id))),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes whose batches a directory holds.
///
/// # Errors
/// When that cannot be written.
pub(super) fn write(directory: &Path, store: StoreId) -> io::Result<()> {
    keep(directory, OWNER, &format!("{:032x}\n", store.0))
}

/// Directories of other places, with the batches that nobody who runs looks after.
pub(super) fn foreign(shared: &Path, own: &Path) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for root in folders(shared).into_iter().filter(|root| root != own) {
        // A directory with a lock is one itself, of a gateway that kept no places apart.
        let slots = if root.join(directory::LOCK).exists() { vec![root.clone()] } else { folders(&root) };
        let waiting = slots.iter().map(|slot| waiting(slot)).sum();
        if waiting > 0 {
            found.push((root, waiting));
        }
    }
    found.sort();
    found
}

/// What a directory is for, in words.
pub(super) fn place_of(root: &Path) -> String {
    fs::read_to_string(root.join(PLACE)).unwrap_or_else(|_| "unknown".to_owned())
}

/// Batches in a directory that no gateway has.
fn waiting(slot: &Path) -> usize {
    let is_batch = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(segment::FINISHED);
    let Ok(files) = fs::read_dir(slot) else { return 0 };
    let batches = files.flatten().filter(|file| is_batch(&file.file_name())).count();
    // Nothing is touched of a directory that is none of ours.
    let is_left = batches > 0 && matches!(directory::lock(slot), Ok(Some(_)));
    if is_left { batches } else { 0 }
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    files.flatten().map(|file| file.path()).filter(|path| path.is_dir()).collect()
}

/// Writes a small file whole or not at all.
fn keep(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    // Two gateways that start at once write the same; each under a name of its own.
    let unfinished = directory.join(format!("{name}.{}{}", std::process::id(), segment::UNFINISHED));
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, directory.join(name))?;
    segment::sync(directory)
}
