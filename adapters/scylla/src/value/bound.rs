//! Planned values → the bytes that the server wants bound.

use athena_domain::plan::cql::CqlValue;
use scylla::frame::response::result::{CollectionType, ColumnType, NativeType};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellValueBuilder, CellWriter, WrittenCellProof};

/// A planned value on its way to the driver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a>(pub &'a CqlValue);

/// The server wants another type than was planned with: what is known of the table is old.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server wants another type than the plan has")]
pub(crate) struct OtherType;

fn other_type() -> SerializationError {
    SerializationError::new(OtherType)
}

impl SerializeValue for Bound<'_> {
    fn serialize<'b>(
        &self,
        ty: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match (self.0, ty) {
            (CqlValue::Null, _) => Ok(writer.set_null()),
            (CqlValue::Unset, _) => Ok(writer.set_unset()),
            (value, ColumnType::Native(native)) => scalar(value, native, writer),
            (value, ty) => compound(value, ty, writer),
        }
    }
}

fn scalar<'b>(
    value: &CqlValue,
    native: &NativeType,
    writer: CellWriter<'b>,
) -> Result<WrittenCellProof<'b>, SerializationError> {
    if let (CqlValue::Decimal { unscaled, scale }, NativeType::Decimal) = (value, native) {
        let mut builder = writer.into_value_builder();
        builder.append_bytes(&scale.to_be_bytes());
        builder.append_bytes(unscaled);
        return builder.finish().map_err(SerializationError::new);
    }
    let put = |bytes: &[u8]| writer.set_value(bytes).map_err(SerializationError::new);
    match (value, native) {
        (CqlValue::Text(text), NativeType::Text | NativeType::Ascii) => put(text.as_bytes()),
        (CqlValue::Bool(flag), NativeType::Boolean) => put(&[u8::from(*flag)]),
        (CqlValue::Int(number), NativeType::BigInt | NativeType::Counter) => put(&number.to_be_bytes()),
        (CqlValue::Int(number), NativeType::Int) => {
            put(&i32::try_from(*number).map_err(|_| other_type())?.to_be_bytes())
        }
        (CqlValue::Int(number), NativeType::SmallInt) => {
            put(&i16::try_from(*number).map_err(|_| other_type())?.to_be_bytes())
        }
        (CqlValue::Int(number), NativeType::TinyInt) => {
            put(&i8::try_from(*number).map_err(|_| other_type())?.to_be_bytes())
        }
        (CqlValue::Varint(bytes), NativeType::Varint) => put(bytes),
        (CqlValue::Float(number), NativeType::Double) => put(&number.to_be_bytes()),
        (CqlValue::Float(number), NativeType::Float) => put(&(*number as f32).to_be_bytes()),
        (CqlValue::Uuid(id), NativeType::Uuid | NativeType::Timeuuid) => put(id),
        (CqlValue::Timestamp(millis), NativeType::Timestamp) => put(&millis.to_be_bytes()),
        // On the wire the middle of the range is 1970.
        (CqlValue::Date(days), NativeType::Date) => put(&(days.cast_unsigned() ^ (1 << 31)).to_be_bytes()),
        (CqlValue::Time(nanos), NativeType::Time) => put(&nanos.to_be_bytes()),
        (CqlValue::Duration { months, days, nanos }, NativeType::Duration) => {
            let mut bytes = Vec::with_capacity(20);
            for part in [i64::from(*months), i64::from(*days), *nanos] {
                put_vint((part << 1 ^ part >> 63).cast_unsigned(), &mut bytes);
            }
            put(&bytes)
        }
        (CqlValue::Inet(address), NativeType::Inet) => match address {
            std::net::IpAddr::V4(address) => put(&address.octets()),
            std::net::IpAddr::V6(address) => put(&address.octets()),
        },
        (CqlValue::Blob(bytes), NativeType::Blob) => put(bytes),
        _ => Err(other_type()),
    }
}

fn compound<'b>(
    value: &CqlValue,
    ty: &ColumnType<'_>,
    writer: CellWriter<'b>,
) -> Result<WrittenCellProof<'b>, SerializationError> {
    let mut builder = writer.into_value_builder();
    match (value, ty) {
        (
            CqlValue::List(members) | CqlValue::Set(members),
            ColumnType::Collection {
                typ: CollectionType::List(element) | CollectionType::Set(element), ..
            },
        ) => {
            put_count(members.len(), &mut builder)?;
            for member in members {
                Bound(member).serialize(element, builder.make_sub_writer())?;
            }
        }
        (CqlValue::Map(pairs), ColumnType::Collection { typ: CollectionType::Map(key, item), .. }) => {
            put_count(pairs.len(), &mut builder)?;
            for (name, member) in pairs {
                Bound(name).serialize(key, builder.make_sub_writer())?;
                Bound(member).serialize(item, builder.make_sub_writer())?;
            }
        }
        (CqlValue::Tuple(parts), ColumnType::Tuple(types)) if parts.len() == types.len() => {
            for (part, ty) in parts.iter().zip(types) {
                Bound(part).serialize(ty, builder.make_sub_writer())?;
            }
        }
        (CqlValue::Udt(fields), ColumnType::UserDefinedType { definition, .. })
            if fields.len() == definition.field_types.len() =>
        {
            for (field, (_, ty)) in fields.iter().zip(&definition.field_types) {
                Bound(field).serialize(ty, builder.make_sub_writer())?;
            }
        }
        (CqlValue::Vector(members), ColumnType::Vector { typ, dimensions })
            if members.len() == usize::from(*dimensions) =>
        {
            let fixed = typ.type_size_for_vector().is_some();
            for member in members {
                put_element(member, typ, fixed, &mut builder)?;
            }
        }
        _ => return Err(other_type()),
    }
    builder.finish().map_err(SerializationError::new)
}

/// An element of a vector: by itself where all are of one length, else after its own.
fn put_element(
    member: &CqlValue,
    ty: &ColumnType<'_>,
    fixed: bool,
    builder: &mut CellValueBuilder<'_>,
) -> Result<(), SerializationError> {
    let mut bytes = Vec::new();
    Bound(member).serialize(ty, CellWriter::new_without_size(&mut bytes))?;
    if !fixed {
        let mut length = Vec::new();
        put_vint(bytes.len() as u64, &mut length);
        builder.append_bytes(&length);
    }
    builder.append_bytes(&bytes);
    Ok(())
}

fn put_count(count: usize, builder: &mut CellValueBuilder<'_>) -> Result<(), SerializationError> {
    let count = i32::try_from(count).map_err(|_| other_type())?;
    builder.append_bytes(&count.to_be_bytes());
    Ok(())
}

/// An unsigned integer whose first byte tells by its leading ones how many follow.
fn put_vint(number: u64, out: &mut Vec<u8>) {
    let bits = 64 - number.leading_zeros() as usize;
    // Seven bits to a byte, and the ninth byte has all of its eight.
    let more = if bits > 56 { 8 } else { bits.saturating_sub(1) / 7 };
    let ones = if more == 8 { 0xFF } else { !(0xFF_u8 >> more) };
    let bytes = number.to_be_bytes();
    let first = if more == 8 { ones } else { ones | bytes[7 - more] };
    out.push(first);
    out.extend_from_slice(&bytes[8 - more..]);
}

#[cfg(test)]
mod tests;
