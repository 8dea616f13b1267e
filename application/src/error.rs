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
    /// No client of that name may be used.
    #[error("client '{0}' is not configured")]
    UnknownClient(ClientName),
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
