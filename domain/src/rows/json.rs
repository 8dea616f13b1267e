//! Rows as JSON objects, written straight into bytes.

use super::{CellRef, ColumnHead, Flow, RowFormat, RowSink, RowStyle};
use crate::shape::strip_nulls::{compact_lines, strip_json};

/// Writes rows as elements of a JSON array or as NDJSON lines. It writes no brackets around the array.
#[derive(Debug)]
pub struct JsonRows {
    style: RowStyle,
    /// Bytes written and not yet taken.
    pub buffer: Vec<u8>,
    /// Rows ended so far.
    pub rows: u64,
    /// Text of the hidden cells, row after row; `None` for null.
    pub hidden: Vec<Option<Box<str>>>,
    /// `"name":` of each column, one after the other.
    keys: Vec<u8>,
    /// End of each column's key in `keys`, and whether the column is hidden.
    columns: Vec<(usize, bool)>,
    at: usize,
    first_in_row: bool,
    separated: bool,
}

impl JsonRows {
    /// An empty writer.
    pub fn new(style: RowStyle) -> Self {
        Self {
            style,
            buffer: Vec::new(),
            rows: 0,
            hidden: Vec::new(),
            keys: Vec::new(),
            columns: Vec::new(),
            at: 0,
            first_in_row: true,
            separated: false,
        }
    }

    fn key(&mut self) {
        let start = if self.at == 0 { 0 } else { self.columns[self.at - 1].0 };
        let end = self.columns[self.at].0;
        self.buffer.push(if self.first_in_row { b'{' } else { b',' });
        self.first_in_row = false;
        self.buffer.extend_from_slice(&self.keys[start..end]);
    }
}

impl RowSink for JsonRows {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.keys.clear();
        self.columns.clear();
        for head in heads {
            if !head.hidden {
                self.keys.push(b'"');
                escape_into(&head.label, &mut self.keys);
                self.keys.extend_from_slice(b"\":");
            }
            self.columns.push((self.keys.len(), head.hidden));
        }
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        if self.at == 0 && self.style.format == RowFormat::Json && self.separated {
            self.buffer.push(b',');
        }
        self.separated = true;
        if self.columns[self.at].1 {
            self.hidden.push(plain_text(cell));
        } else if !(self.style.strip_nulls && is_null(cell)) {
            self.key();
            write_cell(cell, self.style, &mut self.buffer);
        }
        self.at += 1;
    }

    fn end_row(&mut self) -> Flow {
        if self.columns.is_empty() && self.style.format == RowFormat::Json {
            // A row without a column still counts.
            if self.separated {
                self.buffer.push(b',');
            }
            self.separated = true;
        }
        if self.first_in_row {
            self.buffer.push(b'{');
        }
        self.buffer.push(b'}');
        if self.style.format == RowFormat::Ndjson {
            self.buffer.push(b'\n');
        }
        self.at = 0;
        self.first_in_row = true;
        self.rows += 1;
        Flow::More
    }
}

/// SQL's NULL, or a JSON column that holds `null`.
fn is_null(cell: CellRef<'_>) -> bool {
    match cell {
        CellRef::Null => true,
        CellRef::Json(text) => text.trim() == "null",
        CellRef::Bool(_) | CellRef::Int(_) | CellRef::Number(_) | CellRef::Plain(_) | CellRef::Text(_) => {
            false
        }
    }
}

fn plain_text(cell: CellRef<'_>) -> Option<Box<str>> {
    match cell {
        CellRef::Null => None,
        CellRef::Bool(flag) => Some(if flag { "true".into() } else { "false".into() }),
        CellRef::Int(number) => Some(itoa::Buffer::new().format(number).into()),
        CellRef::Number(text) | CellRef::Plain(text) | CellRef::Text(text) | CellRef::Json(text) => {
            Some(text.into())
        }
    }
}

