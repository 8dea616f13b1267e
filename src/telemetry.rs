//! Logging of the process.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LoggingConfig};

/// Starts logging to standard error; does nothing when a subscriber is there already.
pub(crate) fn start(logging: &LoggingConfig) {
    let terminal = std::io::stderr().is_terminal();
    let filter = EnvFilter::try_new(&logging.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(logging.colour(terminal))
        .with_writer(std::io::stderr);
    let started = match logging.format(terminal) {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Pretty => builder.finish().try_init(),
    };
    drop(started);
}
