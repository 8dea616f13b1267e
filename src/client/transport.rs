//! How a request gets to a gateway: to the one in this process, or over HTTP.

use std::sync::Arc;
use std::time::Duration;

use athena_http::{App, Call};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

use super::error::{AthenaError, ErrorKind};
use super::remote::Http;
use crate::compose::Composed;

/// Most bytes of an answer that is kept whole; the gateway's own limit is below it unless it was raised.
const MOST_WHOLE_BYTES: usize = 1 << 30;

/// Form of the rows in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One row a line, without a bound.
    Lines,
    /// An array.
    Array,
    /// An object that holds them.
    Envelope,
}

/// A gateway.
#[derive(Clone)]
pub(crate) enum Transport {
    /// In this process.
    Embedded(Arc<Embedded>),
    /// Elsewhere.
    Remote(Arc<Http>),
}

/// A gateway in this process.
pub(crate) struct Embedded {
    /// Answers requests.
    pub(super) app: App,
    /// Name of its only client.
    pub(super) client: &'static str,
    /// What it is made of, and what runs beside it.
    pub(super) composed: Composed,
    /// Whether numbers that others would round come as strings.
    pub(super) big_numbers_as_text: bool,
}

/// An answer that is no failure, as far as its first byte tells.
pub(super) struct Reply {
    /// Name of the request.
    pub(super) request_id: String,
    /// Body as it comes.
    pub(super) body: BoxStream<'static, Result<Bytes, AthenaError>>,
}

impl Reply {
    /// The whole body.
    pub(super) async fn whole(mut self) -> Result<Vec<u8>, AthenaError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk?;
            if whole.len() + chunk.len() > MOST_WHOLE_BYTES {
                return Err(AthenaError::new(ErrorKind::Other, "the answer is too large to be kept"));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }
}

/// What came back, before it is known for an answer or a failure.
pub(super) struct Arrived {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) reply: Reply,
}

/// Headers of every request: its name, its client, the form of its answer.
pub(super) fn headers(
    client: &str,
    request_id: &str,
    form: Form,
    big_numbers_as_text: bool,
) -> Vec<(&'static str, String)> {
    let accept = match form {
        Form::Lines => "application/x-ndjson",
        Form::Array | Form::Envelope => "application/json",
    };
    let mut headers = vec![
        ("x-athena-client", client.to_owned()),
        ("x-request-id", request_id.to_owned()),
        ("accept", accept.to_owned()),
    ];
    if form == Form::Array {
        headers.push(("x-strip-nulls", "false".to_owned()));
    }
    if big_numbers_as_text {
        headers.push(("x-athena-big-numbers", "string".to_owned()));
    }
    headers
}

impl Transport {
    /// Name of the client at the gateway.
    pub(super) fn client_name(&self) -> &str {
        match self {
            Self::Embedded(embedded) => embedded.client,
            Self::Remote(http) => http.client_name(),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// What the gateway answers, when it is a failure; [`ErrorKind::Connection`].
    pub(super) async fn send(
        &self,
        (method, path): (&'static str, &'static str),
        body: &Value,
        form: Form,
    ) -> Result<Reply, AthenaError> {
        let request_id = uuid::Uuid::new_v4().simple().to_string();
        let body = Bytes::from(body.to_string());
        let arrived = match self {
            Self::Embedded(embedded) => {
                let headers = headers(embedded.client, &request_id, form, embedded.big_numbers_as_text);
                embedded.call(Call { method, path, headers, body }, request_id).await?
            }
            Self::Remote(http) => {
                http.check_offline()?;
                http.call(method, path, body, form, request_id).await?
            }
        };
        if (200..300).contains(&arrived.status) {
            return Ok(arrived.reply);
        }
        let (status, retry_after) = (arrived.status, arrived.retry_after);
        let body = arrived.reply.whole().await.unwrap_or_default();
        Err(AthenaError::of_answer(status, &body, retry_after))
    }

    /// Asks whether the database answers, where there is no statement that every database takes.
    pub(super) async fn ping(&self) -> Result<(), AthenaError> {
        // No table has this name, so what comes back is a refusal by a database that is there.
        let body = json!({ "table_name": "athena_health_check", "limit": 1 });
        match self.send(("POST", "/gateway/fetch"), &body, Form::Array).await {
            Err(error) if error.kind == ErrorKind::Invalid => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

impl Embedded {
    async fn call(&self, call: Call, request_id: String) -> Result<Arrived, AthenaError> {
        let reply = self.app.call_in_process(call).await.map_err(|error| {
            AthenaError::new(ErrorKind::Invalid, "the request cannot be sent").caused_by(error)
        })?;
        let retry_after = reply.headers.get("retry-after").and_then(|value| seconds(value.to_str().ok()?));
        let body = reply.body.map(|chunk| chunk.map_err(broken)).boxed();
        Ok(Arrived { status: reply.status, retry_after, reply: Reply { request_id, body } })
    }
}

/// The time in a `Retry-After` that is a number.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

/// An answer that ended before its end.
pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AthenaError {
    AthenaError::new(ErrorKind::Connection, "the answer broke off").caused_by(error)
}
