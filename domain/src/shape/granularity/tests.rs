use super::{Granularity, TimestampError, UnknownGranularity};
use crate::shape::row_set::Cell;

fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}

fn number(value: &str) -> Cell {
    Cell::Number(value.into())
}

/// The label by minute, the finest one.
#[track_caller]
fn check(value: Cell, expected: &str) {
    assert_eq!(Granularity::Minute.label(&value).as_deref(), Ok(expected), "{value:?}");
}

#[track_caller]
fn check_refused(value: Cell, expected: &str) {
    let refused = Granularity::Day.label(&value).map_err(|error| error.to_string());
    assert_eq!(refused, Err(expected.to_owned()), "{value:?}");
}

#[test]
fn names_are_read_in_any_case() {
    for (name, expected) in [
        ("day", Granularity::Day),
        ("DAY", Granularity::Day),
        ("Hour", Granularity::Hour),
        ("mInUtE", Granularity::Minute),
    ] {
        assert_eq!(name.parse(), Ok(expected), "{name}");
    }
    for name in ["", "days", " day", "week", "second"] {
        assert_eq!(name.parse::<Granularity>(), Err(UnknownGranularity(name.into())), "{name}");
    }
}

#[test]
fn labels_are_as_wide_as_the_granularity() {
    let value = text("2024-01-02T03:04:05Z");
    for (granularity, expected) in [
        (Granularity::Day, "2024-01-02"),
        (Granularity::Hour, "2024-01-02 03:00"),
        (Granularity::Minute, "2024-01-02 03:04"),
    ] {
        assert_eq!(granularity.label(&value).as_deref(), Ok(expected));
        assert_eq!(granularity.label(&Cell::Null).as_deref(), Ok("null"));
    }
}

#[test]
fn times_with_an_offset_go_to_utc() {
    check(text("2024-01-01T00:30:00Z"), "2024-01-01 00:30");
    check(text("2024-01-01t00:30:00z"), "2024-01-01 00:30");
    check(text("2024-01-01T00:30:00.123456789012+00:00"), "2024-01-01 00:30");
    check(text("2024-01-01T00:30:00+02:00"), "2023-12-31 22:30");
    check(text("2024-02-28T23:30:00-05:30"), "2024-02-29 05:00");
    check(text("2024-01-01T00:30:00-00:00"), "2024-01-01 00:30");
    check(text("2016-12-31T23:59:60Z"), "2016-12-31 23:59");
}

#[test]
fn postgres_renderings_are_read() {
    check(text("2024-01-01 00:30:00"), "2024-01-01 00:30");
    check(text("2024-01-01 00:30:00.5"), "2024-01-01 00:30");
    check(text("2024-01-01T00:30:00"), "2024-01-01 00:30");
    check(text("2024-01-01T00:30:00.123"), "2024-01-01 00:30");
    check(text("2024-01-01 00:30:00+00"), "2024-01-01 00:30");
    check(text("2024-01-01 00:30:00.25+01"), "2023-12-31 23:30");
    check(text("2024-01-01 00:30:00+0545"), "2023-12-31 18:45");
    check(text("1880-01-01 00:30:00+00:53:28"), "1879-12-31 23:36");
    check(text("2024-02-29"), "2024-02-29 00:00");
    check(text("0001-01-01"), "0001-01-01 00:00");
    check(text("9999-12-31T23:59:59.999999Z"), "9999-12-31 23:59");
}

#[test]
fn numbers_are_unix_seconds() {
    check(number("0"), "1970-01-01 00:00");
    check(number("1704067200"), "2024-01-01 00:00");
    check(number("1704067199.999999999999999999"), "2023-12-31 23:59");
    check(number("1.7040672e9"), "2024-01-01 00:00");
    check(number("-0.5"), "1969-12-31 23:59");
    check(number("-60"), "1969-12-31 23:59");
    check(number("253402300799"), "9999-12-31 23:59");
    check(number("-62135596800"), "0001-01-01 00:00");
}

#[test]
fn strings_of_another_form_are_refused() {
    for value in [
        "",
        "yesterday",
        "infinity",
        "-infinity",
        "1704067200",
        "0044-03-15 BC",
        "0044-03-15 10:00:00+00 BC",
        "10000-01-01",
        "10000-01-01T00:00:00Z",
        "294276-12-31 23:59:59",
        "+2024-01-01",
        "0000-01-01",
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-32",
        "2024-1-1",
        "2024-01-01 24:00:00",
        "2024-01-01 00:60:00",
        "2024-01-01 00:00:61",
        "2024-01-01 00:00",
        "2024-01-01 00:00:00.",
        "2024-01-01 00:00:00,5",
        "2024-01-01 00:00:00 UTC",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+1",
        "2024-01-01T00:00:00+01:",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01_00:00:00",
        "２０２４-01-01",
        " 2024-01-01",
    ] {
        check_refused(text(value), &format!("Failed to parse datetime string: '{value}'"));
    }
}

#[test]
fn offsets_never_lead_out_of_the_years() {
    for value in ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"] {
        check_refused(text(value), &format!("Failed to parse datetime string: '{value}'"));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for value in ["253402300800", "-62135596801", "1704067200000", "1e30", "9223372036854775808", "-1e18"] {
        check_refused(number(value), &format!("Invalid unix timestamp: {value}"));
    }
    check_refused(number("1e1000000000"), "Numeric timestamp must be integer or float");
}

#[test]
fn other_values_are_no_timestamps() {
    for value in [Cell::Bool(true), Cell::Json("[]".into()), Cell::Json("{}".into())] {
        check_refused(value, "Value must be a string (RFC3339/datetime) or number (unix timestamp)");
    }
}

#[test]
fn errors_repeat_long_values_in_part() {
    let refused = Granularity::Day.label(&text(&"ä".repeat(1_000_000)));
    assert_eq!(refused, Err(TimestampError::Unreadable(format!("{}…", "ä".repeat(100)).into())));
}
