//! Section `logging`: what the process says about itself.

use super::environment::Environment;
use super::reader::Reader;

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
    format: Option<LogFormat>,
    colour: Option<bool>,
}

impl LoggingConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let environment = reader.environment();
        Self {
            level: reader.read(
                ("logging", "level"),
                "info".to_owned(),
                "off, error, warn, info, debug or trace, or directives such as info,athena_http=debug",
                |text| tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
            ),
            format: reader.choice(
                ("logging", "format"),
                None,
                &[("pretty", Some(LogFormat::Pretty)), ("json", Some(LogFormat::Json))],
            ),
            colour: colour(environment),
        }
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

fn colour(environment: &Environment) -> Option<bool> {
    let wanted = environment.filled("ATHENA_ANSI").map(|text| text.trim().to_ascii_lowercase());
    match wanted.as_deref() {
        Some("1" | "true" | "yes") => Some(true),
        Some("0" | "false" | "no") => Some(false),
        _ => environment.filled("NO_COLOR").map(|_| false),
    }
}
