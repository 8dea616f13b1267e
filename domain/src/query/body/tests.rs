#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use super::*;

#[test]
fn digits_survive() {
    let text = br#"{"a": 123456789012345678901234567890.000000000000000001, "b": [1e400, {"c":null}]}"#;
    let mut object = JsonText::parse(text).unwrap().expect_object("").unwrap();
    let a = object.take("a").unwrap().value("a").unwrap();
    assert_eq!(a, Value::Number("123456789012345678901234567890.000000000000000001".into()));
    let b = object.take("b").unwrap().expect_array("b").unwrap();
    assert_eq!(b[0].value("b").unwrap(), Value::Number("1e400".into()));
    assert_eq!(b[1].as_text(), r#"{"c":null}"#);
}

#[test]
fn a_field_given_twice_is_refused() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#] {
        let error = JsonText::parse(text.as_bytes()).unwrap().expect_object("").unwrap_err();
        assert_eq!(error.code, RequestCode::InvalidJson);
        assert_eq!(error.field.as_deref(), Some("a"));
    }
}

#[test]
fn an_unknown_field_names_the_nearest_known_one() {
    let check = |body: &'static str, expected: &str| {
        let mut object = JsonText::parse(body.as_bytes()).unwrap().expect_object("").unwrap();
        object.take("conditions");
        object.take("limit");
        let error = object.finish(Decoding::default()).unwrap_err();
        assert_eq!(error.code, RequestCode::UnknownField);
        assert!(error.message.contains(expected), "{}", error.message);
    };
    check(r#"{"condition":[]}"#, "did you mean `conditions`");
    check(r#"{"limt":1}"#, "did you mean `limit`");
    check(r#"{"zzz":1}"#, "known are: conditions, limit");
}

#[test]
fn a_name_of_megabytes_is_neither_compared_nor_repeated() {
    let long = "limit".repeat(3 << 20);
    let refused = |body: String| {
        let read = JsonText::parse(body.as_bytes()).unwrap().expect_object("");
        let error = read.and_then(|mut object| {
            object.take("limit");
            object.finish(Decoding::default())
        });
        let error = error.unwrap_err();
        assert!(error.message.len() < 400, "{}", error.message.len());
        assert!(error.field.unwrap().len() < 300);
        error.message
    };
    let message = refused(format!(r#"{{"{long}":1}}"#));
    assert!(message.contains("limit…`; known are: limit"), "{message}");
    let message = refused(format!(r#"{{"{long}":1,"{long}":2}}"#));
    assert!(message.ends_with("limit…` is given twice; give it once"), "{message}");
}

#[test]
fn only_names_of_a_sensible_length_are_compared() {
    const KNOWN: [&str; 2] = [
        "a_name_of_sixty_two_bytes_which_is_about_the_longest_there_is_",
        "a_name_of_sixty_five_bytes_which_is_longer_than_any_that_there_is",
    ];
    for (known, suggested) in KNOWN.into_iter().zip([true, false]) {
        let body = format!(r#"{{"{known}s":1}}"#);
        let mut object = JsonText::parse(body.as_bytes()).unwrap().expect_object("").unwrap();
        object.take(known);
        let error = object.finish(Decoding::default()).unwrap_err();
        assert_eq!(error.message.contains("did you mean"), suggested, "{}", error.message);
    }
}

#[test]
fn bad_json_is_placed() {
    let error = JsonText::parse(b"{\"a\": }").unwrap_err();
    assert!(error.message.contains("line 1 column 7"), "{}", error.message);
    assert!(JsonText::parse(b"{} {}").is_err());
    assert!(JsonText::parse(b"\xff").unwrap_err().message.contains("UTF-8"));
    assert!(
        JsonText::parse(br#"{"a":"\ud800"}"#)
            .map_or(true, |t| { t.expect_object("").unwrap().take("a").unwrap().value("a").is_err() })
    );
}

#[test]
fn nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(JsonText::parse(deep.as_bytes()).is_ok_and(JsonText::is_array));
}

#[test]
fn counts_are_whole_and_small_enough() {
    let read = |text: &'static str| JsonText::parse(text.as_bytes()).unwrap().expect_count("limit").ok();
    assert_eq!(read("10"), Some(10));
    assert_eq!(read("\"10\""), Some(10));
    for bad in ["-1", "1.5", "1e3", "9223372036854775808", "true", "\"\"", "\"+1\"", "[]"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}
