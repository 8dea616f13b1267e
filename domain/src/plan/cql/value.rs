//! Values of CQL, decoded as far as an encoder needs.

use std::cmp::Ordering;
use std::net::IpAddr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;

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

impl CqlValue {
    /// Which of two values of one type comes first, in the order in which the database compares them; `None` where
    /// that is not known here.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            // UTF-8 sorts as its code points do, and CQL compares bytes.
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Blob(a), Self::Blob(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Varint(a), Self::Varint(b)) => Some(integer(a).cmp(&integer(b))),
            (Self::Decimal { .. }, Self::Decimal { .. }) => Some(self.decimal()?.cmp(&other.decimal()?)),
            _ => None,
        }
    }

    /// A `decimal` as a number to calculate with.
    pub(super) fn decimal(&self) -> Option<BigDecimal> {
        match self {
            Self::Decimal { unscaled, scale } => Some(BigDecimal::new(integer(unscaled), (*scale).into())),
            _ => None,
        }
    }
}

fn integer(bytes: &[u8]) -> BigInt {
    BigInt::from_signed_bytes_be(bytes)
}
