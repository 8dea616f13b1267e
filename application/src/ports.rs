//! What the gateway needs of the outside, one trait per need.

mod backend;
mod failure;
mod schema_reader;

pub use backend::{Backend, BackendStatus, Done, RowStream};
pub use failure::{PortError, PortErrorKind, Reason, Rejection};
pub use schema_reader::SchemaReader;
