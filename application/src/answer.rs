//! From rows to an answer: small ones whole, large ones in chunks while the database still reads.
//!
//! Work starts inside the request's own future. Only when the first chunk is full does it move to a task
//! of its own; a short answer costs neither a task nor a channel.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use athena_domain::rows::{CellRef, ColumnHead, CsvRows, Flow, JsonRows, RowFormat, RowSink, RowStyle};
use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::context::Trail;
use crate::error::Error;
use crate::held::{Held, SharedMemory};
use crate::ports::{Done, PortError, PortErrorKind, RowStream};
use crate::readers::{SlowPlace, SlowReaders};

/// Bytes from which an answer is streamed.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that may wait for a slow reader.
const CHUNKS_AHEAD: usize = 2;

/// How long a reader may leave a full chunk untouched before it counts as a slow one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest time a reader may leave a full chunk untouched.
const LONGEST_STALL: Duration = Duration::from_secs(60);

/// What is known once every row is written.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// What the statement did.
    pub done: Done,
    /// Rows in the answer.
    pub rows: u64,
    /// Matching rows, when they were to be counted.
    pub count: Option<u64>,
    /// Whether the database looked at rows that it did not return.
    pub filtered: bool,
}

/// What stands around the rows; nothing does in CSV.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Before the first row.
    pub open: &'static str,
    /// After the last one.
    pub close: fn(&Tally) -> String,
}

impl Framing {
    /// Nothing around the rows.
    pub const BARE: Self = Self { open: "", close: |_| String::new() };
}

/// Bytes of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of them, and what they hold.
    Whole(Bytes, Tally),
    /// Chunks as they come. An error ends them; what was sent before is not a whole answer.
    Stream(mpsc::Receiver<Chunk>),
}

/// A piece of an answer, or what broke it off.
pub type Chunk = Result<Bytes, Error>;

/// Both ends: the reader's, and one that tells whether the reader is still there.
type Channel = (mpsc::Receiver<Chunk>, mpsc::Sender<Chunk>);

enum Writer {
    Json(JsonRows),
    Csv(CsvRows),
}

/// A sink that writes rows and hands them on in chunks, or keeps them whole.
pub struct ChunkSink {
    writer: Writer,
    framing: Framing,
    /// Taken by the first chunk that is handed on; absent when the answer must be whole.
    handover: Option<oneshot::Sender<Channel>>,
    /// Told of rows that are handed on.
    trail: Option<Arc<Trail>>,
    handed_rows: u64,
    chunks: Option<mpsc::Sender<Chunk>>,
    sent_bytes: u64,
    max_bytes: Option<u64>,
    max_rows: Option<u64>,
    /// Keys of the columns, where they are wanted.
    columns: Option<Vec<Arc<str>>>,
    /// The places that slow readers of the client have, where they are bounded.
    readers: Option<Arc<SlowReaders>>,
    /// The place of this one, while it is slow.
    place: Option<SlowPlace>,
    /// What an answer that is kept whole takes of the memory.
    held: Option<Held>,
    /// What the backend keeps beside it.
    beside: Option<Held>,
    /// Whether slow readers hold what this answer would have needed.
    pub crowded: bool,
    /// Whether the byte limit was passed.
    pub overflowed: bool,
    /// Whether the row limit was passed.
    pub too_many_rows: bool,
    /// Whether a reader left a chunk untouched for too long: rows are missing.
    pub stalled: bool,
}

impl ChunkSink {
    /// A sink that keeps every row until the end.
    pub fn whole(style: RowStyle, framing: Framing, max_bytes: Option<u64>) -> Self {
        let writer = match style.format {
            RowFormat::Json | RowFormat::Ndjson => {
                let mut json = JsonRows::new(style);
                json.buffer.reserve(1024);
                json.buffer.extend_from_slice(framing.open.as_bytes());
                Writer::Json(json)
            }
            RowFormat::Csv => Writer::Csv(CsvRows::default()),
        };
        Self {
            writer,
            framing,
            handover: None,
            trail: None,
            handed_rows: 0,
            chunks: None,
            sent_bytes: 0,
            max_bytes,
            max_rows: None,
            columns: None,
            readers: None,
            place: None,
            held: None,
            beside: None,
            crowded: false,
            overflowed: false,
            too_many_rows: false,
            stalled: false,
        }
    }

