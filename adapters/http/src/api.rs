//! The operations, grouped; each group holds only the use cases it calls.

mod admin;
mod answer;
mod docs;
mod documented;
mod documents;
mod gateway;
mod metrics;
mod ops;
mod query;
mod run;

pub use admin::clients::ClientsApi;
pub use admin::keys::KeysApi;
pub use admin::provision::ProvisionApi;
pub use admin::reload::ReloadApi;
pub use admin::statistics::StatisticsApi;
pub use admin::{Bodies, StoreAbsence};
pub use gateway::GatewayApi;
pub use metrics::MetricsApi;
pub use ops::{OpsApi, Probe};
pub use query::QueryApi;

pub(crate) use documented::Documented;
pub(crate) use documents::{Documents, routes};
pub(crate) use run::Door;

/// Every operation this server has.
pub(crate) type Apis = Documented<(
    GatewayApi,
    QueryApi,
    StatisticsApi,
    ClientsApi,
    KeysApi,
    ProvisionApi,
    ReloadApi,
    MetricsApi,
    OpsApi,
)>;

/// Groups of operations in the specification.
#[derive(Debug, Clone, Copy, poem_openapi::Tags)]
pub(crate) enum Tag {
    /// Reading and writing rows of the selected client's database.
    Gateway,
    /// The databases behind the gateway.
    Clients,
    /// API keys, rights, and whether keys are demanded.
    Keys,
    /// Health, probes and documents.
    Operations,
}
