//! The binary form of the types that the gateway asks for as they are.

use athena_domain::rows::{CellRef, escape_into};

use super::{Unreadable, calendar, numeric, oid};

/// Largest integer that every JSON reader keeps: 2^53.
const SAFE_INTEGER: u64 = 1 << 53;

/// Space that a cell may be written into before it is handed on.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    text: Vec<u8>,
    element: Vec<u8>,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    pub big_numbers_as_text: bool,
}

impl Scratch {
    /// The space, emptied.
    pub(super) fn take_text(&mut self) -> &mut Vec<u8> {
        self.text.clear();
        &mut self.text
    }
}

/// Whether [`binary_cell`] reads the type (arrays of such types too).
pub(crate) fn is_readable(type_oid: u32) -> bool {
    is_scalar(type_oid) || element_of(type_oid).is_some()
}

fn is_scalar(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::BOOL
            | oid::BYTEA
            | oid::NAME
            | oid::INT8
            | oid::INT2
            | oid::INT4
            | oid::TEXT
            | oid::JSON
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::UNKNOWN
            | oid::BPCHAR
            | oid::VARCHAR
            | oid::DATE
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::NUMERIC
            | oid::UUID
            | oid::JSONB
    )
}

/// Whether text is in the type's binary form, or in that of its elements, as the session's encoding has it.
pub(crate) fn bears_text(type_oid: u32) -> bool {
    let text = [oid::TEXT, oid::VARCHAR, oid::BPCHAR, oid::NAME, oid::UNKNOWN, oid::JSON, oid::JSONB];
    text.contains(&element_of(type_oid).unwrap_or(type_oid))
}

/// Element type of the built-in array types over [`is_scalar`] types.
fn element_of(array: u32) -> Option<u32> {
    Some(match array {
        1000 => oid::BOOL,
        1001 => oid::BYTEA,
        1003 => oid::NAME,
        1016 => oid::INT8,
        1005 => oid::INT2,
        1007 => oid::INT4,
        1009 => oid::TEXT,
        199 => oid::JSON,
        1021 => oid::FLOAT4,
        1022 => oid::FLOAT8,
        1014 => oid::BPCHAR,
        1015 => oid::VARCHAR,
        1182 => oid::DATE,
        1115 => oid::TIMESTAMP,
        1185 => oid::TIMESTAMPTZ,
        1231 => oid::NUMERIC,
        2951 => oid::UUID,
        3807 => oid::JSONB,
        _ => return None,
    })
}

/// Reads one value.
///
/// # Errors
/// [`Unreadable`] for a type outside [`is_readable`] or bytes of another length.
pub(crate) fn binary_cell<'a>(
    type_oid: u32,
    bytes: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<CellRef<'a>, Unreadable> {
    let big = scratch.big_numbers_as_text;
    if element_of(type_oid).is_some() {
        let Scratch { text, element, .. } = scratch;
        text.clear();
        array(bytes, text, element, big).ok_or(Unreadable { oid: type_oid })?;
        return utf8(text, type_oid).map(CellRef::Json);
    }
    scratch.text.clear();
    scalar(type_oid, bytes, &mut scratch.text, big)
}

fn utf8(bytes: &[u8], type_oid: u32) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|_| Unreadable { oid: type_oid })
}

