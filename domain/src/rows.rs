//! Rows on their way out: borrowed cells pushed into a sink, never a tree of values.

pub mod calendar;
mod csv;
mod json;

pub use csv::CsvRows;
pub use json::{JsonRows, escape_into};

use std::collections::HashSet;
use std::sync::Arc;

use crate::shape::{Cell, RowSet};

/// One value, borrowed from the driver's buffer or from the decoder's scratch space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CellRef<'a> {
    /// SQL NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number as JSON text, digit for digit.
    Number(&'a str),
    /// Text that needs no escape in JSON: dates, uuids, hex.
    Plain(&'a str),
    /// Any text.
    Text(&'a str),
    /// An array or object, or a JSON column's text, as it stands.
    Json(&'a str),
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnHead {
    /// Key of the column in the answer.
    pub label: Arc<str>,
    /// Whether the value is for the gateway alone and not part of the answer.
    pub hidden: bool,
}

impl ColumnHead {
    /// Columns of these names. Two of one name would hide each other in an object, so the second gets a number.
    pub fn named<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Self> {
        let mut labels = HashSet::new();
        let head = |name: &str| {
            let (mut label, mut number) = (name.to_owned(), 1);
            while !labels.insert(label.clone()) {
                number += 1;
                label = format!("{name}_{number}");
            }
            Self { label: label.into(), hidden: false }
        };
        names.map(head).collect()
    }
}

/// What a sink wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next row.
    More,
    /// To be flushed before the next row.
    Full,
    /// No row any more.
    Stop,
}

/// Takes rows, cell by cell.
pub trait RowSink: Send {
    /// Announces the columns of the rows that follow. Called once before the first row, also when there
    /// is none, unless the statement has no rows at all.
    fn columns(&mut self, heads: &[ColumnHead]);

    /// Takes the next cell of the current row.
    fn cell(&mut self, cell: CellRef<'_>);

    /// Ends the current row.
    fn end_row(&mut self) -> Flow;
}

/// Form of the rows in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// Elements of a JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A header line, then a line a row (RFC 4180).
    Csv,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowStyle {
    /// Form.
    pub format: RowFormat,
    /// Whether keys with null values are left out, in nested objects too. Without effect on CSV.
    pub strip_nulls: bool,
}

/// Gathers rows for grouping.
#[derive(Debug, Default)]
pub struct GatherRows {
    heads: Vec<bool>,
    at: usize,
    set: Option<RowSet>,
    row: Vec<Cell>,
}

impl GatherRows {
    /// The rows so far.
    pub fn into_rows(self) -> RowSet {
        self.set.unwrap_or_else(|| RowSet::new(Vec::<Box<str>>::new()))
    }
}

impl RowSink for GatherRows {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.heads = heads.iter().map(|head| head.hidden).collect();
        let shown = heads.iter().filter(|head| !head.hidden);
        let shown: Vec<Box<str>> = shown.map(|head| head.label.as_ref().into()).collect();
        self.set = Some(RowSet::new(shown));
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        let hidden = self.heads.get(self.at).copied().unwrap_or(false);
        self.at += 1;
        if hidden {
            return;
        }
        self.row.push(match cell {
            CellRef::Null => Cell::Null,
            CellRef::Bool(flag) => Cell::Bool(flag),
            CellRef::Int(number) => Cell::Number(itoa::Buffer::new().format(number).into()),
            CellRef::Number(text) => Cell::Number(text.into()),
            CellRef::Plain(text) | CellRef::Text(text) => Cell::Text(text.into()),
            CellRef::Json(text) => Cell::Json(text.into()),
        });
    }

    fn end_row(&mut self) -> Flow {
        self.at = 0;
        if let Some(set) = &mut self.set {
            set.push_row(std::mem::take(&mut self.row))
                .expect("a backend gives every row the columns it announced");
        }
        Flow::More
    }
}
