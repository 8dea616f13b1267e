#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::error::RequestCode;

fn number(text: &str) -> Value {
    Value::Number(text.into())
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn list(element: CqlType) -> CqlType {
    CqlType::List { frozen: false, element: Arc::new(element) }
}

fn set(element: CqlType) -> CqlType {
    CqlType::Set { frozen: false, element: Arc::new(element) }
}

fn map(key: CqlType, value: CqlType) -> CqlType {
    CqlType::Map { frozen: false, key: Arc::new(key), value: Arc::new(value) }
}

fn address() -> CqlType {
    let fields = vec![("street".into(), CqlType::Text), ("no".into(), CqlType::Int(32))];
    CqlType::Udt { frozen: true, name: "address".into(), fields: fields.into() }
}

fn text(text: &str) -> CqlValue {
    CqlValue::Text(text.into())
}

#[test]
fn scalars_are_read_exactly() {
    let check = |value: Value, ty: CqlType, expected: CqlValue| {
        assert_eq!(read(&value, &ty, "c"), Ok(expected), "{value:?} {ty}");
    };
    let decimal = |unscaled: i16, scale| CqlValue::Decimal {
        unscaled: BigInt::from(unscaled).to_signed_bytes_be().into(),
        scale,
    };
    check(Value::text("a\0é"), CqlType::Text, text("a\0é"));
    check(number("42"), CqlType::Text, text("42"));
    check(Value::text("a"), CqlType::Ascii, text("a"));
    check(Value::text("T"), CqlType::Bool, CqlValue::Bool(true));
    check(number("-128"), CqlType::Int(8), CqlValue::Int(-128));
    check(Value::text(" 127 "), CqlType::Int(8), CqlValue::Int(127));
    check(number("9223372036854775807"), CqlType::Int(64), CqlValue::Int(i64::MAX));
    check(number("-1"), CqlType::Counter, CqlValue::Int(-1));
    check(number("128"), CqlType::Varint, CqlValue::Varint(Box::new([0, 128])));
    check(number("1.50"), CqlType::Decimal, decimal(150, 2));
    check(number("-12e3"), CqlType::Decimal, decimal(-12, -3));
    for (word, unscaled, scale) in [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("0.00", 0, 2),
        ("127", 127, 0),
        ("128", 128, 0),
        ("-128", -128, 0),
        ("-12.9", -129, 1),
        ("25.5", 255, 1),
        ("-256", -256, 0),
        ("007", 7, 0),
        (".5", 5, 1),
        ("+1.5", 15, 1),
    ] {
        check(number(word), CqlType::Decimal, decimal(unscaled, scale));
    }
    check(number("16777217"), CqlType::Float(32), CqlValue::Float(16_777_216.0));
    check(Value::text("-Infinity"), CqlType::Float(64), CqlValue::Float(f64::NEG_INFINITY));
    let id = [0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11];
    check(Value::text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), CqlType::Uuid, CqlValue::Uuid(id));
    check(Value::text("A0EEBC999C0B4EF8BB6D6BB9BD380A11"), CqlType::Uuid, CqlValue::Uuid(id));
    check(Value::text("1970-01-02T00:00:00.001Z"), CqlType::Timestamp, CqlValue::Timestamp(86_400_001));
    check(Value::text("1969-12-31"), CqlType::Date, CqlValue::Date(-1));
    check(Value::text("00:00:01"), CqlType::Time, CqlValue::Time(1_000_000_000));
    let duration = CqlValue::Duration { months: 1, days: 2, nanos: 3 };
    check(Value::text("P1M2DT0.000000003S"), CqlType::Duration, duration);
    check(Value::text("::1"), CqlType::Inet, CqlValue::Inet("::1".parse().unwrap()));
    check(Value::text("0x00fF"), CqlType::Blob, CqlValue::Blob(Box::new([0, 255])));
    check(Value::text("0x"), CqlType::Blob, CqlValue::Blob(Box::new([])));
    check(Value::Null, list(CqlType::Text), CqlValue::Null);
}

