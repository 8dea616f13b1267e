#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use athena_domain::RequestError;
use athena_domain::plan::cql::{CqlValue, read};
use athena_domain::query::{JsonText, Value};
use athena_domain::rows::{CellRef, escape_into};
use athena_domain::schema::CqlType;
use proptest::prelude::*;
use scylla::frame::response::result::{CollectionType, ColumnType, NativeType, UserDefinedType};
use scylla::serialize::value::SerializeValue as _;
use scylla::serialize::writers::CellWriter;

use super::*;

fn native(native: NativeType) -> ColumnType<'static> {
    ColumnType::Native(native)
}

fn list(element: ColumnType<'static>) -> ColumnType<'static> {
    ColumnType::Collection { frozen: true, typ: CollectionType::List(Box::new(element)) }
}

fn set(element: ColumnType<'static>) -> ColumnType<'static> {
    ColumnType::Collection { frozen: true, typ: CollectionType::Set(Box::new(element)) }
}

fn map(key: ColumnType<'static>, value: ColumnType<'static>) -> ColumnType<'static> {
    ColumnType::Collection { frozen: true, typ: CollectionType::Map(Box::new(key), Box::new(value)) }
}

fn vector(element: ColumnType<'static>, dimensions: u16) -> ColumnType<'static> {
    ColumnType::Vector { typ: Box::new(element), dimensions }
}

fn address() -> ColumnType<'static> {
    let field_types = vec![
        ("street".into(), native(NativeType::Text)),
        ("no".into(), native(NativeType::Int)),
        ("tags".into(), list(native(NativeType::Text))),
    ];
    let definition = UserDefinedType { name: "address".into(), keyspace: "k".into(), field_types };
    ColumnType::UserDefinedType { frozen: true, definition: Arc::new(definition) }
}

/// JSON → the value → the bytes that go to the server.
fn bytes(ty: &ColumnType<'_>, json: &str) -> Result<Option<Vec<u8>>, RequestError> {
    let value = JsonText::parse(json.as_bytes()).unwrap().value("f").unwrap();
    let value = read(&value, &domain_type(ty), "f")?;
    let mut buffer = Vec::new();
    Bound(&value).serialize(ty, CellWriter::new(&mut buffer)).unwrap();
    // Before the value stands its length.
    let content = buffer.split_off(4);
    Ok((buffer != (-1_i32).to_be_bytes()).then_some(content))
}

/// The bytes that come from the server → JSON.
fn shown(ty: &ColumnType<'_>, bytes: Option<&[u8]>, big: bool) -> String {
    let mut scratch = Scratch::new(big);
    match cell(ty, bytes, &mut scratch).unwrap() {
        CellRef::Null => "null".to_owned(),
        CellRef::Bool(flag) => flag.to_string(),
        CellRef::Int(number) => number.to_string(),
        CellRef::Number(text) | CellRef::Json(text) => text.to_owned(),
        CellRef::Plain(text) => format!("\"{text}\""),
        CellRef::Text(text) => {
            let mut out = vec![b'"'];
            escape_into(text, &mut out);
            out.push(b'"');
            String::from_utf8(out).unwrap()
        }
    }
}

/// What is written comes back as `expected`.
fn becomes(ty: &ColumnType<'_>, json: &str, expected: &str) {
    let bytes = bytes(ty, json).unwrap_or_else(|unfit| panic!("{json}: {unfit}"));
    assert_eq!(shown(ty, bytes.as_deref(), false), expected, "{json} as {ty:?}");
    // And the answer is accepted for the same value.
    let again = self::bytes(ty, expected).unwrap_or_else(|unfit| panic!("{expected}: {unfit}"));
    assert_eq!(shown(ty, again.as_deref(), false), expected);
}

fn same(ty: &ColumnType<'_>, json: &str) {
    becomes(ty, json, json);
}

fn refused(ty: &ColumnType<'_>, json: &str) {
    assert!(bytes(ty, json).is_err(), "{json} as {ty:?}");
}

#[test]
fn whole_numbers() {
    for (ty, least, most) in [
        (NativeType::TinyInt, "-128", "127"),
        (NativeType::SmallInt, "-32768", "32767"),
        (NativeType::Int, "-2147483648", "2147483647"),
        (NativeType::BigInt, "-9223372036854775808", "9223372036854775807"),
        (NativeType::Counter, "-9223372036854775808", "9223372036854775807"),
    ] {
        let ty = native(ty);
        same(&ty, least);
        same(&ty, most);
        same(&ty, "null");
        becomes(&ty, "\"7\"", "7");
        refused(&ty, "1.5");
        refused(&ty, "true");
        refused(&ty, &format!("{most}0"));
        refused(&ty, "[1]");
    }
}

#[test]
fn numbers_of_any_length_keep_every_digit() {
    let varint = native(NativeType::Varint);
    for number in
        ["0", "-1", "127", "128", "-129", "9223372036854775808", "-170141183460469231731687303715884105729"]
    {
        same(&varint, number);
    }
    same(&varint, &"9".repeat(3000));
    refused(&varint, "1.5");
    refused(&varint, "1e3");
    refused(&varint, &"9".repeat(200_000));

    let decimal = native(NativeType::Decimal);
    for number in [
        "0",
        "1.50",
        "-0.1",
        "0.000001",
        "0.1234567890123456789012345678901234567890",
        "12345678901234567890123456789012345678.90",
        "1E+3",
        "-1.5E+30",
        "1E-7",
    ] {
        same(&decimal, number);
    }
    becomes(&decimal, "100", "100");
    becomes(&decimal, "1e3", "1E+3");
    becomes(&decimal, "\" 2.0 \"", "2.0");
    becomes(&decimal, "0.00", "0.00");
    refused(&decimal, "\"NaN\"");
    refused(&decimal, "1e99999999999");
    refused(&decimal, "true");
}

#[test]
fn big_numbers_are_text_on_request() {
    let check = |ty: NativeType, json: &str, expected: &str| {
        let ty = native(ty);
        assert_eq!(shown(&ty, bytes(&ty, json).unwrap().as_deref(), true), expected);
    };
    check(NativeType::BigInt, "9007199254740992", "9007199254740992");
    check(NativeType::BigInt, "9007199254740993", "\"9007199254740993\"");
    check(NativeType::Counter, "-9007199254740993", "\"-9007199254740993\"");
    check(NativeType::Varint, "5", "\"5\"");
    check(NativeType::Decimal, "1.50", "\"1.50\"");
    let list = list(native(NativeType::Decimal));
    assert_eq!(shown(&list, bytes(&list, "[1.5]").unwrap().as_deref(), true), "[\"1.5\"]");
}

#[test]
fn binary_floating_point() {
    let double = native(NativeType::Double);
    same(&double, "0.1");
    same(&double, "-1.7976931348623157e308");
    becomes(&double, "1.0", "1");
    for word in ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""] {
        same(&double, word);
        same(&native(NativeType::Float), word);
    }
    refused(&double, "1e999");
    let float = native(NativeType::Float);
    same(&float, "0.1");
    refused(&float, "1e39");
    // Rounded once: by way of a double this would be the next number.
    becomes(&float, "1.000000059604644775390626", "1.0000001");
}

