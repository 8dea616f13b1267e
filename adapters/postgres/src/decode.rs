//! Driver's bytes → borrowed cells. Binary for what the gateway asks for, text for the caller's own SQL.

mod binary;
mod calendar;
mod numeric;
mod text;

pub(crate) use binary::{Scratch, bears_text, binary_cell, is_readable};
pub(crate) use text::text_cell;

/// Bytes that are not what their type promises.
#[derive(Debug, thiserror::Error)]
#[error("a value of type {oid} cannot be read")]
pub(crate) struct Unreadable {
    /// The type.
    pub oid: u32,
}

/// Type numbers of PostgreSQL's own types; they never change (`pg_type.dat`).
pub(crate) mod oid {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const INET: u32 = 869;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const NUMERIC: u32 = 1700;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
}
