//! Section `logging`: what the process says about itself.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::reader::Reader;
use super::server::narrow;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What the process says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `logging.level`, `RUST_LOG`: a level, or filter directives such as `info,athena_http=debug`.
    pub level: String,
    /// `logging.slow_query_ms`: an operation that takes longer is told; `None` never.
    pub slow_query: Option<Duration>,
    /// `logging.queue_entries`: requests whose records wait in memory.
    pub queue_entries: usize,
    /// `logging.queue_max_bytes`: memory that they may take.
    pub queue_max_bytes: usize,
    /// `logging.flush_interval_ms`: longest time a record waits for others.
    pub flush_interval: Duration,
    /// `logging.batch_entries`: records that are written together.
    pub batch_entries: usize,
    /// `logging.spool_dir`: where records wait while the control database is away.
    pub spool_dir: Option<PathBuf>,
    /// `logging.spool_max_bytes`: how much may wait there.
    pub spool_max_bytes: u64,
    format: Option<LogFormat>,
    colour: Option<bool>,
}

impl LoggingConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let environment = reader.environment();
        let key = |name| ("logging", name);
        Self {
            level: reader.read(
                ("logging", "level"),
                "info".to_owned(),
                "off, error, warn, info, debug or trace, or directives such as info,athena_http=debug",
                |text| tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
            ),
            slow_query: Some(Duration::from_millis(reader.integer(
                key("slow_query_ms"),
                1000,
                0..=3_600_000,
            )))
            .filter(|bound| !bound.is_zero()),
            queue_entries: narrow(reader.integer(key("queue_entries"), 10_000, 1..=10_000_000)),
            queue_max_bytes: narrow(reader.integer(key("queue_max_bytes"), 64 << 20, 1 << 20..=1 << 30)),
            flush_interval: Duration::from_millis(reader.integer(key("flush_interval_ms"), 500, 10..=60_000)),
            batch_entries: narrow(reader.integer(key("batch_entries"), 1000, 1..=100_000)),
            spool_dir: reader
                .text("logging", "spool_dir")
                .map(PathBuf::from)
                .or_else(|| usual_spool(environment)),
            spool_max_bytes: reader.integer(key("spool_max_bytes"), 256 << 20, 1 << 20..=1 << 40),
            format: reader.choice(
                ("logging", "format"),
                None,
                &[("pretty", Some(LogFormat::Pretty)), ("json", Some(LogFormat::Json))],
            ),
            colour: colour(environment),
        }
    }

    /// Whether the log has the form of `other`; then has it.
    pub(crate) fn hold_form(&mut self, other: &Self) -> bool {
        let differs = (self.format, self.colour) != (other.format, other.colour);
        (self.format, self.colour) = (other.format, other.colour);
        differs
    }

    /// The form of the log: as configured, else pretty for a terminal and JSON for anything else.
    pub fn format(&self, terminal: bool) -> LogFormat {
        self.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json })
    }

    /// Whether to colour the log: as `ATHENA_ANSI` or `NO_COLOR` say, else on a terminal only.
    pub fn colour(&self, terminal: bool) -> bool {
        self.colour.unwrap_or(terminal)
    }
}

/// Where records wait unless the configuration says otherwise: the place for state that outlives a process, as the
/// desktop standard names it.
pub fn usual_spool(environment: &Environment) -> Option<PathBuf> {
    let state = environment.filled("XDG_STATE_HOME").map(PathBuf::from);
    let home = || environment.filled("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).map(|state| state.join("athena/spool"))
}

fn colour(environment: &Environment) -> Option<bool> {
    let wanted = environment.filled("ATHENA_ANSI").map(|text| text.trim().to_ascii_lowercase());
    match wanted.as_deref() {
        Some("1" | "true" | "yes") => Some(true),
        Some("0" | "false" | "no") => Some(false),
        _ => environment.filled("NO_COLOR").map(|_| false),
    }
}
