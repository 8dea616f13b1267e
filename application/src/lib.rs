//! What the gateway does, in order, and the ports it needs. Nothing here names a database or a protocol.

pub mod answer;
#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod ports;
pub mod registry;
pub mod use_cases;

pub use answer::{Body, Framing, Tally};
pub use error::Error;
pub use registry::{Client, ClientRegistry, ClientState};
pub use use_cases::Gateway;
