#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use proptest::prelude::*;
use scylla::frame::response::result::UserDefinedType;

use super::*;
use crate::value::{Scratch, cell};

fn native(native: NativeType) -> ColumnType<'static> {
    ColumnType::Native(native)
}

fn collection(typ: CollectionType<'static>) -> ColumnType<'static> {
    ColumnType::Collection { frozen: false, typ }
}

fn bytes(value: &CqlValue, ty: &ColumnType<'_>) -> Result<Vec<u8>, SerializationError> {
    let mut buffer = Vec::new();
    Bound(value).serialize(ty, CellWriter::new(&mut buffer))?;
    Ok(buffer)
}

/// The value goes out and is read as `expected`.
fn check(value: CqlValue, ty: ColumnType<'_>, expected: &str) {
    let bytes = bytes(&value, &ty).unwrap();
    let mut scratch = Scratch::default();
    let cell = cell(&ty, Some(&bytes[4..]), &mut scratch).unwrap();
    assert_eq!(format!("{cell:?}"), expected, "{value:?}");
    assert_eq!(i32::from_be_bytes(bytes[..4].try_into().unwrap()), bytes.len() as i32 - 4);
}

#[test]
fn scalars() {
    check(CqlValue::Text("é".into()), native(NativeType::Text), "Text(\"é\")");
    check(CqlValue::Text("e".into()), native(NativeType::Ascii), "Text(\"e\")");
    check(CqlValue::Bool(true), native(NativeType::Boolean), "Bool(true)");
    for (ty, number) in [
        (NativeType::TinyInt, i64::from(i8::MIN)),
        (NativeType::SmallInt, i64::from(i16::MIN)),
        (NativeType::Int, i64::from(i32::MIN)),
        (NativeType::BigInt, i64::MIN),
        (NativeType::Counter, i64::MAX),
    ] {
        check(CqlValue::Int(number), native(ty), &format!("Int({number})"));
    }
    check(CqlValue::Varint([0, 0x80].into()), native(NativeType::Varint), "Int(128)");
    let decimal = CqlValue::Decimal { unscaled: [0, 0x96].into(), scale: 2 };
    check(decimal, native(NativeType::Decimal), "Number(\"1.50\")");
    check(CqlValue::Float(0.5), native(NativeType::Double), "Number(\"0.5\")");
    check(CqlValue::Float(0.5), native(NativeType::Float), "Number(\"0.5\")");
    let id = "Plain(\"01020304-0506-0708-090a-0b0c0d0e0f10\")";
    let raw = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    check(CqlValue::Uuid(raw), native(NativeType::Uuid), id);
    check(CqlValue::Uuid(raw), native(NativeType::Timeuuid), id);
    check(CqlValue::Timestamp(-1), native(NativeType::Timestamp), "Plain(\"1969-12-31T23:59:59.999+00:00\")");
    check(CqlValue::Date(0), native(NativeType::Date), "Plain(\"1970-01-01\")");
    check(CqlValue::Date(-1), native(NativeType::Date), "Plain(\"1969-12-31\")");
    check(CqlValue::Time(1), native(NativeType::Time), "Plain(\"00:00:00.000000001\")");
    let duration = CqlValue::Duration { months: -1, days: -200, nanos: -1_000_000_000 };
    check(duration, native(NativeType::Duration), "Plain(\"P-1M-200DT-1S\")");
    check(CqlValue::Inet("10.0.0.1".parse().unwrap()), native(NativeType::Inet), "Plain(\"10.0.0.1\")");
    check(CqlValue::Inet("::1".parse().unwrap()), native(NativeType::Inet), "Plain(\"::1\")");
    check(CqlValue::Blob([0, 255].into()), native(NativeType::Blob), "Plain(\"0x00ff\")");
}

#[test]
fn compounds() {
    let int = || native(NativeType::Int);
    let text = || native(NativeType::Text);
    let one = || CqlValue::Int(1);
    check(
        CqlValue::List(vec![one(), one()]),
        collection(CollectionType::List(int().into())),
        "Json(\"[1,1]\")",
    );
    check(CqlValue::Set(vec![one()]), collection(CollectionType::Set(int().into())), "Json(\"[1]\")");
    let map = collection(CollectionType::Map(text().into(), int().into()));
    check(CqlValue::Map(vec![(CqlValue::Text("a".into()), one())]), map, "Json(\"{\\\"a\\\":1}\")");
    let pair = ColumnType::Tuple(vec![int(), text()]);
    check(CqlValue::Tuple(vec![one(), CqlValue::Null]), pair, "Json(\"[1,null]\")");
    let vector = |ty| ColumnType::Vector { typ: Box::new(ty), dimensions: 2 };
    check(
        CqlValue::Vector(vec![CqlValue::Float(1.0), CqlValue::Float(-0.5)]),
        vector(native(NativeType::Float)),
        "Json(\"[1,-0.5]\")",
    );
    let long = "x".repeat(20_000);
    check(
        CqlValue::Vector(vec![CqlValue::Text("a".into()), CqlValue::Text(long.as_str().into())]),
        vector(text()),
        &format!("Json(\"[\\\"a\\\",\\\"{long}\\\"]\")"),
    );
    let field_types = vec![("n".into(), int()), ("t".into(), text())];
    let definition = Arc::new(UserDefinedType { name: "u".into(), keyspace: "k".into(), field_types });
    check(
        CqlValue::Udt(vec![one(), CqlValue::Null]),
        ColumnType::UserDefinedType { frozen: true, definition },
        "Json(\"{\\\"n\\\":1,\\\"t\\\":null}\")",
    );
}

#[test]
fn absence_has_two_forms() {
    assert_eq!(bytes(&CqlValue::Null, &native(NativeType::Int)).unwrap(), (-1_i32).to_be_bytes());
    assert_eq!(bytes(&CqlValue::Unset, &native(NativeType::Int)).unwrap(), (-2_i32).to_be_bytes());
}

#[test]
fn another_type_than_was_planned_is_noticed() {
    let refused = |value: CqlValue, ty: ColumnType<'_>| {
        let error = bytes(&value, &ty).unwrap_err();
        assert!(error.downcast_ref::<OtherType>().is_some(), "{value:?}: {error}");
    };
    refused(CqlValue::Int(1), native(NativeType::Text));
    refused(CqlValue::Int(300), native(NativeType::TinyInt));
    refused(CqlValue::Text("a".into()), native(NativeType::Int));
    refused(CqlValue::List(vec![]), native(NativeType::Int));
    refused(CqlValue::Tuple(vec![CqlValue::Null]), ColumnType::Tuple(vec![]));
}

proptest! {
    #[test]
    fn any_length_is_read_as_it_was_written(number: u64) {
        let mut bytes = Vec::new();
        put_vint(number, &mut bytes);
        prop_assert_eq!(crate::value::decode::tests::vint(&bytes), Some(number));
    }
}
