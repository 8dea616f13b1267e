//! Plans for CQL: which questions and which writes, in which order, with every value in the form it is encoded in.
//! Whoever runs one decides nothing.

mod access;
mod condition;
mod counter;
mod demand;
mod known;
mod members;
mod moment;
mod order;
mod raw;
mod read;
mod rows;
mod scope;
mod stage;
mod terms;
mod value;
mod work;
mod write;

pub(super) use counter::{counts_nothing, increment};
pub(super) use raw::raw;
pub use raw::{RowLimit, first_word, row_limit};
pub use read::read;
pub(super) use stage::{paged, stage};
pub use value::CqlValue;

use std::sync::Arc;

use super::Output;
use crate::error::{RequestCode, RequestError};
use crate::query::Stamp;
use crate::schema::Relation;

#[cfg(test)]
mod tests;

/// The refusal of what cannot be said in CQL with the same meaning: why, and what to do instead.
pub(super) fn refuse(field: &str, reason: String, fix: String) -> RequestError {
    RequestError::field(RequestCode::NotSupportedByBackend, field, reason).hint(fix)
}

/// What a CQL database is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum CqlPlan {
    /// Rows.
    Read(CqlRead),
    /// A number of rows.
    Count(CqlCount),
    /// New rows.
    Insert(CqlInsert),
    /// A change of rows.
    Update(CqlUpdate),
    /// A removal of rows.
    Delete(CqlDelete),
}

/// A column and what it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Restriction {
    /// Position in [`Relation::columns`].
    pub column: usize,
    /// What it must be.
    pub test: Test,
}

/// What a column must be. Each value is one marker.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `c = ?`
    Eq(CqlValue),
    /// `c IN ?`, with the members as one list; at least two, all different.
    In(Vec<CqlValue>),
    /// `c > ?`
    Gt(CqlValue),
    /// `c >= ?`
    Gte(CqlValue),
    /// `c < ?`
    Lt(CqlValue),
    /// `c <= ?`
    Lte(CqlValue),
    /// `c CONTAINS ?`
    Contains(CqlValue),
    /// `c[?] = ?`
    Entry(CqlValue, CqlValue),
    /// `c != ?`; in the `IF` of a write only, where it holds for null too.
    Neq(CqlValue),
    /// `c = null`; in the `IF` of a write only.
    Null,
    /// `c != null`; in the `IF` of a write only.
    NotNull,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlRead {
    /// Table or view.
    pub relation: Arc<Relation>,
    /// Columns of every read. The hidden ones are not of the answer: they only tell rows apart.
    pub outputs: Vec<Output>,
    /// Whether the shown `outputs` are every column under its own name, so that a column added since can be noticed.
    pub every: bool,
    /// The `WHERE` of every read, one read after the other; without any there are no rows and nothing is asked.
    pub reads: Vec<Vec<Restriction>>,
    /// Positions in `outputs` of what tells rows apart where two reads may give the same row: the second one is
    /// dropped. Empty where none can come twice.
    pub distinct: Vec<usize>,
    /// Whether rows come in the reverse of the table's clustering order (`ORDER BY` with every clustering column
    /// turned round); else no order is asked for.
    pub reversed: bool,
    /// So many rows of all reads together are left out, before the limit.
    pub skip: u64,
    /// At most so many rows of all reads together, never 0.
    pub limit: Option<u64>,
    /// Whether every read needs `ALLOW FILTERING`, which its owner has allowed.
    pub filtering: bool,
    /// Whether the answer may take longer than one statement, as long as rows keep flowing.
    pub unbounded: bool,
    /// The one page that is read of them; else they are read to the end.
    pub page: Option<CqlPage>,
}

/// One page of a read whose rows have an order of their own: reads one after the other, each as the database keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlPage {
    /// Rows of a full page, at least one.
    pub size: u64,
    /// Where the page before ended, in the words of whoever ran it; none for the first page.
    pub from: Option<Box<[u8]>>,
}

/// The number of rows of one table that match.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlCount {
    /// Table or view.
    pub relation: Arc<Relation>,
    /// The `WHERE` of every count; the sum is the answer, since no row is counted twice. Without any it is 0 and
    /// nothing is asked.
    pub reads: Vec<Vec<Restriction>>,
    /// Whether every count needs `ALLOW FILTERING`.
    pub filtering: bool,
    /// More rows than that are not counted: the count is refused.
    pub most: Option<u64>,
}

