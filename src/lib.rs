//! Athena, a database gateway, as a library: [`AthenaClient`] for programs that use it, and the composition root, so
//! that tests start the very thing that production starts.

pub mod client;
pub mod compose;
pub mod config;
pub mod control;
mod databases;
pub mod demo;
pub mod healthcheck;
pub mod instance;
pub mod output;
pub mod records;
pub mod reload;
pub mod retention;
pub mod run;
mod telemetry;
mod upkeep;

pub use client::{
    AthenaClient, AthenaClientBuilder, AthenaError, BackendType, ErrorKind, QueryResult, SupabaseBackend,
};

/// The examples of the library's guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
mod guide {}

/// The example of the first page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod first_page {}
