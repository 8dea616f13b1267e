//! From what a request itself names to a database.

use std::sync::Arc;

use super::{Backend, SchemaReader};
use crate::circuit::Circuit;

/// A database that a request names.
#[derive(Clone)]
pub struct DirectTarget {
    /// Runs plans.
    pub backend: Arc<dyn Backend>,
    /// Knows the schema.
    pub schema: Arc<dyn SchemaReader>,
    /// Where it is, whoever asks: without a secret.
    pub place: String,
}

/// Opens databases that requests name, with the caller's own key.
pub trait DirectTargets: Send + Sync + 'static {
    /// Opens what is at `url`, for one request.
    ///
    /// - MUST NOT wait for it.
    /// - MUST NOT lead to where the configuration lets no caller go, whatever the name at `url` means by the time of
    ///   the connection.
    /// - MUST keep nothing of `key` once what it gave is gone.
    ///
    /// # Errors
    /// Why the URL cannot be used, without anything of it or of the key.
    fn open(&self, url: &str, key: &str) -> Result<DirectTarget, String>;

    /// The circuit breakers of the places that are remembered, for operators.
    fn circuits(&self) -> Vec<(Box<str>, Arc<Circuit>)> {
        Vec::new()
    }
}
