//! Properties over generated input.

use bigdecimal::BigDecimal;
use proptest::prelude::*;

use super::strip_nulls::without_spaces;
use super::{
    Cell, Granularity, Grouping, RowSet, Strategy as Aggregation, camel_to_snake, compact_lines, group,
    strip_json,
};

/// JSON as a tree that keeps what a value tree would lose: the text of
/// scalars, the order and the repetition of keys.
#[derive(Debug, Clone)]
enum Tree {
    Null,
    Scalar(&'static str),
    Array(Vec<Tree>),
    Object(Vec<(&'static str, Tree)>),
}

/// What stripping means, without regard to cost.
fn strip(tree: &Tree) -> Tree {
    match tree {
        Tree::Array(items) => Tree::Array(items.iter().map(strip).collect()),
        Tree::Object(members) => Tree::Object(
            members
                .iter()
                .filter(|(_, value)| !matches!(value, Tree::Null))
                .map(|(key, value)| (*key, strip(value)))
                .collect(),
        ),
        Tree::Null | Tree::Scalar(_) => tree.clone(),
    }
}

/// Writes `tree` with `gap` between all tokens.
fn render(tree: &Tree, gap: &str, out: &mut String) {
    out.push_str(gap);
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Scalar(text) => out.push_str(text),
        Tree::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                render(item, gap, out);
            }
            out.push_str(gap);
            out.push(']');
        }
        Tree::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                for piece in [gap, key, gap, ":"] {
                    out.push_str(piece);
                }
                render(value, gap, out);
            }
            out.push_str(gap);
            out.push('}');
        }
    }
    out.push_str(gap);
}

fn rendered(tree: &Tree, gap: &str) -> String {
    let mut text = String::new();
    render(tree, gap, &mut text);
    text
}

fn stripped(text: &str) -> String {
    let mut out = Vec::new();
    strip_json(text, &mut out);
    String::from_utf8(out).expect("stripping cuts between characters")
}

fn trees() -> impl Strategy<Value = Tree> {
    let scalar = prop::sample::select(vec![
        "true",
        "1.10",
        "-1E+400",
        "0",
        r#""null""#,
        r#"" n,\"{}""#,
        r#""\\""#,
        r#""\u006e größe""#,
    ]);
    let key = prop::sample::select(vec![r#""a""#, r#""null""#, r#""\"b\\""#, r#""""#, r#""}""#]);
    prop_oneof![Just(Tree::Null), scalar.prop_map(Tree::Scalar)].prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(Tree::Object),
        ]
    })
}

/// A few keys, so that groups have several rows, and any value to add up.
fn pages() -> impl Strategy<Value = RowSet> {
    let key = prop_oneof![
        Just(Cell::Null),
        "[ab]{0,2}".prop_map(|text| Cell::Text(text.into())),
        (0..4_u8).prop_map(|number| Cell::Number(number.to_string().into())),
    ];
    let value = prop_oneof![
        Just(Cell::Null),
        any::<i64>().prop_map(|number| Cell::Number(number.to_string().into())),
        (-99_i8..99, 0..3_u8)
            .prop_map(|(whole, fraction)| Cell::Number(format!("{whole}.{fraction}0").into())),
        (any::<i32>(), -30..30_i8).prop_map(|(digits, power)| Cell::Text(format!("{digits}e{power}").into())),
    ];
    prop::collection::vec((key, value), 0..40).prop_map(|rows| {
        let mut set = RowSet::new(["key", "value"]);
        for (key, value) in rows {
            set.push_row([key, value]).expect("two cells fit two columns");
        }
        set
    })
}

fn number(text: &str) -> BigDecimal {
    text.parse().expect("a total is a number")
}

fn grouping(strategy: Option<Aggregation>, dedup: bool) -> Grouping {
    Grouping::new("key", None, Some("value".into()), strategy, dedup).expect("there is a column to add up")
}

