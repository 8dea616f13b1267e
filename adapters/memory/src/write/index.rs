//! Unique indexes of a table, while a statement runs.

use std::collections::HashMap;

use athena_application::ports::PortError;
use athena_domain::schema::Relation;

use crate::reject;
use crate::table::Row;
use crate::value::Stored;

/// For each unique index, the key of every row and where the row stands.
///
/// An index with a predicate holds no key: what it demands is not known here.
pub(super) struct Indexes<'r> {
    relation: &'r Relation,
    places: Vec<HashMap<Vec<String>, usize>>,
}

impl<'r> Indexes<'r> {
    pub(super) fn build(relation: &'r Relation, rows: &[Row]) -> Result<Self, PortError> {
        let mut indexes = Self { relation, places: vec![HashMap::new(); relation.unique.len()] };
        for (place, row) in rows.iter().enumerate() {
            indexes.add(row, place)?;
        }
        Ok(indexes)
    }

    /// Key of a row in an index; a null in it is equal to nothing.
    fn key(&self, index: usize, row: &[Stored]) -> Option<Vec<String>> {
        let index = &self.relation.unique[index];
        let cells = index.columns.iter().map(|column| &row[*column]);
        index.total.then_some(())?;
        cells.map(|cell| (!cell.is_null()).then(|| cell.key())).collect()
    }

    /// Where the row stands that has the same key.
    pub(super) fn find(&self, index: usize, row: &[Stored]) -> Option<usize> {
        self.places[index].get(&self.key(index, row)?).copied()
    }

    pub(super) fn add(&mut self, row: &[Stored], place: usize) -> Result<(), PortError> {
        for index in 0..self.places.len() {
            let Some(key) = self.key(index, row) else { continue };
            if self.places[index].insert(key, place).is_some() {
                return Err(reject::unique(self.relation, &self.relation.unique[index].name));
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, row: &[Stored]) {
        for index in 0..self.places.len() {
            if let Some(key) = self.key(index, row) {
                self.places[index].remove(&key);
            }
        }
    }
}
