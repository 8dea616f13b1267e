//! Typed reading of a [`Document`]: every wrong value is noted, none is guessed at.

use std::ops::RangeInclusive;
use std::time::Duration;

use ::config::{Value, ValueKind};
use athena_domain::expand::{expand, without_defaults};

use super::document::Document;
use super::environment::Environment;
use super::error::Problem;
use super::secret::redact;

/// Longest part of a wrong value that an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 120;

/// Reads one key after the other; problems are collected so that the operator sees all of them at once.
pub struct Reader<'a> {
    document: &'a Document,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

/// A value as text, and as an error may show it.
struct Text {
    value: String,
    shown: String,
    origin: String,
}

impl<'a> Reader<'a> {
    /// A reader of `document`, whose references `environment` resolves.
    pub fn new(document: &'a Document, environment: &'a Environment) -> Self {
        Self { document, environment, problems: document.problems.clone() }
    }

    /// What was wrong so far.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The variables that resolve references.
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// The raw value of a key; nothing when it is absent or null.
    pub fn raw(&self, section: &str, name: &str) -> Option<&'a Value> {
        let value = self.document.sections.get(section)?.get(name)?;
        (value.kind != ValueKind::Nil).then_some(value)
    }

    /// Where the value of a key comes from; `default` when it is absent.
    pub fn origin(&self, section: &str, name: &str) -> String {
        self.raw(section, name).map_or_else(|| "default".to_owned(), origin)
    }

    /// Notes that `section.name` is wrong.
    pub fn problem(&mut self, section: &str, name: &str, message: String) {
        let origin = self.origin(section, name);
        self.problems.push(Problem { origin, key: format!("{section}.{name}"), message });
    }

    /// A text; nothing when it is absent or blank.
    pub fn text(&mut self, section: &str, name: &str) -> Option<String> {
        let text = self.scalar(section, name, "a text")?;
        Some(text.value).filter(|value| !value.is_empty())
    }

    /// A value that `parse` understands; the default when it is absent. `expected` completes "expected …".
    pub fn read<T>(
        &mut self,
        (section, name): (&str, &str),
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = self.scalar(section, name, expected) else { return default };
        parse(&text.value).unwrap_or_else(|| {
            self.wrong(section, name, text, expected);
            default
        })
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: (&str, &str), default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, default, &expected, |text| integer(text, &range))
    }

    /// As [`Reader::integer`], without a default.
    pub fn optional_integer(&mut self, key: (&str, &str), range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, None, &expected, |text| integer(text, &range).map(Some))
    }

    /// Whole seconds within `range`.
    pub fn seconds(&mut self, key: (&str, &str), default: u64, range: RangeInclusive<u64>) -> Duration {
        let expected = format!("whole seconds from {} to {}", range.start(), range.end());
        Duration::from_secs(self.read(key, default, &expected, |text| integer(text, &range)))
    }

    /// `true` or `false`; nothing else.
    pub fn boolean(&mut self, key: (&str, &str), default: bool) -> bool {
        self.read(key, default, "true or false", |text| text.parse().ok())
    }

    /// One of `choices`, whatever its case.
    pub fn choice<T: Copy>(&mut self, key: (&str, &str), default: T, choices: &[(&str, T)]) -> T {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.read(key, default, &words.join(" or "), |text| {
            choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
        })
    }

    /// A list, or a text with commas, whose members `parse` understands or explains.
    pub fn list<T>(
        &mut self,
        (section, name): (&str, &str),
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.raw(section, name) else { return Vec::new() };
        let members: Vec<Value> = match &value.kind {
            ValueKind::Array(members) => {
                members.iter().map(|member| Value::new(Some(&origin(value)), member.kind.clone())).collect()
            }
            _ => vec![value.clone()],
        };
        let mut list = Vec::new();
        for member in &members {
            let Some(text) = self.resolve(section, name, member, "a text, or a list of texts") else {
                continue;
            };
            for part in text.value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                match parse(part) {
                    Ok(member) => list.push(member),
                    Err(expected) => {
                        // Behind a reference the part may hold what nobody wrote into the file.
                        let found = if text.shown.contains("${") { &text.shown } else { part };
                        let shown = shorten(&redact(found));
                        self.problem(section, name, format!("holds {shown:?}; expected {expected}"));
                    }
                }
            }
        }
        list
    }

    fn scalar(&mut self, section: &str, name: &str, expected: &str) -> Option<Text> {
        let value = self.raw(section, name)?;
        self.resolve(section, name, value, expected)
    }

    /// The text of a scalar, its references replaced. Variables that override a key are taken as they are.
    fn resolve(&mut self, section: &str, name: &str, value: &Value, expected: &str) -> Option<Text> {
        let origin = origin(value);
        let Some(raw) = scalar_text(value) else {
            let kind = if matches!(value.kind, ValueKind::Array(_)) { "a list" } else { "a map" };
            self.problem(section, name, format!("is {kind}; expected {expected}"));
            return None;
        };
        let shown = shorten(&redact(&without_defaults(&raw)));
        if is_override(value) {
            return Some(Text { value: raw.trim().to_owned(), shown, origin });
        }
        match expand(&raw, &|name| self.environment.value(name)) {
            Ok(expanded) => Some(Text { value: expanded.trim().to_owned(), shown, origin }),
            Err(error) => {
                self.problem(section, name, format!("is {shown:?}: {error}"));
                None
            }
        }
    }

    fn wrong(&mut self, section: &str, name: &str, text: Text, expected: &str) {
        let Text { shown, origin, .. } = text;
        let key = format!("{section}.{name}");
        self.problems.push(Problem { origin, key, message: format!("is {shown:?}; expected {expected}") });
    }
}

/// Whether the value comes from a variable that overrides the file.
pub fn is_override(value: &Value) -> bool {
    value.origin().is_some_and(|origin| origin.starts_with("environment variable "))
}

/// The text of a scalar as YAML has it; nothing for lists and maps.
pub fn scalar_text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Nil => Some(String::new()),
        ValueKind::Array(_) | ValueKind::Table(_) => None,
        // Debug keeps the fraction of 4052.0, which is no whole number.
        ValueKind::Float(number) => Some(format!("{number:?}")),
        other => Some(other.to_string()),
    }
}

fn origin(value: &Value) -> String {
    value.origin().unwrap_or("configuration").to_owned()
}

fn integer(text: &str, range: &RangeInclusive<u64>) -> Option<u64> {
    // `parse` alone would take a leading plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