#[test]
fn text_bytes_and_truth() {
    let text = native(NativeType::Text);
    same(&text, "\"\"");
    same(&text, "\"é 😀 \\u0000 \\\" \\\\\"");
    becomes(&text, "5", "\"5\"");
    same(&native(NativeType::Ascii), "\"abc\"");
    refused(&native(NativeType::Ascii), "\"é\"");
    same(&native(NativeType::Boolean), "true");
    becomes(&native(NativeType::Boolean), "\"false\"", "false");
    refused(&native(NativeType::Boolean), "1");
    let blob = native(NativeType::Blob);
    same(&blob, "\"0x\"");
    same(&blob, "\"0x00ff10\"");
    becomes(&blob, "\"0XFF\"", "\"0xff\"");
    refused(&blob, "\"ff\"");
    refused(&blob, "\"0xf\"");
    refused(&blob, "\"0x+f\"");
}

#[test]
fn ids_and_addresses() {
    let id = "\"f47ac10b-58cc-4372-a567-0e02b2c3d479\"";
    same(&native(NativeType::Uuid), id);
    refused(&native(NativeType::Uuid), "\"f47ac10b\"");
    same(&native(NativeType::Timeuuid), "\"50554d6e-29bb-11e5-b345-feff819cdc9f\"");
    refused(&native(NativeType::Timeuuid), id);
    let inet = native(NativeType::Inet);
    same(&inet, "\"10.0.0.1\"");
    same(&inet, "\"2001:db8::1\"");
    refused(&inet, "\"10.0.0\"");
}

