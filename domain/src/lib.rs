//! Rules of the gateway: requests, plans, rows, shaping. No I/O, no clock, no environment.

pub mod access;
pub mod breaker;
pub mod catalog;
pub mod error;
pub mod expand;
pub mod limits;
pub mod name;
pub mod nearest;
pub mod plan;
pub mod query;
pub mod rows;
pub mod schema;
pub mod shape;

pub use error::{RequestCode, RequestError};
pub use limits::Limits;
pub use name::ClientName;
