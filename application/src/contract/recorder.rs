//! A sink that keeps every row as text and holds the backend to the sink's own rules.

use athena_domain::query::{JsonText, Value};
use athena_domain::rows::{CellRef, ColumnHead, Flow, RowSink, escape_into};

use crate::ports::RowStream;

/// Keeps rows; panics when the backend breaks the order of calls.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Columns as they were announced; `None` until then.
    pub heads: Option<Vec<ColumnHead>>,
    /// Rows as canonical JSON objects.
    pub rows: Vec<String>,
    /// Text of the hidden cells.
    pub hidden: Vec<Option<String>>,
    /// How often the sink was flushed.
    pub flushes: u64,
    /// Says stop at the end of this row.
    pub stop_after: Option<usize>,
    /// Says full at the end of every row.
    pub full: bool,
    /// Says stop when flushed.
    pub stop_on_flush: bool,
    /// Takes note of no more bytes beside the rows than that.
    pub most_beside: Option<u64>,
    /// Never returns from a flush.
    pub hang_on_flush: bool,
    pub(super) cells: Vec<String>,
    pub(super) stopped: bool,
    pub(super) awaits_flush: bool,
}

impl Recorder {
    /// Labels of the columns that are not hidden.
    pub fn labels(&self) -> Vec<&str> {
        let heads = self.heads.as_deref().unwrap_or_default();
        heads.iter().filter(|head| !head.hidden).map(|head| &*head.label).collect()
    }

    /// Checks that nothing is left half done.
    pub fn finish(&self) {
        assert!(self.cells.is_empty(), "the last row was not ended");
        assert!(!self.awaits_flush, "a full sink was not flushed");
    }
}

impl RowSink for Recorder {
    fn columns(&mut self, heads: &[ColumnHead]) {
        assert!(self.heads.is_none(), "the columns were announced twice");
        self.heads = Some(heads.to_vec());
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        assert!(!self.stopped, "a cell after the sink said stop");
        assert!(!self.awaits_flush, "a cell before the full sink was flushed");
        let heads = self.heads.as_ref().expect("the columns are announced before the first row");
        assert!(self.cells.len() < heads.len(), "more cells than columns");
        self.cells.push(text(cell));
    }

    fn end_row(&mut self) -> Flow {
        let heads = self.heads.as_ref().expect("the columns are announced before the first row");
        assert_eq!(self.cells.len(), heads.len(), "cells of a row of {heads:?}");
        let mut fields = Vec::new();
        for (head, cell) in heads.iter().zip(self.cells.drain(..)) {
            if head.hidden {
                self.hidden.push(plain(&cell));
            } else {
                fields.push((quoted(&head.label), cell));
            }
        }
        self.rows.push(object(fields));
        if self.stop_after == Some(self.rows.len()) {
            self.stopped = true;
            return Flow::Stop;
        }
        self.awaits_flush = self.full;
        if self.full { Flow::Full } else { Flow::More }
    }
}

#[async_trait::async_trait]
impl RowStream for Recorder {
    async fn flush(&mut self) -> Flow {
        self.flushes += 1;
        self.awaits_flush = false;
        if self.hang_on_flush {
            std::future::pending::<()>().await;
        }
        self.stopped = self.stop_on_flush;
        if self.stopped { Flow::Stop } else { Flow::More }
    }

    fn keep(&mut self, bytes: u64) -> bool {
        self.stopped |= self.most_beside.is_some_and(|most| bytes > most);
        !self.stopped
    }
}

fn text(cell: CellRef<'_>) -> String {
    match cell {
        CellRef::Null => "null".to_owned(),
        CellRef::Bool(flag) => flag.to_string(),
        CellRef::Int(number) => number.to_string(),
        CellRef::Number(text) | CellRef::Json(text) => canonical(text),
        CellRef::Text(text) => quoted(text),
        CellRef::Plain(text) => {
            assert_eq!(quoted(text).len(), text.len() + 2, "plain text that needs an escape");
            quoted(text)
        }
    }
}

/// The text that a JSON scalar stands for.
fn plain(json: &str) -> Option<String> {
    match JsonText::parse(json.as_bytes()).ok().and_then(|text| text.string()) {
        Some(text) => Some(text.into_owned()),
        None => (json != "null").then(|| json.to_owned()),
    }
}

fn quoted(text: &str) -> String {
    let mut out = vec![b'"'];
    // Both spellings of UTC are the same moment.
    let moment = text.len() > 11 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    escape_into(if moment { &text[..text.len() - 1] } else { text }, &mut out);
    out.extend_from_slice(if moment { b"+00:00\"" } else { b"\"" });
    String::from_utf8_lossy(&out).into_owned()
}

fn object(mut fields: Vec<(String, String)>) -> String {
    fields.sort();
    let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// JSON with sorted keys and no white space; numbers keep their text.
///
/// Two texts are the same value exactly when their canonical forms are equal.
pub fn canonical(json: &str) -> String {
    let text = JsonText::parse(json.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {json}"));
    if text.is_array() {
        let elements = text.expect_array("").expect("an array");
        let elements: Vec<String> = elements.iter().map(|element| canonical(element.as_text())).collect();
        return format!("[{}]", elements.join(","));
    }
    if text.is_object() {
        let fields = text.expect_object("").expect("an object").rest();
        return object(fields.iter().map(|(key, value)| (quoted(key), canonical(value.as_text()))).collect());
    }
    match text.value("").expect("a scalar") {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) | Value::Json(number) => number.into(),
        Value::Text(text) => quoted(&text),
    }
}