/// What becomes of a row that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The insert fails on the constraint [`crate::schema::PRIMARY_KEY`] and nothing is written: `IF NOT EXISTS`.
    Refuses,
    /// It stays as it is and is returned: `IF NOT EXISTS`.
    Stays,
    /// It stays as it is, and the answer says so and shows it: `IF NOT EXISTS`. For one row only.
    Told,
    /// It takes the new values: a plain `INSERT`.
    Changes,
}

/// How several statements become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// There is one statement only.
    Single,
    /// Rows of one partition: an unlogged batch, which is atomic there.
    Partition,
    /// Rows of several partitions: a logged batch.
    Logged,
}

/// New rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlInsert {
    /// Table.
    pub relation: Arc<Relation>,
    /// Columns written, those of the primary key among them.
    pub columns: Vec<usize>,
    /// For every row a value for each of `columns`.
    pub rows: Vec<Vec<CqlValue>>,
    /// What becomes of a row that is already there.
    pub existing: Existing,
    /// How several rows are written.
    pub batch: Batch,
    /// How long the values live and when they were written (`USING …`); no time beside `IF`.
    pub stamp: Stamp,
    /// Columns of the answer, read by the primary key when the row is written; none for an answer without rows.
    pub returning: Vec<Output>,
    /// What a row must be, besides, to be shown: one of these. It may have changed since it was written, and the key of
    /// the caller may not let it through as it is now. `None` where every row may be shown.
    pub visible: Option<Vec<Vec<Restriction>>>,
}

impl CqlInsert {
    /// What finds a row that was written: a restriction for every column of the primary key.
    pub fn key(&self, row: &[CqlValue]) -> Vec<Restriction> {
        let of = |column: &usize| {
            let place = self.columns.iter().position(|written| written == column)?;
            Some(Restriction { column: *column, test: Test::Eq(row.get(place)?.clone()) })
        };
        self.relation.primary_key.iter().filter_map(of).collect()
    }
}

/// A change of rows that are there.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlUpdate {
    /// Table.
    pub relation: Arc<Relation>,
    /// The rows, each by its whole primary key; one statement after the other. Without any nothing is asked.
    pub rows: Vec<Vec<Restriction>>,
    /// New values.
    pub set: Vec<(usize, CqlValue)>,
    /// Whether `set` is added to what is there, as counters are. Then nothing is asked of a row (no `IF`), and one that
    /// is not there is made.
    pub added: bool,
    /// Seconds after which the new values are gone (`USING TTL`).
    pub ttl: Option<i32>,
    /// What the row must be besides (`IF …`); when empty it must only be there (`IF EXISTS`).
    pub condition: Vec<Restriction>,
    /// Whether the answer tells if the one row met the condition, and shows it where it did not.
    pub told: bool,
    /// Columns of the answer, read by the primary key when the row is changed; none for an answer without rows.
    pub returning: Vec<Output>,
    /// As with an insert.
    pub visible: Option<Vec<Vec<Restriction>>>,
}

/// A removal of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CqlDelete {
    /// Table.
    pub relation: Arc<Relation>,
    /// The rows, each by its whole primary key; one statement after the other. Without any nothing is asked.
    pub rows: Vec<Vec<Restriction>>,
    /// What the row must be besides (`IF …`); when empty it must only be there (`IF EXISTS`).
    pub condition: Vec<Restriction>,
    /// Only what was written until then goes (`USING TIMESTAMP`), and nothing is asked of a row (no `IF`): those count
    /// that were there before and are not afterwards.
    pub timestamp: Option<i64>,
    /// Whether the answer tells if the one row met the condition, and shows it where it did not.
    pub told: bool,
    /// Columns of the answer, read by the primary key before the row is removed; none for an answer without rows.
    pub returning: Vec<Output>,
}

impl CqlDelete {
    /// What the row must be, besides, to be read before it is removed: what its removal depends on, as far as a read can
    /// say it. It may have been another row then, which the key of the caller does not let through.
    pub fn visible(&self) -> &[Restriction] {
        let sayable =
            |one: &Restriction| !matches!(one.test, Test::Neq(_) | Test::Null | Test::NotNull | Test::In(_));
        if self.told || !self.condition.iter().all(sayable) { &[] } else { &self.condition }
    }
}
