//! One batch as a file: a head of 40 bytes (form, sum, length, name of the batch), then a JSON array.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use athena_application::ports::{BatchId, LogEntry};

use super::BLOCK;

/// Form of the file; another one is not read.
const FORM: &[u8; 8] = b"ATHLOG01";
const HEAD: usize = 40;

/// End of the name of a file that is being written.
pub(super) const UNFINISHED: &str = ".tmp";
pub(super) const FINISHED: &str = ".batch";

/// A batch that waits on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Place in the order.
    pub number: u64,
    /// Entries that it holds.
    pub entries: u64,
    /// Bytes that it takes on disk.
    pub size: u64,
}

impl Segment {
    pub fn name(&self) -> String {
        format!("{:020}-{}{FINISHED}", self.number, self.entries)
    }

    pub fn parse(name: &str, length: u64) -> Option<Self> {
        let (number, entries) = name.strip_suffix(FINISHED)?.split_once('-')?;
        let size = length.next_multiple_of(BLOCK);
        Some(Self { number: number.parse().ok()?, entries: entries.parse().ok()?, size })
    }
}

pub(super) fn encode(id: BatchId, entries: &[LogEntry<'_>]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    serde_json::to_writer(&mut bytes, entries)?;
    let length = (bytes.len() - HEAD) as u64;
    bytes[..8].copy_from_slice(FORM);
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    bytes[24..40].copy_from_slice(&id.0.to_le_bytes());
    let sum = sum(&bytes[16..]);
    bytes[8..16].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// FNV-1a: enough to tell a torn file from a whole one.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub(super) fn write(directory: &Path, segment: &Segment, bytes: &[u8]) -> io::Result<()> {
    let path = directory.join(segment.name());
    let unfinished = path.with_extension(&UNFINISHED[1..]);
    let written = (|| {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&unfinished, &path)?;
        sync(directory)
    })();
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
        drop(fs::remove_file(&path));
    }
    written
}

/// Gives a file that cannot be read a name by which nobody tries again, and takes no other one's. The new name.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (0..u32::from(u16::MAX)).map(|number| match number {
        0 => path.with_extension("corrupt"),
        number => path.with_extension(format!("{number}.corrupt")),
    });
    for aside in names {
        // A link, as a renamed file would replace what is there.
        match fs::hard_link(path, &aside) {
            Ok(()) => return fs::remove_file(path).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Not every file system has links.
            Err(_) if !aside.exists() => return fs::rename(path, &aside).map(|()| aside),
            Err(_) => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name is taken"))
}

/// Makes what happened to names in a directory last.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

pub(super) fn read(path: &Path) -> io::Result<(BatchId, Vec<LogEntry<'static>>)> {
    let bytes = fs::read(path)?;
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let (Some(head), Some(body)) = (bytes.get(..HEAD), bytes.get(HEAD..)) else {
        return Err(wrong("the file is cut off"));
    };
    let number = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
    if &head[..8] != FORM {
        return Err(wrong("the file has another form"));
    }
    if number(16) != body.len() as u64 || number(8) != sum(&bytes[16..]) {
        return Err(wrong("the file is damaged"));
    }
    let id = u128::from(number(24)) | (u128::from(number(32)) << 64);
    let entries: Vec<LogEntry<'_>> = serde_json::from_slice(body)?;
    Ok((BatchId(id), entries.into_iter().map(LogEntry::into_owned).collect()))
}