fn write_cell(cell: CellRef<'_>, style: RowStyle, out: &mut Vec<u8>) {
    match cell {
        CellRef::Null => out.extend_from_slice(b"null"),
        CellRef::Bool(true) => out.extend_from_slice(b"true"),
        CellRef::Bool(false) => out.extend_from_slice(b"false"),
        CellRef::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        CellRef::Number(text) => out.extend_from_slice(text.as_bytes()),
        CellRef::Plain(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        CellRef::Text(text) => {
            out.push(b'"');
            escape_into(text, out);
            out.push(b'"');
        }
        CellRef::Json(text) => match (style.strip_nulls, style.format) {
            (false, RowFormat::Json) => out.extend_from_slice(text.as_bytes()),
            (false, _) => compact_lines(text, out),
            (true, RowFormat::Json) => strip_json(text, out),
            (true, _) => {
                let start = out.len();
                strip_json(text, out);
                // Raw line breaks in JSON text can only be white space between tokens.
                for byte in &mut out[start..] {
                    if matches!(*byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
            }
        },
    }
}

/// What a byte needs inside a JSON string: 0 nothing, `u` a `\u00xx`, else the letter after `\`.
const ESCAPE: [u8; 256] = {
    let mut table = [0_u8; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[8] = b'b';
    table[9] = b't';
    table[10] = b'n';
    table[12] = b'f';
    table[13] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Bytes that are judged together: as many as one instruction of any machine compares.
const STRIDE: usize = 16;

/// Whether the next `N` bytes are there and none of them needs an escape.
fn plain<const N: usize>(bytes: &[u8], from: usize) -> bool {
    let escapes = |any, byte: &u8| any | (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    let several = bytes.get(from..).and_then(<[u8]>::first_chunk::<N>);
    several.is_some_and(|several| !several.iter().fold(false, escapes))
}

/// Where the first byte at or after `from` stands that JSON needs an escape for.
fn next_escape(bytes: &[u8], mut from: usize) -> Option<usize> {
    // Hardly any text has one, so that looking byte by byte would be most of the work of writing it.
    while plain::<STRIDE>(bytes, from) {
        from += STRIDE;
    }
    if plain::<{ STRIDE / 2 }>(bytes, from) {
        from += STRIDE / 2;
    }
    bytes[from..].iter().position(|byte| ESCAPE[*byte as usize] != 0).map(|place| from + place)
}

/// Appends `text` with JSON's escapes, without quotes.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut start = 0;
    while let Some(place) = next_escape(bytes, start) {
        out.extend_from_slice(&bytes[start..place]);
        let byte = bytes[place];
        match ESCAPE[byte as usize] {
            b'u' => {
                let digits = [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        start = place + 1;
    }
    out.extend_from_slice(&bytes[start..]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;
    use proptest::prelude::*;

    fn write(
        style: RowStyle,
        labels: &[(&str, bool)],
        rows: &[&[CellRef<'_>]],
    ) -> (String, Vec<Option<Box<str>>>) {
        let mut json = JsonRows::new(style);
        let heads: Vec<_> = labels
            .iter()
            .map(|(label, hidden)| ColumnHead { label: (*label).into(), hidden: *hidden })
            .collect();
        json.columns(&heads);
        for row in rows {
            row.iter().for_each(|cell| json.cell(*cell));
            json.end_row();
        }
        (String::from_utf8(json.buffer).unwrap(), json.hidden)
    }

    const JSON: RowStyle = RowStyle { format: RowFormat::Json, strip_nulls: false };
    const STRIPPED: RowStyle = RowStyle { format: RowFormat::Json, strip_nulls: true };
    const LINES: RowStyle = RowStyle { format: RowFormat::Ndjson, strip_nulls: false };

    #[test]
    fn rows_in_each_form() {
        let rows: &[&[CellRef<'_>]] = &[
            &[CellRef::Int(-1), CellRef::Text("a\"\n\u{1}é"), CellRef::Null],
            &[CellRef::Number("1.10"), CellRef::Bool(true), CellRef::Json("{\"x\":\nnull}")],
        ];
        let labels = &[("a", false), ("b\"", false), ("c", false)];
        let (text, _) = write(JSON, labels, rows);
        assert_eq!(
            text,
            "{\"a\":-1,\"b\\\"\":\"a\\\"\\n\\u0001é\",\"c\":null},{\"a\":1.10,\"b\\\"\":true,\"c\":{\"x\":\nnull}}"
        );
        let (text, _) = write(STRIPPED, labels, rows);
        assert!(text.starts_with("{\"a\":-1,\"b\\\"\":\"a\\\"\\n\\u0001é\"},{"), "{text}");
        assert!(!text.contains("null"), "{text}");
        let (text, _) = write(LINES, labels, rows);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }

    #[test]
    fn hidden_cells_stay_inside() {
        let rows: &[&[CellRef<'_>]] =
            &[&[CellRef::Int(1), CellRef::Int(7)], &[CellRef::Int(2), CellRef::Null]];
        let (text, hidden) = write(JSON, &[("a", false), ("id", true)], rows);
        assert_eq!(text, r#"{"a":1},{"a":2}"#);
        assert_eq!(hidden, vec![Some("7".into()), None]);
        let (text, hidden) = write(JSON, &[("id", true), ("a", false)], rows);
        assert_eq!(text, r#"{"a":7},{"a":null}"#);
        assert_eq!(hidden.len(), 2);
        assert_eq!(write(STRIPPED, &[("a", false)], &[&[CellRef::Null], &[CellRef::Null]]).0, "{},{}");
        assert_eq!(write(JSON, &[], &[&[], &[]]).0, "{},{}");
    }

    #[test]
    fn every_character_is_escaped_wherever_it_stands() {
        for character in (0..=0x7f).map(char::from).chain(['\u{80}', '\u{7ff}', '\u{ffff}', '\u{10ffff}']) {
            for before in 0..2 * STRIDE {
                for behind in [0, 1, STRIDE] {
                    let text = format!("{}{character}{}", "a".repeat(before), "\"b".repeat(behind));
                    let mut written = vec![b'"'];
                    escape_into(&text, &mut written);
                    written.push(b'"');
                    let read: String = serde_json::from_slice(&written).unwrap();
                    assert_eq!(read, text);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(text in any::<String>(), label in any::<String>()) {
            let (written, _) = write(JSON, &[(&label, false)], &[&[CellRef::Text(&text)]]);
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read[&label].as_str(), Some(text.as_str()));
        }
    }
}
