//! Request bodies: bytes within bounds, handed to the domain's decoders as they came.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use athena_application::held::{Held, SharedMemory};
use athena_domain::Limits;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use poem::http::{HeaderMap, HeaderValue, header};
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

/// Bytes of the smallest buffer for a body in several pieces.
const SMALLEST_BUFFER: usize = 4 << 10;

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

/// What becomes of the bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// They are to be read.
    All,
    /// The request is refused whatever they say; only their size and framing matter.
    Nothing,
}

/// Reads bodies within bounds. Copies of a reader share the memory for bodies.
#[derive(Debug, Clone)]
pub struct BodyReader {
    max_body_bytes: u64,
    max_decompressed_bytes: u64,
    timeout: Duration,
    memory: SharedMemory,
}

impl BodyReader {
    /// A reader with these bounds, whose bodies share this memory.
    pub fn new(limits: &Limits, timeout: Duration, memory: SharedMemory) -> Self {
        let (max_body_bytes, max_decompressed_bytes) = (limits.max_body_bytes, limits.max_decompressed_bytes);
        Self { max_body_bytes, max_decompressed_bytes, timeout, memory }
    }

    /// Receives the body: size and framing are checked, nothing else.
    ///
    /// # Errors
    /// An encoding we cannot undo, too many bytes, too much time, a body that breaks off, too many bodies at once.
    pub async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
        keeping: Keeping,
    ) -> Result<Received, Box<Failure>> {
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
        let mut held = self.memory.nothing();
        let collected = async {
            match keeping {
                Keeping::All => collect(&mut chunks, most, &mut held).await,
                Keeping::Nothing => discard(&mut chunks, most).await.map(|()| Bytes::new()),
            }
        };
        match tokio::time::timeout(self.timeout, collected).await {
            Err(_) => Err(failure::too_slow(self.timeout.as_secs())),
            Ok(Ok(bytes)) => Ok(Received { bytes: keep(bytes, held), packing }),
            Ok(Err(Stop::Broken)) => Err(failure::broken_body()),
            Ok(Err(Stop::TooLarge)) => {
                swallow(chunks).await;
                Err(failure::too_large("max_body_bytes", most))
            }
            Ok(Err(Stop::NoMemory)) => {
                drop(held);
                swallow(chunks).await;
                Err(failure::too_many_bodies())
            }
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
        let mut decoder = decoder.take(most + 1);
        let mut held = self.memory.nothing();
        let mut bytes = BytesMut::new();
        loop {
            if !make_room(&mut bytes, 1, &mut held) {
                return Err(failure::too_many_bodies());
            }
            match decoder.read_buf(&mut bytes).await {
                Ok(0) => break,
                Ok(_) if bytes.len() as u64 > most => {
                    return Err(failure::too_large("max_decompressed_bytes", most));
                }
                Ok(_) => {}
                Err(_) => return Err(failure::broken_encoding(name)),
            }
        }
        Ok(keep(bytes.freeze(), held))
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

/// Accepts JSON media types; of programs no declaration at all, too. A page of a browser that declares none would not
/// be asked whether it may call us: its request would be carried out, whoever wrote the page.
fn check_content_type(headers: &HeaderMap) -> Result<(), Box<Failure>> {
    let value = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let text: Cow<'_, str> = String::from_utf8_lossy(value);
    let media = text.split(';').next().unwrap_or_default().trim();
    if media.is_empty() && headers.contains_key(header::ORIGIN) {
        return Err(failure::undeclared_json());
    }
    let ends_in_json = media.len() >= 5 && media.as_bytes()[media.len() - 5..].eq_ignore_ascii_case(b"+json");
    let known = ["application/json", "text/json"].iter().any(|known| media.eq_ignore_ascii_case(known));
    if known || ends_in_json || media.is_empty() { Ok(()) } else { Err(failure::not_json(media)) }
}

/// Why a body is not received.
enum Stop {
    Broken,
    TooLarge,
    NoMemory,
}

impl From<std::io::Error> for Stop {
    fn from(_: std::io::Error) -> Self {
        Self::Broken
    }
}

/// Every byte. A body in one chunk is neither copied nor counted: nobody waits for the rest of it.
async fn collect(
    chunks: &mut (impl Stream<Item = std::io::Result<Bytes>> + Unpin),
    most: u64,
    held: &mut Held,
) -> Result<Bytes, Stop> {
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Bytes::new()) };
    if first.len() as u64 > most {
        return Err(Stop::TooLarge);
    }
    let second = match futures_util::poll!(chunks.next()) {
        Poll::Ready(second) => second,
        Poll::Pending if !held.reach(first.len() as u64) => return Err(Stop::NoMemory),
        Poll::Pending => chunks.next().await,
    };
    let Some(second) = second.transpose()? else { return Ok(first) };
    let mut all = BytesMut::new();
    let mut next = Some(second);
    if !make_room(&mut all, 4 * first.len(), held) {
        return Err(Stop::NoMemory);
    }
    all.extend_from_slice(&first);
    drop(first);
    while let Some(chunk) = next {
        if (all.len() + chunk.len()) as u64 > most {
            return Err(Stop::TooLarge);
        }
        if !make_room(&mut all, chunk.len(), held) {
            return Err(Stop::NoMemory);
        }
        all.extend_from_slice(&chunk);
        next = chunks.next().await.transpose()?;
    }
    Ok(all.freeze())
}

/// Reads to the end, and keeps nothing.
async fn discard(
    chunks: &mut (impl Stream<Item = std::io::Result<Bytes>> + Unpin),
    most: u64,
) -> Result<(), Stop> {
    let mut read = 0;
    while let Some(chunk) = chunks.next().await.transpose()? {
        read += chunk.len() as u64;
        if read > most {
            return Err(Stop::TooLarge);
        }
    }
    Ok(())
}

/// Makes sure of room for `more` bytes, at least doubling; false when there is no memory for them.
fn make_room(bytes: &mut BytesMut, more: usize, held: &mut Held) -> bool {
    let needed = bytes.len() + more;
    if needed <= bytes.capacity() {
        return true;
    }
    let capacity = needed.max(2 * bytes.capacity()).max(SMALLEST_BUFFER);
    if !held.reach(capacity as u64) {
        return false;
    }
    bytes.reserve(capacity - bytes.len());
    true
}

/// The same bytes, which count for as long as anybody has them.
fn keep(bytes: Bytes, held: Held) -> Bytes {
    if held.counts() { Arc::new(held).with(bytes) } else { bytes }
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
