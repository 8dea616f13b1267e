//! The file and the environment as layers of one table, merged by the `config` crate.

use std::collections::{BTreeMap, HashSet};

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};
use athena_domain::nearest::nearest;

use super::bounds;
use super::environment::Environment;
use super::error::{ConfigErrorKind, Problem, Warning};
use super::keys::{self, CLIENTS, CLIENTS_SYNONYM, Standing};
use super::secret::redact;

/// Values by section and key, each with the place it comes from.
///
/// Clients of both spellings of their section stand under [`CLIENTS`], by lower-case name.
#[derive(Debug, Default)]
pub struct Document {
    /// Values by section and key.
    pub sections: BTreeMap<String, Map<String, Value>>,
    /// Names of clients as they were written, by lower-case name.
    pub client_names: BTreeMap<String, String>,
    /// What deserves a word.
    pub warnings: Vec<Warning>,
    /// What is wrong in its structure.
    pub problems: Vec<Problem>,
    idle: Vec<String>,
}

impl Document {
    /// Reads `text`, lays the variables of `environment` over it and notes what nobody will read.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::Syntax`] when `text` is no YAML map.
    pub fn read(file: &str, text: &str, environment: &Environment) -> Result<Self, ConfigErrorKind> {
        let mut document = Self::default();
        document.take_file(file, parse(file, text)?);
        let mut overrides = BTreeMap::new();
        document.take_environment(environment, &mut overrides);

        let merged = ::config::Config::builder()
            .add_source(Layer(std::mem::take(&mut document.sections)))
            .add_source(Layer(overrides))
            .build()
            // As a source the result keeps the origin of every value; deserialising would drop it.
            .and_then(|merged| merged.collect())
            .and_then(|sections| {
                sections.into_iter().map(|(section, table)| Ok((section, table.into_table()?))).collect()
            });
        document.sections = merged.map_err(|error| syntax(file, &error))?;

        document.warnings.extend(keys::stray_variables(environment));
        if !document.idle.is_empty() {
            document.idle.sort();
            document.idle.dedup();
            document.warnings.push(Warning::NoEffect { keys: std::mem::take(&mut document.idle) });
        }
        Ok(document)
    }

    fn take_file(&mut self, file: &str, mut top: Map<String, Value>) {
        // In this order the first spelling of a client wins, whatever order the map has.
        let clients = [CLIENTS, CLIENTS_SYNONYM].map(|section| (section.to_owned(), top.remove(section)));
        let rest: BTreeMap<_, _> = top.into_iter().map(|(section, value)| (section, Some(value))).collect();
        for (section, value) in clients.into_iter().chain(rest) {
            let Some(value) = value else { continue };
            if !keys::is_section(&section) {
                let nearest = nearest(&section, keys::sections().into_iter()).map(str::to_owned);
                self.unknown(file, &section, nearest);
                continue;
            }
            for (name, value) in self.entries(file, &section, value) {
                self.take_entry(file, &section, name, value);
            }
        }
    }

    fn take_entry(&mut self, file: &str, section: &str, name: String, value: Value) {
        match keys::standing(section, &name) {
            Standing::Unknown => {
                let nearest = keys::nearest_key(section, &name);
                return self.unknown(file, &format!("{section}.{name}"), nearest);
            }
            Standing::Idle => return self.idle.push(format!("{section}.{name}")),
            Standing::Effective => {}
        }
        let value = Value::new(Some(&file.to_owned()), value.kind);
        let is_client = section == CLIENTS || section == CLIENTS_SYNONYM;
        let (section, key) = match is_client {
            true => (CLIENTS, name.trim().to_lowercase()),
            false => (section, name.clone()),
        };
        let table = self.sections.entry(section.to_owned()).or_default();
        if table.contains_key(&key) {
            let key = redact(&format!("{section}.{name}"));
            return self.warnings.push(Warning::Repeated { origin: file.to_owned(), key });
        }
        if is_client {
            self.client_names.insert(key.clone(), name);
        }
        table.insert(key, value);
    }

