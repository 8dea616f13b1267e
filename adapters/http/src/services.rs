//! What the routes call: filled in by the composition root.

use std::sync::Arc;

use athena_application::Gateway;
use athena_application::ports::Observer;

use crate::security::AdminKey;

/// What the routes call.
#[derive(Clone)]
pub struct Services {
    /// Clients, and the rules that hold for all of them.
    pub gateway: Arc<Gateway>,
    /// Opens the admin routes.
    pub admin_key: AdminKey,
    /// Hears of every request.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Services {
    /// A gateway without an admin key, without anybody who listens.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, admin_key: AdminKey::default(), observer: None }
    }
}
