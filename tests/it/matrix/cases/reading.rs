//! What else a read can ask for.

use super::Case;

/// What else a read can ask for.
pub fn all() -> Vec<Case> {
    let partition = r#""conditions":[{"eq_column":"device","eq_value":"a"}]"#;
    let events = |rest: &str| format!(r#"{{"table_name":"events",{partition},{rest}}}"#);
    let read = |name: &str, body: String| Case::read("reading", name, body);
    vec![
        read("every row", r#"{"table_name":"items"}"#.to_owned()),
        read("some columns", r#"{"table_name":"items","columns":["id","name"]}"#.to_owned()),
        read("an alias", r#"{"table_name":"items","columns":["id","label:name"]}"#.to_owned()),
        read("a cast to text", r#"{"table_name":"items","columns":["id","qty::text"]}"#.to_owned()),
        read("nulls left out", r#"{"table_name":"items"}"#.to_owned()).with(&[("X-Strip-Nulls", "true")]),
        read("big numbers as strings", r#"{"table_name":"items","columns":["id","big","price"]}"#.to_owned())
            .with(&[("X-Athena-Big-Numbers", "string")]),
        read("lines", r#"{"table_name":"events"}"#.to_owned()).with(&[("Accept", "application/x-ndjson")]),
        read("sorted along the key", events(r#""sort_by":{"field":"at"}"#)).ordered(),
        read("sorted against the key", events(r#""sort_by":{"field":"at","direction":"desc"}"#)).ordered(),
        read("sorted by another column", events(r#""sort_by":{"field":"amount","direction":"desc"}"#)).ordered(),
        read("a whole table sorted", r#"{"table_name":"items","sort_by":{"field":"id"}}"#.to_owned()).ordered(),
        read("sorted with nulls first", r#"{"table_name":"items","sort_by":[{"field":"qty","nulls":"first"},{"field":"id"}]}"#.to_owned()).ordered(),
        read("sorted by several keys", r#"{"table_name":"events","sort_by":[{"field":"kind"},{"field":"at"},{"field":"device"}]}"#.to_owned()).ordered(),
        read("limit", events(r#""sort_by":{"field":"at"},"limit":2"#)).ordered(),
        read("limit 0", events(r#""limit":0"#)),
        read("offset", events(r#""sort_by":{"field":"at"},"limit":2,"offset":3"#)).ordered(),
        read("the second page", events(r#""sort_by":{"field":"at"},"page_size":4,"current_page":2"#)).ordered(),
        read("the first page of a cursor", events(r#""sort_by":{"field":"at"},"page_size":4,"cursor":"""#)).ordered(),
        read("the second page of a cursor", events(r#""sort_by":{"field":"at"},"page_size":4,"cursor":"""#)).ordered().second_page(),
        read("count exact of a partition", events(r#""count":"exact""#)),
        read("count exact of a table", r#"{"table_name":"events","count":"exact"}"#.to_owned()),
        read("count exact of a filter", r#"{"table_name":"items","conditions":[{"eq_column":"name","eq_value":"Ada"}],"count":"exact"}"#.to_owned()),
        read("count planned", r#"{"table_name":"items","count":"planned"}"#.to_owned()).roughly(),
        read("count planned of a filter", events(r#""count":"planned""#)).roughly(),
        read("count estimated", r#"{"table_name":"items","count":"estimated"}"#.to_owned()).roughly(),
        read("count estimated of a filter", events(r#""count":"estimated""#)).roughly(),
        read("count without rows", events(r#""count":"exact","head":true"#)),
        read("grouped", events(r#""group_by":"kind""#)),
        read("grouped with a running sum", events(r#""sort_by":{"field":"at"},"group_by":"kind","aggregation_column":"amount","aggregation_strategy":"cumulative_sum""#)).ordered(),
        read("an unknown table", r#"{"table_name":"nothing"}"#.to_owned()),
        read("an unknown column", r#"{"table_name":"items","columns":["nothing"]}"#.to_owned()),
        read("a value of another type", r#"{"table_name":"items","conditions":[{"eq_column":"id","eq_value":"x"}]}"#.to_owned()),
    ]
}
