//! Where the schema of a PostgreSQL database is read from.

use std::sync::Arc;

use athena_application::ports::PortError;
use athena_application::schema_keeper::{SchemaKeeper, SchemaSource};
use athena_application::stopwatch::Stopwatch;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::pool::{Begin, Sessions};

/// Knows one database's schema.
pub type PostgresSchema = SchemaKeeper<PostgresSource>;

/// The system catalogs of one database.
pub struct PostgresSource {
    sessions: Arc<Sessions>,
}

impl PostgresSource {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }
}

#[async_trait::async_trait]
impl SchemaSource for PostgresSource {
    type Catalog = Catalog;

    async fn read(&self, deadline: Instant) -> Result<Catalog, PortError> {
        let waits = Stopwatch::default();
        let mut running = self.sessions.acquire(deadline, true, Begin::Snapshot, &waits).await?;
        let outcome = Catalog::read(running.connection()).await;
        running.finish(outcome).await
    }
}
