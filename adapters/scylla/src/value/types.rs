//! The types that the server wants bound, as the domain knows them.

use std::sync::Arc;

use athena_domain::schema::CqlType;
use scylla::frame::response::result::{CollectionType, ColumnType, NativeType};

/// The type of a marker, so that the domain can read a caller's value for it.
pub(crate) fn domain_type(ty: &ColumnType<'_>) -> CqlType {
    let inner = |ty: &ColumnType<'_>| Arc::new(domain_type(ty));
    match ty {
        ColumnType::Native(native) => scalar(native),
        ColumnType::Collection { frozen, typ: CollectionType::List(element) } => {
            CqlType::List { frozen: *frozen, element: inner(element) }
        }
        ColumnType::Collection { frozen, typ: CollectionType::Set(element) } => {
            CqlType::Set { frozen: *frozen, element: inner(element) }
        }
        ColumnType::Collection { frozen, typ: CollectionType::Map(key, value) } => {
            CqlType::Map { frozen: *frozen, key: inner(key), value: inner(value) }
        }
        ColumnType::Vector { typ, dimensions } => {
            CqlType::Vector { element: inner(typ), dimensions: usize::from(*dimensions) }
        }
        ColumnType::UserDefinedType { frozen, definition } => {
            let fields = definition.field_types.iter();
            CqlType::Udt {
                frozen: *frozen,
                name: definition.name.as_ref().into(),
                fields: fields.map(|(name, ty)| (name.as_ref().into(), domain_type(ty))).collect(),
            }
        }
        ColumnType::Tuple(types) => CqlType::Tuple(types.iter().map(domain_type).collect()),
        other => CqlType::Custom(format!("{other:?}").into()),
    }
}

fn scalar(native: &NativeType) -> CqlType {
    match native {
        NativeType::Ascii => CqlType::Ascii,
        NativeType::Text => CqlType::Text,
        NativeType::Boolean => CqlType::Bool,
        NativeType::TinyInt => CqlType::Int(8),
        NativeType::SmallInt => CqlType::Int(16),
        NativeType::Int => CqlType::Int(32),
        NativeType::BigInt => CqlType::Int(64),
        NativeType::Varint => CqlType::Varint,
        NativeType::Decimal => CqlType::Decimal,
        NativeType::Float => CqlType::Float(32),
        NativeType::Double => CqlType::Float(64),
        NativeType::Uuid => CqlType::Uuid,
        NativeType::Timeuuid => CqlType::TimeUuid,
        NativeType::Timestamp => CqlType::Timestamp,
        NativeType::Date => CqlType::Date,
        NativeType::Time => CqlType::Time,
        NativeType::Duration => CqlType::Duration,
        NativeType::Inet => CqlType::Inet,
        NativeType::Blob => CqlType::Blob,
        NativeType::Counter => CqlType::Counter,
        other => CqlType::Custom(format!("{other:?}").into()),
    }
}
