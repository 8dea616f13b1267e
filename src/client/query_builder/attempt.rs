//! Writes whose answer tells whether they were carried out, and what a CQL database alone is told of a write.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Delete, Insert, Query, Update, Verb, Writing};
use crate::client::error::{AthenaError, ErrorKind};
use crate::client::transport::Form;

/// A verb that changes rows.
pub trait Write: Verb {
    /// Whether the answer tells beside the rows, and not beside `data`, what became of it.
    #[doc(hidden)]
    const TOLD_WITHIN: bool = false;
}
impl Write for Insert {}
impl Write for Update {
    const TOLD_WITHIN: bool = true;
}
impl Write for Delete {}

/// A write that may depend on what its row is.
pub trait Conditional: Write {}
impl Conditional for Update {}
impl Conditional for Delete {}

/// What became of a write that depends on what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Whether it was carried out.
    pub applied: bool,
    /// The row as it was written, or as it is where that was not done; none where there is no such row, or the database
    /// does not tell.
    pub row: Option<Value>,
}

/// What is told beside the rows.
#[derive(Deserialize)]
struct Told {
    applied: Option<bool>,
    current: Option<Value>,
    #[serde(alias = "data")]
    rows: Option<Value>,
}

#[derive(Deserialize)]
struct Within {
    data: Told,
}

impl<V: Conditional> Query<'_, V> {
    /// What the row must be, or nothing is changed: an operator of the gateway's, a column and a value. For CQL; elsewhere
    /// that is a filter like others.
    pub fn only_if(mut self, operator: &str, column: &str, value: impl Into<Value>) -> Self {
        self.only_if.push(json!({ "operator": operator, "column": column, "value": value.into() }));
        self
    }
}

impl Query<'_, Insert> {
    /// Adds the row unless one of its key is there. For CQL; elsewhere a row that is there is a conflict, or met with
    /// `on_conflict`.
    pub fn if_not_exists(self) -> Self {
        self.set("if_not_exists", true)
    }
}

impl<V: Writing> Query<'_, V> {
    /// How long the written values live, in whole seconds; for CQL only.
    pub fn ttl(self, life: Duration) -> Self {
        self.set("ttl", life.as_secs())
    }
}

impl<V: Write> Query<'_, V> {
    /// When it was written, in microseconds since 1970: of two writes the later one counts. For CQL only.
    pub fn timestamp(self, micros: i64) -> Self {
        self.set("timestamp", micros)
    }

    /// Carries it out where [`Query::if_not_exists`] or [`Query::only_if`] let it, and says whether they did.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn attempt(self) -> Result<Attempt, AthenaError> {
        let client = self.client;
        let (body, _) = self.body();
        let reply = client.transport.send(V::ROUTE, &body, Form::Envelope).await?;
        let body = reply.whole().await?;
        let told = match V::TOLD_WITHIN {
            true => serde_json::from_slice(&body).map(|Within { data }| data),
            false => serde_json::from_slice(&body),
        };
        let told: Told = told.map_err(|error| {
            AthenaError::new(ErrorKind::Row, "the answer to a write cannot be read").caused_by(error)
        })?;
        let row = match told.rows {
            Some(Value::Array(rows)) => rows.into_iter().next(),
            row => row,
        };
        // A write that depends on nothing was carried out, or there would be an error.
        Ok(match told.applied.unwrap_or(true) {
            true => Attempt { applied: true, row },
            false => Attempt { applied: false, row: told.current },
        })
    }
}