#[test]
fn dates_and_times() {
    let date = native(NativeType::Date);
    for day in ["1970-01-01", "2024-02-29", "0001-01-01", "0001-12-31 BC", "10000-01-01", "5881580-07-11"] {
        same(&date, &format!("\"{day}\""));
    }
    same(&date, "\"5877642-06-23 BC\"");
    becomes(&date, "\"-0043-03-15\"", "\"0044-03-15 BC\"");
    for wrong in
        ["2023-02-29", "2024-13-01", "2024-1-01", "24-01-01", "5881580-07-12", "infinity", "+1-01-01"]
    {
        refused(&date, &format!("\"{wrong}\""));
    }
    refused(&date, "20240101");

    let time = native(NativeType::Time);
    same(&time, "\"00:00:00\"");
    same(&time, "\"23:59:59.999999999\"");
    becomes(&time, "\"07:30\"", "\"07:30:00\"");
    becomes(&time, "\"07:30:00.500\"", "\"07:30:00.5\"");
    for wrong in ["24:00:00", "7:30", "12:60", "12:00:00.", "12:00.5", "12:00:00.1234567891", "12:00:00:00"] {
        refused(&time, &format!("\"{wrong}\""));
    }

    let timestamp = native(NativeType::Timestamp);
    same(&timestamp, "\"2024-03-01T10:00:00.123+00:00\"");
    same(&timestamp, "\"0044-03-15T12:00:00+00:00 BC\"");
    becomes(&timestamp, "\"2024-03-01T10:00:00Z\"", "\"2024-03-01T10:00:00+00:00\"");
    becomes(&timestamp, "\"2024-03-01 10:00\"", "\"2024-03-01T10:00:00+00:00\"");
    becomes(&timestamp, "\"2024-03-01\"", "\"2024-03-01T00:00:00+00:00\"");
    becomes(&timestamp, "\"2024-03-01T00:30:00+02:00\"", "\"2024-02-29T22:30:00+00:00\"");
    becomes(&timestamp, "\"2024-03-01T00:30:00-0530\"", "\"2024-03-01T06:00:00+00:00\"");
    becomes(&timestamp, "\"1969-12-31T23:59:59.999000Z\"", "\"1969-12-31T23:59:59.999+00:00\"");
    for wrong in ["2024-03-01T10:00:00.1234Z", "2024-03-01T25:00Z", "2024-03-01T10:00+1", "now"] {
        refused(&timestamp, &format!("\"{wrong}\""));
    }
    refused(&timestamp, "1700000000000");
    for millis in [i64::MIN, i64::MAX] {
        let bytes = millis.to_be_bytes();
        let text = shown(&timestamp, Some(&bytes), false);
        assert_eq!(self::bytes(&timestamp, &text).unwrap().unwrap(), bytes, "{text}");
    }
}

#[test]
fn durations() {
    let duration = native(NativeType::Duration);
    for text in [
        "PT0S",
        "P1Y2M3DT4H5M6.789S",
        "P-1Y-2M-3DT-4H-5M-6.789S",
        "PT-0.000000001S",
        "P14D",
        "PT2562047H47M16.854775807S",
        "PT36H",
    ] {
        same(&duration, &format!("\"{text}\""));
    }
    becomes(&duration, "\"P2W\"", "\"P14D\"");
    becomes(&duration, "\"-P1DT1H\"", "\"P-1DT-1H\"");
    becomes(&duration, "\"P13M\"", "\"P1Y1M\"");
    becomes(&duration, "\"PT90M\"", "\"PT1H30M\"");
    for wrong in
        ["", "P", "PT", "P1DT", "1d", "P1H", "P1M1Y", "P1DT-1H", "P1.5D", "PT1.S", "P--1D", "PT0.0000000001S"]
    {
        refused(&duration, &format!("\"{wrong}\""));
    }
}

#[test]
fn collections() {
    let numbers = list(native(NativeType::Int));
    same(&numbers, "[]");
    same(&numbers, "[3,1,3]");
    same(&numbers, "null");
    refused(&numbers, "[null]");
    refused(&numbers, "{\"a\":1}");
    same(&set(native(NativeType::Text)), "[\"a\",\"b\\\"\"]");
    let named = map(native(NativeType::Text), native(NativeType::Decimal));
    same(&named, "{\"a\":1.50,\"b \\\"c\\\"\":2}");
    becomes(&named, "[[\"a\",1]]", "{\"a\":1}");
    refused(&named, "{\"a\":null}");
    let by_number = map(native(NativeType::Int), native(NativeType::Boolean));
    same(&by_number, "[[1,true],[2,false]]");
    becomes(&by_number, "{\"1\":true}", "[[1,true]]");
    refused(&by_number, "[[1]]");
    same(&list(list(native(NativeType::Timestamp))), "[[\"2024-01-01T00:00:00+00:00\"],[]]");
    let pair = ColumnType::Tuple(vec![native(NativeType::Int), native(NativeType::Text)]);
    same(&pair, "[1,\"a\"]");
    same(&pair, "[null,\"a\"]");
    refused(&pair, "[1]");
    same(&vector(native(NativeType::Float), 3), "[1,-0.5,0.25]");
    same(&vector(native(NativeType::Text), 2), &format!("[\"a\",\"{}\"]", "b".repeat(300)));
    refused(&vector(native(NativeType::Float), 3), "[1,2]");
}

