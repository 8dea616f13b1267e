use super::*;
use crate::error::RequestCode;
use crate::schema::Field;

fn text_of(value: Value, kind: TypeKind) -> Result<Option<String>, RequestCode> {
    bind(&value, &ColumnType::new("t", kind), "c")
        .map(|b| b.into_text().map(String::from))
        .map_err(|e| e.code)
}

#[test]
fn values_fit_their_types_or_are_refused() {
    let array = |kind| TypeKind::Array(ColumnType::new("e", kind).into());
    let number = |text: &str| Value::Number(text.into());
    let json = |text: &str| Value::Json(text.into());
    let good: Vec<(Value, TypeKind, &str)> = vec![
        (number("32767"), TypeKind::Int(16), "32767"),
        (Value::text(" -5 "), TypeKind::Int(64), "-5"),
        (number("1e-7"), TypeKind::Float(64), "0.0000001"),
        (number("-0.0e-999"), TypeKind::Float(32), "-0"),
        (Value::text("NaN"), TypeKind::Float(64), "NaN"),
        (
            number("12345678901234567890.123456789012345678"),
            TypeKind::Numeric,
            "12345678901234567890.123456789012345678",
        ),
        (Value::text("-Infinity"), TypeKind::Numeric, "-Infinity"),
        (number("42"), TypeKind::Text, "42"),
        (Value::Bool(true), TypeKind::Text, "true"),
        (Value::text("a\"b"), TypeKind::Jsonb, r#""a\"b""#),
        (json(r#"{"n": 1.00}"#), TypeKind::Json, r#"{"n": 1.00}"#),
        (json(r#"["a","b,\"c\"",null,"NULL"]"#), array(TypeKind::Text), r#"{"a","b,\"c\"",NULL,"NULL"}"#),
        (json("[[1,2],[3,null]]"), array(TypeKind::Int(32)), r#"{{"1","2"},{"3",NULL}}"#),
        (json(r#"[{"a":[1]},[2]]"#), array(TypeKind::Jsonb), r#"{"{\"a\":[1]}","[2]"}"#),
        (Value::text("{1,2}"), array(TypeKind::Int(32)), "{1,2}"),
        (
            Value::text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            TypeKind::Uuid,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        (Value::text("t"), TypeKind::Bool, "true"),
    ];
    for (value, kind, expected) in good {
        assert_eq!(text_of(value.clone(), kind.clone()), Ok(Some(expected.to_owned())), "{value:?} {kind:?}");
    }
    let bad: Vec<(Value, TypeKind)> = vec![
        (number("1.5"), TypeKind::Int(32)),
        (number("32768"), TypeKind::Int(16)),
        (number("9223372036854775808"), TypeKind::Int(64)),
        (Value::text("abc"), TypeKind::Int(32)),
        (Value::Bool(true), TypeKind::Int(32)),
        (Value::text("maybe"), TypeKind::Bool),
        (number("1"), TypeKind::Bool),
        (Value::text("1; drop"), TypeKind::Numeric),
        (Value::text("not-a-uuid"), TypeKind::Uuid),
        (json("{}"), TypeKind::Text),
        (json("{}"), array(TypeKind::Text)),
        (json("[[[[[[[1]]]]]]]"), array(TypeKind::Int(32))),
        (Value::text("x,y"), array(TypeKind::Text)),
        (number("5"), TypeKind::TimestampTz),
        (Value::text("a\0b"), TypeKind::Text),
        (number("1e999"), TypeKind::Float(64)),
        (number("1e-400"), TypeKind::Float(64)),
        (Value::text("-1e-46"), TypeKind::Float(32)),
        (number("1e39"), TypeKind::Float(32)),
        (json("[1, 1e-400]"), array(TypeKind::Float(64))),
    ];
    for (value, kind) in bad {
        assert_eq!(
            text_of(value.clone(), kind.clone()),
            Err(RequestCode::DataException),
            "{value:?} {kind:?}"
        );
    }
}

#[test]
fn composites_are_written_by_field() {
    let fields: Vec<Field> = [("street", TypeKind::Text), ("no", TypeKind::Int(32))]
        .into_iter()
        .map(|(name, kind)| Field { name: name.into(), ty: ColumnType::new("t", kind) })
        .collect();
    let kind = TypeKind::Composite(fields.into());
    let read = |text: &str| text_of(Value::Json(text.into()), kind.clone());
    assert_eq!(read(r#"{"no":7,"street":"a \"b\", c"}"#), Ok(Some(r#"("a \"b\", c","7")"#.to_owned())));
    assert_eq!(read(r#"{"street":null}"#), Ok(Some("(,)".to_owned())));
    assert_eq!(read(r#"{"town":"x"}"#), Err(RequestCode::DataException));
}
