//! The server's bytes → borrowed cells, without a tree of values: what has parts is written as JSON while it is read.

use std::net::IpAddr;

use athena_domain::rows::{CellRef, escape_into};
use scylla::frame::response::result::{CollectionType, ColumnType, NativeType};

use super::{calendar, duration, number};

/// Largest integer that every JSON reader keeps: 2^53.
const SAFE_INTEGER: u64 = 1 << 53;

/// Bytes that are not what their type promises.
#[derive(Debug, thiserror::Error)]
#[error("a value of type {0} cannot be read")]
pub(crate) struct Unreadable(String);

/// Space that a cell may be written into before it is handed on.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: Vec<u8>,
    element: Vec<u8>,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    big_numbers_as_text: bool,
}

impl Scratch {
    /// Space for the cells of one answer.
    pub(crate) fn new(big_numbers_as_text: bool) -> Self {
        Self { big_numbers_as_text, ..Self::default() }
    }
}

/// Reads one value; no bytes are null.
///
/// # Errors
/// [`Unreadable`] for bytes that do not fit the type, and for types that CQL does not name.
pub(crate) fn cell<'a>(
    ty: &ColumnType<'_>,
    bytes: Option<&'a [u8]>,
    scratch: &'a mut Scratch,
) -> Result<CellRef<'a>, Unreadable> {
    let Some(bytes) = bytes else { return Ok(CellRef::Null) };
    let big = scratch.big_numbers_as_text;
    scratch.text.clear();
    let found = match ty {
        ColumnType::Native(native) => scalar(native, bytes, &mut scratch.text, big),
        _ => {
            let Scratch { text, element, .. } = scratch;
            structured(ty, bytes, text, element, big)
                .and_then(|()| std::str::from_utf8(text).ok())
                .map(CellRef::Json)
        }
    };
    found.ok_or_else(|| Unreadable(format!("{ty:?}")))
}

fn scalar<'a>(native: &NativeType, bytes: &'a [u8], out: &'a mut Vec<u8>, big: bool) -> Option<CellRef<'a>> {
    // Text and blobs can be empty; of the other types the empty value is a remnant of Thrift and says nothing.
    if bytes.is_empty() && !matches!(native, NativeType::Text | NativeType::Ascii | NativeType::Blob) {
        return Some(CellRef::Null);
    }
    Some(match native {
        NativeType::Text | NativeType::Ascii => CellRef::Text(std::str::from_utf8(bytes).ok()?),
        NativeType::Boolean => CellRef::Bool(*bytes.first()? != 0),
        NativeType::TinyInt => CellRef::Int(i8::from_be_bytes(bytes.try_into().ok()?).into()),
        NativeType::SmallInt => CellRef::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        NativeType::Int => CellRef::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        NativeType::BigInt | NativeType::Counter => integer(long(bytes)?, out, big),
        NativeType::Varint => match number::small(bytes) {
            Some(number) if !big => CellRef::Int(number),
            _ => {
                number::put_integer(bytes, out);
                exact(out, big)?
            }
        },
        NativeType::Decimal => {
            let (scale, unscaled) = bytes.split_at_checked(4)?;
            number::put_decimal(unscaled, i32::from_be_bytes(scale.try_into().ok()?), out);
            exact(out, big)?
        }
        NativeType::Double => {
            let number = f64::from_be_bytes(bytes.try_into().ok()?);
            float(number, ryu::Buffer::new().format(number), out)
        }
        NativeType::Float => {
            let number = f32::from_be_bytes(bytes.try_into().ok()?);
            float(number.into(), ryu::Buffer::new().format(number), out)
        }
        _ => {
            text_form(native, bytes, out)?;
            CellRef::Plain(std::str::from_utf8(out).ok()?)
        }
    })
}

/// The types that are strings in JSON.
fn text_form(native: &NativeType, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match native {
        NativeType::Uuid | NativeType::Timeuuid => {
            let id = uuid::Uuid::from_slice(bytes).ok()?;
            out.extend_from_slice(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
        }
        NativeType::Timestamp => calendar::put_timestamp(long(bytes)?, out),
        NativeType::Date => calendar::put_cql_date(u32::from_be_bytes(bytes.try_into().ok()?), out),
        NativeType::Time => {
            let nanos = long(bytes).filter(|nanos| (0..calendar::NANOS_PER_DAY).contains(nanos))?;
            calendar::put_time(nanos, out);
        }
        NativeType::Duration => {
            let mut reader = Reader(bytes);
            let parts = duration::Parts {
                months: i32::try_from(reader.signed_vint()?).ok()?,
                days: i32::try_from(reader.signed_vint()?).ok()?,
                nanos: reader.signed_vint()?,
            };
            duration::put(parts, out);
        }
        NativeType::Inet => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
            };
            out.extend_from_slice(address.to_string().as_bytes());
        }
        NativeType::Blob => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"0x");
            for byte in bytes {
                out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
        _ => return None,
    }
    Some(())
}

fn long(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

fn integer(number: i64, out: &mut Vec<u8>, big: bool) -> CellRef<'_> {
    if big && number.unsigned_abs() > SAFE_INTEGER {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        return CellRef::Plain(std::str::from_utf8(out).unwrap_or_default());
    }
    CellRef::Int(number)
}

/// A number with every digit.
fn exact(out: &[u8], big: bool) -> Option<CellRef<'_>> {
    let text = std::str::from_utf8(out).ok()?;
    Some(if big { CellRef::Plain(text) } else { CellRef::Number(text) })
}

