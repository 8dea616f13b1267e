//! Compression of answers, at levels that keep up with the network.

use std::io;

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Body, Response};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::headers::quality::members;

/// Answers below this many bytes go as they are: one packet carries them either way.
const SMALLEST: u64 = 1 << 10;

/// Bytes that are compressed at one go; other tasks run in between.
const PIECE: usize = 64 << 10;

/// A compression both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Coding {
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The best coding for a caller; none when the caller asks for none or prefers bytes as they are.
    pub fn choose(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return None;
        }
        let quality = |name: &str| {
            let find = |wanted: &str| {
                members(headers, &header::ACCEPT_ENCODING)
                    .find(|(token, _)| token.eq_ignore_ascii_case(wanted))
                    .map(|(_, quality)| quality)
            };
            find(name).or_else(|| find("*"))
        };
        let plain = members(headers, &header::ACCEPT_ENCODING)
            .find(|(token, _)| token.eq_ignore_ascii_case("identity"))
            .map_or(0, |(_, quality)| quality);
        let mut best: Option<(u16, Self)> = None;
        for coding in Self::ALL {
            let quality = quality(coding.name()).unwrap_or(0);
            if quality > 0 && quality >= plain && best.is_none_or(|(known, _)| quality > known) {
                best = Some((quality, coding));
            }
        }
        best.map(|(_, coding)| coding)
    }
}

/// Compresses an answer where that pays.
pub async fn compress(coding: Option<Coding>, mut response: Response) -> Response {
    let body: BoxBody<Bytes, io::Error> = response.take_body().into();
    let size = body.size_hint().exact();
    if size.is_some_and(|bytes| bytes < SMALLEST) || response.headers().contains_key(header::CONTENT_ENCODING)
    {
        response.set_body(Body::from(body));
        return response;
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(coding) = coding else {
        response.set_body(Body::from(body));
        return response;
    };
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let chunks = Body::from(body).into_bytes_stream();
    match size {
        // Whole and short: its compressed length can be told in advance.
        Some(bytes) if bytes <= 4 * PIECE as u64 => response.set_body(at_once(coding, chunks).await),
        // A stream is flushed with every chunk, so that rows arrive when they are read.
        known => response.set_body(Body::from_bytes_stream(piecewise(coding, chunks, known.is_none()))),
    }
    response
}

async fn at_once(coding: Coding, chunks: impl Stream<Item = io::Result<Bytes>>) -> Body {
    let chunks = piecewise(coding, chunks, false).collect::<Vec<_>>().await;
    let mut all = Vec::new();
    for chunk in chunks {
        match chunk {
            Ok(chunk) => all.extend_from_slice(&chunk),
            Err(error) => {
                return Body::from_bytes_stream(futures_util::stream::iter([Err::<Bytes, _>(error)]));
            }
        }
    }
    all.into()
}

/// What is left to do for a stream.
struct Work<S> {
    chunks: std::pin::Pin<Box<S>>,
    pending: Bytes,
    encoder: Encoder,
    flush: bool,
}

fn piecewise<S: Stream<Item = io::Result<Bytes>>>(
    coding: Coding,
    chunks: S,
    flush: bool,
) -> impl Stream<Item = io::Result<Bytes>> {
    let work = Work { chunks: Box::pin(chunks), pending: Bytes::new(), encoder: Encoder::new(coding), flush };
    futures_util::stream::unfold(Some(work), |work| async move {
        let mut work = work?;
        match work.next().await {
            Ok((bytes, false)) => Some((Ok(bytes), Some(work))),
            Ok((bytes, true)) => Some((Ok(bytes), None)),
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl<S: Stream<Item = io::Result<Bytes>>> Work<S> {
    /// Compresses on until there is something to send; tells whether it is the end.
    async fn next(&mut self) -> io::Result<(Bytes, bool)> {
        loop {
            if self.pending.is_empty() {
                match self.chunks.next().await {
                    Some(chunk) => self.pending = chunk?,
                    None => {
                        self.encoder.writer().shutdown().await?;
                        return Ok((self.encoder.take(), true));
                    }
                }
            }
            let piece = self.pending.split_to(self.pending.len().min(PIECE));
            self.encoder.writer().write_all(&piece).await?;
            if self.flush && self.pending.is_empty() {
                self.encoder.writer().flush().await?;
            }
            let ready = self.encoder.take();
            if !ready.is_empty() {
                return Ok((ready, false));
            }
        }
    }
}

enum Encoder {
    Zstd(ZstdEncoder<Vec<u8>>),
    Brotli(Box<BrotliEncoder<Vec<u8>>>),
    Gzip(GzipEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Zstd => Self::Zstd(ZstdEncoder::with_quality(Vec::new(), Level::Precise(1))),
            Coding::Brotli => {
                Self::Brotli(Box::new(BrotliEncoder::with_quality(Vec::new(), Level::Precise(1))))
            }
            Coding::Gzip => Self::Gzip(GzipEncoder::with_quality(Vec::new(), Level::Precise(1))),
        }
    }

    fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Brotli(encoder) => encoder.as_mut(),
            Self::Gzip(encoder) => encoder,
        }
    }

    fn take(&mut self) -> Bytes {
        let buffer = match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(buffer).into()
    }
}
