//! Reading a table page by page: no row is skipped or comes twice, whatever is written meanwhile.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Query, Select, Verb};
use crate::client::AthenaClient;
use crate::client::error::{AthenaError, ErrorKind};
use crate::client::transport::Form;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T = Value> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Asks for the next page; nothing when this was the last one.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Page<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Page<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Data<T> {
            rows: Vec<T>,
            next_cursor: Option<String>,
        }
        let Data { rows, next_cursor } = Data::deserialize(deserializer)?;
        Ok(Self { rows, next_cursor })
    }
}

impl<'a> Query<'a, Select> {
    /// Reads one page of so many rows: the first one without a cursor, else the one behind it.
    ///
    /// # Errors
    /// See [`ErrorKind`]; an order that no key of the table ends, a cursor of another query.
    pub async fn page(self, rows: u64, cursor: Option<&str>) -> Result<Page, AthenaError> {
        self.page_as(rows, cursor).await
    }

    /// The same with typed rows, whose numbers keep every digit.
    ///
    /// # Errors
    /// As [`Query::page`].
    pub async fn page_as<T: DeserializeOwned>(
        self,
        rows: u64,
        cursor: Option<&str>,
    ) -> Result<Page<T>, AthenaError> {
        let mut pages = self.pages_as(rows);
        pages.cursor = cursor.map(str::to_owned);
        pages.read().await
    }

    /// Reads page after page of so many rows.
    pub fn pages(self, rows: u64) -> Pages<'a> {
        self.pages_as(rows)
    }

    /// The same with typed rows.
    pub fn pages_as<T: DeserializeOwned>(self, rows: u64) -> Pages<'a, T> {
        let client = self.client;
        let (body, _) = self.set("page_size", rows).body();
        Pages { client, body, cursor: None, ended: false, row: PhantomData }
    }
}

/// The pages of a read, one after the other.
#[must_use = "no page is read until it is asked for"]
pub struct Pages<'a, T = Value> {
    client: &'a AthenaClient,
    body: Value,
    /// Where the next page begins.
    cursor: Option<String>,
    ended: bool,
    row: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pages<'_, T> {
    /// The next page; none after the last one. A page that fails can be asked for again.
    ///
    /// # Errors
    /// As [`Query::page`].
    pub async fn next(&mut self) -> Result<Option<Page<T>>, AthenaError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.read().await?;
        self.cursor.clone_from(&page.next_cursor);
        self.ended = self.cursor.is_none();
        Ok(Some(page))
    }

    async fn read(&mut self) -> Result<Page<T>, AthenaError> {
        self.body["cursor"] = self.cursor.as_deref().unwrap_or_default().into();
        let reply = self.client.transport.send(Select::ROUTE, &self.body, Form::Envelope).await?;
        let answer: Answer<T> = serde_json::from_slice(&reply.whole().await?).map_err(|error| {
            AthenaError::new(ErrorKind::Row, "a row is not of the type that was asked for").caused_by(error)
        })?;
        Ok(answer.data)
    }
}
