#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use athena_domain::schema::Field;
use proptest::prelude::*;

use super::*;

fn ty(sql: &str, kind: TypeKind) -> ColumnType {
    ColumnType::new(sql, kind)
}

fn array_of(element: ColumnType) -> ColumnType {
    ty("x[]", TypeKind::Array(element.into()))
}

fn json(ty: &ColumnType, text: &str) -> String {
    let mut scratch = Scratch::default();
    let cell = text_cell(ty, text, &mut scratch);
    let mut out = Vec::new();
    super::super::binary::json_value(cell, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_become_json() {
    let int = ty("integer", TypeKind::Int(32));
    let text = ty("text", TypeKind::Text);
    let fields = vec![
        Field { name: "n".into(), ty: int.clone() },
        Field { name: "t".into(), ty: text.clone() },
        Field { name: "a".into(), ty: array_of(int.clone()) },
    ];
    let row = ty("pair", TypeKind::Composite(fields.into()));
    let check =
        |ty: &ColumnType, input: &str, expected: &str| assert_eq!(json(ty, input), expected, "{input}");
    check(&int, "-7", "-7");
    check(&ty("numeric", TypeKind::Numeric), "12345678901234567890.10", "12345678901234567890.10");
    check(&ty("numeric", TypeKind::Numeric), "NaN", "\"NaN\"");
    check(&ty("double precision", TypeKind::Float(64)), "-Infinity", "\"-Infinity\"");
    check(&ty("double precision", TypeKind::Float(64)), "1e-07", "1e-07");
    check(
        &ty("timestamp with time zone", TypeKind::TimestampTz),
        "2024-01-01 10:00:00.5+00",
        "\"2024-01-01T10:00:00.5+00:00\"",
    );
    check(
        &ty("timestamp with time zone", TypeKind::TimestampTz),
        "0044-03-15 10:00:00+00 BC",
        "\"0044-03-15T10:00:00+00:00 BC\"",
    );
    check(&ty("timestamp with time zone", TypeKind::TimestampTz), "infinity", "\"infinity\"");
    check(
        &ty("timestamp without time zone", TypeKind::Timestamp),
        "2024-01-01 10:00:00",
        "\"2024-01-01T10:00:00\"",
    );
    check(&ty("time with time zone", TypeKind::Other), "10:00:00-03", "\"10:00:00-03:00\"");
    check(&ty("time with time zone", TypeKind::Other), "10:00:00+05:30", "\"10:00:00+05:30\"");
    check(&array_of(int.clone()), "{1,NULL,3}", "[1,null,3]");
    check(&array_of(int.clone()), "{}", "[]");
    check(&array_of(int.clone()), "{{1,2},{3,4}}", "[[1,2],[3,4]]");
    check(&array_of(int.clone()), "[0:1]={1,2}", "[1,2]");
    check(&array_of(text.clone()), r#"{a,"b,\"c\\",NULL,"NULL",""}"#, r#"["a","b,\"c\\",null,"NULL",""]"#);
    check(&row, r#"(1,"x ""y"", z",)"#, r#"{"n":1,"t":"x \"y\", z","a":null}"#);
    check(&row, r#"(,"","{1,2}")"#, r#"{"n":null,"t":"","a":[1,2]}"#);
    check(&array_of(row.clone()), r#"{"(1,a,\"{2,3}\")",NULL}"#, r#"[{"n":1,"t":"a","a":[2,3]},null]"#);
    check(&row, "(1)", "\"(1)\"");
    check(&array_of(int), "{1", "\"{1\"");
}

proptest! {
    #[test]
    fn no_text_breaks_the_notation(input in "[{}(),\"\\\\a1;=\\[\\]]{0,30}") {
        let int = ty("integer", TypeKind::Int(32));
        for ty in [array_of(int.clone()), array_of(array_of(ty("text", TypeKind::Text)))] {
            json(&ty, &input);
        }
    }
}
