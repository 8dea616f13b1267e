//! Values of CQL, decoded as far as an encoder needs.

use std::cmp::Ordering;
use std::net::IpAddr;

use bigdecimal::num_bigint::{BigInt, Sign};
use smol_str::SmolStr;

/// A value of a CQL type. Its type says how wide a number is and what a compound holds.
#[derive(Debug, Clone, PartialEq)]
pub enum CqlValue {
    /// `null`
    Null,
    /// Nothing is written: what a column of a new row is without a value, at no cost.
    Unset,
    /// `ascii`, `text`
    Text(SmolStr),
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
        #[cfg(test)]
        super::tests::step();
        match (self, other) {
            (Self::Int(a), Self::Int(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            // UTF-8 sorts as its code points do, and CQL compares bytes.
            (Self::Text(a), Self::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::Blob(a), Self::Blob(b)) => Some(a.cmp(b)),
            // -0 comes before 0, and what is no number after all numbers.
            (Self::Float(a), Self::Float(b)) => Some(match (a.is_nan(), b.is_nan()) {
                (false, false) => a.total_cmp(b),
                (a, b) => a.cmp(&b),
            }),
            // Which of two others comes first depends on more than their bytes.
            (Self::Uuid(a), Self::Uuid(b)) if a == b => Some(Ordering::Equal),
            (Self::Inet(a), Self::Inet(b)) if a == b => Some(Ordering::Equal),
            (Self::Varint(a), Self::Varint(b)) => Some(integer(a).cmp(&integer(b))),
            (Self::Decimal { unscaled: a, scale: of_a }, Self::Decimal { unscaled: b, scale: of_b }) => {
                Some(Decimal::of(a, *of_a).cmp(&Decimal::of(b, *of_b)))
            }
            _ => None,
        }
    }

    /// Whether a part of it is a zero, of which the database knows two.
    pub(super) fn holds_zero(&self) -> bool {
        match self {
            Self::Float(number) => *number == 0.0,
            Self::List(parts)
            | Self::Set(parts)
            | Self::Tuple(parts)
            | Self::Vector(parts)
            | Self::Udt(parts) => parts.iter().any(Self::holds_zero),
            Self::Map(pairs) => pairs.iter().any(|(key, value)| key.holds_zero() || value.holds_zero()),
            _ => false,
        }
    }

    /// Whether it is no byte at all.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Blob(bytes) => bytes.is_empty(),
            _ => false,
        }
    }

    /// Steps that it takes to copy it and to tell it from another.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Text(text) => 1 + text.len() as u64 / 64,
            Self::Blob(bytes) => 1 + bytes.len() as u64 / 64,
            Self::Varint(bytes) | Self::Decimal { unscaled: bytes, .. } => {
                // Digits are made of bytes in square time.
                let length = bytes.len() as u64;
                1 + length / 64 + (length / 256).pow(2)
            }
            Self::List(parts)
            | Self::Set(parts)
            | Self::Tuple(parts)
            | Self::Vector(parts)
            | Self::Udt(parts) => 1 + parts.iter().map(Self::weight).sum::<u64>(),
            Self::Map(pairs) => {
                1 + pairs.iter().map(|(key, value)| key.weight() + value.weight()).sum::<u64>()
            }
            _ => 1,
        }
    }

    /// Appends what tells it from others of its type: the same for decimals that differ in their zeros only, and for
    /// sets and maps whatever the order of what they hold.
    pub(super) fn tell(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Unset => out.push(1),
            Self::Text(text) => part(text.as_bytes(), out),
            Self::Bool(flag) => out.push(u8::from(*flag)),
            Self::Int(number) | Self::Timestamp(number) | Self::Time(number) => {
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Varint(bytes) | Self::Blob(bytes) => part(bytes, out),
            Self::Decimal { unscaled, scale } => {
                let Decimal { sign, exponent, digits } = Decimal::of(unscaled, *scale);
                out.push(match sign {
                    Ordering::Less => 0,
                    Ordering::Equal => 1,
                    Ordering::Greater => 2,
                });
                out.extend_from_slice(&exponent.to_be_bytes());
                part(digits.as_bytes(), out);
            }
            Self::Float(number) => out.extend_from_slice(&number.to_bits().to_be_bytes()),
            Self::Uuid(bytes) => out.extend_from_slice(bytes),
            Self::Date(days) => out.extend_from_slice(&days.to_be_bytes()),
            Self::Duration { months, days, nanos } => {
                out.extend_from_slice(&months.to_be_bytes());
                out.extend_from_slice(&days.to_be_bytes());
                out.extend_from_slice(&nanos.to_be_bytes());
            }
            Self::Inet(IpAddr::V4(address)) => part(&address.octets(), out),
            Self::Inet(IpAddr::V6(address)) => part(&address.octets(), out),
            Self::List(parts) | Self::Tuple(parts) | Self::Vector(parts) | Self::Udt(parts) => {
                out.extend_from_slice(&(parts.len() as u64).to_be_bytes());
                for one in parts {
                    out.push(u8::from(matches!(one, Self::Null)));
                    one.tell(out);
                }
            }
            Self::Set(parts) => unordered(parts.iter().map(|one| told([one])), out),
            Self::Map(pairs) => unordered(pairs.iter().map(|(key, value)| told([key, value])), out),
        }
    }
}

/// Appends bytes with their number, so that what follows cannot be taken for a part of them.
fn part(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What tells one member of a set or map from others.
fn told<const N: usize>(values: [&CqlValue; N]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.tell(&mut out));
    out
}

/// Appends what tells a set or map of these members from others.
fn unordered(members: impl Iterator<Item = Vec<u8>>, out: &mut Vec<u8>) {
    let mut members: Vec<Vec<u8>> = members.collect();
    members.sort_unstable();
    out.extend_from_slice(&(members.len() as u64).to_be_bytes());
    members.iter().for_each(|member| part(member, out));
}

/// A decimal as `0.digits × 10^exponent`. With its digits written out, two of very different scales are compared
/// without making one as long as the other.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    sign: Ordering,
    exponent: i64,
    /// Without zeros at either end.
    digits: String,
}

impl Decimal {
    fn of(unscaled: &[u8], scale: i32) -> Self {
        let number = integer(unscaled);
        let sign = match number.sign() {
            Sign::Minus => Ordering::Less,
            Sign::NoSign => return Self { sign: Ordering::Equal, exponent: 0, digits: String::new() },
            Sign::Plus => Ordering::Greater,
        };
        let mut digits = number.magnitude().to_string();
        let exponent = digits.len() as i64 - i64::from(scale);
        digits.truncate(digits.trim_end_matches('0').len());
        Self { sign, exponent, digits }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign.cmp(&other.sign).then_with(|| match self.sign {
            Ordering::Less => size().reverse(),
            Ordering::Equal => Ordering::Equal,
            Ordering::Greater => size(),
        })
    }
}

fn integer(bytes: &[u8]) -> BigInt {
    BigInt::from_signed_bytes_be(bytes)
}
