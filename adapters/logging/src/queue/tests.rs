use super::*;

/// A queue, and what it counts.
fn queue(max_entries: usize, max_bytes: usize, batch: usize) -> (Queue, Counted) {
    let settings = LogSettings {
        queue_entries: max_entries,
        queue_max_bytes: max_bytes,
        batch_entries: batch,
        ..LogSettings::default()
    };
    (Queue::new(&settings), Counted::default())
}

/// An entry of one text, as long as is said with its length, that begins with `number`.
fn entry(number: u8, bytes: usize) -> Record {
    let mut record = Record::default();
    record.made(|text| text.resize(bytes - size_of::<u32>(), number));
    record
}

/// First bytes of the entries that are left, oldest first.
fn left(queue: &Queue) -> Vec<u8> {
    let mut firsts = Vec::new();
    while let Some(chunk) = queue.take() {
        let mut reader = chunk.record.read_from(chunk.start());
        let texts = std::iter::from_fn(|| reader.text()).take(chunk.len());
        firsts.extend(texts.map(|text| text.as_bytes()[0]));
    }
    firsts
}

#[test]
fn past_the_bytes_the_oldest_go_and_are_counted() {
    let (queue, counted) = queue(1000, 1000, 3);
    (0..20).for_each(|number| queue.push(&entry(number, 100), &counted));
    assert_eq!((queue.len(), counted.dropped_queue.get()), (10, 10));
    // One that is large drives several out, and one that is too large nobody.
    queue.push(&entry(20, 450), &counted);
    queue.push(&entry(21, 1001), &counted);
    assert_eq!((queue.len(), counted.dropped_queue.get()), (6, 16));
    assert_eq!(left(&queue), [15, 16, 17, 18, 19, 20]);
    // What has left makes room.
    (0..10).for_each(|number| queue.push(&entry(number, 100), &counted));
    assert_eq!((queue.len(), counted.dropped_queue.get()), (10, 16));
}

#[test]
fn past_the_entries_the_oldest_go_as_well() {
    let (queue, counted) = queue(4, 1000, 3);
    (0..9).for_each(|number| queue.push(&entry(number, 5), &counted));
    assert_eq!(counted.dropped_queue.get(), 5);
    assert_eq!(left(&queue), [5, 6, 7, 8]);
}

#[test]
fn a_chunk_of_large_entries_is_a_batch_before_it_has_many() {
    let (queue, counted) = queue(1000, 64 << 20, 100);
    for number in 0..9 {
        assert!(!queue.holds_batch(), "{number} entries");
        queue.push(&entry(number, CHUNK_BYTES / 8 - 1), &counted);
    }
    assert!(queue.holds_batch() && !queue.floods());
    assert_eq!(queue.take().map(|chunk| chunk.len()), Some(9));
    let (queue, counted) = self::queue(1000, 1000, 100);
    queue.push(&entry(0, 500), &counted);
    assert!(queue.floods(), "half of the memory");
}
