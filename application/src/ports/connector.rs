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
