#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;

use super::*;

fn parse(text: &str, sql: &str, kind: TypeKind) -> Option<String> {
    Stored::parse(text, &ColumnType::new(sql, kind)).ok().map(|value| value.text())
}

#[test]
fn values_have_one_form() {
    let check = |text: &str, sql: &str, kind: TypeKind, expected: Option<&str>| {
        assert_eq!(parse(text, sql, kind).as_deref(), expected, "{text} as {sql}");
    };
    check("1.005", "numeric(12,2)", TypeKind::Numeric, Some("1.01"));
    check("-1.005", "numeric(12,2)", TypeKind::Numeric, Some("-1.01"));
    check("99999999999", "numeric(12,2)", TypeKind::Numeric, None);
    check("1e3", "numeric", TypeKind::Numeric, Some("1000"));
    check("32768", "smallint", TypeKind::Int(16), None);
    check("-32768", "smallint", TypeKind::Int(16), Some("-32768"));
    check("2023-02-29", "date", TypeKind::Date, None);
    check("2024-02-29", "date", TypeKind::Date, Some("2024-02-29"));
    let zoned = Some("2023-12-31T22:30:00.5+00:00");
    check("2024-01-01 00:30:00.500+02", "timestamptz", TypeKind::TimestampTz, zoned);
    check("{\"bb\":1,\"a\":[1.0,\"x\"]}", "jsonb", TypeKind::Jsonb, Some("{\"a\": [1.0, \"x\"], \"bb\": 1}"));
    let text = || TypeKind::Array(Arc::new(ColumnType::new("text", TypeKind::Text)));
    let mixed = Some("{a,\"b c\",NULL,\"null\",\"\\\"\"}");
    check("{a,\"b c\", NULL ,\"null\",\"\\\"\"}", "text[]", text(), mixed);
    check("{a", "text[]", text(), None);
    check("{a,}", "text[]", text(), None);
}

#[test]
fn json_contains_as_jsonb_does() {
    let json = |text| Stored::Jsonb(Json::parse(text).unwrap());
    let check = |whole, part, expected| {
        assert_eq!(json(whole).contains(&json(part)), expected, "{whole} @> {part}");
    };
    check("{\"a\":{\"b\":[1,{\"c\":2}]}}", "{\"a\":{\"b\":[{\"c\":2.0}]}}", true);
    check("[1,2]", "2", true);
    check("[[1,2]]", "2", false);
    check("[1]", "{}", false);
    check("2", "[2]", false);
    check("{}", "{\"a\":null}", false);
}
