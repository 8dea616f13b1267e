//! Requests, built step by step; what they mean is decided by the gateway alone.

mod attempt;
mod filters;
mod page;

use std::marker::PhantomData;
use std::time::Duration;

pub use attempt::{Attempt, Conditional, Write};
pub use page::{Page, Pages};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::AthenaClient;
use super::error::{AthenaError, ErrorKind};
use super::rows::{QueryResult, Rows};
use super::transport::Form;

/// Which end of an order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderDirection {
    /// The least value.
    Asc,
    /// The greatest value.
    Desc,
}

/// What a request does.
pub trait Verb {
    /// Method and path of its route.
    #[doc(hidden)]
    const ROUTE: (&'static str, &'static str);
}

/// A verb that takes filters.
pub trait Filtered: Verb {}

/// A verb that takes a payload, in the field of that name.
pub trait Writing: Verb {
    /// The field.
    #[doc(hidden)]
    const PAYLOAD: &'static str;
}

/// Reads rows.
#[derive(Debug, Clone, Copy)]
pub enum Select {}
/// Adds rows.
#[derive(Debug, Clone, Copy)]
pub enum Insert {}
/// Changes rows.
#[derive(Debug, Clone, Copy)]
pub enum Update {}
/// Removes rows.
#[derive(Debug, Clone, Copy)]
pub enum Delete {}

impl Verb for Select {
    const ROUTE: (&'static str, &'static str) = ("POST", "/gateway/fetch");
}
impl Verb for Insert {
    const ROUTE: (&'static str, &'static str) = ("PUT", "/gateway/insert");
}
impl Verb for Update {
    const ROUTE: (&'static str, &'static str) = ("POST", "/gateway/update");
}
impl Verb for Delete {
    const ROUTE: (&'static str, &'static str) = ("DELETE", "/gateway/delete");
}

impl Filtered for Select {}
impl Filtered for Update {}
impl Filtered for Delete {}

impl Writing for Insert {
    const PAYLOAD: &'static str = "insert_body";
}
impl Writing for Update {
    const PAYLOAD: &'static str = "update_body";
}

/// A request to one table, of the kind `V`. Every step gives the request back; `execute` carries it out.
#[must_use = "a request does nothing until it is executed"]
pub struct Query<'a, V> {
    client: &'a AthenaClient,
    body: Map<String, Value>,
    conditions: Vec<Value>,
    /// What the row must be for a write to be carried out.
    only_if: Vec<Value>,
    order: Vec<Value>,
    columns: Vec<String>,
    verb: PhantomData<V>,
}

impl<'a, V: Verb> Query<'a, V> {
    pub(super) fn new(client: &'a AthenaClient, table: String) -> Self {
        let mut body = Map::new();
        body.insert("table_name".to_owned(), table.into());
        Self {
            client,
            body,
            conditions: Vec::new(),
            only_if: Vec::new(),
            order: Vec::new(),
            columns: Vec::new(),
            verb: PhantomData,
        }
    }

    fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body.insert(field.to_owned(), value.into());
        self
    }

    /// Columns of the answer, each `name`, `alias:name` or `name::type`; every column when this is not called.
    pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.columns.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Sets a field of the request's body that has no method of its own, such as `on_conflict` or `max_affected`.
    pub fn field(self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value)
    }

    /// How many replicas of a CQL database have to agree, such as `quorum`; within what its client allows.
    pub fn consistency(self, level: &str) -> Self {
        self.set("consistency", level)
    }

    /// How long a CQL database may spend on one page or one write; it can only be shortened.
    pub fn timeout(self, timeout: Duration) -> Self {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.set("timeout_ms", millis)
    }

    fn body(self) -> (Value, Vec<String>) {
        let Self { mut body, conditions, only_if, order, columns, .. } = self;
        let mut put = |field: &str, list: Vec<Value>| {
            if !list.is_empty() {
                body.insert(field.to_owned(), list.into());
            }
        };
        put("conditions", conditions);
        put("if", only_if);
        put("sort_by", order);
        put("columns", columns.iter().map(|column| column.as_str().into()).collect());
        let labels = columns.iter().map(|column| label(column).to_owned()).collect();
        (Value::Object(body), labels)
    }
}

