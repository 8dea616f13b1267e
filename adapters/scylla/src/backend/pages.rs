//! How many rows to ask for at once. The database counts rows and not bytes, and a page is held whole on both sides:
//! so a statement begins with few rows, and the bytes of each page say how many the next one may have.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes that a page should not have many more of.
const PAGE_BYTES: u64 = 2 << 20;

/// Rows of the first page while nothing is known of them: each may be as large as a mutation, usually 16 MiB.
const FIRST_ROWS: i32 = 4;

/// How many times as many rows the next page may have.
const GROWTH: i32 = 16;

/// Statements told apart.
const SLOTS: usize = 512;

/// How large the rows of statements have been. It is no more than a hint: statements may share a place.
pub(crate) struct RowSizes {
    hasher: RandomState,
    /// Bytes of a row; 0 while nothing is known.
    bytes: Box<[AtomicU32]>,
}

impl RowSizes {
    pub(crate) fn new() -> Self {
        let bytes = std::iter::repeat_with(|| AtomicU32::new(0)).take(SLOTS).collect();
        Self { hasher: RandomState::new(), bytes }
    }

    fn of(&self, text: &str) -> &AtomicU32 {
        let place = self.hasher.hash_one(text) % self.bytes.len() as u64;
        &self.bytes[place as usize]
    }
}

/// The sizes of one answer's pages.
pub(crate) struct Pages<'a> {
    /// Never more rows than that.
    most: i32,
    /// Never more rows than that after the first page.
    most_later: i32,
    next: i32,
    known: &'a AtomicU32,
}

impl<'a> Pages<'a> {
    /// The pages of the statement `text`, of `most` rows at most.
    pub(crate) fn of(sizes: &'a RowSizes, text: &str, most: i32) -> Self {
        let known = sizes.of(text);
        let next = match known.load(Ordering::Relaxed) {
            0 => FIRST_ROWS,
            bytes => fitting(bytes.into()),
        };
        Self { most, most_later: most, next: next.clamp(1, most.max(1)), known }
    }

    /// The same for a statement with a `LIMIT` of its own.
    ///
    /// Cassandra answers a page that has room for the whole `LIMIT` without looking where the page before it ended, so
    /// that rows would come twice: after the first page every one must be smaller.
    pub(crate) fn limited(self, limit: u64) -> Self {
        let fewer = i32::try_from(limit.saturating_sub(1)).unwrap_or(i32::MAX);
        Self { most_later: fewer.min(self.most).max(1), ..self }
    }

    /// The same where the `LIMIT` is not known: no page is larger than the first one, which was not all.
    pub(crate) fn steady(self) -> Self {
        Self { most_later: self.next, ..self }
    }

    /// Rows to ask for when so many are still wanted.
    pub(crate) fn size(&self, wanted: u64) -> i32 {
        i32::try_from(wanted).map_or(self.next, |wanted| wanted.min(self.next)).max(1)
    }

    /// Takes note of a page.
    pub(crate) fn came(&mut self, rows: usize, bytes: usize) {
        self.next = self.next.min(self.most_later);
        let Some(each) = (bytes as u64).checked_div(rows as u64) else { return };
        let each = u32::try_from(each).unwrap_or(u32::MAX).max(1);
        self.next =
            fitting(each.into()).min(self.next.saturating_mul(GROWTH)).clamp(1, self.most_later.max(1));
        // Large rows are forgotten slowly.
        let before = self.known.load(Ordering::Relaxed);
        self.known.store(each.max(before - before / 8), Ordering::Relaxed);
    }
}

fn fitting(row_bytes: u64) -> i32 {
    i32::try_from(PAGE_BYTES / row_bytes.max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the pages that a table of so many rows of so many bytes comes in.
    fn pages(sizes: &RowSizes, rows: u64, bytes: usize) -> Vec<i32> {
        let mut pages = Pages::of(sizes, "SELECT", 1000);
        let (mut left, mut all) = (rows, Vec::new());
        while left > 0 {
            let size = pages.size(left);
            pages.came(size as usize, size as usize * bytes);
            left -= size as u64;
            all.push(size);
        }
        all
    }

    #[test]
    fn pages_grow_with_small_rows_and_shrink_with_large_ones() {
        let sizes = RowSizes::new();
        assert_eq!(pages(&sizes, 24, 16 << 20), [vec![4], vec![1; 20]].concat());
        assert_eq!(pages(&sizes, 3, 16 << 20), vec![1; 3], "it is known now");
        let sizes = RowSizes::new();
        assert_eq!(pages(&sizes, 3000, 100), [4, 64, 1000, 1000, 932]);
        assert_eq!(pages(&sizes, 3000, 100), [1000; 3]);
        assert_eq!(pages(&sizes, 100, 100), [100]);
        assert_eq!(pages(&RowSizes::new(), 100, 1 << 16), [4, 32, 32, 32]);
        assert_eq!(pages(&RowSizes::new(), 100, 0), [4, 64, 32]);
    }

    #[test]
    fn no_later_page_has_room_for_the_whole_limit() {
        let sizes = RowSizes::new();
        let sizes_of = |limit: Option<u64>, rows: [usize; 3]| {
            let pages = Pages::of(&sizes, "SELECT", 1000);
            let mut pages = match limit {
                Some(limit) => pages.limited(limit),
                None => pages.steady(),
            };
            rows.map(|rows| {
                let size = pages.size(u64::MAX);
                pages.came(rows, rows * 100);
                size
            })
        };
        assert_eq!(sizes_of(Some(6), [0, 0, 0]), [4, 4, 4]);
        assert_eq!(sizes_of(None, [4, 4, 4]), [4, 4, 4]);
        assert_eq!(sizes_of(Some(6), [5, 5, 5]), [1000, 5, 5], "the rows are known now");
        assert_eq!(sizes_of(Some(6), [0, 0, 0]), [1000, 5, 5]);
        assert_eq!(sizes_of(Some(1), [1, 1, 1]), [1000, 1, 1]);
        assert_eq!(sizes_of(Some(5000), [10, 10, 10]), [1000; 3]);
    }
}
