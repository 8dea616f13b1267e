//! From a URI to a database.

use std::sync::Arc;

use athena_domain::ClientName;

use super::{Backend, SchemaReader};

/// A client's database, opened.
#[derive(Clone)]
pub struct Opened {
    /// Runs plans.
    pub backend: Arc<dyn Backend>,
    /// Knows the schema.
    pub schema: Arc<dyn SchemaReader>,
    /// Where it is, so that two ways to one database are known for what they are: host, port and database.
    pub place: String,
}

/// Opens databases.
pub trait Connector: Send + Sync + 'static {
    /// Opens the database at `uri`.
    ///
    /// - MUST NOT wait for it: connections are made when they are needed.
    /// - MUST close every connection once the last clone of what it gave is gone.
    ///
    /// # Errors
    /// Why the URI cannot be used, without a secret.
    fn open(&self, name: &ClientName, uri: &str) -> Result<Opened, String>;

    /// The value of an environment variable; an empty text when it is set and empty.
    fn variable(&self, name: &str) -> Option<String>;
}
