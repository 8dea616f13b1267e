//! Rows as comma-separated values (RFC 4180): null is an empty field, an empty text is `""`.

use super::{CellRef, ColumnHead, Flow, RowSink};

/// Writes a header line and a line a row.
#[derive(Debug, Default)]
pub struct CsvRows {
    /// Bytes written and not yet taken.
    pub buffer: Vec<u8>,
    /// Rows ended so far.
    pub rows: u64,
    hidden: Vec<bool>,
    at: usize,
    written: usize,
}

impl RowSink for CsvRows {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.hidden = heads.iter().map(|head| head.hidden).collect();
        let shown = heads.iter().filter(|head| !head.hidden);
        for (place, head) in shown.enumerate() {
            if place > 0 {
                self.buffer.push(b',');
            }
            field(&head.label, &mut self.buffer);
        }
        self.buffer.extend_from_slice(b"\r\n");
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        let hidden = self.hidden.get(self.at).copied().unwrap_or(false);
        self.at += 1;
        if hidden {
            return;
        }
        if self.written > 0 {
            self.buffer.push(b',');
        }
        self.written += 1;
        match cell {
            CellRef::Null => {}
            CellRef::Bool(flag) => self.buffer.extend_from_slice(if flag { b"true" } else { b"false" }),
            CellRef::Int(number) => {
                self.buffer.extend_from_slice(itoa::Buffer::new().format(number).as_bytes())
            }
            CellRef::Number(text) | CellRef::Plain(text) => self.buffer.extend_from_slice(text.as_bytes()),
            CellRef::Text(text) | CellRef::Json(text) => field(text, &mut self.buffer),
        }
    }

    fn end_row(&mut self) -> Flow {
        self.at = 0;
        self.written = 0;
        self.rows += 1;
        self.buffer.extend_from_slice(b"\r\n");
        Flow::More
    }
}

fn field(text: &str, out: &mut Vec<u8>) {
    let quote = text.is_empty()
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if !quote {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    let mut parts = text.split('"');
    out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        out.extend_from_slice(b"\"\"");
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut csv = CsvRows::default();
        let head = |label: &str, hidden| ColumnHead { label: label.into(), hidden };
        csv.columns(&[head("a", false), head("id", true), head("b,c", false)]);
        for row in [
            [CellRef::Null, CellRef::Int(1), CellRef::Text("")],
            [CellRef::Text("x\"y\nz"), CellRef::Int(2), CellRef::Json("[1,2]")],
            [CellRef::Number("1.50"), CellRef::Int(3), CellRef::Bool(false)],
        ] {
            row.into_iter().for_each(|cell| csv.cell(cell));
            csv.end_row();
        }
        let text = String::from_utf8(csv.buffer).unwrap();
        assert_eq!(text, "a,\"b,c\"\r\n,\"\"\r\n\"x\"\"y\nz\",\"[1,2]\"\r\n1.50,false\r\n");
    }
}
