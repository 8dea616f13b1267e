//! Log lines as JSON objects: the moment, the level, what the event says, where it comes from.
//!
//! Every request writes a line. The library's own writer goes through a general serializer with many small steps, which
//! took a sixth of all the instructions of a point fetch.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use athena_domain::rows::{calendar, escape_into};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Longest line whose memory is kept for the next one.
const KEPT: usize = 16 * 1024;

/// Writes an event as one line.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // A value that logs while it is written finds the memory taken, and gets its own.
        let mut line = LINE
            .with(|line| line.try_borrow_mut().map(|mut line| std::mem::take(&mut *line)))
            .unwrap_or_default();
        line.clear();
        line.extend_from_slice(b"{\"timestamp\":\"");
        moment(SystemTime::now(), &mut line);
        line.extend_from_slice(b"\",\"level\":\"");
        line.extend_from_slice(event.metadata().level().as_str().as_bytes());
        line.push(b'"');
        event.record(&mut Fields(&mut line));
        if let Some(scope) = context.event_scope() {
            line.extend_from_slice(b",\"spans\":[");
            for (place, span) in scope.from_root().enumerate() {
                if place > 0 {
                    line.push(b',');
                }
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>().filter(|fields| !fields.is_empty());
                match fields {
                    Some(fields) => text(&format!("{}{{{fields}}}", span.name()), &mut line),
                    None => text(span.name(), &mut line),
                }
            }
            line.push(b']');
        }
        line.extend_from_slice(b",\"target\":");
        text(event.metadata().target(), &mut line);
        line.extend_from_slice(b"}\n");
        let written = writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?);
        if line.capacity() <= KEPT {
            LINE.with(|kept| drop(kept.try_borrow_mut().map(|mut kept| *kept = line)));
        }
        written
    }
}

/// Writes fields as members of an object that has one already.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        self.0.extend_from_slice(b",\"");
        // As a field of Rust may be a word of Rust's.
        escape_into(field.name().strip_prefix("r#").unwrap_or(field.name()), self.0);
        self.0.extend_from_slice(b"\":");
    }

    fn integer(&mut self, field: &Field, number: impl itoa::Integer) {
        self.name(field);
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        text(value, self.0);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.integer(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.integer(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.integer(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.integer(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        match value.is_finite() {
            true => write!(Escaped(self.0), "{value}").unwrap_or_default(),
            false => self.0.extend_from_slice(b"null"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push(b'"');
        // What cannot be written any further stands there as far as it came.
        write!(Escaped(self.0), "{value:?}").ok();
        self.0.push(b'"');
    }
}

/// Takes text into a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_into(text, self.0);
        Ok(())
    }
}

fn text(value: &str, line: &mut Vec<u8>) {
    line.push(b'"');
    escape_into(value, line);
    line.push(b'"');
}

/// Appends `2026-11-29T10:20:30.123456Z`.
fn moment(at: SystemTime, line: &mut Vec<u8>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (day, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    calendar::put_date(day.cast_signed(), line);
    // As wide for every moment, unlike the times of rows.
    let mut digits = *b"T00:00:00.000000Z";
    let micros = u64::from(since.subsec_micros());
    let parts = [(1, 2, second / 3600), (4, 2, second / 60 % 60), (7, 2, second % 60), (10, 6, micros)];
    for (start, width, mut number) in parts {
        for place in (start..start + width).rev() {
            digits[place] = b"0123456789"[(number % 10) as usize];
            number /= 10;
        }
    }
    line.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `log` writes.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let to = written.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).event_format(JsonLines);
        let layer = layer.with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with('\n') && !text.contains("\n\n"), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_object_with_every_field() {
        let lines = lines(|| {
            tracing::warn!(
                text = "a \"quoted\"\nline \u{7} ü",
                shown = %"x\\y",
                told = ?vec!["z"],
                number = -5,
                large = u64::MAX,
                huge = i128::MIN,
                part = 1.5,
                lost = f64::NAN,
                flag = true,
                none = None::<&str>,
                r#type = 1_u16,
                "what {}", "happened"
            );
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let expected = serde_json::json!({
            "level": "WARN", "message": "what happened", "text": "a \"quoted\"\nline \u{7} ü", "shown": "x\\y",
            "told": "[\"z\"]", "number": -5, "large": u64::MAX, "part": 1.5, "lost": null, "flag": true, "type": 1,
            "target": module_path!(),
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(line[name], *value, "{name} of {line}");
        }
        assert!(line.get("none").is_none() && line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(line["huge"].is_number(), "{line}");
    }

    #[test]
    fn a_line_tells_the_spans_around_it() {
        let lines = lines(|| {
            tracing::info_span!("outer", id = 7).in_scope(|| {
                tracing::info_span!("inner").in_scope(|| tracing::info!("within"));
            });
            tracing::info!("without");
        });
        assert_eq!(lines[0]["spans"], serde_json::json!(["outer{id=7}", "inner"]));
        assert!(lines[1].get("spans").is_none());
    }

    #[test]
    fn a_value_may_log_while_it_is_written() {
        struct Chatty;
        impl fmt::Display for Chatty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!("inside");
                f.write_str("chatty")
            }
        }
        let lines = lines(|| tracing::info!(value = %Chatty, "outside"));
        assert!(
            lines.iter().any(|line| line["message"] == "outside" && line["value"] == "chatty"),
            "{lines:?}"
        );
    }

    #[test]
    fn moments_are_written_in_utc() {
        let check = |seconds: u64, micros: u64, expected: &str| {
            let mut line = Vec::new();
            moment(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros), &mut line);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        };
        check(0, 0, "1970-01-01T00:00:00.000000Z");
        check(951_782_399, 999_999, "2000-02-28T23:59:59.999999Z");
        check(951_782_400, 1, "2000-02-29T00:00:00.000001Z");
        check(951_868_800, 0, "2000-03-01T00:00:00.000000Z");
        check(1_735_689_599, 20, "2024-12-31T23:59:59.000020Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000000Z");
    }
}
