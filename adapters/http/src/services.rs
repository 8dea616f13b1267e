//! What the routes call: filled in by the composition root.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use athena_application::Gateway;
use athena_application::catalog::Overruled;
use athena_application::ports::{MetricsSource, Observer, StatisticsStore};
use athena_application::use_cases::clients::ManageClients;
use athena_application::use_cases::keys::ManageKeys;
use athena_application::use_cases::provision::Provision;

use crate::api::StoreAbsence;
use crate::security::AdminKey;

/// What a second reading of the configuration came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is in force now.
    pub applied: Vec<&'static str>,
    /// Clients that have changed, but for whom the catalog has the last word.
    pub overruled: Vec<Overruled>,
    /// Keys that have changed and need a restart.
    pub restart_needed: Vec<String>,
}

/// Reads the configuration again; an error says what is wrong with it, and that nothing has changed.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<Reloaded, String>> + Send + Sync>;

/// What the routes call.
#[derive(Clone)]
pub struct Services {
    /// Clients, and the rules that hold for all of them.
    pub gateway: Arc<Gateway>,
    /// Opens the admin routes.
    pub admin_key: AdminKey,
    /// The client catalog.
    pub clients: Option<Arc<ManageClients>>,
    /// Why the catalog has no store, where it has none.
    pub catalog_absence: StoreAbsence,
    /// API keys, rights and policy, or why there are none.
    pub keys: Result<Arc<ManageKeys>, StoreAbsence>,
    /// Brings databases to the schema of a control database.
    pub provision: Option<Arc<Provision>>,
    /// Reads the configuration again.
    pub reload: Option<Reload>,
    /// How much every client has asked for.
    pub statistics: Option<Arc<dyn StatisticsStore>>,
    /// Numbers about the gateway; without them there is no `/metrics`.
    pub metrics: Option<Arc<dyn MetricsSource>>,
    /// Hears of every request.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Services {
    /// A gateway without an admin key, without anybody who listens.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            admin_key: AdminKey::default(),
            clients: None,
            catalog_absence: StoreAbsence::NotConfigured,
            keys: Err(StoreAbsence::NotConfigured),
            provision: None,
            reload: None,
            statistics: None,
            metrics: None,
            observer: None,
        }
    }
}