/// The parts between commas that stand outside of parentheses.
fn split(columns: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let parts = columns.split(move |char| {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    });
    parts.map(str::trim).filter(|column| !column.is_empty())
}

/// The name that a column has in the answer.
fn label(column: &str) -> &str {
    let name = column.split("::").next().unwrap_or(column);
    name.split_once(':').map_or(name, |(alias, _)| alias).trim()
}

impl<V: Writing> Query<'_, V> {
    /// The row, an object; for an insert of several rows an array of them.
    pub fn payload(self, payload: impl Into<Value>) -> Self {
        self.set(V::PAYLOAD, payload)
    }

    /// Carries it out and gives the rows it has written.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute(self) -> Result<QueryResult, AthenaError> {
        write(self).await
    }

    /// The same with typed rows, whose numbers keep every digit.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute_as<T: DeserializeOwned>(self) -> Result<Vec<T>, AthenaError> {
        write_as(self).await
    }
}

impl Query<'_, Delete> {
    /// Carries it out and gives the rows it has removed.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute(self) -> Result<QueryResult, AthenaError> {
        write(self).await
    }

    /// The same with typed rows.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute_as<T: DeserializeOwned>(self) -> Result<Vec<T>, AthenaError> {
        write_as(self).await
    }
}

async fn write<V: Verb>(query: Query<'_, V>) -> Result<QueryResult, AthenaError> {
    let client = query.client;
    let (body, labels) = query.body();
    let reply = client.transport.send(V::ROUTE, &body, Form::Array).await?;
    QueryResult::of_array(&reply.whole().await?, &labels)
}

async fn write_as<T: DeserializeOwned, V: Verb>(query: Query<'_, V>) -> Result<Vec<T>, AthenaError> {
    let client = query.client;
    let (body, _) = query.body();
    let reply = client.transport.send(V::ROUTE, &body, Form::Array).await?;
    let rows: Vec<T> = serde_json::from_slice(&reply.whole().await?).map_err(|error| {
        // The write has been carried out: only its rows are not what was expected.
        AthenaError::new(ErrorKind::Row, "a written row is not of the type that was asked for")
            .caused_by(error)
    })?;
    Ok(rows)
}

impl Query<'_, Select> {
    /// Columns as one text of the gateway's grammar, such as `id,total::text`. What that has no word for, such as the
    /// rows of another table in `customer:customers(name)`, is refused with the reason.
    pub fn raw_select(self, columns: &str) -> Self {
        self.columns(split(columns))
    }

    /// A further key of the order.
    pub fn order_by(mut self, column: &str, direction: OrderDirection) -> Self {
        let direction = match direction {
            OrderDirection::Asc => "asc",
            OrderDirection::Desc => "desc",
        };
        self.order.push(json!({ "field": column, "direction": direction }));
        self
    }

    /// Most rows; without it there is no bound.
    pub fn limit(self, rows: u64) -> Self {
        self.set("limit", rows)
    }

    /// Rows to skip.
    pub fn offset(self, rows: u64) -> Self {
        self.set("offset", rows)
    }

    /// Reads the rows and keeps them all; see [`Query::stream_as`] for more than memory holds.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute(self) -> Result<QueryResult, AthenaError> {
        let client = self.client;
        let (body, labels) = self.body();
        let reply = client.transport.send(Select::ROUTE, &body, Form::Lines).await?;
        QueryResult::gather(Rows::new(reply), labels).await
    }

    /// Reads typed rows, whose numbers keep every digit.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute_as<T: DeserializeOwned>(self) -> Result<Vec<T>, AthenaError> {
        self.stream_as().await?.collect().await
    }

    /// Reads rows as they come.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn stream_as<T: DeserializeOwned>(self) -> Result<Rows<T>, AthenaError> {
        let client = self.client;
        let (body, _) = self.body();
        Ok(Rows::new(client.transport.send(Select::ROUTE, &body, Form::Lines).await?))
    }
}

#[cfg(test)]
mod tests;
