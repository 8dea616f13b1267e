//! Logging of the process.

mod lines;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::lines::JsonLines;
use crate::config::{LogFormat, LoggingConfig};

/// Changes what is logged while the process runs.
pub(crate) struct LogLevel(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    /// From now on the configured level holds.
    pub(crate) fn set(&self, logging: &LoggingConfig) {
        (self.0)(filter(logging));
    }
}

fn filter(logging: &LoggingConfig) -> EnvFilter {
    EnvFilter::try_new(&logging.level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Starts logging to standard error; does nothing when a subscriber is there already.
pub(crate) fn start(logging: &LoggingConfig) -> LogLevel {
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(logging))
        .with_ansi(logging.colour(terminal))
        .with_writer(std::io::stderr);
    match logging.format(terminal) {
        LogFormat::Json => {
            let builder = builder.with_ansi(false).event_format(JsonLines).with_filter_reloading();
            let handle = builder.reload_handle();
            drop(builder.finish().try_init());
            LogLevel(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Pretty => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            drop(builder.finish().try_init());
            LogLevel(Box::new(move |filter| drop(handle.reload(filter))))
        }
    }
}