#[test]
fn types_of_the_database() {
    let address = address();
    same(&address, "{\"street\":\"A\",\"no\":5,\"tags\":[\"x\"]}");
    becomes(&address, "{\"no\":5}", "{\"street\":null,\"no\":5,\"tags\":null}");
    let refusal = bytes(&address, "{\"zip\":1}").unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("f.zip"));
    let refusal = bytes(&address, "{\"tags\":[null]}").unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("f.tags[0]"));
    // Written before the type got its last fields.
    let short = [0, 0, 0, 1, b'A'];
    assert_eq!(shown(&address, Some(&short), false), "{\"street\":\"A\",\"no\":null,\"tags\":null}");
}

#[test]
fn broken_bytes_are_no_value() {
    let broken = |ty: ColumnType<'_>, bytes: &[u8]| {
        assert!(cell(&ty, Some(bytes), &mut Scratch::default()).is_err(), "{ty:?} {bytes:?}");
    };
    broken(native(NativeType::Int), &[1, 2]);
    broken(native(NativeType::Text), &[0xFF]);
    broken(native(NativeType::Inet), &[1, 2, 3]);
    broken(native(NativeType::Time), &i64::MAX.to_be_bytes());
    broken(list(native(NativeType::Int)), &[0, 0, 0, 9]);
    broken(list(native(NativeType::Int)), &[0, 0, 0, 1, 0, 0, 0, 9, 1]);
    broken(vector(native(NativeType::Float), 2), &[0, 0, 0, 0]);
    // What Thrift left behind: no bytes, and yet not null.
    assert_eq!(shown(&native(NativeType::Int), Some(&[]), false), "null");
}

proptest! {
    #[test]
    fn any_date_comes_back(count in any::<u32>()) {
        let ty = native(NativeType::Date);
        let text = shown(&ty, Some(&count.to_be_bytes()), false);
        prop_assert_eq!(bytes(&ty, &text).unwrap().unwrap(), count.to_be_bytes());
    }

    #[test]
    fn any_moment_comes_back(millis in any::<i64>()) {
        let ty = native(NativeType::Timestamp);
        let text = shown(&ty, Some(&millis.to_be_bytes()), false);
        prop_assert_eq!(bytes(&ty, &text).unwrap().unwrap(), millis.to_be_bytes());
    }

    #[test]
    fn any_time_comes_back(nanos in 0..86_400_000_000_000_i64) {
        let ty = native(NativeType::Time);
        let text = shown(&ty, Some(&nanos.to_be_bytes()), false);
        prop_assert_eq!(bytes(&ty, &text).unwrap().unwrap(), nanos.to_be_bytes());
    }

    #[test]
    fn any_duration_comes_back(months in 0..=i32::MAX, days in 0..=i32::MAX, nanos in 0..=i64::MAX, minus: bool) {
        let sign = if minus { -1 } else { 1 };
        let parts = duration::Parts { months: months * sign, days: days * sign, nanos: nanos * i64::from(sign) };
        let mut text = Vec::new();
        duration::put(parts, &mut text);
        let ty = native(NativeType::Duration);
        let json = format!("\"{}\"", String::from_utf8(text).unwrap());
        let bytes = bytes(&ty, &json).unwrap();
        prop_assert_eq!(shown(&ty, bytes.as_deref(), false), json);
    }

    #[test]
    fn any_decimal_comes_back(unscaled in "-?[1-9][0-9]{0,60}", scale in -100..100_i32) {
        let mut unscaled = read(&Value::Number(unscaled.into()), &CqlType::Varint, "f").unwrap();
        let CqlValue::Varint(digits) = &mut unscaled else { panic!("an integer") };
        let mut text = Vec::new();
        number::put_decimal(digits, scale, &mut text);
        let again = read(&Value::text(std::str::from_utf8(&text).unwrap()), &CqlType::Decimal, "f").unwrap();
        prop_assert_eq!(again, CqlValue::Decimal { unscaled: digits.clone(), scale });
    }

    #[test]
    fn any_double_comes_back(number in any::<f64>().prop_filter("a number", |n| n.is_finite())) {
        let ty = native(NativeType::Double);
        let text = shown(&ty, Some(&number.to_be_bytes()), false);
        prop_assert_eq!(bytes(&ty, &text).unwrap().unwrap(), number.to_be_bytes());
    }

    #[test]
    fn any_float_comes_back(number in any::<f32>().prop_filter("a number", |n| n.is_finite())) {
        let ty = native(NativeType::Float);
        let text = shown(&ty, Some(&number.to_be_bytes()), false);
        prop_assert_eq!(bytes(&ty, &text).unwrap().unwrap(), number.to_be_bytes());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let types = [
            native(NativeType::Duration), native(NativeType::Decimal), native(NativeType::Varint),
            list(native(NativeType::Text)), map(native(NativeType::Text), native(NativeType::Inet)),
            vector(native(NativeType::Text), 2), address(), list(list(native(NativeType::Int))),
        ];
        for ty in types {
            let _ = cell(&ty, Some(&bytes), &mut Scratch::default());
        }
    }
}