fn scalar<'a>(
    type_oid: u32,
    bytes: &'a [u8],
    out: &'a mut Vec<u8>,
    big_as_text: bool,
) -> Result<CellRef<'a>, Unreadable> {
    let wrong = |_| Unreadable { oid: type_oid };
    match type_oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN => {
            utf8(bytes, type_oid).map(CellRef::Text)
        }
        oid::INT8 => Ok(integer(i64::from_be_bytes(bytes.try_into().map_err(wrong)?), out, big_as_text)),
        oid::INT4 => Ok(CellRef::Int(i32::from_be_bytes(bytes.try_into().map_err(wrong)?).into())),
        oid::INT2 => Ok(CellRef::Int(i16::from_be_bytes(bytes.try_into().map_err(wrong)?).into())),
        oid::BOOL => match bytes {
            [flag] => Ok(CellRef::Bool(*flag != 0)),
            _ => Err(Unreadable { oid: type_oid }),
        },
        oid::NUMERIC => match numeric::numeric(bytes, out).ok_or(Unreadable { oid: type_oid })? {
            Ok(()) => utf8(out, type_oid).map(if big_as_text { CellRef::Plain } else { CellRef::Number }),
            Err(word) => Ok(CellRef::Plain(word)),
        },
        oid::FLOAT8 => {
            let number = f64::from_be_bytes(bytes.try_into().map_err(wrong)?);
            Ok(float(number, ryu::Buffer::new().format(number), out))
        }
        oid::FLOAT4 => {
            let number = f32::from_be_bytes(bytes.try_into().map_err(wrong)?);
            Ok(float(number.into(), ryu::Buffer::new().format(number), out))
        }
        oid::JSON => utf8(bytes, type_oid).map(CellRef::Json),
        oid::JSONB => match bytes {
            // The first byte is the format's version.
            [1, text @ ..] => utf8(text, type_oid).map(CellRef::Json),
            _ => Err(Unreadable { oid: type_oid }),
        },
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(bytes.try_into().map_err(wrong)?);
            calendar::timestamp(micros, type_oid == oid::TIMESTAMPTZ, out);
            utf8(out, type_oid).map(CellRef::Plain)
        }
        oid::DATE => {
            calendar::date(i32::from_be_bytes(bytes.try_into().map_err(wrong)?), out);
            utf8(out, type_oid).map(CellRef::Plain)
        }
        oid::UUID => {
            let id: &[u8; 16] = bytes.try_into().map_err(wrong)?;
            for (place, byte) in id.iter().enumerate() {
                if matches!(place, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                hex(*byte, out);
            }
            utf8(out, type_oid).map(CellRef::Plain)
        }
        oid::BYTEA => {
            out.extend_from_slice(b"\\x");
            bytes.iter().for_each(|byte| hex(*byte, out));
            // Not `Plain`: the backslash needs an escape in JSON.
            utf8(out, type_oid).map(CellRef::Text)
        }
        _ => Err(Unreadable { oid: type_oid }),
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn integer(number: i64, out: &mut Vec<u8>, big_as_text: bool) -> CellRef<'_> {
    if big_as_text && number.unsigned_abs() > SAFE_INTEGER {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        return CellRef::Plain(std::str::from_utf8(out).unwrap_or_default());
    }
    CellRef::Int(number)
}

/// `shortest` is the shortest text that reads back as the number; a whole number loses its `.0`.
fn float<'a>(number: f64, shortest: &str, out: &'a mut Vec<u8>) -> CellRef<'a> {
    if number.is_nan() {
        return CellRef::Plain("NaN");
    }
    if number.is_infinite() {
        return CellRef::Plain(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let text = shortest.strip_suffix(".0").unwrap_or(shortest);
    out.extend_from_slice(text.as_bytes());
    CellRef::Number(std::str::from_utf8(out).unwrap_or_default())
}

/// Writes a cell as a JSON value.
pub(super) fn json_value(cell: CellRef<'_>, out: &mut Vec<u8>) {
    match cell {
        CellRef::Null => out.extend_from_slice(b"null"),
        CellRef::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        CellRef::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        CellRef::Number(text) | CellRef::Json(text) => out.extend_from_slice(text.as_bytes()),
        CellRef::Plain(text) | CellRef::Text(text) => {
            out.push(b'"');
            escape_into(text, out);
            out.push(b'"');
        }
    }
}

/// Most dimensions of an array (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// Header (dimensions, flags, element type, lengths and lower bounds), then the elements in row order.
/// Lower bounds are lost: JSON arrays have none.
fn array(bytes: &[u8], out: &mut Vec<u8>, element: &mut Vec<u8>, big_as_text: bool) -> Option<()> {
    let mut reader = Reader { bytes };
    let dimensions = usize::try_from(reader.int()?).ok().filter(|count| *count <= MAX_DIMENSIONS)?;
    reader.int()?;
    let element_oid = u32::try_from(reader.int()?).ok()?;
    let mut lengths = [0_usize; MAX_DIMENSIONS];
    for length in &mut lengths[..dimensions] {
        *length = usize::try_from(reader.int()?).ok()?;
        reader.int()?;
    }
    if dimensions == 0 {
        out.extend_from_slice(b"[]");
        return Some(());
    }
    level(&mut reader, &lengths[..dimensions], element_oid, out, element, big_as_text)
}

fn level(
    reader: &mut Reader<'_>,
    lengths: &[usize],
    element_oid: u32,
    out: &mut Vec<u8>,
    element: &mut Vec<u8>,
    big_as_text: bool,
) -> Option<()> {
    let (&length, inner) = lengths.split_first()?;
    out.push(b'[');
    for index in 0..length {
        if index > 0 {
            out.push(b',');
        }
        if !inner.is_empty() {
            level(reader, inner, element_oid, out, element, big_as_text)?;
            continue;
        }
        match usize::try_from(reader.int()?) {
            Err(_) => out.extend_from_slice(b"null"),
            Ok(size) => {
                let bytes = reader.take(size)?;
                element.clear();
                json_value(scalar(element_oid, bytes, element, big_as_text).ok()?, out);
            }
        }
    }
    out.push(b']');
    Some(())
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}
