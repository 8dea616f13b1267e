#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::PathBuf;

use super::*;

const PLACE: &str = "db:5432/athena_logging";

/// A directory of a test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("athena-spool-{}", uuid::Uuid::new_v4().simple())))
    }

    fn open(&self, max_bytes: u64) -> (Spool, Arc<Counted>) {
        let counted = Arc::new(Counted::default());
        (Spool::open(&self.0, PLACE, max_bytes, counted.clone()).unwrap(), counted)
    }

    fn slot(&self, slot: &str) -> PathBuf {
        owner::root(&self.0, PLACE).unwrap().join(slot)
    }

    fn files(&self, slot: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.slot(slot)).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|path| !path.ends_with("lock") && !path.ends_with("store"));
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
    std::fs::write(scratch.slot("000").join("00000000000000000099-1.tmp"), b"half").unwrap();
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
fn what_cannot_be_read_is_never_thrown_away() {
    let scratch = Scratch::new();
    // A start later, numbers begin anew and names come again.
    for round in 1..=3 {
        let (mut spool, counted) = scratch.open(1 << 20);
        push(&mut spool, 1);
        let name =
            scratch.files("000").into_iter().find(|path| path.extension().is_some_and(|e| e == "batch"));
        std::fs::write(name.unwrap(), format!("torn {round}")).unwrap();
        assert_eq!(drain(&mut spool), []);
        assert_eq!(counted.read(0).dropped_spool, 2);
    }
    let kept: Vec<_> =
        scratch.files("000").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    for round in 1..=3 {
        assert!(kept.contains(&format!("torn {round}")), "{kept:?}");
    }
    // What is no file can be neither read nor linked.
    let (mut spool, _) = scratch.open(1 << 20);
    push(&mut spool, 2);
    let path = scratch.slot("000").join(Segment { number: 1, entries: 2, size: BLOCK }.name());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(drain(&mut spool), []);
    assert_eq!(scratch.files("000").len(), 4);
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

#[test]
fn what_another_store_has_left_is_left_alone() {
    let scratch = Scratch::new();
    let (one, two) = (StoreId(1), StoreId(2));
    let (mut first, _) = scratch.open(1 << 20);
    let (mut second, _) = scratch.open(1 << 20);
    second.belongs_to(Some(two)).unwrap();
    push(&mut second, 2);
    drop(second);
    // As long as it is not known who answers here, nobody's records are taken over.
    assert!(!first.adopt());
    first.belongs_to(Some(one)).unwrap();
    push(&mut first, 1);
    assert!(!first.adopt());
    assert!(first.belongs_to(None).is_err(), "a store that does not say which one it is gets nothing");
    assert_eq!(drain(&mut first), [1]);
    push(&mut first, 3);
    first.belongs_to(Some(two)).unwrap();
    assert!(first.adopt(), "its own");
    assert_eq!(drain(&mut first), [2]);
    let names = scratch.files("000");
    assert!(matches!(&names[..], [path] if path.extension().unwrap() == "foreign"), "{names:?}");
}

#[test]
fn the_owner_is_known_after_a_restart() {
    let scratch = Scratch::new();
    let (mut spool, _) = scratch.open(1 << 20);
    spool.belongs_to(Some(StoreId(7))).unwrap();
    push(&mut spool, 1);
    drop(spool);
    let (mut spool, counted) = scratch.open(1 << 20);
    spool.belongs_to(Some(StoreId(8))).unwrap();
    assert!(spool.is_empty());
    assert_eq!((counted.read(0).spooled_batches, counted.read(0).spooled_bytes), (0, 0));
}

#[test]
fn places_are_kept_apart_and_told_of() {
    let scratch = Scratch::new();
    let counted = Arc::new(Counted::default());
    let (mut spool, _) = scratch.open(1 << 20);
    push(&mut spool, 1);
    let own = owner::root(&scratch.0, "elsewhere").unwrap();
    assert_eq!(owner::foreign(&scratch.0, &own), [], "what a gateway looks after is nobody's business");
    drop(spool);
    let found = owner::foreign(&scratch.0, &own);
    assert!(matches!(&found[..], [(path, 1)] if owner::place_of(path) == PLACE), "{found:?}");
    let other = Spool::open(&scratch.0, "elsewhere", 1 << 20, counted).unwrap();
    assert!(other.is_empty());
    // What lies there from before places were kept apart is nobody's.
    let old = scratch.0.join("000");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("lock"), b"").unwrap();
    std::fs::write(old.join("00000000000000000001-2.batch"), b"x").unwrap();
    assert_eq!(owner::foreign(&scratch.0, &own).len(), 2);
}
