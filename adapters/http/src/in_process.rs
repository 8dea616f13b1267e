//! The application without a socket, for those who live in its process. What they ask passes every check that a
//! request over the network passes, and fails in the same words.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use poem::http::{HeaderMap, Method, Uri};
use poem::{Body, Request};

use crate::app::App;

/// A request of this process.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method, such as `POST`.
    pub method: &'static str,
    /// Path, such as `/gateway/fetch`.
    pub path: &'static str,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body, JSON.
    pub body: Bytes,
}

/// The answer.
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it comes; an error is an answer that broke off. Dropped, it stops the statement.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

/// A request that is none, such as one with a line break in a header.
#[derive(Debug, thiserror::Error)]
#[error("not a request: {0}")]
pub struct InvalidCall(String);

impl App {
    /// Answers a request of this process.
    ///
    /// # Errors
    /// When method, path or a header are not those of HTTP.
    pub async fn call_in_process(&self, call: Call) -> Result<Reply, InvalidCall> {
        let invalid = |what: &str| InvalidCall(what.to_owned());
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|_| invalid("its method"))?;
        let uri = call.path.parse::<Uri>().map_err(|_| invalid("its path"))?;
        let mut request = Request::builder().method(method).uri(uri).content_type("application/json");
        for (name, value) in call.headers {
            // The builder takes what it is given and panics over it later.
            let value = poem::http::HeaderValue::from_str(&value).map_err(|_| invalid(name))?;
            request = request.header(name, value);
        }
        let response = self.answer(request.body(Body::from_bytes(call.body))).await;
        let (parts, body) = response.into_parts();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.into_bytes_stream().boxed(),
        })
    }
}
