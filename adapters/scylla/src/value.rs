//! Values on the wire: JSON's words → CQL values by the type that the server wants bound, and the server's bytes →
//! cells. Nothing goes through a binary floating-point number that is not one.

mod bound;
mod calendar;
mod decode;
mod duration;
mod encode;
mod number;
#[cfg(test)]
mod tests;

pub(crate) use bound::{Bound, OtherType};
pub(crate) use decode::{Scratch, Unreadable, cell};
pub(crate) use encode::{Unfit, encode, encode_value};