/// `shortest` is the shortest text that reads back as the number; a whole number loses its `.0`.
fn float<'a>(number: f64, shortest: &str, out: &'a mut Vec<u8>) -> CellRef<'a> {
    if number.is_nan() {
        return CellRef::Plain("NaN");
    }
    if number.is_infinite() {
        return CellRef::Plain(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
    out.extend_from_slice(shortest.strip_suffix(".0").unwrap_or(shortest).as_bytes());
    CellRef::Number(std::str::from_utf8(out).unwrap_or_default())
}

/// Writes a value as JSON; `element` is space for one scalar.
fn json(
    ty: &ColumnType<'_>,
    bytes: Option<&[u8]>,
    out: &mut Vec<u8>,
    element: &mut Vec<u8>,
    big: bool,
) -> Option<()> {
    let Some(bytes) = bytes else {
        out.extend_from_slice(b"null");
        return Some(());
    };
    let ColumnType::Native(native) = ty else { return structured(ty, bytes, out, element, big) };
    element.clear();
    match scalar(native, bytes, element, big)? {
        CellRef::Null => out.extend_from_slice(b"null"),
        CellRef::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        CellRef::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        CellRef::Number(text) | CellRef::Json(text) => out.extend_from_slice(text.as_bytes()),
        CellRef::Plain(text) | CellRef::Text(text) => quoted(text, out),
    }
    Some(())
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape_into(text, out);
    out.push(b'"');
}

fn structured(
    ty: &ColumnType<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
    element: &mut Vec<u8>,
    big: bool,
) -> Option<()> {
    let mut reader = Reader(bytes);
    match ty {
        ColumnType::Collection { typ: CollectionType::List(inner) | CollectionType::Set(inner), .. } => {
            out.push(b'[');
            for index in 0..reader.count()? {
                separate(index, out);
                json(inner, reader.value()?, out, element, big)?;
            }
            out.push(b']');
        }
        ColumnType::Collection { typ: CollectionType::Map(key, value), .. } => {
            map(&mut reader, key, value, out, element, big)?;
        }
        ColumnType::Vector { typ, dimensions } => {
            let size = typ.type_size_for_vector();
            out.push(b'[');
            for index in 0..usize::from(*dimensions) {
                separate(index, out);
                let size = match size {
                    Some(size) => size,
                    None => usize::try_from(reader.vint()?).ok()?,
                };
                json(typ, Some(reader.take(size)?), out, element, big)?;
            }
            out.push(b']');
        }
        ColumnType::Tuple(types) => {
            out.push(b'[');
            for (index, ty) in types.iter().enumerate() {
                separate(index, out);
                json(ty, reader.value_or_end()?, out, element, big)?;
            }
            out.push(b']');
        }
        ColumnType::UserDefinedType { definition, .. } => {
            out.push(b'{');
            for (index, (name, ty)) in definition.field_types.iter().enumerate() {
                separate(index, out);
                quoted(name, out);
                out.push(b':');
                json(ty, reader.value_or_end()?, out, element, big)?;
            }
            out.push(b'}');
        }
        _ => return None,
    }
    Some(())
}

/// An object when the keys are text, else an array of pairs.
fn map(
    reader: &mut Reader<'_>,
    key: &ColumnType<'_>,
    value: &ColumnType<'_>,
    out: &mut Vec<u8>,
    element: &mut Vec<u8>,
    big: bool,
) -> Option<()> {
    let named = matches!(key, ColumnType::Native(NativeType::Text | NativeType::Ascii));
    out.push(if named { b'{' } else { b'[' });
    for index in 0..reader.count()? {
        separate(index, out);
        if !named {
            out.push(b'[');
        }
        json(key, reader.value()?, out, element, big)?;
        out.push(if named { b':' } else { b',' });
        json(value, reader.value()?, out, element, big)?;
        if !named {
            out.push(b']');
        }
    }
    out.push(if named { b'}' } else { b']' });
    Some(())
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

/// What is left of a value's bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.int()?).ok()
    }

    /// A length and so many bytes; a negative length is null.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(size) => self.take(size).map(Some),
            Err(_) => Some(None),
        }
    }

    /// The same, where a value written before its type grew ends early.
    fn value_or_end(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.is_empty() { Some(None) } else { self.value() }
    }

    /// An unsigned integer whose first byte tells by its leading ones how many follow.
    fn vint(&mut self) -> Option<u64> {
        let first = *self.take(1)?.first()?;
        let more = first.leading_ones() as usize;
        let start = if more >= 8 { 0 } else { u64::from(first & (0xFF >> more)) };
        Some(self.take(more)?.iter().fold(start, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A signed one: the sign is the last bit.
    fn signed_vint(&mut self) -> Option<i64> {
        let number = self.vint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An unsigned integer that takes all of `bytes`.
    pub(in crate::value) fn vint(bytes: &[u8]) -> Option<u64> {
        let mut reader = Reader(bytes);
        reader.vint().filter(|_| reader.0.is_empty())
    }

    #[test]
    fn lengths_are_told_by_their_leading_ones() {
        for (bytes, number) in [
            (&[0][..], 0),
            (&[0x7F], 127),
            (&[0x80, 0x80], 128),
            (&[0xBF, 0xFF], 16_383),
            (&[0xC0, 0x40, 0x00], 16_384),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], u64::MAX),
        ] {
            assert_eq!(vint(bytes), Some(number), "{bytes:?}");
        }
        assert_eq!(vint(&[0x80]), None);
    }
}
