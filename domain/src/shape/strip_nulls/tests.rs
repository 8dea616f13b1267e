use super::{compact_lines, strip_json, without_spaces};

#[track_caller]
fn check(text: &str, expected: &str) {
    let mut out = b"before ".to_vec();
    strip_json(text, &mut out);
    let out = String::from_utf8(out).expect("the text of a database is UTF-8");
    assert_eq!(out.strip_prefix("before "), Some(expected), "{text}");
}

#[track_caller]
fn check_line(text: &str, expected: &str) {
    let mut out = Vec::new();
    compact_lines(text, &mut out);
    assert_eq!(out, expected.as_bytes(), "{text}");
}

#[test]
fn null_members_go_wherever_they_stand() {
    check(r#"{"a":null}"#, "{}");
    check(r#"{"a":null,"b":1}"#, r#"{"b":1}"#);
    check(r#"{"a":1,"b":null}"#, r#"{"a":1}"#);
    check(r#"{"a":1,"b":null,"c":2}"#, r#"{"a":1,"c":2}"#);
    check(r#"{"a":null,"b":null}"#, "{}");
    check(r#"{"a":null,"b":null,"c":1}"#, r#"{"c":1}"#);
    check(r#"{"a":1,"b":null,"c":null}"#, r#"{"a":1}"#);
    check(r#"{"a":null,"b":1,"c":null,"d":null,"e":2,"f":null}"#, r#"{"b":1,"e":2}"#);
}

#[test]
fn objects_are_searched_at_any_depth() {
    check(r#"{"a":{"b":null}}"#, r#"{"a":{}}"#);
    check(r#"{"a":{"b":{"c":null,"d":1}},"e":null}"#, r#"{"a":{"b":{"d":1}}}"#);
    check(r#"[{"a":null},{"a":1,"b":null}]"#, r#"[{},{"a":1}]"#);
    check(r#"{"a":[{"b":null}],"c":null}"#, r#"{"a":[{}]}"#);
    check(r#"{"a":[],"c":null,"d":{}}"#, r#"{"a":[],"d":{}}"#);
    check(r#"{"a":null,"b":[1,{"c":null}],"d":null}"#, r#"{"b":[1,{}]}"#);
}

#[test]
fn array_elements_and_bare_values_stay() {
    check("null", "null");
    check("[null]", "[null]");
    check("[null,1,null]", "[null,1,null]");
    check(r#"{"a":[null,[null]],"b":null}"#, r#"{"a":[null,[null]]}"#);
    check(r#"[[null,{"a":null}],null]"#, "[[null,{}],null]");
}

#[test]
fn kept_text_is_untouched() {
    check(r#"{"n":1.10,"e":1E+2,"x":null}"#, r#"{"n":1.10,"e":1E+2}"#);
    check(r#"{"n":12345678901234567890.000,"x":null}"#, r#"{"n":12345678901234567890.000}"#);
    check(r#"{"a":1,"a":null,"a":2}"#, r#"{"a":1,"a":2}"#);
    check(r#"{"z":1,"x":null,"a":2}"#, r#"{"z":1,"a":2}"#);
    check(r#"{"s":"\u006eull\/","x":null}"#, r#"{"s":"\u006eull\/"}"#);
    check(r#"{"größe":"数","x":null}"#, r#"{"größe":"数"}"#);
}

#[test]
fn the_word_null_inside_strings_is_a_string() {
    check(r#"{"null":"null"}"#, r#"{"null":"null"}"#);
    check(r#"{"null":null,"a":"null"}"#, r#"{"a":"null"}"#);
    check(r#"{"a":"x\",\"b\":null","c":null}"#, r#"{"a":"x\",\"b\":null"}"#);
    check(r#"{"a":"\\","b":null}"#, r#"{"a":"\\"}"#);
    check(r#"{"{":null,"}":"[null","]":1}"#, r#"{"}":"[null","]":1}"#);
}

#[test]
fn white_space_goes_with_its_member_alone() {
    check("{ \"a\" : null , \"b\" : 1 }", "{ \"b\" : 1 }");
    check("{ \"a\" : 1 , \"b\" : null }", "{ \"a\" : 1  }");
    check("{\n\t\"a\": null\r\n}", "{}");
    check(" [ { \"a\":null } , null ] ", " [ {} , null ] ");
}

#[test]
fn depth_is_no_limit() {
    let depth = 100_000;
    let text = format!("{}{}{}", r#"{"n":null,"a":["#.repeat(depth), "null", "]}".repeat(depth));
    let expected = format!("{}{}{}", r#"{"a":["#.repeat(depth), "null", "]}".repeat(depth));
    check(&text, &expected);
}

#[test]
fn line_breaks_become_spaces() {
    check_line("{}", "{}");
    check_line("{\n\"a\": 1\r\n}", "{ \"a\": 1  }");
    check_line("\n[1,\n2]\n", " [1, 2] ");
    check_line(r#"{"a":"x\ny"}"#, r#"{"a":"x\ny"}"#);
}

#[test]
fn compact_text_keeps_spaces_inside_strings() {
    assert_eq!(without_spaces("[ 1, {\t\"a b\" :\r\n \" \\\" \" } ]"), r#"[1,{"a b":" \" "}]"#);
    assert_eq!(without_spaces("{\"größe\" : \"数 数\"}"), r#"{"größe":"数 数"}"#);
    assert_eq!(without_spaces("[]"), "[]");
}
