//! Nodes that are killed, fall silent and come back while the gateway reads and writes: what was acknowledged is read
//! back, reads find another node, and nobody waits beyond the deadline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use athena_test_support::PrivateCassandra;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};

/// Replicas that hang are the database's to notice, and by itself it waits for 2.5 s at first.
const JOURNAL: &str = "CREATE TABLE journal (writer int, n int, note text, PRIMARY KEY (writer, n)) \
                       WITH speculative_retry = '50ms';";

/// How long a request may take, and what a busy machine may add to it.
const DEADLINE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

const LIMITS: &str = "limits: {request_timeout_secs: 10, statement_timeout_secs: 8}";

/// The longest read while a node is silent: it is not waited for, be it the one that was asked or one that has the rows.
const IMPATIENCE: Duration = Duration::from_secs(4);

/// Those who write, each to a partition of its own; as many read what they write.
const WRITERS: usize = 8;

/// What one writer has done.
#[derive(Default)]
struct Journal {
    /// The last number that was sent.
    sent: AtomicI64,
    /// The last number that was acknowledged.
    kept: AtomicI64,
}

/// What happened in a while.
struct Outcome {
    failed_writes: u64,
    longest_read: Duration,
}

/// What all callers have met, in numbers.
#[derive(Default)]
struct Tally {
    reads: AtomicU64,
    failed_reads: AtomicU64,
    writes: AtomicU64,
    failed_writes: AtomicU64,
    /// Milliseconds of the longest read and the longest write.
    longest_read: AtomicU64,
    longest_write: AtomicU64,
}

/// Readers and writers that go on until they are told to stop.
struct Load {
    gateway: Arc<Gateway>,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    /// Each gives the numbers it was acknowledged.
    writers: Vec<JoinHandle<BTreeSet<i64>>>,
    readers: Vec<JoinHandle<()>>,
}

/// An answer within the deadline, and its milliseconds in `longest`.
async fn timed(longest: &AtomicU64, asked: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = tokio::time::timeout(DEADLINE.0 + DEADLINE.1, asked).await;
    longest.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
    answer.expect("an answer within the deadline")
}

/// A failure has to be one of a database that is away or late, and to say when to come again.
#[track_caller]
fn away(answer: &Answer) {
    match answer.status {
        503 => {
            assert!(answer.header("retry-after").is_some(), "{}", answer.text);
            let code = answer.json()["code"].clone();
            assert!(code == "connection_error" || code == "circuit_open", "{}", answer.text);
        }
        _ => drop(answer.refused(504, "query_canceled")),
    }
}

