use super::*;

fn variable(name: &str) -> Option<String> {
    const SET: [(&str, &str); 5] =
        [("A", "alpha"), ("B_2", "beta"), ("EMPTY", ""), ("TRICKY", "${A}$${}\\1:-"), ("_", "low")];
    SET.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
}

#[track_caller]
fn check(template: &str, expected: Result<&str, ExpandError>) {
    assert_eq!(expand(template, &variable), expected.map(str::to_owned), "{template}");
}

#[test]
fn references_are_replaced_everywhere() {
    check("", Ok(""));
    check("plain $A {A} $", Ok("plain $A {A} $"));
    check("${A}", Ok("alpha"));
    check("${A}${B_2}${_}", Ok("alphabetalow"));
    check("postgres://u:${A}@h/${B_2}", Ok("postgres://u:alpha@h/beta"));
    check("${EMPTY}", Ok(""));
    check("äö${A}ü", Ok("äöalphaü"));
}

#[test]
fn defaults_stand_in_for_the_unset_and_the_empty() {
    check("${NONE:-x}", Ok("x"));
    check("${EMPTY:-x}", Ok("x"));
    check("${A:-x}", Ok("alpha"));
    check("${NONE:-}", Ok(""));
    check("${NONE:-a:-b}", Ok("a:-b"));
    check("${NONE:-${A}/${NONE:-deep}}!", Ok("alpha/deep!"));
    check("${NONE:-${OTHER}}", Err(ExpandError::Unset("OTHER".to_owned())));
}

#[test]
fn what_a_variable_holds_is_not_expanded_again() {
    check("<${TRICKY}>", Ok("<${A}$${}\\1:->"));
}

#[test]
fn a_doubled_dollar_is_literal() {
    check("$${A}", Ok("${A}"));
    check("a$${A}${A}", Ok("a${A}alpha"));
    check("$$", Ok("$$"));
}

#[test]
fn what_cannot_be_replaced() {
    check("${NONE}", Err(ExpandError::Unset("NONE".to_owned())));
    for open in ["${", "${A", "x${A:-y", "${A:-${B_2}"] {
        check(open, Err(ExpandError::Unclosed));
    }
    for name in ["${}", "${1A}", "${A B}", "${A-}", "${Ä}", "${:-x}"] {
        check(name, Err(ExpandError::Name));
    }
    assert_eq!(ExpandError::Unset("X".into()).to_string(), "environment variable X is not set");
}

#[test]
fn texts_built_from_pieces_expand_piece_by_piece() {
    let pieces = [
        ("${A}", "alpha"),
        ("$${", "${"),
        ("$", "$"),
        ("}", "}"),
        ("${NONE:-d}", "d"),
        ("é", "é"),
        (" ", " "),
    ];
    // Every sequence of four pieces; a `$` in front of a reference would make it literal.
    for number in 0..pieces.len().pow(4) {
        let chosen = [0, 1, 2, 3].map(|place| pieces[number / pieces.len().pow(place) % pieces.len()]);
        if chosen.windows(2).any(|pair| pair[0].0 == "$" && pair[1].0.starts_with('$')) {
            continue;
        }
        let template: String = chosen.iter().map(|(piece, _)| *piece).collect();
        let expected: String = chosen.iter().map(|(_, value)| *value).collect();
        check(&template, Ok(&expected));
    }
}

#[test]
fn a_sole_variable_is_the_whole_text() {
    assert_eq!(sole_variable(" ${A_1} "), Some("A_1"));
    for text in ["${A}b", "${A}${B}", "$A", "${A:-b}", ""] {
        assert_eq!(sole_variable(text), None, "{text}");
    }
}

#[test]
fn any_text_can_be_written_literally() {
    for text in ["", "${A}", "$${A}", "$$${", "a${", "p$w{}", "${A}${A}$"] {
        check(&literal(text), Ok(text));
    }
}

#[test]
fn a_sole_reference_is_the_whole_text() {
    for text in ["${A}", "${A:-}", "${A:-x${B:-}y}"] {
        assert!(is_sole_reference(text), "{text}");
    }
    for text in ["", "$A", "$${A}", "x${A}", "${A}x", "${A}${B}", "${A", "${A:-x${B}"] {
        assert!(!is_sole_reference(text), "{text}");
    }
}

#[test]
fn defaults_are_not_shown() {
    assert_eq!(without_defaults("a${X:-hunter2}b${Y}"), "a${X:-…}b${Y}");
    for text in ["${X:-${Y:-hunter2}}", "${X:-hunter2", "${X:-a${Y}hunter2}"] {
        assert!(!without_defaults(text).contains("hunter2"), "{text}");
    }
}
