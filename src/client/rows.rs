//! Rows as a program takes them.

use std::collections::VecDeque;
use std::marker::PhantomData;

use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::{AthenaError, ErrorKind};
use super::transport::Reply;

/// Rows of an answer, whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueryResult {
    /// Rows, each an object. Numbers beyond what `f64` holds are rounded by [`Value`]; ask for typed rows, or for
    /// `big_numbers_as_text`, to keep them.
    pub rows: Vec<Value>,
    /// Names of the columns, in order; of a read of every column that finds no row, nothing.
    pub columns: Vec<String>,
}

/// The names of an object's fields, in order.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Names, M::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[derive(Deserialize)]
struct RawAnswer {
    data: RawRows,
}

#[derive(Deserialize)]
struct RawRows {
    rows: Vec<Value>,
    columns: Vec<String>,
}

fn unreadable(error: serde_json::Error) -> AthenaError {
    AthenaError::new(ErrorKind::Row, "a row is not of the type that was asked for").caused_by(error)
}

impl QueryResult {
    /// The rows of `/query/sql`.
    pub(super) fn of_raw_query(body: &[u8]) -> Result<Self, AthenaError> {
        let RawAnswer { data } = serde_json::from_slice(body).map_err(unreadable)?;
        Ok(Self { rows: data.rows, columns: data.columns })
    }

    /// The rows of an array; `asked` names the columns where there is no row to tell.
    pub(super) fn of_array(body: &[u8], asked: &[String]) -> Result<Self, AthenaError> {
        let rows: Vec<&serde_json::value::RawValue> = serde_json::from_slice(body).map_err(unreadable)?;
        let columns = match rows.first() {
            Some(first) => serde_json::from_str::<Names>(first.get()).map_err(unreadable)?.0,
            None => asked.to_vec(),
        };
        let rows = rows.iter().map(|row| serde_json::from_str(row.get()).map_err(unreadable));
        Ok(Self { rows: rows.collect::<Result<_, _>>()?, columns })
    }

    /// The values of what a function gave; columns where they are rows.
    pub(super) fn of_result(json: &str) -> Result<Self, AthenaError> {
        let value: Value = serde_json::from_str(json).map_err(unreadable)?;
        let first = match json.trim_start().as_bytes().first() {
            Some(b'[') => {
                let values: Vec<&serde_json::value::RawValue> =
                    serde_json::from_str(json).map_err(unreadable)?;
                values.first().map_or("", |first| first.get())
            }
            _ => json,
        };
        let columns = match first.starts_with('{') {
            true => serde_json::from_str::<Names>(first).map_err(unreadable)?.0,
            false => Vec::new(),
        };
        let rows = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        Ok(Self { rows, columns })
    }

    /// The rows of a stream.
    pub(super) async fn gather(mut rows: Rows<Value>, asked: Vec<String>) -> Result<Self, AthenaError> {
        let mut result = Self { rows: Vec::new(), columns: asked };
        while let Some(line) = rows.next_line().await? {
            if result.rows.is_empty() {
                result.columns = serde_json::from_slice::<Names>(&line).map_err(unreadable)?.0;
            }
            result.rows.push(serde_json::from_slice(&line).map_err(unreadable)?);
        }
        Ok(result)
    }
}

/// Rows as they come, a few hundred kilobytes of them in memory. Dropped, it stops the statement in the database.
pub struct Rows<T> {
    reply: Reply,
    /// Whole lines that have come.
    lines: VecDeque<Bytes>,
    /// The beginning of a line whose end has not.
    part: Vec<u8>,
    ended: bool,
    row: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Rows<T> {
    pub(super) fn new(reply: Reply) -> Self {
        Self { reply, lines: VecDeque::new(), part: Vec::new(), ended: false, row: PhantomData }
    }

    /// The next row; none after the last one.
    ///
    /// # Errors
    /// [`ErrorKind::Row`] when the row is not a `T`, [`ErrorKind::Connection`] and what the database says when the answer
    /// breaks off: what came before is not the whole answer.
    pub async fn next(&mut self) -> Result<Option<T>, AthenaError> {
        match self.next_line().await? {
            Some(line) => serde_json::from_slice(&line).map(Some).map_err(unreadable),
            None => Ok(None),
        }
    }

    /// Every row that is left.
    ///
    /// # Errors
    /// As [`Rows::next`].
    pub async fn collect(mut self) -> Result<Vec<T>, AthenaError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    async fn next_line(&mut self) -> Result<Option<Bytes>, AthenaError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return match AthenaError::of_last_line(&line, &self.reply.request_id) {
                    Some(error) => {
                        self.ended = true;
                        self.lines.clear();
                        Err(error)
                    }
                    None => Ok(Some(line)),
                };
            }
            if self.ended {
                return Ok(None);
            }
            match self.reply.body.next().await {
                Some(Ok(chunk)) => self.take(&chunk),
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => {
                    self.ended = true;
                    if !self.part.is_empty() {
                        return Err(AthenaError::new(ErrorKind::Connection, "the answer ends inside a row"));
                    }
                }
            }
        }
    }

    /// Cuts a chunk into lines.
    fn take(&mut self, chunk: &Bytes) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', chunk) {
            let line = if self.part.is_empty() {
                chunk.slice(from..end)
            } else {
                self.part.extend_from_slice(&chunk[from..end]);
                std::mem::take(&mut self.part).into()
            };
            self.lines.push_back(line);
            from = end + 1;
        }
        self.part.extend_from_slice(&chunk[from..]);
    }
}

#[cfg(test)]
mod tests;
