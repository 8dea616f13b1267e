//! Athena, a database gateway.

pub mod config;
