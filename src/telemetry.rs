//! Logging of the process.

mod lines;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::lines::JsonLines;
use crate::config::{LogFormat, LoggingConfig};

/// Where the driver logs `RAISE NOTICE` and the like.
const NOTICES: &str = "sqlx::postgres::notice";

/// Changes what is logged while the process runs.
pub(crate) struct LogLevel(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    /// From now on the configured level holds.
    pub(crate) fn set(&self, logging: &LoggingConfig) {
        (self.0)(filter(logging));
    }
}

fn filter(logging: &LoggingConfig) -> EnvFilter {
    let filter = EnvFilter::try_new(&logging.level).unwrap_or_else(|_| EnvFilter::new("info"));
    // What statements and triggers tell their caller may be anything, and of any length: it is logged on demand only.
    match (logging.level.contains(NOTICES), format!("{NOTICES}=off").parse()) {
        (false, Ok(silent)) => filter.add_directive(silent),
        _ => filter,
    }
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