    /// The same sink with a bound on rows that is an error to pass.
    #[must_use]
    pub fn at_most(mut self, rows: u64) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// The same sink, for an answer that counts until it is read.
    #[must_use]
    pub fn holding(mut self, memory: &SharedMemory) -> Self {
        self.held = Some(memory.nothing());
        self.beside(memory)
    }

    /// The same sink, where only what the backend keeps beside the rows counts.
    #[must_use]
    pub fn beside(mut self, memory: &SharedMemory) -> Self {
        self.beside = Some(memory.nothing());
        self
    }

    /// What the answer holds of the memory.
    pub fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match &mut self.writer {
            Writer::Json(json) => &mut json.buffer,
            Writer::Csv(csv) => &mut csv.buffer,
        }
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        match &self.writer {
            Writer::Json(json) => json.rows,
            Writer::Csv(csv) => csv.rows,
        }
    }

    /// The same sink, which remembers the keys of the columns.
    #[must_use]
    pub fn with_columns(mut self) -> Self {
        self.columns = Some(Vec::new());
        self
    }

    /// Keys of the columns, in order; none where they were not wanted.
    pub fn take_columns(&mut self) -> Vec<Arc<str>> {
        self.columns.take().unwrap_or_default()
    }

    /// Text of the hidden cells.
    pub fn take_hidden(&mut self) -> Vec<Option<Box<str>>> {
        match &mut self.writer {
            Writer::Json(json) => std::mem::take(&mut json.hidden),
            Writer::Csv(_) => Vec::new(),
        }
    }

    /// Closes the frame and gives what was not handed on yet.
    pub fn finish(mut self, tally: &Tally) -> Bytes {
        let close = (self.framing.close)(tally);
        let mut rest = std::mem::take(self.buffer());
        rest.extend_from_slice(close.as_bytes());
        rest.into()
    }
}

impl RowSink for ChunkSink {
    fn columns(&mut self, heads: &[ColumnHead]) {
        if let Some(columns) = &mut self.columns {
            *columns = heads.iter().filter(|head| !head.hidden).map(|head| head.label.clone()).collect();
        }
        match &mut self.writer {
            Writer::Json(json) => json.columns(heads),
            Writer::Csv(csv) => csv.columns(heads),
        }
    }

    fn cell(&mut self, cell: CellRef<'_>) {
        match &mut self.writer {
            Writer::Json(json) => json.cell(cell),
            Writer::Csv(csv) => csv.cell(cell),
        }
    }

    fn end_row(&mut self) -> Flow {
        let rows = match &mut self.writer {
            Writer::Json(json) => {
                json.end_row();
                json.rows
            }
            Writer::Csv(csv) => {
                csv.end_row();
                csv.rows
            }
        };
        let held = self.buffer().len();
        if self.max_rows.is_some_and(|most| rows > most) {
            self.too_many_rows = true;
            return Flow::Stop;
        }
        if self.max_bytes.is_some_and(|most| self.sent_bytes + held as u64 > most) {
            self.overflowed = true;
            return Flow::Stop;
        }
        if self.held.as_mut().is_some_and(|memory| !memory.reach(held as u64)) {
            self.crowded = true;
            return Flow::Stop;
        }
        let streams = self.handover.is_some() || self.chunks.is_some();
        if streams && held >= CHUNK_BYTES { Flow::Full } else { Flow::More }
    }
}

