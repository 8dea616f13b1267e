//! Planning costs no more than it may, whatever a body asks for within its limits.

use super::*;

/// Most values that are looked at for one request.
const MOST: u64 = 2 * work::MOST_STEPS;

/// Fetches and deletes with these conditions; however it ends, it ends soon. Says whether the fetch was planned.
fn ends_soon(filter: &str) -> bool {
    let asking = Asking { allow_filtering: true, database_order: false, authority: None };
    let mut planned = false;
    let taken = steps(|| {
        planned = match asking.read("events", &format!(r#","conditions":{}"#, conditions(filter))) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{}", error.message);
                false
            }
        };
        let _ = asking.delete(&format!(r#"{{"table_name":"events","conditions":{}}}"#, conditions(filter)));
    });
    assert!(taken <= 2 * MOST, "{taken} steps");
    planned
}

fn list(from: usize, length: usize) -> String {
    format!("{:?}", (from..from + length).collect::<Vec<_>>())
}

#[test]
fn lists_times_alternatives_are_bounded() {
    let or = |column: &str| {
        let of = |at: i32| format!("or {column}.gt.{at},fast.gt.{at}");
        (0..7).map(of).collect::<Vec<_>>().join("; ")
    };
    let lists = |column: &str| vec![format!("{column} in {}", list(0, 10_000)); 40].join("; ");
    for (ranged, listed) in [("plain", "plain"), ("plain", "legacy")] {
        ends_soon(&format!("{}; {}", or(ranged), lists(listed)));
        ends_soon(&format!("{}; {}", lists(listed), or(ranged)));
    }
    // What is usual is planned all the same.
    assert!(ends_soon(&format!("plain in {0}; plain in {0}; plain gt 5", list(0, 10_000))));
    assert!(ends_soon(&format!("a in {}; a in {}; b eq 1", list(0, 10_000), list(9_500, 10_000))));
}

#[test]
fn lists_in_alternatives_are_bounded() {
    let members = list(0, 5_000).replace(' ', "").replace('[', "(").replace(']', ")");
    let one = |at: i32| format!("and(plain.in.{members},fast.gt.{at},legacy.lt.{at})");
    let or = |count| (0..count).map(one).collect::<Vec<_>>().join(",");
    ends_soon(&format!("or {}", or(20)));
    ends_soon(&format!("or {0}; or {0}", or(10)));
    let lists = (0..30).map(|at| format!("and(plain.in.{members},fast.eq.{at})"));
    ends_soon(&format!("or {}", lists.collect::<Vec<_>>().join(",")));
    ends_soon(&format!("not plain.in.{members}"));
    ends_soon(&format!("not fast.in.{members}; plain in {}", list(0, 10_000)));
}

#[test]
fn great_numbers_cost_what_they_are_long() {
    let numbers = |digits: usize, count: usize| {
        let of = |at: usize| format!("\"{}{at}\"", "9".repeat(digits));
        format!("[{}]", (0..count).map(of).collect::<Vec<_>>().join(","))
    };
    ends_soon(&format!("price in {0}; price in {0}; price gt 1e131072", numbers(100_000, 10)));
    let scales = |count: usize| {
        let one = |at| format!("{}e{}", at + 1, 120_000 - at);
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    let between = |list: String| format!("price in [{list}]; price gt 1e-131072; price lt 1e131072");
    assert!(ends_soon(&between(scales(10))));
    ends_soon(&between(scales(10_000)));
}

#[test]
fn decimals_are_compared_by_value() {
    let of = |text: &str| match read(&crate::query::Value::Number(text.into()), &CqlType::Decimal, "x") {
        Ok(value) => value,
        Err(error) => panic!("{text}: {error:?}"),
    };
    let sorted =
        ["-1e131072", "-10.01", "-10", "-1e-9", "0", "1e-131072", "0.9", "1", "1.0001", "9", "10", "1e9"];
    for (at, one) in sorted.iter().enumerate() {
        for (place, two) in sorted.iter().enumerate() {
            assert_eq!(of(one).compare(&of(two)), Some(at.cmp(&place)), "{one} {two}");
        }
    }
    for (one, two) in [("7", "7.00"), ("0", "0.000"), ("-1e3", "-1000"), ("1.50", "15e-1")] {
        assert_eq!(of(one).compare(&of(two)), Some(std::cmp::Ordering::Equal), "{one} {two}");
        assert_eq!(members::identity(&of(one)), members::identity(&of(two)), "{one} {two}");
    }
}
