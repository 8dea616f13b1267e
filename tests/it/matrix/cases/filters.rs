//! Filters of several conditions.

use super::{Case, condition};

/// Filters of several conditions, over both tables.
pub fn all() -> Vec<Case> {
    let group = "combinations";
    let list = [
        (
            "key and another column",
            "items",
            r#"{"eq_column":"id","eq_value":2},{"eq_column":"name","eq_value":"Bob"}"#,
        ),
        (
            "key and a contradiction",
            "items",
            r#"{"eq_column":"id","eq_value":2},{"eq_column":"id","eq_value":3}"#,
        ),
        ("empty `in`", "items", r#"{"operator":"in","column":"name","value":[]}"#),
        ("`or` on the key", "items", r#"{"operator":"or","value":"id.eq.1,id.eq.3"}"#),
        ("`or` on other columns", "items", r#"{"operator":"or","value":"name.eq.Ada,qty.eq.0"}"#),
        ("`or` of key and another column", "items", r#"{"operator":"or","value":"id.eq.1,name.eq.Bob"}"#),
        ("`and` inside `or`", "items", r#"{"operator":"or","value":"and(id.eq.1,name.eq.Ada),id.eq.2"}"#),
        ("`not` of equality on the key", "items", r#"{"operator":"not","value":"id.eq.1"}"#),
        (
            "`not` of a comparison",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"not","value":"at.gt.3"}"#,
        ),
        (
            "`not` of `or`",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"not","value":"or(at.gt.4,at.lt.2)"}"#,
        ),
        ("a partition", "events", r#"{"eq_column":"device","eq_value":"a"}"#),
        ("partitions by `in`", "events", r#"{"operator":"in","column":"device","value":["a","b"]}"#),
        (
            "a row by its whole key",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"eq_column":"at","eq_value":3}"#,
        ),
        (
            "a range of a partition",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"gt","column":"at","value":1},{"operator":"lte","column":"at","value":4}"#,
        ),
        (
            "`in` on the second part of the key",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"in","column":"at","value":[1,6,9]}"#,
        ),
        (
            "a range over partitions by `in`",
            "events",
            r#"{"operator":"in","column":"device","value":["a","b"]},{"operator":"gte","column":"at","value":5}"#,
        ),
        (
            "`or` of two ranges of a partition",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"or","value":"at.lt.2,at.gt.5"}"#,
        ),
        (
            "`or` of overlapping ranges",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"operator":"or","value":"at.lt.4,at.lt.3"}"#,
        ),
        ("`or` of two partitions", "events", r#"{"operator":"or","value":"device.eq.a,device.eq.b"}"#),
        ("the second part of the key alone", "events", r#"{"eq_column":"at","eq_value":3}"#),
        (
            "a partition and another column",
            "events",
            r#"{"eq_column":"device","eq_value":"a"},{"eq_column":"kind","eq_value":"even"}"#,
        ),
        ("another column alone", "events", r#"{"eq_column":"kind","eq_value":"even"}"#),
        ("an indexed column", "events", r#"{"eq_column":"amount","eq_value":30}"#),
        (
            "an indexed column inside a partition",
            "events",
            r#"{"eq_column":"device","eq_value":"b"},{"eq_column":"amount","eq_value":30}"#,
        ),
        ("a range of an indexed column", "events", r#"{"operator":"gte","column":"amount","value":50}"#),
    ];
    list.map(|(name, table, text)| Case::read(group, name, condition(table, text))).into()
}
