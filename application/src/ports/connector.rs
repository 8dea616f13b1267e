//! From a URI to a database.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::breaker::BreakerSettings;

use super::{Backend, SchemaReader};
use crate::circuit::Circuit;
use crate::guarded::{Guarded, GuardedSchema};

/// A client's database, opened.
#[derive(Clone)]
pub struct Opened {
    /// Runs plans.
    pub backend: Arc<dyn Backend>,
    /// Knows the schema.
    pub schema: Arc<dyn SchemaReader>,
    /// Stands before both.
    pub circuit: Arc<Circuit>,
    /// Where it is, so that two ways to one database are known for what they are: host, port and database.
    pub place: String,
}

impl Opened {
    /// The database of the client `name` behind a circuit breaker.
    pub fn guarded(
        name: &ClientName,
        backend: Arc<dyn Backend>,
        schema: Arc<dyn SchemaReader>,
        breaker: BreakerSettings,
        place: String,
    ) -> Self {
        let circuit = Arc::new(Circuit::new(name.as_str(), breaker));
        Self {
            backend: Arc::new(Guarded::new(backend, circuit.clone())),
            schema: Arc::new(GuardedSchema::new(schema, circuit.clone())),
            circuit,
            place,
        }
    }
}

/// Why a URI opens nothing. The texts hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenFailure {
    /// The URI itself cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// It names an environment variable that is not set here. It may be set later, or for another gateway.
    #[error("environment variable {0} is not set")]
    Unset(String),
}

impl From<String> for OpenFailure {
    fn from(reason: String) -> Self {
        Self::Invalid(reason)
    }
}

/// Opens databases.
pub trait Connector: Send + Sync + 'static {
    /// Opens the database at `uri`.
    ///
    /// - MUST NOT wait for it: connections are made when they are needed.
    /// - MUST close every connection once the last clone of what it gave is gone.
    ///
    /// # Errors
    /// Why the URI cannot be used.
    fn open(&self, name: &ClientName, uri: &str) -> Result<Opened, OpenFailure>;

    /// A number that changes whenever the database at `uri` would be opened otherwise than before: by other settings, or
    /// with another secret.
    fn manner(&self, _uri: &str) -> u64 {
        0
    }

    /// The value of an environment variable; an empty text when it is set and empty.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether a URI that only the catalog knows may hold the variable, and so send it to its host.
    fn lends(&self, name: &str) -> bool;
}
