//! What a database says about itself.

use std::sync::Arc;

use athena_domain::schema::Schema;
use tokio::time::Instant;

use super::PortError;

/// Reads a database's relations, columns and types, and keeps the last reading.
#[async_trait::async_trait]
pub trait SchemaReader: Send + Sync + 'static {
    /// The last reading, without waiting.
    fn loaded(&self) -> Option<Arc<Schema>>;

    /// Whether there is one. To ask is no use of the database: nothing is kept fresh for it.
    fn has_reading(&self) -> bool;

    /// Reads again, unless somebody else has since `seen` was read; several callers share one reading.
    ///
    /// - MAY answer `seen` itself when a reading is so recent that a caller must be able to force no
    ///   further one.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn refresh(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError>;

    /// Says that the schema has surely changed, so that the next refresh reads again.
    fn invalidate(&self);
}
