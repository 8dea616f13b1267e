#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use athena_domain::rows::{Flow, GatherRows, RowSink};
use athena_domain::shape::Cell;

use super::*;

/// Rows of an answer that comes in pieces of `size` bytes.
fn split(answer: &str, size: usize) -> Result<Vec<String>, Unreadable> {
    let mut splitter = Splitter::new();
    let mut rows = Vec::new();
    for piece in answer.as_bytes().chunks(size) {
        splitter.push(piece);
        while let Some(row) = splitter.next()? {
            rows.push(String::from_utf8(row.to_vec()).unwrap());
        }
    }
    splitter.finish().map(|()| rows)
}

#[test]
fn rows_are_found_wherever_the_pieces_end() {
    let answer = " [ {\"a\":\"}{][,\\\"\\\\\"} ,\n {\"a\":{\"b\":[1,{}]}},{}\n]\n";
    let expected = ["{\"a\":\"}{][,\\\"\\\\\"}", "{\"a\":{\"b\":[1,{}]}}", "{}"];
    for size in 1..=answer.len() {
        assert_eq!(split(answer, size).unwrap(), expected, "pieces of {size}");
    }
    assert_eq!(split("[]", 1).unwrap(), [""; 0]);
}

#[test]
fn answers_of_another_form_are_not_taken_for_rows() {
    for (answer, expected) in [
        ("", Unreadable::Cut),
        ("[", Unreadable::Cut),
        ("[{\"a\":1}", Unreadable::Cut),
        ("[{\"a\":1},", Unreadable::Cut),
        ("[{\"a\":1", Unreadable::Cut),
        ("[{\"a\":\"]}", Unreadable::Cut),
        ("{\"a\":1}", Unreadable::Shape),
        ("<html>", Unreadable::Shape),
        ("[1]", Unreadable::Shape),
        ("[{},]", Unreadable::Shape),
        ("[{}{}]", Unreadable::Shape),
        ("[{}]x", Unreadable::Shape),
    ] {
        assert_eq!(split(answer, 3), Err(expected), "{answer}");
    }
}

#[test]
fn memory_is_that_of_one_row() {
    let mut splitter = Splitter::new();
    splitter.push(b"[{}");
    for _ in 0..100_000 {
        splitter.push(b",{\"a\":\"0123456789\"}");
        while splitter.next().unwrap().is_some() {}
    }
    assert!(splitter.buffer.capacity() < 1024, "{}", splitter.buffer.capacity());
}

struct Sink(GatherRows, Vec<ColumnHead>);

impl RowSink for Sink {
    fn columns(&mut self, heads: &[ColumnHead]) {
        self.1 = heads.to_vec();
        self.0.columns(heads);
    }
    fn cell(&mut self, cell: CellRef<'_>) {
        self.0.cell(cell);
    }
    fn end_row(&mut self) -> Flow {
        self.0.end_row()
    }
}

#[async_trait::async_trait]
impl RowStream for Sink {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}

fn output(column: usize, label: &str, hidden: bool) -> Output {
    Output { column, cast: None, label: Arc::from(label), hidden }
}

fn read(outputs: &[Output], big: bool, snake: bool, rows: &[&str]) -> Result<(String, String), Unreadable> {
    let mut reading = Reading::new(outputs, big, snake);
    let mut sink = Sink(GatherRows::default(), Vec::new());
    for row in rows {
        reading.row(row.as_bytes(), &mut sink)?;
        sink.end_row();
    }
    let heads: Vec<String> =
        sink.1.iter().map(|h| format!("{}{}", h.label, if h.hidden { "?" } else { "" })).collect();
    let set = sink.0.into_rows();
    let cell = |cell: &Cell| match cell {
        Cell::Null => "-".to_owned(),
        Cell::Bool(flag) => flag.to_string(),
        Cell::Number(text) => format!("#{text}"),
        Cell::Text(text) => format!("'{text}'"),
        Cell::Json(text) => text.to_string(),
    };
    let rows: Vec<String> =
        set.rows().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" ")).collect();
    Ok((heads.join(" "), rows.join(" / ")))
}

#[test]
fn cells_keep_their_digits_and_their_place() {
    let outputs = [output(1, "a", false), output(2, "b", false)];
    let rows = ["{\"b\":1.10,\"a\":\"x\\n\",\"secret\":1}", "{\"a\":null,\"b\":{\"n\":1.000}}"];
    let (heads, cells) = read(&outputs, false, false, &rows).unwrap();
    assert_eq!((heads.as_str(), cells.as_str()), ("a b", "'x\n' #1.10 / - {\"n\":1.000}"));
    let lacking = read(&outputs, false, false, &["{\"a\":1}"]);
    assert_eq!(lacking, Err(Unreadable::Missing("b".to_owned())));
}

#[test]
fn the_first_row_names_every_column() {
    let outputs = [output(0, "*", false), output(1, "id", true)];
    let rows = ["{\"userId\":1,\"id\":7}", "{\"id\":8,\"userId\":2}"];
    assert_eq!(
        read(&outputs, false, true, &rows).unwrap(),
        ("user_id id id?".into(), "#1 #7 / #2 #8".into())
    );
    assert_eq!(read(&outputs, false, false, &["{\"a\":1}"]).unwrap(), ("a id?".into(), "#1".into()));
    assert_eq!(
        read(&outputs, false, false, &["{\"a\":1}", "{\"a\":1,\"b\":2}"]),
        Err(Unreadable::Added("b".to_owned()))
    );
    assert_eq!(
        read(&outputs, false, false, &["{\"a\":1,\"b\":1}", "{\"a\":1}"]),
        Err(Unreadable::Missing("b".to_owned()))
    );
    // Taking either of two values would be a guess.
    assert_eq!(read(&outputs, false, false, &["{\"a\":1,\"a\":2}"]), Err(Unreadable::Shape));
}

#[test]
fn numbers_that_a_double_rounds_become_text() {
    for (number, rounded) in [
        ("9007199254740992", false),
        ("9007199254740993", true),
        ("-9007199254740993", true),
        ("100000000000000000000", true),
        ("0.1", false),
        ("123456789012345", false),
        ("1234567890.1234567", true),
        ("0.000000000000000000001", false),
        ("1.5e300", false),
        ("3.14159265358979323846", true),
    ] {
        assert_eq!(is_rounded(number), rounded, "{number}");
    }
    let outputs = [output(1, "a", false)];
    let cells = |big| read(&outputs, big, false, &["{\"a\":9007199254740993}"]).unwrap().1;
    assert_eq!((cells(false), cells(true)), ("#9007199254740993".into(), "'9007199254740993'".into()));
}
