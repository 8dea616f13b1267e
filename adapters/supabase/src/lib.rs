//! Plans as requests to PostgREST: Supabase projects, and any other PostgREST.
//!
//! Nothing here decides what is allowed; what PostgREST cannot do as it was planned is refused, never done otherwise.

mod backend;
mod direct;
mod failure;
mod guard;
mod render;
mod resolver;
mod rows;
mod schema;
mod settings;
mod upstream;

pub use backend::{SupabaseBackend, open};
pub use direct::SupabaseDirect;
pub use guard::{HostRules, InvalidHosts};
pub use settings::{InvalidTarget, SupabaseSettings};

/// Name of the port in errors.
const PORT: &str = "supabase";
