//! The bare CQL driver, for `bench/cql`: loads the table, and inserts as fast as it can.
//!
//! `cql HOST:PORT load ROWS` makes the keyspace `bench` and fills `events`.
//! `cql HOST:PORT insert SECONDS AT_ONCE FIRST ROWS REQUESTS SPREAD` writes `inserts`, so many rows by one statement or
//! batch, of one partition or (1) each of its own: as many different requests, again and again. Prints how many rows, in
//! how many seconds, and the clock ticks that it took.
//! `cql HOST:PORT serve PORT` writes the same rows for whoever asks over HTTP.

mod cql_http;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlDecimal;
use tokio::task::JoinSet;

/// Rows of one partition, written by one batch.
const PARTITION: i64 = 100;

/// Batches under way at once.
const BATCHES: usize = 16;

const NOTE: &str = "a note of some length, as notes are";

// Nothing is compacted where rows are only written: what one turn has written would be worked off during the next, at
// the cost of whoever has that turn.
const TABLES: &[&str] = &[
    "CREATE KEYSPACE IF NOT EXISTS bench WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS bench.events (part int, id bigint, kind text, amount decimal, note text, PRIMARY KEY (part, id))",
    "CREATE TABLE IF NOT EXISTS bench.inserts (part bigint, id int, kind text, amount decimal, note text, PRIMARY KEY (part, id)) \
     WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}",
];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> Result<i64> {
        arguments.get(at).context("a number is missing")?.parse().context("not a number")
    };
    let contact = arguments.first().context("HOST:PORT is missing")?;
    let session = Arc::new(SessionBuilder::new().known_node(contact).build().await?);
    match arguments.get(1).map(String::as_str) {
        Some("load") => load(session, number(2)?).await,
        Some("insert") => {
            let rows = i32::try_from(number(5)?)?;
            let load = Load { first: number(4)?, rows, requests: number(6)?, spread: number(7)? == 1 };
            insert(session, number(2)?.unsigned_abs(), number(3)?, load).await
        }
        Some("serve") => {
            let insert = prepared(&session).await?;
            cql_http::serve(session, insert, u16::try_from(number(2)?)?).await
        }
        _ => bail!("load ROWS, insert SECONDS AT_ONCE ROWS, or serve PORT"),
    }
}

fn amount(number: i64) -> CqlDecimal {
    let unscaled = i32::try_from(number % 1000).unwrap_or(0) * 100 + 25;
    CqlDecimal::from_signed_be_bytes_and_exponent(unscaled.to_be_bytes().to_vec(), 2)
}

async fn load(session: Arc<Session>, rows: i64) -> Result<()> {
    for table in TABLES {
        session.query_unpaged(*table, ()).await?;
    }
    let text = "INSERT INTO bench.events (part, id, kind, amount, note) VALUES (?, ?, ?, ?, ?)";
    let prepared = session.prepare(text).await?;
    let mut work = JoinSet::new();
    for start in (0..rows).step_by(PARTITION as usize) {
        if work.len() >= BATCHES {
            work.join_next().await.context("a batch")???;
        }
        let (session, prepared) = (session.clone(), prepared.clone());
        work.spawn(async move {
            let mut batch = Batch::new(BatchType::Unlogged);
            let ids = start..(start + PARTITION).min(rows);
            let part = i32::try_from(start / PARTITION)?;
            let values: Vec<_> = ids
                .map(|id| {
                    batch.append_statement(prepared.clone());
                    (part, id, format!("kind_{:02}", id % 100), amount(id), NOTE)
                })
                .collect();
            session.batch(&batch, &values).await?;
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    Ok(())
}

async fn prepared(session: &Session) -> Result<PreparedStatement> {
    let text = "INSERT INTO bench.inserts (part, id, kind, amount, note) VALUES (?, ?, ?, ?, ?)";
    let mut prepared = session.prepare(text).await?;
    prepared.set_consistency(Consistency::LocalQuorum);
    Ok(prepared)
}

/// What is written.
#[derive(Clone, Copy)]
struct Load {
    /// Partition of the first request.
    first: i64,
    rows: i32,
    /// How many different ones there are.
    requests: i64,
    /// Whether every row is of a partition of its own.
    spread: bool,
}

/// Clock ticks that this process has taken.
fn own_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // What stands before may hold spaces.
    let (_, rest) = stat.rsplit_once(") ").context("the end of the name")?;
    rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().context("ticks")).sum()
}

async fn insert(session: Arc<Session>, seconds: u64, at_once: i64, load: Load) -> Result<()> {
    let Load { first, rows, requests, spread } = load;
    let prepared = prepared(&session).await?;
    let next = Arc::new(AtomicI64::new(0));
    let started = Instant::now();
    let mut work = JoinSet::new();
    for _ in 0..at_once {
        let (session, prepared, next) = (session.clone(), prepared.clone(), next.clone());
        work.spawn(async move {
            while started.elapsed() < Duration::from_secs(seconds) {
                let request = first + next.fetch_add(1, Ordering::Relaxed) % requests;
                let row = |id: i32| {
                    let part = if spread { request * i64::from(rows) + i64::from(id) } else { request };
                    (part, id, format!("kind_{:02}", id % 100), amount(request), NOTE)
                };
                if rows == 1 {
                    session.execute_unpaged(&prepared, row(0)).await?;
                    continue;
                }
                let kind = if spread { BatchType::Logged } else { BatchType::Unlogged };
                let mut batch = Batch::new(kind);
                batch.set_consistency(Consistency::LocalQuorum);
                (0..rows).for_each(|_| batch.append_statement(prepared.clone()));
                session.batch(&batch, (0..rows).map(row).collect::<Vec<_>>()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    let written = next.load(Ordering::Relaxed) * i64::from(rows);
    println!("{written}\t{:.3}\t{}", started.elapsed().as_secs_f64(), own_ticks()?);
    Ok(())
}
