//! What the scope of a key names in vain, as far as that can be said in a moment.

use std::sync::Arc;
use std::time::Duration;

use athena_domain::access::{Missing, missing};
use athena_domain::schema::Schema;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::ManageKeys;
use crate::access_loader;
use crate::ports::{KeyFields, SchemaReader};
use crate::registry::ClientState;

/// Longest wait for what tables there are. A warning is worth no more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most clients whose tables are read for a warning.
const MOST_READINGS: usize = 16;

impl ManageKeys {
    /// The names that mean nothing in any client of the key. None where that is not known of every one of them: a client
    /// is away, tells nothing of its tables, or there are too many to ask.
    pub(super) async fn warnings(&self, fields: &KeyFields) -> Vec<Missing> {
        let Ok(scope) = access_loader::scope(fields) else { return Vec::new() };
        if scope.tables.is_none() && scope.columns.is_empty() && scope.row_filters.is_empty() {
            return Vec::new();
        }
        let Some(schemas) = self.schemas(fields).await else { return Vec::new() };
        missing(&scope, &schemas.iter().map(Arc::as_ref).collect::<Vec<_>>())
    }

    /// The schemas of the clients that the key is for.
    async fn schemas(&self, fields: &KeyFields) -> Option<Vec<Arc<Schema>>> {
        let bound = access_loader::bound_to(fields);
        let mut readers: Vec<Arc<dyn SchemaReader>> = Vec::new();
        for (key, client) in self.registry.snapshot().iter() {
            if bound.as_ref().is_some_and(|bound| !bound.contains(key)) {
                continue;
            }
            match &client.state {
                ClientState::Ready { schema, .. } => readers.push(schema.clone()),
                // It may be served again.
                ClientState::Misconfigured { .. } | ClientState::Frozen | ClientState::Inactive => {
                    return None;
                }
            }
        }
        let unread = readers.iter().filter(|reader| reader.loaded().is_none()).count();
        if unread > MOST_READINGS {
            return None;
        }
        let deadline = Instant::now() + PATIENCE;
        let known = join_all(readers.iter().map(|reader| async move {
            match reader.loaded() {
                Some(schema) => Some(schema),
                None => reader.refresh(None, deadline).await.ok(),
            }
        }));
        tokio::time::timeout_at(deadline, known).await.ok()?.into_iter().collect()
    }
}
