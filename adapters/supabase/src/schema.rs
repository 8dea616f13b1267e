//! What is known of a database behind PostgREST: nothing that could grow old.

use std::sync::Arc;

use athena_application::ports::{PortError, SchemaReader};
use athena_domain::schema::Schema;
use tokio::time::Instant;

/// An open schema.
pub struct OpenSchema(Arc<Schema>);

impl OpenSchema {
    pub(crate) fn new(default_schema: &str) -> Arc<Self> {
        Arc::new(Self(Arc::new(Schema::open(default_schema))))
    }
}

#[async_trait::async_trait]
impl SchemaReader for OpenSchema {
    fn loaded(&self) -> Option<Arc<Schema>> {
        Some(self.0.clone())
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, _: Option<&Arc<Schema>>, _: Instant) -> Result<Arc<Schema>, PortError> {
        Ok(self.0.clone())
    }

    fn invalidate(&self) {}
}