impl Load {
    fn start(gateway: Gateway) -> Self {
        let gateway = Arc::new(gateway);
        let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for writer in 0..WRITERS {
            let journal = Arc::new(Journal::default());
            let caller = || (gateway.clone(), journal.clone(), tally.clone(), stop.clone());
            let (with, journal_of, counted, stopped) = caller();
            writers.push(tokio::spawn(async move {
                let mut kept = BTreeSet::new();
                while !stopped.load(Ordering::Relaxed) {
                    let n = journal_of.sent.fetch_add(1, Ordering::SeqCst) + 1;
                    let answer = timed(&counted.longest_write, with.insert(&row(writer, n))).await;
                    counted.writes.fetch_add(1, Ordering::Relaxed);
                    if answer.status == 200 {
                        kept.insert(n);
                        journal_of.kept.store(n, Ordering::SeqCst);
                    } else {
                        away(&answer);
                        counted.failed_writes.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                kept
            }));
            let (with, journal_of, counted, stopped) = caller();
            readers.push(tokio::spawn(async move {
                while !stopped.load(Ordering::Relaxed) {
                    let kept = journal_of.kept.load(Ordering::SeqCst);
                    let answer = timed(&counted.longest_read, with.fetch(&last(writer))).await;
                    counted.reads.fetch_add(1, Ordering::Relaxed);
                    if answer.status == 200 {
                        let rows = answer.rows();
                        let read = rows[0]["n"].as_i64().unwrap_or(0);
                        let sent = journal_of.sent.load(Ordering::SeqCst);
                        assert!((kept..=sent).contains(&read), "{read} is none of {kept} to {sent}");
                        assert!(read == 0 || rows[0]["note"] == note(writer, read), "{rows}");
                    } else {
                        away(&answer);
                        counted.failed_reads.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }));
        }
        Self { gateway, tally, stop, writers, readers }
    }

    /// Lets time pass, in which no read may fail.
    async fn during(&self, what: &str, time: impl Future<Output = ()>) -> Outcome {
        let numbers = || {
            [&self.tally.reads, &self.tally.failed_reads, &self.tally.writes, &self.tally.failed_writes]
                .map(|number| number.load(Ordering::Relaxed))
        };
        let (before, began) = (numbers(), Instant::now());
        for longest in [&self.tally.longest_read, &self.tally.longest_write] {
            longest.store(0, Ordering::Relaxed);
        }
        time.await;
        let after = numbers();
        let [reads, failed_reads, writes, failed_writes] = std::array::from_fn(|n| after[n] - before[n]);
        let longest_read = Duration::from_millis(self.tally.longest_read.load(Ordering::Relaxed));
        eprintln!(
            "{what}: {:.1} s, {reads} reads ({failed_reads} failed, longest {longest_read:?}), {writes} writes \
             ({failed_writes} failed, longest {} ms)",
            began.elapsed().as_secs_f64(),
            self.tally.longest_write.load(Ordering::Relaxed),
        );
        assert!(reads > 0 && writes > 0, "nobody asks");
        assert_eq!(failed_reads, 0, "{what}: {reads} reads");
        Outcome { failed_writes, longest_read }
    }

    /// Ends the load, and reads every row that was acknowledged. Gives the gateway back.
    async fn end(self) -> Arc<Gateway> {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.await.expect("a reader that was told nothing wrong");
        }
        for (writer, work) in self.writers.into_iter().enumerate() {
            let kept = work.await.expect("a writer");
            assert!(!kept.is_empty());
            let body =
                json!({"table_name": "journal", "conditions": [{"eq_column": "writer", "eq_value": writer}]});
            let request = self.gateway.request(Method::POST, "/gateway/fetch");
            let lines = self.gateway.send(request.header("Accept", "application/x-ndjson").json(&body)).await;
            let mut there = BTreeSet::new();
            for line in lines.text.lines() {
                let row: Value = serde_json::from_str(line).expect("a row");
                let n = row["n"].as_i64().expect("a number");
                assert_eq!(row["note"], note(writer, n), "{row}");
                there.insert(n);
            }
            let lost: Vec<_> = kept.difference(&there).collect();
            assert!(lost.is_empty(), "writer {writer} was acknowledged {lost:?}, which are not there");
        }
        self.gateway
    }
}

fn note(writer: usize, n: i64) -> String {
    format!("{n} by {writer}")
}

/// Every second writer adds rows that must not be there yet, which the nodes have to agree on.
fn row(writer: usize, n: i64) -> String {
    let row = json!({"writer": writer, "n": n, "note": note(writer, n)});
    let mut body = json!({"table_name": "journal", "insert_body": row, "head": true});
    if writer.is_multiple_of(2) {
        body["on_conflict"] = json!(["writer", "n"]);
    }
    body.to_string()
}

fn last(writer: usize) -> String {
    json!({
        "table_name": "journal", "conditions": [{"eq_column": "writer", "eq_value": writer}],
        "sort_by": {"field": "n", "direction": "desc"}, "limit": 1,
    })
    .to_string()
}

async fn secs(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test]
async fn a_node_of_three_may_die_and_come_back() {
    let Some(cluster) = PrivateCassandra::start(3, false).await else { return };
    let keyspace = cluster.keyspace(JOURNAL).await;
    let uri = format!("{}?consistency=quorum", keyspace.uri());
    let load = Load::start(Gateway::over(&[(CLIENT, &uri)], LIMITS).await);
    assert_eq!(load.during("three nodes", secs(3)).await.failed_writes, 0);
    // The one that the driver was told of first.
    cluster.kill(0).await;
    let killed = load.during("one killed", secs(6)).await;
    // Those that were under way to it; a writer may meet it once more before the driver has noticed.
    assert!(killed.failed_writes <= 2 * WRITERS as u64, "{} writes failed", killed.failed_writes);
    load.during("it starts", cluster.start_again(0)).await;
    assert_eq!(load.during("three again", secs(4)).await.failed_writes, 0);

    cluster.silence(1).await;
    let silent = load.during("one silent", secs(6)).await;
    cluster.wake(1).await;
    let awake = load.during("three again", secs(4)).await;
    let longest = silent.longest_read.max(awake.longest_read);
    assert!(longest < IMPATIENCE, "a read took {longest:?}");
    let gateway = load.end().await;
    // Nobody has been turned away for the sake of one node.
    let told = gateway.send(gateway.bare(Method::GET, "/readyz").bearer_auth(ADMIN_KEY)).await.ok();
    assert_eq!(told["clients"][0]["circuit_breaker"]["openings"], 0);
}
