//! What the gateway does, in order, and the ports it needs. Nothing here names a database or a protocol.

pub mod access_loader;
pub mod answer;
pub mod authenticator;
pub mod budgets;
pub mod bulkhead;
mod caches;
pub mod catalog;
pub mod circuit;
pub mod context;
#[cfg(feature = "contract")]
pub mod contract;
pub mod cursor;
pub mod direct_hosts;
pub mod error;
mod fields;
mod follow;
pub mod guarded;
pub mod held;
pub mod pool_history;
pub mod ports;
pub mod readers;
pub mod registry;
pub mod schema_keeper;
pub mod slow_queries;
pub mod stopwatch;
pub mod use_cases;

pub use answer::{Body, Framing, Tally};
pub use authenticator::Authenticator;
pub use caches::{CacheReport, Caches};
pub use catalog::Catalog;
pub use circuit::{Circuit, CircuitStatus};
pub use context::{Caller, Context, Denial, Trail};
pub use cursor::Cursors;
pub use error::Error;
pub use registry::{Client, ClientInfo, ClientRegistry, ClientState};
pub use use_cases::{DIRECT_CLIENT, Gateway};
