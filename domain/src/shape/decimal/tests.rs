use super::{Decimal, render};

/// `expected` is how the number reads when it is rendered again.
#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    let rendered = Decimal::parse(text).map(|decimal| render(&decimal.to_big()));
    assert_eq!(rendered.as_deref(), expected, "{text}");
}

#[track_caller]
fn check_floor(text: &str, expected: Option<i64>) {
    assert_eq!(Decimal::parse(text).expect("a number").floor(), expected, "{text}");
}

#[test]
fn every_digit_is_kept() {
    check("42", Some("42"));
    check("-42", Some("-42"));
    check("+1.5", Some("1.5"));
    check("1.10", Some("1.1"));
    check("100", Some("100"));
    check("100.00", Some("100"));
    check("0.001", Some("0.001"));
    check(".5", Some("0.5"));
    check("007", Some("7"));
    check("9223372036854775807", Some("9223372036854775807"));
    check("18446744073709551616", Some("18446744073709551616"));
    check("12345678901234567890.123456789012345678", Some("12345678901234567890.123456789012345678"));
}

#[test]
fn exponents_are_written_out() {
    check("1e3", Some("1000"));
    check("1.5E+2", Some("150"));
    check("-25e-3", Some("-0.025"));
    check("1e-0", Some("1"));
    check("1e308", Some(&format!("1{}", "0".repeat(308))));
    check("1e-5000", Some(&format!("0.{}1", "0".repeat(4_999))));
}

#[test]
fn zero_has_one_form() {
    for zero in ["0", "-0", "0.000", "-0.0", "0e10", "000"] {
        check(zero, Some("0"));
    }
}

#[test]
fn what_is_no_finite_number_is_refused() {
    for text in [
        "",
        "-",
        ".",
        "e5",
        "1e",
        "1e+",
        "1e1.5",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "1.2.3",
        "--1",
        "+-1",
        "1e+-5",
        "١",
        "null",
    ] {
        check(text, None);
    }
}

#[test]
fn numbers_too_large_to_work_with_are_refused() {
    check("1e1000000000", None);
    check("1e-1000000000", None);
    check("1e5001", None);
    check("1e99999999999999999999999999", None);
    check(&"9".repeat(1_000_000), None);
}

#[test]
fn numbers_that_cancel_out_are_zero() {
    for (one, other) in [("100000", "-1e5"), ("1e5", "-1e5"), ("0.001", "-1e-3")] {
        let [one, other] = [one, other].map(|text| Decimal::parse(text).expect("a number").to_big());
        assert_eq!(render(&(one + other)), "0");
    }
}

#[test]
fn equal_numbers_are_equal_values() {
    for (one, other) in [("1.10", "1.1"), ("100", "1e2"), ("-0.5", "-50e-2"), ("0", "-0.0")] {
        assert_eq!(Decimal::parse(one), Decimal::parse(other), "{one} {other}");
    }
    assert_ne!(Decimal::parse("1"), Decimal::parse("-1"));
    assert_ne!(Decimal::parse("1"), Decimal::parse("10"));
}

#[test]
fn floors_go_down() {
    check_floor("0", Some(0));
    check_floor("1704067200", Some(1_704_067_200));
    check_floor("1704067200.999", Some(1_704_067_200));
    check_floor("1.7040672e9", Some(1_704_067_200));
    check_floor("0.5", Some(0));
    check_floor("0.0001", Some(0));
    check_floor("-0.5", Some(-1));
    check_floor("-0.0001", Some(-1));
    check_floor("-3", Some(-3));
    check_floor("-1.5", Some(-2));
    check_floor("9223372036854775807", Some(i64::MAX));
    check_floor("9223372036854775808", None);
    check_floor("1e30", None);
    check_floor("1e5000", None);
}
