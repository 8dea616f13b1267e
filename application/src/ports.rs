//! What the gateway needs of the outside, one trait per need.

mod backend;
mod budget_ledger;
mod client_store;
mod connector;
mod control;
mod direct;
mod failure;
mod key_store;
mod log_store;
mod metrics;
mod observer;
mod obstacle;
mod pool_history;
mod provisioner;
mod schema_reader;
pub mod sql_state;
mod statistics_store;

pub use backend::{Backend, BackendStatus, Done, RowStream};
pub use budget_ledger::{BudgetLedger, BudgetStanding, BudgetUse};
pub use client_store::{ClientFields, ClientStore, ClientStoreError, NewClient};
pub use connector::{Connector, OpenFailure, Opened};
pub use control::Versions;
pub use direct::{DirectTarget, DirectTargets};
pub use failure::{PortError, PortErrorKind, Reason, Rejection};
pub use key_store::{
    EnforcementStore, Entropy, KeyFields, KeyRecord, KeyStore, KeyStoreError, LoadedAccess, LoadedKey,
    PolicyRecord, RightRecord, RightStore, StoredSecret,
};
pub use log_store::{
    BatchId, LogBatch, LogEntry, LogStore, LoggedAuth, LoggedKey, LoggedOperation, NOT_FOUND, REDACTED,
    StoreId, Text,
};
pub use metrics::{MetricsSource, Rendered};
pub use observer::{
    AuditIds, AuthObservation, CallerAddress, Observation, Observer, Observers, OperationObservation, Stages,
    TraceParent,
};
pub use obstacle::Obstacle;
pub use pool_history::{PoolHistory, PoolSample};
pub use provisioner::{ProvisionFailure, ProvisionStatus, Provisioned, Provisioner};
pub use schema_reader::SchemaReader;
pub use statistics_store::{ClientStatistics, StatisticsStore, TableStatistics};
