//! The process environment as a value, so that nothing below reads or writes the real one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::error::{ConfigError, ConfigErrorKind};

/// Environment variables. `Debug` prints names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process. Those that are not valid Unicode are left out.
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// Adds the variables of the file `.env` in `directory`; those that exist already win. No file is no error.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::DotEnv`] when the file cannot be read or understood. The error never holds a line of it.
    pub fn with_dotenv(mut self, directory: &Path) -> Result<Self, ConfigError> {
        let path = directory.join(".env");
        let fail = |reason: String| ConfigErrorKind::DotEnv { path: path.clone(), reason }.alone();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(fail(error.to_string())),
        };
        // A byte order mark would become part of the first name.
        let text = text.trim_start_matches('\u{feff}');
        let mut added = BTreeMap::new();
        for (index, entry) in dotenvy::from_read_iter(text.as_bytes()).enumerate() {
            // dotenvy's own message repeats the line, which may hold a password.
            let (name, value) =
                entry.map_err(|_| fail(format!("entry {} is not of the form NAME=value", index + 1)))?;
            added.entry(name).or_insert(value);
        }
        for (name, value) in added {
            self.variables.entry(name).or_insert(value);
        }
        Ok(self)
    }

    /// The value of `name`; `Some("")` when it is set and empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The same as a text of its own.
    pub fn value(&self, name: &str) -> Option<String> {
        self.var(name).map(str::to_owned)
    }

    /// The value of `name` unless it is unset or blank.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.var(name).filter(|value| !value.trim().is_empty())
    }

    /// Every variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
