//! PostgreSQL behind the ports: rendering, execution, decoding, the schema reader and the managed cluster.

mod backend;
mod cancel;
mod catalog;
pub mod control;
mod decode;
pub mod demo;
mod failure;
pub mod managed;
mod pool;
mod reader;
mod render;
mod settings;

pub use backend::{PostgresBackend, open};
pub use reader::PostgresSchema;
pub use settings::{InvalidUri, Pooler, PostgresSettings};
