//! What happens to every request, whatever its route.

pub mod access_log;
pub mod compression;
pub mod cors;
