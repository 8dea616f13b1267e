#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::PathBuf;

use super::*;

/// A directory of a test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("athena-spool-{}", uuid::Uuid::new_v4().simple())))
    }

    fn open(&self, max_bytes: u64) -> (Spool, Arc<Counted>) {
        let counted = Arc::new(Counted::default());
        (Spool::open(&self.0, max_bytes, counted.clone()).unwrap(), counted)
    }

    fn files(&self, slot: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.0.join(slot)).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|path| !path.ends_with("lock"));
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn entries(number: u32) -> Vec<LogEntry<'static>> {
    vec![athena_application::contract::log_entry("shop", number, 200, false); 2]
}

fn push(spool: &mut Spool, number: u32) {
    let place = spool.reserve();
    spool.push(place, BatchId(u128::from(number)), &entries(number)).unwrap();
}

fn drain(spool: &mut Spool) -> Vec<u128> {
    let mut ids = Vec::new();
    while let Some((number, id, found)) = spool.oldest() {
        assert_eq!(found, entries(u32::try_from(id.0).unwrap()));
        ids.push(id.0);
        spool.remove(number);
    }
    ids
}

#[test]
fn batches_come_back_in_order_after_a_restart() {
    let scratch = Scratch::new();
    let (mut spool, counted) = scratch.open(1 << 20);
    (1..=12).for_each(|number| push(&mut spool, number));
    assert_eq!(counted.read(0).spooled_batches, 12);
    drop(spool);
    std::fs::write(scratch.0.join("000").join("00000000000000000099-1.tmp"), b"half").unwrap();
    let (mut spool, counted) = scratch.open(1 << 20);
    assert_eq!((counted.read(0).spooled_batches, counted.read(0).spooled_bytes), (12, 12 * BLOCK));
    push(&mut spool, 13);
    assert_eq!(drain(&mut spool), (1..=13).collect::<Vec<_>>());
    assert_eq!((counted.read(0).spooled_batches, counted.read(0).spooled_bytes), (0, 0));
    assert!(scratch.files("000").is_empty());
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts() {
    let scratch = Scratch::new();
    let (mut spool, counted) = scratch.open(3 * BLOCK);
    (1..=5).for_each(|number| push(&mut spool, number));
    assert_eq!(counted.read(0).dropped_spool, 4);
    assert!(counted.read(0).spooled_bytes <= 3 * BLOCK);
    assert_eq!(drain(&mut spool), [3, 4, 5]);
    let (mut tiny, _) = Scratch::open(&Scratch::new(), BLOCK - 1);
    assert!(tiny.push(1, BatchId(1), &entries(1)).is_err());
}

#[test]
fn damaged_files_are_set_aside() {
    let scratch = Scratch::new();
    let (mut spool, counted) = scratch.open(1 << 20);
    (1..=5).for_each(|number| push(&mut spool, number));
    let files = scratch.files("000");
    let bytes = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], &bytes[..bytes.len() - 9]).unwrap();
    std::fs::write(&files[2], b"").unwrap();
    let mut flipped = std::fs::read(&files[3]).unwrap();
    flipped[60] ^= 1;
    std::fs::write(&files[3], flipped).unwrap();
    assert_eq!(drain(&mut spool), [2, 5]);
    assert_eq!((counted.read(0).dropped_spool, counted.read(0).failures), (6, 3));
    assert_eq!(scratch.files("000").len(), 3, "they are kept for whoever wants to look");
}

#[test]
fn gateways_have_directories_of_their_own_and_inherit() {
    let scratch = Scratch::new();
    let (mut first, _) = scratch.open(1 << 20);
    let (mut second, _) = scratch.open(1 << 20);
    push(&mut first, 1);
    push(&mut second, 2);
    push(&mut second, 3);
    assert!(!first.adopt(), "what lives is left alone");
    drop(second);
    assert!(first.adopt());
    assert_eq!(drain(&mut first), [1, 2, 3]);
    let (third, _) = scratch.open(1 << 20);
    assert!(third.is_empty());
}
