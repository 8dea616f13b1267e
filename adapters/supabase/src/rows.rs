//! A JSON array of objects, as it comes in pieces → cells. One row is held at a time.

use std::borrow::Cow;
use std::ops::Range;

use athena_application::ports::RowStream;
use athena_domain::plan::Output;
use athena_domain::query::JsonText;
use athena_domain::rows::{CellRef, ColumnHead};
use athena_domain::shape::camel_to_snake;

use crate::render::{is_every, key};

/// Longest row; a larger one would have to be held whole.
const MAX_ROW_BYTES: usize = 64 << 20;

/// Integers up to this are read by every JSON reader as they are (2^53).
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// Digits of a decimal that every binary number keeps.
const EXACT_DIGITS: usize = 15;

/// An answer that is not what PostgREST answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the upstream's answer is not a JSON array of objects")]
    Shape,
    #[error("the upstream's answer ends in the middle")]
    Cut,
    #[error("a row of the upstream's answer is larger than {MAX_ROW_BYTES} bytes")]
    TooLarge,
    #[error("a row of the upstream's answer lacks the column '{0}'")]
    Missing(String),
    #[error("a row of the upstream's answer has the column '{0}', which its first row lacks")]
    Added(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before `[`.
    Start,
    /// After `[`.
    First,
    /// After a row.
    After,
    /// After a comma.
    Next,
    /// Inside a row that begins here.
    Row { start: usize, depth: u32, in_string: bool, escaped: bool },
    /// After `]`.
    End,
}

/// Finds the rows in the bytes of an answer.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    /// Bytes looked at.
    at: usize,
    state: State,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), at: 0, state: State::Start }
    }

    /// Takes a further piece; call it when no whole row is left.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let keep = match &mut self.state {
            State::Row { start, .. } => std::mem::replace(start, 0),
            _ => self.at,
        };
        self.buffer.drain(..keep);
        self.at -= keep;
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole row.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Unreadable> {
        Ok(self.find()?.map(|row| &self.buffer[row]))
    }

    fn find(&mut self) -> Result<Option<Range<usize>>, Unreadable> {
        while let Some(&byte) = self.buffer.get(self.at) {
            let here = self.at;
            self.at += 1;
            if let State::Row { start, depth, in_string, escaped } = &mut self.state {
                match (*in_string, byte) {
                    (true, _) if *escaped => *escaped = false,
                    (true, b'\\') => *escaped = true,
                    (true, b'"') => *in_string = false,
                    (true, _) => {}
                    (false, b'"') => *in_string = true,
                    (false, b'{' | b'[') => *depth += 1,
                    (false, b'}' | b']') => *depth -= 1,
                    (false, _) => {}
                }
                if here - *start >= MAX_ROW_BYTES {
                    return Err(Unreadable::TooLarge);
                }
                if *depth == 0 {
                    let row = *start..self.at;
                    self.state = State::After;
                    return Ok(Some(row));
                }
                continue;
            }
            self.state = match (self.state, byte) {
                (state, b' ' | b'\t' | b'\r' | b'\n') => state,
                (State::Start, b'[') => State::First,
                (State::First | State::Next, b'{') => {
                    State::Row { start: here, depth: 1, in_string: false, escaped: false }
                }
                (State::First | State::After, b']') => State::End,
                (State::After, b',') => State::Next,
                _ => return Err(Unreadable::Shape),
            };
        }
        Ok(None)
    }

    /// Checks that nothing is missing.
    pub(crate) fn finish(&self) -> Result<(), Unreadable> {
        if self.state == State::End { Ok(()) } else { Err(Unreadable::Cut) }
    }
}

