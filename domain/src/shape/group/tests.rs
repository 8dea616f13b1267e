use super::{Group, GroupError, Grouping, Strategy, UnknownStrategy, group};
use crate::shape::granularity::Granularity;
use crate::shape::row_set::{Cell, RowSet};

/// Rows of two columns, `key` and `value`, given as JSON.
fn rows(rows: &[(&str, &str)]) -> RowSet {
    let mut set = RowSet::new(["key", "value"]);
    for (key, value) in rows {
        let cells = [key, value].map(|json| Cell::parse(json).expect("tests write valid JSON"));
        set.push_row(cells).expect("two cells fit two columns");
    }
    set
}

fn by_key() -> Grouping {
    Grouping::new("key", None, None, None, false).expect("nothing is added up")
}

fn by_time(granularity: Granularity) -> Grouping {
    Grouping { granularity: Some(granularity), ..by_key() }
}

fn sum_by_key() -> Grouping {
    Grouping { aggregation_column: Some("value".into()), ..by_key() }
}

fn running_by_key() -> Grouping {
    Grouping { strategy: Some(Strategy::CumulativeSum), ..sum_by_key() }
}

fn dedup(grouping: Grouping) -> Grouping {
    Grouping { dedup: true, ..grouping }
}

/// `expected` holds the label, the rows and the aggregation of each group.
#[track_caller]
fn check(set: &RowSet, grouping: &Grouping, expected: &[(&str, &[usize], Option<&str>)]) {
    let groups = group(set, grouping).expect("these rows group");
    let found: Vec<_> = groups
        .iter()
        .map(|Group { label, rows, aggregation }| (label.as_str(), rows.as_slice(), aggregation.as_deref()))
        .collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_sum(values: &[&str], expected: &str) {
    let set = rows(&values.iter().map(|value| ("1", *value)).collect::<Vec<_>>());
    let groups = group(&set, &sum_by_key()).expect("these values add up");
    assert_eq!(groups[0].aggregation.as_deref(), Some(expected), "{values:?}");
}

#[track_caller]
fn check_refused(set: &RowSet, grouping: &Grouping, expected: &str) {
    assert_eq!(group(set, grouping).map_err(|error| error.to_string()), Err(expected.to_owned()));
}

#[test]
fn deduplicated_values_run_over_the_hours() {
    let set = rows(&[
        (r#""2024-01-01T00:10:00Z""#, "1.10"),
        (r#""2024-01-01T00:20:00Z""#, "1.10"),
        (r#""2024-01-01T01:00:00Z""#, "2"),
        (r#""2024-01-02T00:00:00Z""#, "3"),
    ]);
    let hours = Grouping { granularity: Some(Granularity::Hour), ..dedup(running_by_key()) };
    check(
        &set,
        &hours,
        &[
            ("2024-01-01 00:00", &[0, 1], Some("1.1")),
            ("2024-01-01 01:00", &[2], Some("3.1")),
            ("2024-01-02 00:00", &[3], Some("6.1")),
        ],
    );
}

#[test]
fn labels_are_strings_or_compact_json_in_byte_order() {
    let set = rows(&[
        (r#""b""#, "0"),
        ("42", "0"),
        ("true", "0"),
        (r#"{"a": [1, 2]}"#, "0"),
        (r#""ä""#, "0"),
        ("1.10", "0"),
        (r#""B""#, "0"),
        (r#"{"a":[1,2]}"#, "0"),
        ("null", "0"),
        (r#""""#, "0"),
        ("false", "0"),
    ]);
    check(
        &set,
        &by_key(),
        &[
            ("", &[9], None),
            ("1.10", &[5], None),
            ("42", &[1], None),
            ("B", &[6], None),
            ("b", &[0], None),
            ("false", &[10], None),
            ("null", &[8], None),
            ("true", &[2], None),
            (r#"{"a":[1,2]}"#, &[3, 7], None),
            ("ä", &[4], None),
        ],
    );
}

#[test]
fn rows_keep_their_order_inside_a_group() {
    let set = rows(&[(r#""b""#, "3"), (r#""a""#, "1"), (r#""b""#, "1"), (r#""a""#, "0"), (r#""b""#, "2")]);
    check(&set, &by_key(), &[("a", &[1, 3], None), ("b", &[0, 2, 4], None)]);
}

#[test]
fn null_keys_share_a_label() {
    let set = rows(&[("null", "1"), (r#""2024-01-01""#, "2"), ("null", "4")]);
    let days = Grouping { granularity: Some(Granularity::Day), ..running_by_key() };
    check(&set, &days, &[("2024-01-01", &[1], Some("2")), ("null", &[0, 2], Some("7"))]);
    check(&set, &by_key(), &[("2024-01-01", &[1], None), ("null", &[0, 2], None)]);
}

#[test]
fn without_a_strategy_each_group_tells_its_own_sum() {
    let set = rows(&[(r#""b""#, "5"), (r#""a""#, "1"), (r#""b""#, "-2"), (r#""c""#, "0.5")]);
    check(
        &set,
        &sum_by_key(),
        &[("a", &[1], Some("1")), ("b", &[0, 2], Some("3")), ("c", &[3], Some("0.5"))],
    );
    check(
        &set,
        &running_by_key(),
        &[("a", &[1], Some("1")), ("b", &[0, 2], Some("4")), ("c", &[3], Some("4.5"))],
    );
}

#[test]
fn sums_are_exact() {
    check_sum(&["1.10", "2"], "3.1");
    check_sum(&["42"], "42");
    check_sum(&["0.1", "0.2"], "0.3");
    check_sum(&["9223372036854775807", "9223372036854775807"], "18446744073709551614");
    check_sum(&["99999999999999999999.999999999999999999", "0.000000000000000001"], "100000000000000000000");
    check_sum(&["1e20", "1e-20"], "100000000000000000000.00000000000000000001");
    check_sum(&["1.5", "-1.50"], "0");
    check_sum(&["100", "200.00"], "300");
    check_sum(&["-0.0"], "0");
    check_sum(&[r#""1.25""#, "1", r#""-1e-2""#], "2.24");
}

#[test]
fn nulls_add_nothing() {
    check_sum(&["null", "2", "null"], "2");
    check_sum(&["null"], "0");
    let set = rows(&[("1", "2"), ("2", "null"), ("3", "4")]);
    check(&set, &running_by_key(), &[("1", &[0], Some("2")), ("2", &[1], Some("2")), ("3", &[2], Some("6"))]);
}

#[test]
fn equal_decimals_count_once_within_a_group_only() {
    let set = rows(&[
        ("1", "1.10"),
        ("1", "1.1"),
        ("1", r#""11e-1""#),
        ("1", "-1.1"),
        ("1", "-1.10"),
        ("2", "1.1"),
    ]);
    check(&set, &dedup(sum_by_key()), &[("1", &[0, 1, 2, 3, 4], Some("0")), ("2", &[5], Some("1.1"))]);
    check(&set, &sum_by_key(), &[("1", &[0, 1, 2, 3, 4], Some("1.1")), ("2", &[5], Some("1.1"))]);
}

#[test]
fn one_column_may_label_and_add_up() {
    let set = rows(&[("2", "0"), ("10", "0"), ("2", "0")]);
    let grouping = Grouping { aggregation_column: Some("key".into()), ..by_key() };
    check(&set, &grouping, &[("10", &[1], Some("10")), ("2", &[0, 2], Some("4"))]);
}

#[test]
fn what_is_no_number_is_refused() {
    for value in
        ["true", r#""""#, r#""abc""#, r#""NaN""#, r#""Infinity""#, "[]", "{}", r#"" 1""#, "1e1000000000"]
    {
        check_refused(
            &rows(&[("1", "1"), ("1", value)]),
            &sum_by_key(),
            "Aggregation column 'value' contains non-numeric data",
        );
    }
}

#[test]
fn missing_columns_are_named() {
    let set = rows(&[("1", "1")]);
    let elsewhere = Grouping { group_by: "nope".into(), ..by_key() };
    check_refused(&set, &elsewhere, "Missing group_by column 'nope'");
    check_refused(&rows(&[]), &elsewhere, "Missing group_by column 'nope'");
    let sum = Grouping { aggregation_column: Some("amount".into()), ..by_key() };
    check_refused(&set, &sum, "Missing aggregation column 'amount'");
}

#[test]
fn values_that_are_no_timestamps_are_refused() {
    let by_day = by_time(Granularity::Day);
    check_refused(&rows(&[(r#""soon""#, "1")]), &by_day, "Failed to parse datetime string: 'soon'");
    check_refused(&rows(&[("1e18", "1")]), &by_day, "Invalid unix timestamp: 1e18");
    check_refused(
        &rows(&[("[]", "1")]),
        &by_day,
        "Value must be a string (RFC3339/datetime) or number (unix timestamp)",
    );
}

#[test]
fn no_rows_make_no_groups() {
    check(&rows(&[]), &running_by_key(), &[]);
    check(&RowSet::new(Vec::<String>::new()), &running_by_key(), &[]);
}

#[test]
fn a_strategy_needs_a_column() {
    let refused = Grouping::new("key", None, None, Some(Strategy::CumulativeSum), false);
    assert_eq!(refused, Err(GroupError::StrategyWithoutColumn));
    assert_eq!(
        GroupError::StrategyWithoutColumn.to_string(),
        "aggregation_strategy requires aggregation_column"
    );
}

#[test]
fn strategies_are_read_in_any_case() {
    assert_eq!("cumulative_sum".parse(), Ok(Strategy::CumulativeSum));
    assert_eq!("Cumulative_SUM".parse(), Ok(Strategy::CumulativeSum));
    for name in ["", "sum", "cumulative", "cumulative-sum"] {
        assert_eq!(name.parse::<Strategy>(), Err(UnknownStrategy(name.into())), "{name}");
    }
}
