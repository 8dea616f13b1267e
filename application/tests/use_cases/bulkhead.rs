//! One client's queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_application::bulkhead::{Bulkhead, BulkheadSettings};
use athena_application::ports::{Backend, BackendStatus, Done, PortError, PortErrorKind, RowStream};
use athena_application::stopwatch::Stopwatch;
use athena_domain::Limits;
use athena_domain::plan::{Plan, PlanOptions, Planner};
use athena_domain::query::RawRequest;
use athena_domain::query::{Decoding, JsonText};
use athena_domain::rows::{CellRef, ColumnHead, Flow, RowSink};
use athena_domain::schema::Schema;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Holds every statement until it is let go, and knows how many it held at once.
struct Gate {
    open: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl Backend for Gate {
    async fn execute(
        &self,
        _: &Plan,
        _: &mut dyn RowStream,
        _: Instant,
        _: &Stopwatch,
    ) -> Result<Done, PortError> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(Done::default())
    }

    async fn ping(&self, _: Instant) -> Result<(), PortError> {
        Ok(())
    }

    fn status(&self) -> BackendStatus {
        BackendStatus::default()
    }
}

pub struct NoRows;
impl RowSink for NoRows {
    fn columns(&mut self, _: &[ColumnHead]) {}
    fn cell(&mut self, _: CellRef<'_>) {}
    fn end_row(&mut self) -> Flow {
        Flow::More
    }
}
#[async_trait::async_trait]
impl RowStream for NoRows {
    async fn flush(&mut self) -> Flow {
        Flow::More
    }
}

pub fn plan() -> Plan {
    let (schema, limits, options) = (Schema::default(), Limits::default(), PlanOptions::default());
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let body = JsonText::parse(br#"{"query":"select 1"}"#).unwrap();
    planner.raw(&RawRequest::decode(body, Decoding::default()).unwrap()).unwrap()
}

fn bulkhead(queue_wait: Duration) -> (Arc<Gate>, Arc<Bulkhead>) {
    let gate =
        Arc::new(Gate { open: Semaphore::new(0), inside: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let settings = BulkheadSettings { max_concurrent: 2, queue_length: 3, queue_wait, slow_readers: 1 };
    (gate.clone(), Arc::new(Bulkhead::new(gate, settings)))
}

fn start(bulkhead: &Arc<Bulkhead>) -> tokio::task::JoinHandle<Result<Done, PortError>> {
    let bulkhead = bulkhead.clone();
    tokio::spawn(async move {
        let deadline = Instant::now() + Duration::from_secs(60);
        bulkhead.execute(&plan(), &mut NoRows, deadline, &Stopwatch::default()).await
    })
}

async fn settled(bulkhead: &Bulkhead, queued: usize) {
    while bulkhead.status().queued != queued {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn so_many_run_so_many_wait_and_the_next_is_refused() {
    let (gate, bulkhead) = bulkhead(Duration::from_secs(60));
    let running: Vec<_> = (0..5).map(|_| start(&bulkhead)).collect();
    settled(&bulkhead, 3).await;
    let refused = start(&bulkhead).await.unwrap().unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::QueueFull);
    assert_eq!(bulkhead.status().rejected, 1);
    bulkhead.ping(Instant::now()).await.unwrap();
    gate.open.add_permits(5);
    for task in running {
        task.await.unwrap().unwrap();
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), 2);
    assert_eq!(bulkhead.status().queued, 0);
}

#[tokio::test]
async fn who_leaves_the_queue_makes_room() {
    let (gate, bulkhead) = bulkhead(Duration::from_secs(60));
    let tasks: Vec<_> = (0..5).map(|_| start(&bulkhead)).collect();
    settled(&bulkhead, 3).await;
    tasks.iter().for_each(|task| task.abort());
    settled(&bulkhead, 0).await;
    gate.open.add_permits(1);
    start(&bulkhead).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_queue_allows() {
    let (_gate, bulkhead) = bulkhead(Duration::from_secs(2));
    let _running = [start(&bulkhead), start(&bulkhead)];
    tokio::task::yield_now().await;
    let late = start(&bulkhead).await.unwrap().unwrap_err();
    assert_eq!(late.kind, PortErrorKind::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_measured_whatever_comes_of_it() {
    let (gate, bulkhead) = bulkhead(Duration::from_secs(2));
    let _running = [start(&bulkhead), start(&bulkhead)];
    tokio::task::yield_now().await;
    let (waits, second) = (Stopwatch::default(), Duration::from_secs(1));
    let (plan, deadline) = (plan(), Instant::now() + Duration::from_secs(60));
    let refused = bulkhead.execute(&plan, &mut NoRows, deadline, &waits).await.unwrap_err();
    assert_eq!((refused.kind, waits.total()), (PortErrorKind::Exhausted, 2 * second));
    let mut sink = NoRows;
    let given_up = bulkhead.execute(&plan, &mut sink, deadline, &waits);
    assert!(tokio::time::timeout(second, given_up).await.is_err());
    assert_eq!(waits.total(), 3 * second);
    let free = async {
        tokio::time::sleep(second).await;
        gate.open.add_permits(2);
        // What comes now is the statement, not the wait for it.
        tokio::time::sleep(second).await;
        gate.open.add_permits(1);
    };
    let mut sink = NoRows;
    let (granted, ()) = tokio::join!(bulkhead.execute(&plan, &mut sink, deadline, &waits), free);
    granted.unwrap();
    assert_eq!(waits.total(), 4 * second);
}