#[test]
fn compounds_are_read_by_their_structure() {
    let check = |value: Value, ty: CqlType, expected: CqlValue| {
        assert_eq!(read(&value, &ty, "c"), Ok(expected), "{value:?} {ty}");
    };
    let ints = |numbers: &[i64]| numbers.iter().map(|n| CqlValue::Int(*n)).collect::<Vec<_>>();
    check(json("[1, 1]"), list(CqlType::Int(32)), CqlValue::List(ints(&[1, 1])));
    check(json("[2, 1]"), set(CqlType::Int(32)), CqlValue::Set(ints(&[2, 1])));
    check(Value::text("{1,\"2\"}"), set(CqlType::Int(32)), CqlValue::Set(ints(&[1, 2])));
    let quoted = CqlValue::List(vec![text("a,\"b\\"), text("null"), text("c d")]);
    check(Value::text(r#"{"a,\"b\\","null", c d }"#), list(CqlType::Text), quoted);
    check(Value::text("[1]"), list(CqlType::Int(32)), CqlValue::List(ints(&[1])));
    let nested = CqlValue::List(vec![CqlValue::Set(ints(&[1])), CqlValue::Set(vec![])]);
    let frozen = CqlType::Set { frozen: true, element: Arc::new(CqlType::Int(32)) };
    check(json("[[1],[]]"), list(frozen), nested);
    let pairs = CqlValue::Map(vec![(text("a"), CqlValue::Int(1))]);
    check(json(r#"{"a": 1}"#), map(CqlType::Text, CqlType::Int(32)), pairs.clone());
    check(json(r#"[["a", 1]]"#), map(CqlType::Text, CqlType::Int(32)), pairs);
    let by_number = CqlValue::Map(vec![(CqlValue::Int(1), text("a"))]);
    check(json(r#"[[1, "a"]]"#), map(CqlType::Int(32), CqlType::Text), by_number);
    let tuple = CqlType::Tuple(vec![CqlType::Int(32), CqlType::Text].into());
    check(json("[1, null]"), tuple, CqlValue::Tuple(vec![CqlValue::Int(1), CqlValue::Null]));
    let vector = CqlType::Vector { element: Arc::new(CqlType::Float(32)), dimensions: 2 };
    check(json("[1, 0.5]"), vector, CqlValue::Vector(vec![CqlValue::Float(1.0), CqlValue::Float(0.5)]));
    check(json(r#"{"no": 7}"#), address(), CqlValue::Udt(vec![CqlValue::Null, CqlValue::Int(7)]));
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_type() {
    let check = |value: Value, ty: CqlType, field: &str| {
        let error = read(&value, &ty, "c").unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (RequestCode::DataException, Some(field)),
            "{value:?} {ty}"
        );
        assert!(error.message.contains(field), "{}", error.message);
    };
    let here = |value: Value, ty: CqlType| {
        check(value.clone(), ty.clone(), "c");
        let message = read(&value, &ty, "c").unwrap_err().message;
        assert!(message.contains(&ty.to_string()), "{message}");
    };
    here(Value::text("é"), CqlType::Ascii);
    here(number("1"), CqlType::Bool);
    here(number("128"), CqlType::Int(8));
    here(number("-32769"), CqlType::Int(16));
    here(number("2147483648"), CqlType::Int(32));
    here(number("9223372036854775808"), CqlType::Int(64));
    here(number("1.5"), CqlType::Int(32));
    here(Value::Bool(true), CqlType::Int(32));
    here(number("1.5"), CqlType::Varint);
    here(Value::text("0x10"), CqlType::Varint);
    here(Value::text("NaN"), CqlType::Decimal);
    here(number("1e2147483649"), CqlType::Decimal);
    here(number("1e131073"), CqlType::Decimal);
    here(number("1e39"), CqlType::Float(32));
    here(number("1e309"), CqlType::Float(64));
    here(number("1e-50"), CqlType::Float(32));
    here(number("-0.001e-50"), CqlType::Float(32));
    here(number("1e-400"), CqlType::Float(64));
    here(Value::text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"), CqlType::Uuid);
    here(Value::text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), CqlType::TimeUuid);
    here(Value::text("2024-01-01T00:00:00.0001Z"), CqlType::Timestamp);
    here(number("0"), CqlType::Timestamp);
    here(Value::text("2023-02-29"), CqlType::Date);
    here(Value::text("24:00:00"), CqlType::Time);
    here(Value::text("P1M-1D"), CqlType::Duration);
    here(Value::text("1.2.3"), CqlType::Inet);
    here(Value::text("0x0"), CqlType::Blob);
    here(Value::text("00"), CqlType::Blob);
    here(json("{}"), CqlType::Text);
    here(json("{}"), list(CqlType::Text));
    here(json("[]"), list(CqlType::Text));
    here(json("{}"), map(CqlType::Text, CqlType::Text));
    here(json("[[1]]"), map(CqlType::Int(8), CqlType::Text));
    here(Value::text("{a"), set(CqlType::Text));
    here(Value::text("{a,{b}}"), set(CqlType::Text));
    here(json("[1]"), CqlType::Vector { element: Arc::new(CqlType::Float(32)), dimensions: 2 });
    here(json("[1]"), CqlType::Tuple(vec![CqlType::Int(8), CqlType::Int(8)].into()));
    here(Value::text("x"), CqlType::Custom("org.example".into()));
    check(json("[1, 300]"), list(CqlType::Int(8)), "c[1]");
    check(json("[1, null]"), list(CqlType::Int(8)), "c[1]");
    check(json("[1, 1]"), set(CqlType::Int(8)), "c");
    check(json(r#"{"a": "x"}"#), map(CqlType::Text, CqlType::Int(8)), "c.a");
    check(json("[[1, 2], [1, 3]]"), map(CqlType::Int(8), CqlType::Int(8)), "c");
    check(json(r#"{"town": 1}"#), address(), "c.town");
    check(json(r#"{"no": "x"}"#), address(), "c.no");
}

#[test]
fn a_type_without_any_value_is_null_unless_it_is_frozen() {
    let CqlType::Udt { name, fields, .. } = address() else { panic!("a user-defined type") };
    let loose = CqlType::Udt { frozen: false, name, fields };
    for empty in ["{}", r#"{"street": null}"#] {
        let error = read(&json(empty), &loose, "c").unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::DataException, Some("c")), "{empty}");
        assert!(error.message.contains("write null"), "{}", error.message);
        let nothing = CqlValue::Udt(vec![CqlValue::Null, CqlValue::Null]);
        assert_eq!(read(&json(empty), &address(), "c"), Ok(nothing), "{empty}");
    }
    assert!(read(&json(r#"{"no": 7}"#), &loose, "c").is_ok());
}

#[test]
fn too_many_digits_are_refused_before_they_are_read() {
    let most = "9".repeat(MAX_DIGITS);
    assert!(read(&number(&most), &CqlType::Varint, "c").is_ok());
    // Reading so many would take minutes.
    let more = "9".repeat(4 * 1024 * 1024);
    let begun = std::time::Instant::now();
    for sign in ["", "-", "+"] {
        let error = read(&number(&format!("{sign}{more}")), &CqlType::Varint, "c").unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::DataException, Some("c")));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn numbers_have_their_order() {
    let order = |a: &str, b: &str, ty: CqlType| {
        let value = |text: &str| read(&number(text), &ty, "c").unwrap();
        value(a).compare(&value(b))
    };
    use std::cmp::Ordering::{Equal, Greater, Less};
    assert_eq!(order("-129", "128", CqlType::Varint), Some(Less));
    assert_eq!(order("1.50", "1.5", CqlType::Decimal), Some(Equal));
    assert_eq!(order("1e3", "999.9", CqlType::Decimal), Some(Greater));
    assert_eq!(order("-1", "1", CqlType::Int(8)), Some(Less));
}

proptest! {
    #[test]
    fn any_value_is_read_without_panic(text in any::<String>(), like in r#"[-{}\[\]",\\:0-9aeTZPx.]{0,24}"#) {
        let types = [
            CqlType::Int(8), CqlType::Varint, CqlType::Decimal, CqlType::Float(32), CqlType::Uuid,
            CqlType::TimeUuid, CqlType::Inet, CqlType::Blob, CqlType::Duration, list(CqlType::Text),
            map(CqlType::Text, CqlType::Int(8)), address(),
        ];
        for ty in &types {
            for text in [&text, &like] {
                let _ = read(&Value::text(text), ty, "c");
                let _ = read(&Value::Number(text.as_str().into()), ty, "c");
                let _ = read(&Value::Json(text.as_str().into()), ty, "c");
            }
        }
    }

    #[test]
    fn bytes_keep_their_values(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(blob(&format!("0x{text}")), Some(bytes.clone().into()));
        prop_assert_eq!(hex(&text), Some(bytes));
    }
}
