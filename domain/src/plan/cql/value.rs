//! Values of CQL, decoded as far as an encoder needs.

use std::net::IpAddr;

/// A value of a CQL type. Its type says how wide a number is and what a compound holds.
#[derive(Debug, Clone, PartialEq)]
pub enum CqlValue {
    /// `null`
    Null,
    /// Nothing is written: what a column of a new row is without a value, at no cost.
    Unset,
    /// `ascii`, `text`
    Text(Box<str>),
    /// `boolean`
    Bool(bool),
    /// `tinyint`, `smallint`, `int`, `bigint`, `counter`
    Int(i64),
    /// `varint`: two's complement, the greatest byte first, as few bytes as can be.
    Varint(Box<[u8]>),
    /// `decimal`: `unscaled × 10^-scale`, the number as in `Varint`.
    Decimal {
        /// Digits.
        unscaled: Box<[u8]>,
        /// Digits behind the point.
        scale: i32,
    },
    /// `float`, `double`
    Float(f64),
    /// `uuid`, `timeuuid`
    Uuid([u8; 16]),
    /// `timestamp`: milliseconds since 1970.
    Timestamp(i64),
    /// `date`: days since 1970-01-01.
    Date(i32),
    /// `time`: nanoseconds since midnight.
    Time(i64),
    /// `duration`; all of one sign.
    Duration {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Nanoseconds.
        nanos: i64,
    },
    /// `inet`
    Inet(IpAddr),
    /// `blob`
    Blob(Box<[u8]>),
    /// `list<…>`
    List(Vec<CqlValue>),
    /// `set<…>`; no element twice.
    Set(Vec<CqlValue>),
    /// `map<…>`; no key twice.
    Map(Vec<(CqlValue, CqlValue)>),
    /// `tuple<…>`: a value or `Null` for every part.
    Tuple(Vec<CqlValue>),
    /// `vector<…>`
    Vector(Vec<CqlValue>),
    /// A user-defined type: a value or `Null` for every field, in the type's order.
    Udt(Vec<CqlValue>),
}
