//! The command line: what `athena_rs` understands, and the answers that need no gateway.
//!
//! Nothing here starts a server, reads a configuration or opens a connection: [`parse_from`] turns
//! arguments into an [`Invocation`], and the composition root carries it out.

mod diag;
mod grammar;
mod invocation;

pub use diag::{Surroundings, diagnosis};
pub use invocation::{
    Demo, HealthcheckOptions, Invocation, RetentionOptions, ServerOptions, Stop, parse_from,
};

/// Version of the product, as `athena_rs version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
