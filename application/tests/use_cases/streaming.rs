//! Large answers: in chunks, at the reader's pace, and gone with the reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_application::ports::{Backend, BackendStatus, Done, PortError, RowStream};
use athena_application::stopwatch::Stopwatch;
use athena_application::use_cases::{Fetch, Fetched};
use athena_application::{Body, Error};
use athena_domain::Limits;
use athena_domain::error::RequestCode;
use athena_domain::plan::Plan;
use athena_domain::query::FetchRequest;
use athena_domain::rows::{RowFormat, RowStyle};
use athena_memory::MemoryDatabase;
use tokio::time::{Instant, sleep, timeout};

use super::bench::{ARRAY, Bench, JSON, body, name, text, users};

const LINES: RowStyle = RowStyle { format: RowFormat::Ndjson, strip_nulls: false };
const EVERY: &str = r#"{"table_name":"users","columns":"id,mail","limit":9000,"sort_by":{"field":"id"}}"#;

/// A backend that tells how many statements are being run.
struct Watched {
    inner: Arc<MemoryDatabase>,
    running: Arc<AtomicUsize>,
}

/// Counts one statement for as long as it lives, however it ends.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Backend for Watched {
    async fn execute(
        &self,
        plan: &Plan,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(self.running.clone());
        self.inner.execute(plan, sink, deadline, waits).await
    }

    async fn ping(&self, deadline: Instant) -> Result<(), PortError> {
        self.inner.ping(deadline).await
    }

    fn status(&self) -> BackendStatus {
        self.inner.status()
    }
}

