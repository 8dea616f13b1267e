#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use super::super::condition::CompareOp;
use super::*;
use crate::limits::Limits;
use proptest::prelude::*;

/// A compact rendering, so that expectations read like the grammar.
fn show(condition: &Condition) -> String {
    let value = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(text) | Value::Json(text) => text.to_string(),
        Value::Text(text) => format!("'{text}'"),
    };
    let all = |list: &[Condition]| list.iter().map(show).collect::<Vec<_>>().join(" ");
    match condition {
        Condition::Compare { column, op, value: v } => format!("({op:?} {column} {})", value(v)),
        Condition::Is { column, test } => format!("(is {column} {test:?})"),
        Condition::In { column, values } => {
            format!("(in {column} [{}])", values.iter().map(value).collect::<Vec<_>>().join(" "))
        }
        Condition::Contains { column, by, value: v } => {
            format!("({} {column} {})", if *by { "<@" } else { "@>" }, value(v))
        }
        Condition::Not(inner) => format!("(not {})", show(inner)),
        Condition::And(list) => format!("(and {})", all(list)),
        Condition::Or(list) => format!("(or {})", all(list)),
    }
}

fn or(text: &str) -> Result<String, String> {
    let limits = Limits::default();
    parse_or(text, "v", &mut Budget::new(&limits)).map(|c| show(&c)).map_err(|e| e.message)
}

fn not(text: &str) -> Result<String, String> {
    let limits = Limits::default();
    parse_not(text, "v", &mut Budget::new(&limits)).map(|c| show(&c)).map_err(|e| e.message)
}

#[test]
fn or_lists() {
    let check = |text: &str, expected: &str| assert_eq!(or(text).as_deref(), Ok(expected), "{text}");
    check("a.eq.1", "(or (Eq a '1'))");
    check("a.eq.1,b.gt.2", "(or (Eq a '1') (Gt b '2'))");
    check("(a.eq.1, b.gt.2)", "(or (Eq a '1') (Gt b '2'))");
    check("a.is.null,b.is.true", "(or (is a Null) (is b True))");
    check("a.eq.null,b.neq.null", "(or (is a Null) (is b NotNull))");
    check("a.eq.\"null\"", "(or (Eq a 'null'))");
    check("a.in.(1,2,null),b.eq.x", "(or (in a ['1' '2' NULL]) (Eq b 'x'))");
    check("a.in.()", "(or (in a []))");
    check("and(a.gt.1,a.lt.9),not.b.eq.2", "(or (and (Gt a '1') (Lt a '9')) (not (Eq b '2')))");
    check("not.and(a.eq.1,or(b.eq.2,c.eq.3))", "(or (not (and (Eq a '1') (or (Eq b '2') (Eq c '3')))))");
    check("a.not.in.(1,2)", "(or (not (in a ['1' '2'])))");
    check("a.eq.\"x,y.(z)\\\"q\\\\\"", "(or (Eq a 'x,y.(z)\"q\\'))");
    check("t.cs.{a,b},u.cd.{\"x,y\"}", "(or (@> t '{a,b}') (<@ u '{\"x,y\"}'))");
    check("a.eq.2024-01-01T00:00:00.5Z", "(or (Eq a '2024-01-01T00:00:00.5Z'))");
    check("a.like.%x%,a.ilike._", "(or (Like a '%x%') (Ilike a '_'))");
    check("a.eq.", "(or (Eq a ''))");
}

#[test]
fn not_takes_joined_arrays() {
    let check = |text: &str, expected: &str| assert_eq!(not(text).as_deref(), Ok(expected), "{text}");
    check("a.eq.1", "(not (Eq a '1'))");
    check("a.eq.x,y", "(not (Eq a 'x,y'))");
    check("a.in.1,2,3", "(not (in a ['1' '2' '3']))");
    check("a.in.(1,2)", "(not (in a ['1' '2']))");
    check("a.contains.x,y", "(not (@> a [\"x\",\"y\"]))");
    check("a.is.null", "(not (is a Null))");
    check("or(a.eq.1,b.eq.2)", "(not (or (Eq a '1') (Eq b '2')))");
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in [
        "",
        "a",
        "a.eq",
        "a.xx.1",
        "a b.eq.1",
        "a.eq.1,",
        ",a.eq.1",
        "(a.eq.1",
        "a.eq.\"x",
        "a.in.1,2",
        "and()",
        "a.cs.{x",
        "not.",
        "1a.eq.1",
        "a;drop.eq.1",
        "a.gt.null",
        "a.is.maybe",
        "(a.eq.1) b",
    ] {
        assert!(or(text).is_err(), "{text} gave {:?}", or(text));
    }
}

proptest! {
    /// Whatever is written, it is read whole or refused; nothing panics.
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        drop(or(&text));
        drop(not(&text));
    }

    #[test]
    fn any_text_of_the_grammars_own_letters_is_read_or_refused(
        text in "(a|b|\\.|,|\\(|\\)|and\\(|or\\(|not\\.|eq|in|cs|is|null|\"|\\\\|\\{|\\}| ){0,30}",
    ) {
        drop(or(&text));
        drop(not(&text));
    }

    /// A quoted value survives whatever it holds.
    #[test]
    fn quoted_values_survive(value in any::<String>()) {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(or(&format!("a.eq.\"{quoted}\"")), Ok(format!("(or (Eq a '{value}'))")));
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let deep = format!("{}a.eq.1{}", "and(".repeat(9), ")".repeat(9));
    assert!(or(&deep).unwrap_err().contains("limits.max_nesting"));
    let nots = format!("{}a.eq.1", "not.".repeat(100_000));
    assert!(or(&nots).unwrap_err().contains("limits.max_nesting"));
    let many = vec!["a.eq.1"; 101].join(",");
    assert!(or(&many).unwrap_err().contains("limits.max_conditions"));
    assert_eq!(CompareOp::Eq, CompareOp::Eq);
}
