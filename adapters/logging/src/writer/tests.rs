#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::PathBuf;
use std::time::SystemTime;

use athena_application::ports::{CallerAddress, Observation, Observer, Stages};
use athena_domain::ClientName;
use athena_memory::MemoryLog;

use super::*;
use crate::{LogCounters, LogPipeline};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("athena-writer-{}", uuid::Uuid::new_v4().simple())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A request that was answered.
pub(crate) fn seen(number: usize) -> Observation {
    Observation {
        request_id: number.to_string().into(),
        began: SystemTime::now(),
        duration: Duration::ZERO,
        stages: Stages::default(),
        method: "POST".into(),
        route: "/gateway/fetch",
        path: "/gateway/fetch".into(),
        query: None,
        status: 200,
        code: None,
        message: None,
        broken: false,
        bytes: 0,
        client: ClientName::parse("Shop"),
        client_known: true,
        caller: CallerAddress::default(),
        audit: Default::default(),
        headers: "{}".into(),
        auth: None,
        operation: None,
        cached: false,
        trace: None,
    }
}

fn settings(spool: Option<&Scratch>) -> LogSettings {
    LogSettings {
        queue_entries: 100,
        queue_max_bytes: 1 << 20,
        flush_interval: Duration::from_millis(5),
        batch_entries: 10,
        spool_dir: spool.map(|scratch| scratch.0.clone()),
        spool_for: "here".into(),
        spool_max_bytes: 1 << 20,
        keys_only: false,
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited for: {what}"));
}

fn ids(store: &MemoryLog) -> Vec<usize> {
    store.entries().iter().map(|entry| entry.request_id.parse().unwrap()).collect()
}

#[tokio::test]
async fn entries_are_written_in_order_and_flushed_at_the_end() {
    let store = Arc::new(MemoryLog::new());
    let pipeline = LogPipeline::start(store.clone(), settings(None));
    (0..45).for_each(|number| pipeline.observe(&seen(number)));
    until("a flush", || pipeline.counters().written == 45).await;
    (45..60).for_each(|number| pipeline.observe(&seen(number)));
    pipeline.shutdown(Duration::from_secs(5)).await;
    pipeline.observe(&seen(60));
    assert_eq!(ids(&store), (0..60).collect::<Vec<_>>());
    let counters = pipeline.counters();
    assert_eq!((counters.written, counters.dropped_queue, counters.queued), (60, 1, 0));
    assert_eq!(&*store.entries()[0].client.clone().unwrap(), "shop");
}

#[tokio::test]
async fn an_outage_is_spooled_and_replayed_in_order() {
    let scratch = Scratch::new();
    let store = Arc::new(MemoryLog::new());
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    store.set_away(true);
    for part in 0..10 {
        (part * 50..part * 50 + 50).for_each(|number| pipeline.observe(&seen(number)));
        until("the queue to empty", || pipeline.counters().queued == 0).await;
    }
    until("the spool", || pipeline.counters().spooled_batches >= 50).await;
    store.set_away(false);
    until("the replay", || pipeline.counters().written == 500).await;
    assert_eq!(ids(&store), (0..500).collect::<Vec<_>>());
    let counters = pipeline.counters();
    assert_eq!((counters.spooled_batches, counters.spooled_bytes), (0, 0));
    assert_eq!((counters.dropped_queue, counters.dropped_spool), (0, 0));
    assert!(counters.failures > 0);
}

#[tokio::test]
async fn a_crash_loses_nothing_of_the_spool() {
    let scratch = Scratch::new();
    let store = Arc::new(MemoryLog::new());
    store.set_away(true);
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    (0..80).for_each(|number| pipeline.observe(&seen(number)));
    until("the spool", || pipeline.counters().spooled_batches == 8).await;
    drop(pipeline);
    store.set_away(false);
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    pipeline.observe(&seen(80));
    until("the replay", || store.entries().len() >= 81).await;
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ids(&store), (0..81).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_during_an_outage_leaves_everything_to_the_next_start() {
    let scratch = Scratch::new();
    let store = Arc::new(MemoryLog::new());
    store.set_away(true);
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    (0..95).for_each(|number| pipeline.observe(&seen(number)));
    pipeline.shutdown(Duration::from_millis(50)).await;
    assert_eq!(pipeline.counters().dropped_queue, 0);
    store.set_away(false);
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    until("the replay", || store.entries().len() >= 95).await;
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ids(&store), (0..95).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_are_given_to_no_other_store() {
    let scratch = Scratch::new();
    let (one, two) = (Arc::new(MemoryLog::new()), Arc::new(MemoryLog::new()));
    let leave = async |store: &Arc<MemoryLog>, number| {
        let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
        // Known before it is away, as its first record is not the last.
        pipeline.observe(&seen(1000 + number));
        until("the first record", || pipeline.counters().written == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.set_away(true);
        pipeline.observe(&seen(number));
        pipeline.shutdown(Duration::from_millis(50)).await;
        assert_eq!(pipeline.counters().dropped_queue, 0);
        store.set_away(false);
    };
    leave(&one, 1).await;
    // Another store answers at the same place.
    let pipeline = LogPipeline::start(two.clone(), settings(Some(&scratch)));
    pipeline.observe(&seen(2));
    until("its own record", || two.entries().len() == 1).await;
    until("the foreign batch to be set aside", || pipeline.counters().spooled_batches == 0).await;
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ids(&two), [2]);

    // At another place nothing is found at all, and the place itself has its records again.
    leave(&two, 3).await;
    let elsewhere = LogSettings { spool_for: "there".into(), ..settings(Some(&scratch)) };
    let pipeline = LogPipeline::start(one.clone(), elsewhere);
    pipeline.observe(&seen(4));
    until("its own record", || one.entries().len() == 2).await;
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ids(&one), [1001, 4]);
    let pipeline = LogPipeline::start(two.clone(), settings(Some(&scratch)));
    until("the record that waited", || two.entries().len() == 3).await;
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert_eq!(ids(&two), [2, 1003, 3]);
}

#[tokio::test]
async fn without_a_spool_the_oldest_go_and_are_counted() {
    let store = Arc::new(MemoryLog::new());
    store.set_away(true);
    let pipeline = LogPipeline::start(store.clone(), settings(None));
    pipeline.observe(&seen(0));
    until("a failure", || pipeline.counters().failures > 0).await;
    (1..151).for_each(|number| pipeline.observe(&seen(number)));
    assert_eq!((pipeline.counters().queued, pipeline.counters().dropped_queue), (100, 50));
    store.set_away(false);
    until("the rest", || pipeline.counters().written == 101).await;
    assert_eq!(ids(&store), std::iter::once(0).chain(51..151).collect::<Vec<_>>());
}

#[tokio::test]
async fn long_messages_fill_neither_the_memory_nor_the_log() {
    let store = Arc::new(MemoryLog::new());
    store.set_away(true);
    let settings = LogSettings { queue_max_bytes: 20_000, ..settings(None) };
    let pipeline = LogPipeline::start(store.clone(), settings);
    pipeline.observe(&seen(0));
    until("a failure", || pipeline.counters().failures > 0).await;
    let long = |number| {
        let message = Some("ü".repeat(100_000).into());
        Observation { status: 400, message, ..seen(number) }
    };
    (1..51).for_each(|number| pipeline.observe(&long(number)));
    let LogCounters { queued, dropped_queue, .. } = pipeline.counters();
    assert!(
        (1..10).contains(&queued) && queued + dropped_queue == 50,
        "{queued} wait, {dropped_queue} are gone"
    );
    store.set_away(false);
    until("the rest", || pipeline.counters().written == 1 + queued).await;
    let newest = 51 - usize::try_from(queued).unwrap()..51;
    assert_eq!(ids(&store), std::iter::once(0).chain(newest).collect::<Vec<_>>());
    assert_eq!(store.entries()[1].message.as_ref().unwrap().len(), 2048);
}

#[tokio::test]
async fn a_refused_entry_goes_alone() {
    let scratch = Scratch::new();
    let store = Arc::new(MemoryLog::new());
    store.refuse("17");
    let pipeline = LogPipeline::start(store.clone(), settings(Some(&scratch)));
    (0..40).for_each(|number| pipeline.observe(&seen(number)));
    until("the rest", || pipeline.counters().written == 39).await;
    assert_eq!(pipeline.counters().dropped_rejected, 1);
    assert_eq!(ids(&store), (0..40).filter(|number| *number != 17).collect::<Vec<_>>());
}

#[tokio::test]
async fn probes_are_not_logged() {
    let store = Arc::new(MemoryLog::new());
    let pipeline = LogPipeline::start(store.clone(), settings(None));
    let probe = Observation { route: "/livez", client: None, ..seen(0) };
    pipeline.observe(&Arc::new(probe));
    pipeline.shutdown(Duration::from_secs(1)).await;
    assert!(store.entries().is_empty());
}

/// A store that is slow to say that it takes nothing.
struct Slow {
    inner: MemoryLog,
    away: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl LogStore for Slow {
    async fn write(&self, batch: &athena_application::ports::LogBatch<'_>) -> Result<(), PortError> {
        if self.away.load(std::sync::atomic::Ordering::SeqCst) {
            tokio::time::sleep(SLOW + SLOW / 2).await;
            return Err(PortError::new("slow", PortErrorKind::Unavailable));
        }
        self.inner.write(batch).await
    }

    async fn identity(&self) -> Result<Option<athena_application::ports::StoreId>, PortError> {
        self.inner.identity().await
    }
}

#[tokio::test]
async fn a_spool_that_takes_nothing_while_the_store_is_slow_loses_nothing() {
    let scratch = Scratch::new();
    let store = Arc::new(Slow { inner: MemoryLog::new(), away: true.into() });
    let settings = LogSettings { spool_max_bytes: 1, ..settings(Some(&scratch)) };
    let pipeline = LogPipeline::start(store.clone(), settings);
    (0..10).for_each(|number| pipeline.observe(&seen(number)));
    tokio::time::sleep(SLOW / 5).await;
    (10..40).for_each(|number| pipeline.observe(&seen(number)));
    // The first batch fails while the second is held as well.
    tokio::time::sleep(2 * SLOW).await;
    store.away.store(false, std::sync::atomic::Ordering::SeqCst);
    until("everything", || pipeline.counters().written == 40).await;
    assert_eq!(ids(&store.inner), (0..40).collect::<Vec<_>>());
    let counters = pipeline.counters();
    assert_eq!((counters.dropped_queue, counters.dropped_spool, counters.dropped_rejected), (0, 0, 0));
}

#[tokio::test]
async fn a_spool_that_takes_nothing_while_the_store_is_away_is_not_tried_without_a_pause() {
    let scratch = Scratch::new();
    let store = Arc::new(MemoryLog::new());
    store.set_away(true);
    let settings = LogSettings { spool_max_bytes: 1, ..settings(Some(&scratch)) };
    let pipeline = LogPipeline::start(store.clone(), settings);
    (0..60).for_each(|number| pipeline.observe(&seen(number)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Two for each attempt: the store's, and the spool's.
    let failures = pipeline.counters().failures;
    assert!(failures < 30, "{failures} failures within a second");
    store.set_away(false);
    until("everything", || pipeline.counters().written == 60).await;
    assert_eq!(ids(&store), (0..60).collect::<Vec<_>>());
}