    /// The keys of a section, in order: a map, or a list of maps.
    fn entries(&mut self, file: &str, section: &str, value: Value) -> Vec<(String, Value)> {
        let mut problem = |key: String, message: &str| {
            self.problems.push(Problem { origin: file.to_owned(), key, message: message.to_owned() });
        };
        match value.kind {
            ValueKind::Nil => Vec::new(),
            ValueKind::Table(table) => sorted(table).into_iter().collect(),
            ValueKind::Array(items) => {
                let mut entries = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    match item.kind {
                        ValueKind::Table(table) => entries.extend(sorted(table)),
                        ValueKind::Nil => {}
                        _ => problem(format!("{section}[{index}]"), "is not of the form `- key: value`"),
                    }
                }
                entries
            }
            _ => {
                problem(section.to_owned(), "is a single value; expected a map or a list of `- key: value`");
                Vec::new()
            }
        }
    }

    fn take_environment(
        &mut self,
        environment: &Environment,
        overrides: &mut BTreeMap<String, Map<String, Value>>,
    ) {
        let mut put = |section: &str, key: &str, variable: &str| {
            let Some(value) = environment.filled(variable) else { return };
            let origin = format!("environment variable {variable}");
            let value = Value::new(Some(&origin), value.to_owned());
            overrides.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
        };
        for key in keys::KEYS.iter().filter(|key| key.effective) {
            if let Some(variable) = key.variable {
                put(key.section, key.name, variable);
            }
            put(key.section, key.name, &key.override_variable());
        }
        let mut seen = HashSet::new();
        for (variable, _) in environment.iter() {
            let rest = variable.strip_prefix(keys::PREFIX).and_then(|rest| rest.split_once("__"));
            let Some((section, name)) = rest else { continue };
            let (section, name) = (section.to_ascii_lowercase(), name.to_lowercase());
            if !keys::is_section(&section) || name.is_empty() {
                continue;
            }
            if keys::standing(&section, &name) == Standing::Idle {
                self.idle.push(format!("{section}.{name}"));
            }
            // `ATHENA_CLIENTS__…` sorts before `ATHENA_POSTGRES_CLIENTS__…`, so that the latter wins.
            if (section == CLIENTS || section == CLIENTS_SYNONYM) && environment.filled(variable).is_some() {
                put(CLIENTS, &name, variable);
                seen.insert(name);
            }
        }
        for name in seen {
            self.client_names.entry(name.clone()).or_insert(name);
        }
    }

    fn unknown(&mut self, file: &str, key: &str, nearest: Option<String>) {
        let key = redact(key);
        self.warnings.push(Warning::UnknownKey { origin: file.to_owned(), key, nearest });
    }
}

/// One layer of values; later layers win, key by key.
#[derive(Debug, Clone)]
struct Layer(BTreeMap<String, Map<String, Value>>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.iter().map(|(section, table)| (section.clone(), table.clone().into())).collect())
    }
}

fn sorted(table: Map<String, Value>) -> BTreeMap<String, Value> {
    table.into_iter().collect()
}

fn parse(file: &str, text: &str) -> Result<Map<String, Value>, ConfigErrorKind> {
    // A file of comments alone is an empty map to the operator, and no map to the parser.
    let text = text.trim_start_matches('\u{feff}');
    // The parser takes one for the end of the file.
    if text.contains('\0') {
        let reason = "it holds a NUL character".to_owned();
        return Err(ConfigErrorKind::Syntax { file: file.to_owned(), reason });
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Map::new());
    }
    if bounds::unfolds_without_bound(text) {
        let reason = "its aliases (`*name`) repeat more than any configuration holds".to_owned();
        return Err(ConfigErrorKind::Syntax { file: file.to_owned(), reason });
    }
    File::from_str(text, FileFormat::Yaml).collect().map_err(|error| syntax(file, &error))
}

/// Words of the parser; a key it repeats may be a secret in the wrong place.
fn syntax(file: &str, error: &::config::ConfigError) -> ConfigErrorKind {
    let reason = match error {
        ::config::ConfigError::FileParse { cause, .. } => cause.to_string(),
        _ => "expected a map of sections such as `api:` and `postgres_clients:`".to_owned(),
    };
    let reason = match reason.starts_with("Cannot parse") {
        true => "a key is neither a text nor a number".to_owned(),
        false => reason.lines().map(redact).collect::<Vec<_>>().join(" "),
    };
    ConfigErrorKind::Syntax { file: file.to_owned(), reason }
}
