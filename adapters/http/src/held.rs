//! Answers that count until they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use athena_application::held::Held;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use poem::Response;

/// The same answer, whose bytes hold their part of the memory for as long as anybody has one of them: the connection
/// keeps them until its peer has taken them.
pub fn until_read(response: Response, held: Held) -> Response {
    let (parts, body) = response.into_parts();
    let body = Counted { body: body.into(), held: Arc::new(held) };
    Response::from_parts(parts, poem::Body::from(body.boxed()))
}

struct Counted {
    body: BoxBody<Bytes, io::Error>,
    held: Arc<Held>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|bytes| self.held.with(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
