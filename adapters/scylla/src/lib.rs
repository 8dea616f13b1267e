//! ScyllaDB and Cassandra behind the ports: sessions, statements, values, the schema reader. What is allowed was
//! decided before; nothing here speaks HTTP.

mod backend;
mod catalog;
mod failure;
mod render;
mod session;
mod settings;
mod statements;
mod tls;
mod value;

pub use backend::{ScyllaBackend, open};
pub use catalog::ScyllaSchema;
pub use settings::{InvalidUri, ScyllaSettings};
