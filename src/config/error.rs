//! Why a configuration cannot be used, and what about a usable one deserves a word.
//!
//! Nothing here holds a secret: values are redacted before they are put in.

use std::fmt;
use std::path::PathBuf;

/// A place that was looked at for `config.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The file.
    pub path: PathBuf,
    /// What was found there, such as `not found`.
    pub outcome: String,
}

/// The configuration cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    /// Why.
    pub kind: Box<ConfigErrorKind>,
    /// Every place that was looked at, in that order.
    pub inspected: Vec<Inspected>,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigErrorKind {
    /// The file named on the command line does not exist.
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file exists and cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The file is not YAML, or its top is no map.
    Syntax {
        /// The file.
        file: String,
        /// What is wrong and where.
        reason: String,
    },
    /// `.env` cannot be read or understood.
    DotEnv {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// The working directory is unknown.
    WorkingDirectory {
        /// The operating system's words.
        reason: String,
    },
    /// Values that cannot be used; all of them at once.
    Invalid {
        /// Each of them.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ConfigErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(
                f,
                "the configuration file {} does not exist; correct --config, or leave it out to search the usual places",
                path.display()
            ),
            Self::Unreadable { path, reason } => {
                write!(f, "the configuration file {} cannot be read: {reason}", path.display())
            }
            Self::Syntax { file, reason } => {
                write!(f, "the configuration file {file} is not valid: {reason}")
            }
            Self::DotEnv { path, reason } => {
                write!(f, "the environment file {} is not valid: {reason}", path.display())
            }
            Self::WorkingDirectory { reason } => {
                write!(f, "the working directory cannot be determined: {reason}")
            }
            Self::Invalid { problems } => {
                f.write_str("the configuration is not valid")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl ConfigErrorKind {
    /// An error for which no place was searched.
    pub(super) fn alone(self) -> ConfigError {
        ConfigError { kind: Box::new(self), inspected: Vec::new() }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.inspected.is_empty() {
            f.write_str("\ninspected:")?;
        }
        for place in &self.inspected {
            write!(f, "\n  - {}: {}", place.path.display(), place.outcome)?;
        }
        Ok(())
    }
}

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or the environment variable.
    pub origin: String,
    /// The key, such as `api.port`.
    pub key: String,
    /// What is wrong, with the value found (secrets masked), and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.origin, self.key, self.message)
    }
}

/// Something to tell the operator once; the configuration works all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A key or a variable nobody reads.
    UnknownKey {
        /// The file, or `environment`.
        origin: String,
        /// The key as it was written.
        key: String,
        /// The known key it resembles most.
        nearest: Option<String>,
    },
    /// Keys that are known and change nothing yet.
    NoEffect {
        /// The keys that are set.
        keys: Vec<String>,
    },
    /// A key that stands twice; the first one counts.
    Repeated {
        /// The file.
        origin: String,
        /// The key.
        key: String,
    },
    /// A client that cannot be reached because of its configuration.
    ClientUnavailable {
        /// The client.
        name: String,
        /// Why.
        reason: String,
        /// True when it is the logging or the authentication client, without which the gateway is crippled.
        essential: bool,
    },
    /// `gateway.logging_client` or `gateway.auth_client` names no configured client.
    ClientUndefined {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// Every origin is allowed although some are listed.
    AnyOrigin,
    /// No configuration exists and none could be written.
    NotSeeded {
        /// Every place that was tried.
        inspected: Vec<Inspected>,
    },
}

impl Warning {
    /// True for what cripples the gateway, to be logged as an error.
    pub fn is_severe(&self) -> bool {
        matches!(self, Self::ClientUnavailable { essential: true, .. } | Self::ClientUndefined { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { origin, key, nearest } => {
                write!(f, "{origin}: unknown key {key} is ignored")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest}?"),
                    None => Ok(()),
                }
            }
            Self::NoEffect { keys } => {
                write!(f, "these keys have no effect in this build: {}", keys.join(", "))
            }
            Self::Repeated { origin, key } => {
                write!(f, "{origin}: {key} stands more than once; the first one counts")
            }
            Self::ClientUnavailable { name, reason, essential } => {
                let role = if *essential { " (needed for API keys, catalog and logs)" } else { "" };
                write!(f, "client {name}{role} is not available: {reason}")
            }
            Self::ClientUndefined { key, name } => {
                write!(f, "{key} names the client {name}, which postgres_clients does not define")
            }
            Self::AnyOrigin => {
                f.write_str("api.cors_allow_any_origin is true, so api.cors_allowed_origins is not looked at")
            }
            Self::NotSeeded { inspected } => {
                f.write_str(
                    "no configuration file was found and none could be written; the built-in defaults are used",
                )?;
                inspected
                    .iter()
                    .try_for_each(|place| write!(f, "; {}: {}", place.path.display(), place.outcome))
            }
        }
    }
}