#[async_trait::async_trait]
impl RowStream for ChunkSink {
    async fn flush(&mut self) -> Flow {
        if let Some(handover) = self.handover.take() {
            // Nothing has been sent, so that the caller can still be told.
            if self.readers.as_ref().is_some_and(|readers| readers.is_full()) {
                self.crowded = true;
                return Flow::Stop;
            }
            let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
            self.chunks = Some(sender.clone());
            if handover.send((receiver, sender)).is_err() {
                return Flow::Stop;
            }
        }
        let chunk = std::mem::replace(self.buffer(), Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
        self.sent_bytes += chunk.len() as u64;
        if self.hand_on(chunk.into()).await == Flow::Stop {
            return Flow::Stop;
        }
        let rows = self.rows();
        if let Some(trail) = &self.trail {
            trail.hand_out(rows - self.handed_rows);
        }
        self.handed_rows = rows;
        Flow::More
    }

    fn mind(&mut self, readers: &Arc<SlowReaders>) {
        self.readers = Some(readers.clone());
    }

    fn keep(&mut self, bytes: u64) -> bool {
        self.overflowed |= self.max_bytes.is_some_and(|most| bytes > most);
        self.crowded |= self.beside.as_mut().is_some_and(|memory| !memory.reach(bytes));
        !self.overflowed && !self.crowded
    }
}

impl ChunkSink {
    /// Hands on a chunk, at the reader's pace. One that takes its time needs one of the places for such readers, or
    /// they would hold every connection of the client; and none may take for ever.
    async fn hand_on(&mut self, chunk: Bytes) -> Flow {
        let Some(chunks) = &self.chunks else { return Flow::Stop };
        let chunk = match chunks.try_send(Ok(chunk)) {
            Ok(()) => {
                self.place = None;
                return Flow::More;
            }
            Err(TrySendError::Closed(_)) => return Flow::Stop,
            Err(TrySendError::Full(chunk)) => chunk,
        };
        let mut sending = pin!(chunks.send(chunk));
        if let (None, Some(readers)) = (&self.place, &self.readers) {
            if let Ok(sent) = tokio::time::timeout(PATIENCE, &mut sending).await {
                return if sent.is_ok() { Flow::More } else { Flow::Stop };
            }
            self.place = readers.enter();
            if self.place.is_none() {
                self.crowded = true;
                return Flow::Stop;
            }
        }
        match tokio::time::timeout(LONGEST_STALL, sending).await {
            Ok(Ok(())) => Flow::More,
            Ok(Err(_)) => Flow::Stop,
            Err(_) => {
                self.stalled = true;
                Flow::Stop
            }
        }
    }
}

type Work = Pin<Box<dyn Future<Output = (ChunkSink, Result<Tally, Error>)> + Send>>;

/// Runs `work` with a sink and answers as soon as the rows are complete or the first chunk is full.
///
/// Dropping the answer's receiver, or this future, drops `work`: the statement is stopped. What was handed on by
/// then stands in `trail`.
///
/// # Errors
/// What `work` fails with before the first chunk.
pub async fn stream<F, Fut>(
    style: RowStyle,
    framing: Framing,
    max_bytes: Option<u64>,
    trail: &Arc<Trail>,
    work: F,
) -> Result<Body, Error>
where
    F: FnOnce(ChunkSink) -> Fut,
    Fut: Future<Output = (ChunkSink, Result<Tally, Error>)> + Send + 'static,
{
    let (sender, mut receiver) = oneshot::channel();
    let mut sink = ChunkSink::whole(style, framing, max_bytes);
    (sink.handover, sink.trail) = (Some(sender), Some(trail.clone()));
    let mut work: Work = Box::pin(work(sink));
    tokio::select! {
        biased;
        (sink, outcome) = &mut work => {
            // Rows can be so close that the first chunk and the last row come in one breath.
            if let Ok((chunks, sender)) = receiver.try_recv() {
                tokio::spawn(end(sink, outcome, sender));
                return Ok(Body::Stream(chunks));
            }
            let tally = outcome?;
            Ok(Body::Whole(sink.finish(&tally), tally))
        }
        Ok((chunks, sender)) = &mut receiver => {
            tokio::spawn(go_on(work, sender));
            Ok(Body::Stream(chunks))
        }
    }
}

/// Drives work whose answer has begun, until it is done or its reader has left.
async fn go_on(work: Work, chunks: mpsc::Sender<Chunk>) {
    // A task of its own, so that a panic is seen here: an answer that just ended would look whole.
    let mut work = tokio::spawn(work);
    tokio::select! {
        finished = &mut work => match finished {
            Ok((sink, outcome)) => end(sink, outcome, chunks).await,
            Err(_) => {
                let fault = PortError::new("backend", PortErrorKind::Internal);
                drop(chunks.send(Err(fault.into())).await);
            }
        },
        () = chunks.closed() => work.abort(),
    }
}

/// Hands on what is left, or what went wrong.
async fn end(sink: ChunkSink, outcome: Result<Tally, Error>, chunks: mpsc::Sender<Chunk>) {
    let last = outcome.map(|tally| sink.finish(&tally));
    if let Err(error) = &last {
        tracing::warn!(%error, "an answer broke off after its first byte");
    }
    // A reader that has left needs no last chunk.
    drop(chunks.send(last).await);
}
