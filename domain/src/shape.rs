//! Shaping of an answer after the database gave it: names, groups, nulls.
//!
//! Everything here is a pure function over text or rows; nothing reads the
//! clock, and the order of a page is never changed inside a group.

pub mod case;
mod decimal;
pub mod granularity;
pub mod group;
pub mod row_set;
pub mod strip_nulls;

#[cfg(test)]
mod properties;

pub use case::camel_to_snake;
pub use granularity::{Granularity, TimestampError, UnknownGranularity};
pub use group::{Group, GroupError, Grouping, Strategy, UnknownStrategy, group};
pub use row_set::{Cell, NotAJsonValue, RowSet, WrongWidth};
pub use strip_nulls::{compact_lines, strip_json};
