//! The layer's one error, and errors as the log tells them.

use athena_domain::shape::GroupError;
use athena_domain::{ClientName, RequestError};

use crate::ports::PortError;

/// Why a use case gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be carried out as it stands.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No client of that name may be used. Callers are not told which absence it is.
    #[error("client '{name}' is not served: {}", absence.as_str())]
    UnknownClient {
        /// The client.
        name: ClientName,
        /// Why, for the log.
        absence: Absence,
    },
    /// The catalog has not been read since the start, so that what it stops is not known.
    #[error("the client catalog has not been read yet")]
    ClientsUnread,
    /// The client is known, but its target is not configured right.
    #[error("client '{name}' cannot be used: {reason}")]
    ClientUnavailable {
        /// The client.
        name: ClientName,
        /// Why, without a secret.
        reason: String,
    },
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The rows cannot be grouped as asked.
    #[error("Post-processing failure: {0}")]
    Grouping(#[from] GroupError),
}

/// Why there is no client of a name, as far as callers are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// There is none, or it is deleted.
    Unknown,
    /// An administrator has stopped it for a while.
    Frozen,
    /// An administrator has switched it off.
    Inactive,
}

impl Absence {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "there is none of that name",
            Self::Frozen => "it is frozen",
            Self::Inactive => "it is inactive",
        }
    }
}

/// An error and its sources, in one line, for the log: `Display` of ours tells only the outermost, and what a driver
/// said must not reach a caller.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}