/// A gateway over 9000 rows of about 60 bytes, and the number of running statements.
fn large(limits: Limits) -> (Bench, Arc<AtomicUsize>) {
    let rows: Vec<String> = (4..=9000).map(|id| format!(r#"{{"id":{id},"mail":"{id:040}@x"}}"#)).collect();
    let table = users().with_rows(&format!("[{}]", rows.join(","))).unwrap();
    let database = Arc::new(MemoryDatabase::new([table]));
    let running = Arc::new(AtomicUsize::new(0));
    let backend = Arc::new(Watched { inner: database.clone(), running: running.clone() });
    (Bench::over(database, backend, limits), running)
}

async fn until_idle(running: &AtomicUsize) {
    let idle = async {
        while running.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), idle).await.expect("the statement is stopped");
}

#[tokio::test]
async fn a_large_answer_comes_in_chunks_at_the_readers_pace() {
    let (bench, running) = large(Limits::default());
    let Fetched::Rows { body: Body::Stream(mut chunks), count: None, .. } = bench.fetch(EVERY).await.unwrap()
    else {
        panic!("a large answer is streamed");
    };
    sleep(Duration::from_millis(20)).await;
    assert_eq!(running.load(Ordering::SeqCst), 1, "the database waits for the reader");
    let mut whole = Vec::new();
    let mut count = 0;
    while let Some(chunk) = chunks.recv().await {
        whole.extend_from_slice(&chunk.unwrap());
        count += 1;
        sleep(Duration::from_millis(1)).await;
    }
    assert!(count >= 5, "{count} chunks of {} bytes", whole.len());
    let rows: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let ids: Vec<u64> = rows.as_array().unwrap().iter().filter_map(|row| row["id"].as_u64()).collect();
    assert_eq!(ids, (1..=9000).collect::<Vec<u64>>());
    until_idle(&running).await;
}

#[tokio::test]
async fn a_reader_that_leaves_stops_the_statement() {
    let (bench, running) = large(Limits::default());
    let Fetched::Rows { body: Body::Stream(mut chunks), count: None, .. } = bench.fetch(EVERY).await.unwrap()
    else {
        panic!("a large answer is streamed");
    };
    chunks.recv().await.unwrap().unwrap();
    assert_eq!(running.load(Ordering::SeqCst), 1);
    drop(chunks);
    until_idle(&running).await;
}

#[tokio::test]
async fn what_was_handed_out_is_known_while_the_statement_runs_and_when_it_is_dropped() {
    let (bench, running) = large(Limits::default());
    let context = bench.context();
    let trail = context.trail.clone();
    let request = FetchRequest::decode(body(EVERY), &bench.gateway.limits, bench.gateway.decoding).unwrap();
    let fetch = Fetch::new(bench.gateway.clone());
    let Fetched::Rows { body: Body::Stream(mut chunks), count: None, .. } =
        fetch.run(&name("main"), request, JSON, ARRAY, context).await.unwrap()
    else {
        panic!("a large answer is streamed");
    };
    let chunk = text(&chunks.recv().await.unwrap().unwrap());
    let in_chunk = chunk.matches("\"id\":").count() as u64;
    let (rows, db) = (trail.rows(), trail.stages().db);
    assert!(in_chunk > 0 && (in_chunk..9000).contains(&rows), "{rows} of {in_chunk}");
    sleep(Duration::from_millis(20)).await;
    assert!(trail.stages().db >= db + Duration::from_millis(20), "the statement under way counts");
    drop(chunks);
    until_idle(&running).await;
    assert!((rows..9000).contains(&trail.rows()), "{}", trail.rows());
    // Read to its end, an answer counts every row once.
    let context = bench.context();
    let trail = context.trail.clone();
    let request = FetchRequest::decode(body(EVERY), &bench.gateway.limits, bench.gateway.decoding).unwrap();
    let Fetched::Rows { body: Body::Stream(mut chunks), count: None, .. } =
        fetch.run(&name("main"), request, JSON, ARRAY, context).await.unwrap()
    else {
        panic!("a large answer is streamed");
    };
    while let Some(chunk) = chunks.recv().await {
        chunk.unwrap();
    }
    assert_eq!(trail.rows(), 9000);
}

#[tokio::test]
async fn an_answer_that_is_dropped_unread_stops_the_statement() {
    let (bench, running) = large(Limits::default());
    let answer = bench.fetch(EVERY).await.unwrap();
    drop(answer);
    until_idle(&running).await;
}

/// Two chunks, of which the second is written in the same poll as the first: neither may get lost.
#[tokio::test]

async fn lines_have_no_bound_and_no_line_is_lost() {
    let (bench, _) = large(Limits { max_rows: 10, max_response_bytes: 100, ..Limits::default() });
    let request = r#"{"table_name":"users","columns":"id"}"#;
    let Fetched::Rows { body, count: None, .. } = bench.fetch_as("main", request, LINES).await.unwrap()
    else {
        panic!("rows");
    };
    let mut whole = Vec::new();
    match body {
        Body::Whole(bytes, _) => whole.extend_from_slice(&bytes),
        Body::Stream(mut chunks) => {
            while let Some(chunk) = chunks.recv().await {
                whole.extend_from_slice(&chunk.unwrap());
            }
        }
    }
    assert_eq!(text(&whole).matches("{\"id\":").count(), 9000);
}

#[tokio::test]
async fn an_answer_that_grows_too_large_breaks_off_with_an_error() {
    let (bench, running) = large(Limits { max_response_bytes: 200_000, ..Limits::default() });
    let Fetched::Rows { body: Body::Stream(mut chunks), count: None, .. } = bench.fetch(EVERY).await.unwrap()
    else {
        panic!("a large answer is streamed");
    };
    let mut last = None;
    while let Some(chunk) = chunks.recv().await {
        last = Some(chunk);
    }
    let error = last.unwrap().expect_err("the answer is not whole");
    assert!(
        matches!(&error, Error::Request(refused) if refused.code == RequestCode::LimitExceeded),
        "{error}"
    );
    until_idle(&running).await;
    // Below the size of one chunk nothing is sent at all.
    let (bench, _) = large(Limits { max_response_bytes: 10_000, ..Limits::default() });
    let error = bench.fetch_as("main", EVERY, JSON).await.unwrap_err();
    assert!(matches!(error, Error::Request(_)));
}
