//! Athena, a database gateway: the composition root as a library, so that tests start the very thing that
//! production starts.

pub mod compose;
pub mod config;
pub mod control;
pub mod demo;
pub mod healthcheck;
pub mod instance;
pub mod records;
pub mod reload;
pub mod retention;
pub mod run;
mod telemetry;
