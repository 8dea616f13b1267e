#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use super::*;

fn read(text: &str) -> Result<Vec<Condition>, RequestError> {
    parse_list(JsonText::parse(text.as_bytes())?, "conditions", &Limits::default(), Decoding::default())
}

#[test]
fn both_spellings_mean_the_same() {
    let same = |left: &str, right: &str| assert_eq!(read(left).unwrap(), read(right).unwrap(), "{left}");
    for op in ["eq", "neq", "gt", "gte", "lt", "lte"] {
        same(
            &format!(r#"[{{"{op}_column":"a","{op}_value":1.50}}]"#),
            &format!(r#"[{{"operator":"{op}","column":"a","value":1.50}}]"#),
        );
    }
    same(r#"[{"eq_column":"a","eq_value":null}]"#, r#"[{"op":"is","column":"a","value":"null"}]"#);
    same(
        r#"[{"in_column":"a","in_value":[1,"x",null]}]"#,
        r#"[{"column":"a","op":"in","value":[1,"x",null]}]"#,
    );
    same(
        r#"[{"op":"cs","column":"a","value":["x"]}]"#,
        r#"[{"operator":"contains","column":"a","value":["x"]}]"#,
    );
}

#[test]
fn nothing_is_dropped() {
    let check = |text: &str, code: RequestCode, field: &str| {
        let error = read(text).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{text}: {error}");
    };
    check(r#"[{}]"#, RequestCode::InvalidField, "conditions[0]");
    check(r#"[1]"#, RequestCode::InvalidField, "conditions[0]");
    check(r#"{"a":1}"#, RequestCode::InvalidField, "conditions");
    check(r#"[{"eq_column":"a"}]"#, RequestCode::MissingField, "conditions[0].eq_value");
    check(r#"[{"eq_value":1}]"#, RequestCode::MissingField, "conditions[0].eq_column");
    check(r#"[{"eq_column":"a b","eq_value":1}]"#, RequestCode::InvalidIdentifier, "conditions[0].eq_column");
    check(r#"[{"eq_column":"a","eq_value":1,"gt_column":"b"}]"#, RequestCode::InvalidField, "conditions[0]");
    check(
        r#"[{"eq_column":"a","eq_value":1,"eq_vaule":1}]"#,
        RequestCode::UnknownField,
        "conditions[0].eq_vaule",
    );
    check(
        r#"[{"operator":"like","column":"a","value":1}]"#,
        RequestCode::InvalidField,
        "conditions[0].value",
    );
    check(
        r#"[{"operator":"zz","column":"a","value":1}]"#,
        RequestCode::UnknownOperator,
        "conditions[0].operator",
    );
    check(r#"[{"operator":"in","column":"a","value":1}]"#, RequestCode::InvalidField, "conditions[0].value");
    check(
        r#"[{"operator":"gt","column":"a","value":null}]"#,
        RequestCode::InvalidField,
        "conditions[0].value",
    );
    check(
        r#"[{"operator":"or","column":"a","value":"b.eq.1"}]"#,
        RequestCode::InvalidField,
        "conditions[0].column",
    );
    check(
        r#"[{"operator":"contains","column":"a","value":1}]"#,
        RequestCode::InvalidField,
        "conditions[0].value",
    );
}

#[test]
fn a_second_filter_in_one_object_is_refused_even_where_unknown_fields_are_not() {
    let lenient = Decoding { refuse_unknown_fields: false, ..Decoding::default() };
    let text = r#"[{"operator":"eq","column":"a","value":1,"eq_column":"b","eq_value":2}]"#;
    let list = JsonText::parse(text.as_bytes()).unwrap();
    assert!(parse_list(list, "conditions", &Limits::default(), lenient).is_err());
}

#[test]
fn lists_are_bounded() {
    let members = vec!["1"; 10_001].join(",");
    let error = read(&format!(r#"[{{"operator":"in","column":"a","value":[{members}]}}]"#)).unwrap_err();
    assert_eq!(error.limit.map(|l| (l.name, l.value)), Some(("max_in_list", 10_000)));
    let many = vec![r#"{"eq_column":"a","eq_value":1}"#; 101].join(",");
    assert_eq!(read(&format!("[{many}]")).unwrap_err().limit.map(|l| l.name), Some("max_conditions"));
}

#[test]
fn the_lists_of_a_request_are_bounded_together() {
    let limits = Limits { max_in_list: 6, ..Limits::default() };
    let check = |text: &str, fault: Option<&str>| {
        let list = JsonText::parse(text.as_bytes()).unwrap();
        let error = parse_list(list, "conditions", &limits, Decoding::default()).err();
        let limit = error.as_ref().and_then(|error| error.limit.as_ref()).map(|limit| limit.name);
        assert_eq!(limit, fault.map(|_| "max_in_list"), "{text}: {error:?}");
        assert_eq!(error.as_ref().and_then(|error| error.field.as_deref()), fault, "{text}");
    };
    let three = r#"{"in_column":"a","in_value":[1,2,3]}"#;
    check(&format!("[{three},{three}]"), None);
    check(&format!("[{three},{three},{three}]"), Some("conditions[2].in_value"));
    for (value, passes) in [
        (r#""a.in.(1,2,3)""#, true),
        (r#""a.in.(1,2),b.in.(3,4)""#, false),
        (r#""and(a.in.(1,2),or(b.not.in.(3,4)))""#, false),
        (r#""a.cs.{1,2,\"x,y\"}""#, true),
        (r#""a.cs.{1,2,3,4}""#, false),
        (r#""a.cd.[[1,2],[3,4]]""#, false),
    ] {
        let or = format!(r#"{{"operator":"or","value":{value}}}"#);
        check(&format!("[{three},{or}]"), (!passes).then_some("conditions[1].value"));
    }
    for (value, passes) in [
        (r#"[1,2,"x,y"]"#, true),
        (r#"[1,2,3,4]"#, false),
        (r#"{"a":[1,2],"b":{"c":3,"d":4}}"#, false),
        (r#""{1,2,3,4}""#, false),
    ] {
        let contains = format!(r#"{{"op":"contains","column":"b","value":{value}}}"#);
        check(&format!("[{three},{contains}]"), (!passes).then_some("conditions[1].value"));
    }
    check(r#"[{"op":"not","value":"a.in.1,2,3,4,5,6,7"}]"#, Some("conditions[0].value"));
}
