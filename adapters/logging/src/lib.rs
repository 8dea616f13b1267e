//! From finished requests to a [`athena_application::ports::LogStore`], without any request waiting.
//!
//! [`LogPipeline`] is an observer: it puts what it hears into a queue with a bound and returns. A task takes
//! the queue in batches and gives them to the store. While the store is away, or slower than the requests,
//! batches go to files on disk and are written in order once it is back; each has a name of its own, so that
//! the store writes it once whatever happens in between.
//!
//! What is lost is counted, never silent: past the queue's bound the oldest entry goes, past the spool's
//! bound the oldest batch, and what the database refuses for its content goes alone.

mod counters;
mod entry;
mod pipeline;
mod queue;
mod record;
mod settings;
mod spool;
mod writer;

pub use counters::LogCounters;
pub use pipeline::{LogPipeline, SPOOL_GRACE};
pub use settings::LogSettings;
