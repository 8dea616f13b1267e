//! Request bodies: bytes within bounds, handed to the domain's decoders as they came.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use athena_domain::Limits;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use poem::http::{HeaderMap, header};
use poem::{Body, Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Failure, failure};

/// Bytes past a limit that are still read and thrown away, so that the caller can hear the refusal.
const SWALLOW_BYTES: u64 = 16 << 20;

/// Time spent on throwing them away.
const SWALLOW_TIME: Duration = Duration::from_secs(2);

/// Largest window of a zstd body, as a power of two (RFC 9659: 8 MiB).
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body that is documented as `T` and read by the domain.
pub struct RawJson<T> {
    /// The body, unread.
    pub body: Body,
    documented: PhantomData<fn() -> T>,
}

impl<'a, T: Type> ApiExtractor<'a> for RawJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        _: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { body: body.take()?, documented: PhantomData })
    }
}

/// How the bytes of a body are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Brotli,
    Zstd,
}

/// A body as it was received.
#[derive(Debug, Clone)]
pub struct Received {
    bytes: Bytes,
    packing: Packing,
}

/// Reads bodies within bounds.
#[derive(Debug, Clone)]
pub struct BodyReader {
    max_body_bytes: u64,
    max_decompressed_bytes: u64,
    timeout: Duration,
}

impl BodyReader {
    /// A reader with these bounds.
    pub fn new(limits: &Limits, timeout: Duration) -> Self {
        let (max_body_bytes, max_decompressed_bytes) = (limits.max_body_bytes, limits.max_decompressed_bytes);
        Self { max_body_bytes, max_decompressed_bytes, timeout }
    }

    /// Receives the body: size and framing are checked, nothing else.
    ///
    /// # Errors
    /// An encoding we cannot undo, too many bytes, too much time, a body that breaks off.
    pub async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Received, Box<Failure>> {
        let packing = packing(headers)?;
        let most = self.max_body_bytes;
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared = declared.and_then(|digits| digits.parse::<u64>().ok());
        let mut chunks = std::pin::pin!(body.into_bytes_stream());
        if let Some(declared) = declared.filter(|declared| *declared > most) {
            // A caller who waits for `100 Continue` has not sent the body and need not.
            if declared <= most + SWALLOW_BYTES && !headers.contains_key(header::EXPECT) {
                swallow(chunks).await;
            }
            return Err(failure::too_large("max_body_bytes", most));
        }
        let collected = tokio::time::timeout(self.timeout, collect(&mut chunks, most));
        match collected.await {
            Err(_) => Err(failure::too_slow(self.timeout.as_secs())),
            Ok(Ok(Some(bytes))) => Ok(Received { bytes, packing }),
            Ok(Ok(None)) => {
                swallow(chunks).await;
                Err(failure::too_large("max_body_bytes", most))
            }
            Ok(Err(_)) => Err(failure::broken_body()),
        }
    }

    /// Unpacks the body; an empty one becomes `{}`, so that the decoders name what is missing.
    ///
    /// # Errors
    /// A content type that is not JSON, broken compression, too many bytes.
    pub async fn unpack(&self, headers: &HeaderMap, received: Received) -> Result<Bytes, Box<Failure>> {
        let bytes = match received.packing {
            Packing::Plain => received.bytes,
            Packing::Gzip => {
                let mut decoder = GzipDecoder::new(&received.bytes[..]);
                decoder.multiple_members(true);
                self.inflate(decoder, "gzip").await?
            }
            Packing::Brotli => self.inflate(BrotliDecoder::new(&received.bytes[..]), "br").await?,
            Packing::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
                let mut decoder = ZstdDecoder::with_params(&received.bytes[..], &window);
                decoder.multiple_members(true);
                self.inflate(decoder, "zstd").await?
            }
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(Bytes::from_static(b"{}"));
        }
        check_content_type(headers)?;
        Ok(bytes)
    }

    async fn inflate(
        &self,
        decoder: impl AsyncRead + Unpin,
        name: &'static str,
    ) -> Result<Bytes, Box<Failure>> {
        let most = self.max_decompressed_bytes;
        let mut bytes = Vec::new();
        let read = decoder.take(most + 1).read_to_end(&mut bytes).await;
        match read {
            Ok(read) if read as u64 > most => Err(failure::too_large("max_decompressed_bytes", most)),
            Ok(_) => Ok(bytes.into()),
            Err(_) => Err(failure::broken_encoding(name)),
        }
    }
}

fn packing(headers: &HeaderMap) -> Result<Packing, Box<Failure>> {
    let mut packing = Packing::Plain;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let name = value.to_str().unwrap_or("?").trim();
        let next = match () {
            () if name.eq_ignore_ascii_case("identity") || name.is_empty() => continue,
            () if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => Packing::Gzip,
            () if name.eq_ignore_ascii_case("br") => Packing::Brotli,
            () if name.eq_ignore_ascii_case("zstd") => Packing::Zstd,
            () => return Err(failure::unknown_encoding(name)),
        };
        if packing != Packing::Plain {
            return Err(failure::unknown_encoding(&format!("more than one: {name}")));
        }
        packing = next;
    }
    Ok(packing)
}

/// Accepts JSON media types and no declaration at all.
fn check_content_type(headers: &HeaderMap) -> Result<(), Box<Failure>> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
    let media = text.split(';').next().unwrap_or_default().trim();
    let ends_in_json = media.len() >= 5 && media.as_bytes()[media.len() - 5..].eq_ignore_ascii_case(b"+json");
    let known = ["application/json", "text/json"].iter().any(|known| media.eq_ignore_ascii_case(known));
    if known || ends_in_json || media.is_empty() { Ok(()) } else { Err(failure::not_json(media)) }
}

/// Every byte, or none when there are more than `most`; a body in one chunk is not copied.
async fn collect(
    chunks: &mut (impl Stream<Item = std::io::Result<Bytes>> + Unpin),
    most: u64,
) -> std::io::Result<Option<Bytes>> {
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Some(Bytes::new())) };
    if first.len() as u64 > most {
        return Ok(None);
    }
    let Some(second) = chunks.next().await.transpose()? else { return Ok(Some(first)) };
    let mut all = BytesMut::with_capacity(4 * (first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if (all.len() + chunk.len()) as u64 > most {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
        next = chunks.next().await.transpose()?;
    }
    Ok(Some(all.freeze()))
}

/// Reads on for a while without keeping anything: an answer to a caller who is still writing is lost when
/// the connection is reset.
async fn swallow(mut chunks: impl Stream<Item = std::io::Result<Bytes>> + Unpin) {
    let reading = async {
        let mut left = SWALLOW_BYTES;
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    // Either way the caller is answered next.
    drop(tokio::time::timeout(SWALLOW_TIME, reading).await);
}
