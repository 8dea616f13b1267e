//! Calls of functions in the database.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::AthenaClient;
use super::error::{AthenaError, ErrorKind};
use super::rows::QueryResult;
use super::transport::Form;

/// A call of a function. Every step gives it back; `execute` carries it out.
#[must_use = "a call does nothing until it is executed"]
pub struct Rpc<'a> {
    client: &'a AthenaClient,
    body: Map<String, Value>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

impl<'a> Rpc<'a> {
    pub(super) fn new(client: &'a AthenaClient, function: String, arguments: Value) -> Self {
        let mut body = Map::new();
        body.insert("function".to_owned(), function.into());
        if !arguments.is_null() {
            body.insert("args".to_owned(), arguments);
        }
        Self { client, body }
    }

    /// Lets the database refuse every write.
    pub fn read_only(mut self) -> Self {
        self.body.insert("read_only".to_owned(), true.into());
        self
    }

    /// Calls it and gives the values of a set, or the one value: rows as objects, anything else as it is.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute(self) -> Result<QueryResult, AthenaError> {
        let body = self.send().await?;
        QueryResult::of_result(result(&body)?.get())
    }

    /// Calls it and gives what it gives: a value, a struct for a row, a `Vec` for a set, an `Option` for what may be
    /// null. Numbers keep every digit.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn execute_as<T: DeserializeOwned>(self) -> Result<T, AthenaError> {
        let body = self.send().await?;
        serde_json::from_str(result(&body)?.get()).map_err(unreadable)
    }

    async fn send(self) -> Result<Vec<u8>, AthenaError> {
        let body = Value::Object(self.body);
        let reply = self.client.transport.send(("POST", "/gateway/rpc"), &body, Form::Envelope).await?;
        reply.whole().await
    }
}

fn result(body: &[u8]) -> Result<&RawValue, AthenaError> {
    Ok(serde_json::from_slice::<Answer<'_>>(body).map_err(unreadable)?.data.result)
}

fn unreadable(error: serde_json::Error) -> AthenaError {
    // The call has been carried out: only what it gave is not what was expected.
    AthenaError::new(ErrorKind::Row, "the function's result is not of the type that was asked for")
        .caused_by(error)
}
