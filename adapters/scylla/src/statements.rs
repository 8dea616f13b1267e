//! Prepared statements that are kept, by their text.
//!
//! What is used stays, however many others come along: a caller who names columns in ever new ways must not take the
//! statements of everybody else away. So there are two halves. Whatever is used moves into the younger one; when that
//! is full the older one is dropped, and with it what nobody has used for as long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use scylla::statement::prepared::PreparedStatement;

/// Statements of one half.
const STATEMENTS: usize = 512;

/// Bytes of one half. A caller's own statement may be as long as a body, and one of a wide table has many columns.
const BYTES: usize = 4 << 20;

/// What a column of a statement's values or rows takes besides its text.
const COLUMN_BYTES: usize = 160;

/// What a statement takes.
fn bytes(text: &str, statement: &PreparedStatement) -> usize {
    let columns =
        statement.get_variable_col_specs().len() + statement.get_current_result_set_col_specs().get().len();
    // The text is kept as the key and in the statement.
    2 * text.len() + columns * COLUMN_BYTES
}

/// Prepared statements by their text.
#[derive(Debug)]
pub(crate) struct Statements(Mutex<Halves<PreparedStatement>>);

impl Statements {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Halves::new(STATEMENTS, BYTES)))
    }

    /// The statement with this text, when it is kept.
    pub(crate) fn get(&self, text: &str) -> Option<PreparedStatement> {
        self.halves().get(text)
    }

    /// Keeps a statement, in the place of what is kept by its text.
    pub(crate) fn put(&self, text: String, statement: &PreparedStatement) {
        let bytes = bytes(&text, statement);
        self.halves().put(text, statement.clone(), bytes);
    }

    fn halves(&self) -> std::sync::MutexGuard<'_, Halves<PreparedStatement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Kept<T> {
    value: T,
    bytes: usize,
}

#[derive(Debug)]
struct Halves<T> {
    most: usize,
    most_bytes: usize,
    young: HashMap<String, Kept<T>>,
    /// Bytes of `young`.
    bytes: usize,
    old: HashMap<String, Kept<T>>,
}

impl<T: Clone> Halves<T> {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, young: HashMap::new(), bytes: 0, old: HashMap::new() }
    }

    fn get(&mut self, text: &str) -> Option<T> {
        if let Some(kept) = self.young.get(text) {
            return Some(kept.value.clone());
        }
        let (text, kept) = self.old.remove_entry(text)?;
        let value = kept.value.clone();
        self.put(text, kept.value, kept.bytes);
        Some(value)
    }

    fn put(&mut self, text: String, value: T, bytes: usize) {
        self.old.remove(&text);
        if let Some(former) = self.young.remove(&text) {
            self.bytes -= former.bytes;
        }
        if bytes > self.most_bytes / 8 {
            // It would take the place of many.
            return;
        }
        if self.young.len() >= self.most || self.bytes + bytes > self.most_bytes {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(text, Kept { value, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut halves = Halves::new(8, 1000);
        halves.put("hot".to_owned(), 0, 1);
        halves.put("cold".to_owned(), 0, 1);
        for n in 1..100 {
            halves.put(format!("new {n}"), n, 1);
            assert_eq!(halves.get("hot"), Some(0), "after {n} others");
            assert!(halves.young.len() + halves.old.len() <= 16);
        }
        assert_eq!((halves.get("cold"), halves.get("new 1")), (None, None));
        halves.put("hot".to_owned(), 7, 1);
        assert_eq!(halves.get("hot"), Some(7), "prepared anew");
    }

    #[test]
    fn many_bytes_count_as_many_statements() {
        let mut halves = Halves::new(1000, 1000);
        for n in 0..100 {
            halves.put(n.to_string(), n, 100);
            let held: usize = halves.young.values().chain(halves.old.values()).map(|kept| kept.bytes).sum();
            assert!(held <= 2000 && halves.bytes <= 1000);
        }
        assert_eq!((halves.get("99"), halves.get("70")), (Some(99), None));
        halves.put("long".to_owned(), 0, 126);
        assert_eq!(halves.get("long"), None, "it is prepared whenever it is asked");
        assert_eq!(halves.get("99"), Some(99));
    }
}
