//! Values on the wire: planned values → the bytes that the server wants, and its bytes → cells. Nothing goes through a
//! binary floating-point number that is not one.

mod bound;
mod calendar;
mod decode;
mod duration;
mod number;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use bound::{Bound, OtherType};
pub(crate) use decode::{Scratch, cell};
pub(crate) use types::domain_type;
