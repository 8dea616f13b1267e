//! From the driver's pages to the sink.

use std::collections::HashSet;

use athena_application::ports::{PortError, PortErrorKind, RowStream};
use athena_domain::plan::Output;
use athena_domain::rows::{ColumnHead, Flow};
use athena_domain::schema::Relation;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::{ColumnSpecs, QueryResult, QueryRowsResult};

use super::stale;
use crate::failure::PORT;
use crate::value::{Scratch, cell};

/// What a key takes that is remembered, besides its bytes.
const KEY_BYTES: u64 = 48;

/// Hands rows on.
pub(super) struct Answer<'a> {
    relation: &'a Relation,
    outputs: &'a [Output],
    /// Whether the answer must have no column beside the outputs.
    every: bool,
    /// Positions in `outputs` of what tells rows apart.
    distinct: &'a [usize],
    seen: HashSet<Box<[u8]>>,
    /// Bytes of `seen`.
    seen_bytes: u64,
    /// Rows to be left out.
    skip: u64,
    /// Rows that may still be handed on.
    left: u64,
    scratch: Scratch,
    announced: bool,
    /// Rows handed on.
    pub rows: u64,
}

impl<'a> Answer<'a> {
    pub(super) fn new(relation: &'a Relation, outputs: &'a [Output], big_numbers_as_text: bool) -> Self {
        Self {
            relation,
            outputs,
            every: false,
            distinct: &[],
            seen: HashSet::new(),
            seen_bytes: 0,
            skip: 0,
            left: u64::MAX,
            scratch: Scratch::new(big_numbers_as_text),
            announced: false,
            rows: 0,
        }
    }

    /// Refuses answers with other columns.
    pub(super) fn every(mut self, every: bool) -> Self {
        self.every = every;
        self
    }

    /// Leaves out rows whose values at these outputs came before.
    pub(super) fn distinct(mut self, outputs: &'a [usize]) -> Self {
        self.distinct = outputs;
        self
    }

    /// Hands on no more than `limit` rows after the first `skip`.
    pub(super) fn between(mut self, skip: u64, limit: Option<u64>) -> Self {
        (self.skip, self.left) = (skip, limit.unwrap_or(u64::MAX));
        self
    }

    /// Rows that are still wanted, those among them that will be left out.
    pub(super) fn wanted(&self) -> u64 {
        self.skip.saturating_add(self.left)
    }

    /// Whether every row that may be handed on has been.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Tells the sink the columns, unless it knows them.
    pub(super) fn announce(&mut self, sink: &mut dyn RowStream) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        let head = |output: &Output| ColumnHead { label: output.label.clone(), hidden: output.hidden };
        sink.columns(&self.outputs.iter().map(head).collect::<Vec<_>>());
    }

    /// Hands on the rows of a page. `Stop` when no more are wanted.
    pub(super) async fn push(
        &mut self,
        page: &QueryRowsResult,
        sink: &mut dyn RowStream,
    ) -> Result<Flow, PortError> {
        let specs = page.column_specs();
        let places = self.places(specs)?;
        self.announce(sink);
        let rows = page.rows::<ColumnIterator<'_, '_>>().map_err(unreadable)?;
        let mut values = Vec::with_capacity(specs.len());
        for row in rows {
            values.clear();
            for column in row.map_err(unreadable)? {
                let column = column.map_err(unreadable)?;
                values.push((column.spec.typ(), column.slice.map(|slice| slice.as_slice())));
            }
            if !self.distinct.is_empty() {
                let key = self.key(&places, &values);
                let bytes = key.len() as u64 + KEY_BYTES;
                if !self.seen.insert(key) {
                    continue;
                }
                self.seen_bytes += bytes;
                if !sink.keep(self.seen_bytes) {
                    return Ok(Flow::Stop);
                }
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            for place in &places {
                let (ty, bytes) = values[*place];
                sink.cell(cell(ty, bytes, &mut self.scratch).map_err(unreadable)?);
            }
            self.rows += 1;
            self.left -= 1;
            let flow = match sink.end_row() {
                Flow::Full => sink.flush().await,
                flow => flow,
            };
            if flow == Flow::Stop || self.left == 0 {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::More)
    }

    /// What tells the row apart, so that no two keys give the same bytes.
    fn key<T>(&self, places: &[usize], values: &[(T, Option<&[u8]>)]) -> Box<[u8]> {
        let mut key = Vec::new();
        for output in self.distinct {
            let bytes = values[places[*output]].1.unwrap_or_default();
            key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            key.extend_from_slice(bytes);
        }
        key.into()
    }

    /// Where in the answer each output stands. The order of `*` is the server's own.
    fn places(&self, specs: ColumnSpecs<'_, '_>) -> Result<Vec<usize>, PortError> {
        if self.every && specs.len() != self.outputs.len() {
            return Err(stale());
        }
        let place = |(index, output): (usize, &Output)| {
            let name = &*self.relation.columns[output.column].name;
            if specs.get_by_index(index).is_some_and(|spec| spec.name() == name) {
                return Ok(index);
            }
            specs.get_by_name(name).map(|(place, _)| place).ok_or_else(stale)
        };
        self.outputs.iter().enumerate().map(place).collect()
    }
}

/// The rows of an answer that has some.
pub(super) fn rows(result: QueryResult) -> Result<QueryRowsResult, PortError> {
    result.into_rows_result().map_err(unreadable)
}

/// An answer that cannot be read: a bug.
pub(super) fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new(PORT, PortErrorKind::Internal).caused_by(error)
}