/// Hands rows to a sink as they were planned.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    outputs: &'a [Output],
    /// Keys of the columns that the first row has, where every column was asked for.
    every: Option<Vec<Box<str>>>,
    big_numbers_as_text: bool,
    keys_to_snake: bool,
    announced: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(outputs: &'a [Output], big_numbers_as_text: bool, keys_to_snake: bool) -> Self {
        let every = outputs.iter().any(is_every).then(Vec::new);
        Self { outputs, every, big_numbers_as_text, keys_to_snake, announced: false }
    }

    /// Whether the sink has been told the columns.
    pub(crate) fn announced(&self) -> bool {
        self.announced
    }

    /// Tells the sink the columns, if no row has done so.
    pub(crate) fn announce(&mut self, first: &[(Cow<'_, str>, JsonText<'_>)], sink: &mut dyn RowStream) {
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        let mut heads = Vec::new();
        if let Some(every) = &mut self.every {
            for (name, _) in first {
                let label =
                    if self.keys_to_snake { camel_to_snake(name) } else { Cow::Borrowed(name.as_ref()) };
                heads.push(ColumnHead { label: label.as_ref().into(), hidden: false });
                every.push(name.as_ref().into());
            }
        }
        let planned = self.outputs.iter().filter(|output| !is_every(output));
        heads.extend(planned.map(|o| ColumnHead { label: o.label.clone(), hidden: o.hidden }));
        sink.columns(&heads);
    }

    /// Hands on the cells of one row.
    pub(crate) fn row(&mut self, row: &[u8], sink: &mut dyn RowStream) -> Result<(), Unreadable> {
        let row =
            JsonText::parse(row).and_then(|row| row.expect_object("")).map_err(|_| Unreadable::Shape)?;
        let fields = row.rest();
        self.announce(&fields, sink);
        let find = |name: &str, near: usize| {
            let at_place = fields.get(near).filter(|(key, _)| key == name);
            at_place.or_else(|| fields.iter().find(|(key, _)| key == name)).map(|(_, value)| *value)
        };
        if let Some(every) = &self.every {
            for (place, name) in every.iter().enumerate() {
                let value = find(name, place).ok_or_else(|| Unreadable::Missing(name.to_string()))?;
                self.cell(value, sink)?;
            }
            if fields.len() > every.len() {
                let added = fields.iter().find(|(key, _)| !every.iter().any(|name| **name == **key));
                return Err(Unreadable::Added(added.map(|(key, _)| key.to_string()).unwrap_or_default()));
            }
        }
        for (place, output) in self.outputs.iter().enumerate().filter(|(_, output)| !is_every(output)) {
            if self.every.is_some() {
                // Beside every column stands only the id, which is one of them or is not there.
                match find(&output.label, place) {
                    Some(value) => self.cell(value, sink)?,
                    None => sink.cell(CellRef::Null),
                }
            } else {
                let value =
                    find(key(output), place).ok_or_else(|| Unreadable::Missing(output.label.to_string()))?;
                self.cell(value, sink)?;
            }
        }
        Ok(())
    }

    fn cell(&self, value: JsonText<'_>, sink: &mut dyn RowStream) -> Result<(), Unreadable> {
        let text = value.as_text();
        match text.as_bytes().first() {
            Some(b'n') => sink.cell(CellRef::Null),
            Some(b't') => sink.cell(CellRef::Bool(true)),
            Some(b'f') => sink.cell(CellRef::Bool(false)),
            Some(b'"') => sink.cell(CellRef::Text(&value.string().ok_or(Unreadable::Shape)?)),
            Some(b'{' | b'[') => sink.cell(CellRef::Json(text)),
            _ if self.big_numbers_as_text && is_rounded(text) => sink.cell(CellRef::Plain(text)),
            _ => sink.cell(CellRef::Number(text)),
        }
        Ok(())
    }
}

/// Whether a reader that keeps numbers as doubles may lose digits of it. JSON does not tell exact decimals from binary
/// numbers, so that those with few digits stay numbers.
fn is_rounded(number: &str) -> bool {
    let plain = number.trim_start_matches('-');
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return plain.parse::<u64>().is_ok_and(|value| value > MAX_EXACT_INTEGER) || plain.len() > 19;
    }
    let mantissa = plain.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len() > EXACT_DIGITS
}

#[cfg(test)]
mod tests;
