//! Ranges and sorts of types that CQL has an order of its own for, along the key of `visits`: (`device`, `at`, `who`,
//! `host`).

use serde_json::json;

use super::Case;

/// Ids whose order by digits is that of the list, and by time and version another one.
const TIMED: [&str; 3] = [
    "10000000-0000-1009-8000-000000000001",
    "20000000-0000-1001-8000-000000000002",
    "30000000-0000-1005-8000-000000000003",
];
const MIXED: [&str; 3] = [
    "10000000-0000-4000-8000-000000000001",
    "20000000-0000-1000-8000-000000000002",
    "30000000-0000-4000-8000-000000000003",
];
/// The second one comes before the first byte by byte, and behind it in SQL, where all of version 4 come first.
const HOSTS: [&str; 3] = ["192.168.0.1", "1::1", "2001:db8::1"];

/// Rows of `visits`.
pub fn visits() -> Vec<String> {
    let row = |at: usize, who: usize, host: usize| {
        json!({"device": "a", "at": TIMED[at], "who": MIXED[who], "host": HOSTS[host]}).to_string()
    };
    vec![row(0, 0, 0), row(1, 0, 0), row(2, 0, 0), row(0, 1, 0), row(0, 2, 0), row(0, 0, 1), row(0, 0, 2)]
}

pub fn all() -> Vec<Case> {
    let group = "orders";
    let device = r#"{"eq_column":"device","eq_value":"a"}"#.to_owned();
    let at = format!(r#"{device},{{"eq_column":"at","eq_value":"{}"}}"#, TIMED[0]);
    let who = format!(r#"{at},{{"eq_column":"who","eq_value":"{}"}}"#, MIXED[0]);
    let body = |conditions: &str, rest: &str| {
        format!(
            r#"{{"table_name":"visits","columns":["at","who","host"],"conditions":[{conditions}]{rest}}}"#
        )
    };
    let mut cases = Vec::new();
    for (what, column, key, value) in [
        ("ids of a time", "at", &device, TIMED[1]),
        ("ids of mixed versions", "who", &at, MIXED[1]),
        ("addresses", "host", &who, HOSTS[1]),
    ] {
        let with = |operator: &str| {
            format!(r#"{key},{{"operator":"{operator}","column":"{column}","value":"{value}"}}"#)
        };
        for operator in ["eq", "neq", "gt", "lte"] {
            cases.push(Case::read(group, format!("{what}: `{operator}`"), body(&with(operator), "")));
        }
        let sort =
            |direction: &str| format!(r#","sort_by":{{"field":"{column}","direction":"{direction}"}}"#);
        for direction in ["asc", "desc"] {
            let name = format!("{what}: sorted {direction}");
            // What shares a key is told apart by nothing that is sorted by.
            let body =
                body(key, &sort(direction)).replace(r#"["at","who","host"]"#, &format!(r#"["{column}"]"#));
            cases.push(Case::read(group, name, body).ordered());
        }
    }
    cases
}