proptest! {
    #[test]
    fn snake_case_stays_as_it_is(name in "\\PC{0,20}|[a-zA-Z0-9_]{0,20}") {
        let once = camel_to_snake(&name);
        prop_assert_eq!(camel_to_snake(&once), once.as_ref());
    }

    #[test]
    fn stripping_equals_its_definition(tree in trees()) {
        let expected = strip(&tree);
        prop_assert_eq!(stripped(&rendered(&tree, "")), rendered(&expected, ""));
        let spaced = stripped(&rendered(&tree, "\n\t"));
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&spaced).is_ok(), "{}", spaced);
        prop_assert_eq!(without_spaces(&spaced), rendered(&expected, ""));
    }

    #[test]
    fn stripping_twice_changes_nothing(tree in trees()) {
        let once = stripped(&rendered(&tree, " "));
        prop_assert_eq!(stripped(&once), once);
    }

    #[test]
    fn one_line_holds_the_same_value(tree in trees()) {
        let mut line = Vec::new();
        compact_lines(&rendered(&tree, "\r\n"), &mut line);
        let line = String::from_utf8(line).expect("line breaks are ASCII");
        prop_assert!(!line.contains(['\r', '\n']));
        prop_assert_eq!(without_spaces(&line), rendered(&tree, ""));
    }

    #[test]
    fn any_text_is_survived(text in "([{}\\[\\],:\"\\\\ n]|null|\"a\":|ä){0,30}") {
        strip_json(&text, &mut Vec::new());
        compact_lines(&text, &mut Vec::new());
        without_spaces(&text);
        let _ = Cell::parse(&text);
    }

    #[test]
    fn any_timestamp_is_survived(text in "[0-9]{4,5}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([+-][0-9]{2}(:?[0-9]{2})?|Z)?)?( BC)?") {
        let _ = Granularity::Minute.label(&Cell::Text(text.into()));
    }

    #[test]
    fn any_number_is_survived(text in "-?[0-9]{1,25}(\\.[0-9]{1,25})?(e[+-]?[0-9]{1,25})?") {
        let _ = Granularity::Minute.label(&Cell::Number(text.as_str().into()));
        let mut set = RowSet::new(["key", "value"]);
        set.push_row([Cell::Null, Cell::Number(text.into())]).expect("two cells fit two columns");
        let _ = group(&set, &grouping(None, true));
    }

    #[test]
    fn minutes_are_those_of_the_calendar(seconds in -62_135_596_800_i64..=253_402_300_799) {
        let at = time::OffsetDateTime::from_unix_timestamp(seconds).expect("between the years 1 and 9999");
        let day = format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day());
        let minute = format!("{day} {:02}:{:02}", at.hour(), at.minute());
        let text = format!("{minute}:{:02}+00", at.second());
        for cell in [Cell::Number(seconds.to_string().into()), Cell::Text(text.into())] {
            prop_assert_eq!(Granularity::Minute.label(&cell), Ok(minute.clone()));
            prop_assert_eq!(Granularity::Day.label(&cell), Ok(day.clone()));
        }
    }

    #[test]
    fn grouping_keeps_every_row_once(page in pages(), dedup: bool) {
        let groups = group(&page, &grouping(None, dedup)).expect("all values are numbers");
        prop_assert!(groups.is_sorted_by(|one, other| one.label.as_bytes() < other.label.as_bytes()));
        prop_assert!(groups.iter().all(|group| group.rows.is_sorted() && !group.rows.is_empty()));
        let mut rows: Vec<usize> = groups.into_iter().flat_map(|group| group.rows).collect();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..page.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_running_total_ends_at_the_sum(page in pages(), dedup: bool) {
        let running = group(&page, &grouping(Some(Aggregation::CumulativeSum), dedup)).expect("all numbers");
        let plain = group(&page, &grouping(None, dedup)).expect("all numbers");
        let sum: BigDecimal = plain.iter().filter_map(|group| group.aggregation.as_deref()).map(number).sum();
        let last = running.last().and_then(|group| group.aggregation.as_deref()).map_or_else(Default::default, number);
        prop_assert_eq!(&last, &sum);
        if !dedup {
            let all: BigDecimal = page
                .rows()
                .filter_map(|row| match &row[1] {
                    Cell::Number(text) | Cell::Text(text) => Some(number(text)),
                    Cell::Null | Cell::Bool(_) | Cell::Json(_) => None,
                })
                .sum();
            prop_assert_eq!(last, all);
        }
    }

    #[test]
    fn totals_are_plain_json_numbers(page in pages(), dedup: bool) {
        for group in group(&page, &grouping(None, dedup)).expect("all values are numbers") {
            let total = group.aggregation.expect("there is a column to add up");
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&total).is_ok(), "{}", total);
            prop_assert!(!total.contains(['e', 'E']), "{}", total);
            prop_assert!(!total.contains('.') || !total.ends_with(['0', '.']), "{}", total);
            prop_assert_ne!(total, "-0");
        }
    }
}
