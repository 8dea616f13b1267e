//! Removing rows.

use std::sync::Arc;

use athena_domain::ClientName;
use athena_domain::query::DeleteRequest;

use super::{Context, Gateway, Written};
use crate::error::Error;

/// Removes rows of one table.
pub struct Delete {
    gateway: Arc<Gateway>,
}

/// What a delete gives.
pub type Deleted = Written;

impl Delete {
    /// A delete over these clients.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Removes the rows that match.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        client: &ClientName,
        request: &DeleteRequest,
        strip_nulls: bool,
        context: Context,
    ) -> Result<Deleted, Error> {
        let target = self.gateway.target(client, &context)?;
        self.gateway.write(&target, &context, strip_nulls, |planner| planner.delete(request)).await
    }
}
