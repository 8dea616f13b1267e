//! The pipeline as the composition root sees it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_application::ports::{LogStore, Observation, Observer};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::counters::{Counted, LogCounters};
use crate::entry::{concerns_keys, encode, is_logged};
use crate::queue::Queue;
use crate::record::Record;
use crate::settings::LogSettings;
use crate::writer::Writer;

/// Time that [`LogPipeline::shutdown`] may take beyond its deadline, for writing to disk what is left.
pub const SPOOL_GRACE: Duration = Duration::from_secs(4);

thread_local! {
    /// Where an entry becomes bytes, outside of any lock.
    static SCRATCH: RefCell<Record> = RefCell::default();
}

/// Observes requests and writes them to a store, in batches, later.
pub struct LogPipeline {
    queue: Arc<Queue>,
    counted: Arc<Counted>,
    deadline: watch::Sender<Option<Instant>>,
    task: Mutex<Option<JoinHandle<()>>>,
    keys_only: bool,
}

impl LogPipeline {
    /// Starts the writer; needs a running runtime. A spool that cannot be used is told in the log and done
    /// without: logging must not keep a gateway from starting.
    pub fn start(store: Arc<dyn LogStore>, settings: LogSettings) -> Self {
        let queue = Arc::new(Queue::new(&settings));
        let counted = Arc::new(Counted::default());
        let keys_only = settings.keys_only;
        let (deadline, asked) = watch::channel(None);
        let writer = Writer::new(store, queue.clone(), counted.clone(), settings, asked);
        let task = tokio::spawn(writer.run());
        Self { queue, counted, deadline, task: Mutex::new(Some(task)), keys_only }
    }

    /// What has been done so far.
    pub fn counters(&self) -> LogCounters {
        self.counted.read(self.queue.len())
    }

    /// Writes what waits in memory: to the store until `deadline` has passed, then to the spool; what
    /// neither takes within [`SPOOL_GRACE`] is counted as dropped. Whatever is observed from then on is dropped and
    /// counted.
    pub async fn shutdown(&self, deadline: Duration) {
        self.deadline.send_replace(Some(Instant::now() + deadline));
        self.queue.close();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(deadline + SPOOL_GRACE, &mut task).await.is_err()
        {
            task.abort();
            tracing::error!("the log writer did not end in time");
        }
        self.queue.shut(&self.counted);
    }
}

impl Observer for LogPipeline {
    fn observe(&self, observation: &Observation) {
        if is_logged(observation) && (!self.keys_only || concerns_keys(observation)) {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.clear();
                encode(observation, scratch);
                self.queue.push(scratch, &self.counted);
            });
        }
    }
}

impl Drop for LogPipeline {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}
