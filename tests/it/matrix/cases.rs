//! The requests of the support matrix: every operator on every type, and what else a request can ask for.

use serde_json::{Value, json};

/// Columns of `items`, with three values that its rows have: a low one, one in the middle, a high one.
///
/// Two rows more have null in all of them but `id`. A type that databases write in different ways has no place here.
pub const COLUMNS: [(&str, [&str; 3]); 12] = [
    ("id", ["1", "2", "3"]),
    ("name", [r#""Ada""#, r#""Bob""#, r#""Cy""#]),
    ("qty", ["-7", "0", "2147483647"]),
    ("big", ["-9223372036854775808", "1", "9007199254740993"]),
    ("price", ["-0.05", "19.99", "12345678901234567890.25"]),
    ("ratio", ["-1.5", "0.25", "1e100"]),
    ("active", ["false", "true", "true"]),
    ("born", [r#""1815-12-10""#, r#""2000-02-29""#, r#""2025-01-01""#]),
    (
        "seen",
        [
            r#""1969-12-31T23:59:59.999+00:00""#,
            r#""2000-02-29T12:00:00+00:00""#,
            r#""2025-01-01T00:00:00.123+00:00""#,
        ],
    ),
    ("clock", [r#""00:00:00""#, r#""12:30:15.123456""#, r#""23:59:59.999999""#]),
    (
        "ref",
        [
            r#""00000000-0000-4000-8000-000000000001""#,
            r#""7f000000-0000-4000-8000-000000000002""#,
            r#""ff000000-0000-4000-8000-000000000003""#,
        ],
    ),
    ("tags", [r#"["a"]"#, r#"["a","b"]"#, r#"["c"]"#]),
];

/// Rows of `items`.
pub fn items() -> Vec<String> {
    let row = |at: usize| {
        let fields: Vec<String> =
            COLUMNS.iter().map(|(name, values)| format!("\"{name}\":{}", values[at])).collect();
        format!("{{{}}}", fields.join(","))
    };
    let mut rows: Vec<String> = (0..3).map(row).collect();
    rows.extend([r#"{"id":4}"#.to_owned(), r#"{"id":5}"#.to_owned()]);
    rows
}

/// Rows of `events`, whose key is (`device`, `at`).
pub fn events() -> Vec<String> {
    let mut rows = Vec::new();
    for device in ["a", "b"] {
        for at in 1..=6 {
            let kind = if at % 2 == 0 { "even" } else { "odd" };
            rows.push(
                json!({ "device": device, "at": at, "kind": kind, "amount": at * 10, "note": (at > 3).then_some("late") })
                    .to_string(),
            );
        }
    }
    rows
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Fetch,
    Insert,
    Update,
    Delete,
}

/// One request.
pub struct Case {
    /// Where it stands in the document.
    pub group: &'static str,
    /// Its name there.
    pub name: String,
    /// Route.
    pub route: Route,
    /// Body.
    pub body: String,
    /// Whether the answer's rows have an order.
    pub ordered: bool,
    /// Headers beyond the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
    /// For a write: the fetch that shows what it did.
    pub then: Option<String>,
    /// For what the reference does not do: the answer of a database that does, numbers as text.
    pub own: Option<Value>,
}

impl Case {
    pub(super) fn read(group: &'static str, name: impl Into<String>, body: String) -> Self {
        Self {
            group,
            name: name.into(),
            route: Route::Fetch,
            body,
            ordered: false,
            headers: &[],
            then: None,
            own: None,
        }
    }

    fn ordered(self) -> Self {
        Self { ordered: true, ..self }
    }

    fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    fn write(group: &'static str, name: &str, route: Route, body: Value, then: Value) -> Self {
        Self { route, then: Some(then.to_string()), ..Self::read(group, name, body.to_string()) }
    }
}

/// Every request, in the order of the document.
pub fn all() -> Vec<Case> {
    let mut cases = operators();
    cases.extend(combinations());
    cases.extend(shapes());
    cases.extend(writes());
    cases.extend(super::own::all());
    cases
}

fn condition(table: &str, condition: &str) -> String {
    format!(r#"{{"table_name":"{table}","conditions":[{condition}]}}"#)
}

/// Every operator on every column.
fn operators() -> Vec<Case> {
    let mut cases = Vec::new();
    for (column, [low, middle, high]) in COLUMNS {
        let mut add = |operator: &str, value: &str| {
            let text = format!(r#"{{"operator":"{operator}","column":"{column}","value":{value}}}"#);
            let shown = if value.starts_with('[') && operator == "in" { "list" } else { "value" };
            let name = match value {
                "null" | "\"null\"" | "\"not null\"" => format!("`{operator}` {}", value.trim_matches('"')),
                _ if operator == "in" => format!("`in` {shown}"),
                _ => format!("`{operator}`"),
            };
            cases.push(Case::read(column, name, condition("items", &text)));
        };
        for operator in ["eq", "neq", "gt", "gte", "lt", "lte"] {
            add(operator, middle);
        }
        add("in", &format!("[{low},{high}]"));
        add("in", &format!("[{low},null]"));
        add("eq", "null");
        add("neq", "null");
        add("is", "\"not null\"");
        add("like", "\"%a%\"");
        add("ilike", "\"%A%\"");
        add("contains", if column == "tags" { r#"["a"]"# } else { "[1]" });
        add("containedBy", if column == "tags" { r#"["a","b","z"]"# } else { "[1]" });
    }
    cases
}

/// Filters of several conditions, over both tables.
fn combinations() -> Vec<Case> {
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

/// What else a read can ask for.
fn shapes() -> Vec<Case> {
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
        read("sorted with nulls first", r#"{"table_name":"items","sort_by":{"field":"qty","nulls":"first"}}"#.to_owned()),
        read("sorted by two keys", r#"{"table_name":"events","sort_by":[{"field":"kind"},{"field":"at"}]}"#.to_owned()),
        read("limit", events(r#""sort_by":{"field":"at"},"limit":2"#)).ordered(),
        read("limit 0", events(r#""limit":0"#)),
        read("offset", events(r#""sort_by":{"field":"at"},"limit":2,"offset":3"#)).ordered(),
        read("the second page", events(r#""sort_by":{"field":"at"},"page_size":4,"current_page":2"#)).ordered(),
        read("the first page of a cursor", events(r#""sort_by":{"field":"at"},"page_size":4,"cursor":"""#)).ordered(),
        read("count exact of a partition", events(r#""count":"exact""#)),
        read("count exact of a table", r#"{"table_name":"events","count":"exact"}"#.to_owned()),
        read("count exact of a filter", r#"{"table_name":"items","conditions":[{"eq_column":"name","eq_value":"Ada"}],"count":"exact"}"#.to_owned()),
        read("count without rows", events(r#""count":"exact","head":true"#)),
        read("grouped", events(r#""group_by":"kind""#)),
        read("grouped with a running sum", events(r#""sort_by":{"field":"at"},"group_by":"kind","aggregation_column":"amount","aggregation_strategy":"cumulative_sum""#)).ordered(),
        read("an unknown table", r#"{"table_name":"nothing"}"#.to_owned()),
        read("an unknown column", r#"{"table_name":"items","columns":["nothing"]}"#.to_owned()),
        read("a value of another type", r#"{"table_name":"items","conditions":[{"eq_column":"id","eq_value":"x"}]}"#.to_owned()),
    ]
}

/// Writes. What one database refuses is not there for a later one, so none builds on a write that may be refused.
fn writes() -> Vec<Case> {
    let show = |id: i64| json!({"table_name": "items", "columns": ["id", "name", "qty"], "conditions": [{"eq_column": "id", "eq_value": id}]});
    let put = |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Insert, body, show(id));
    let change =
        |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Update, body, show(id));
    let remove =
        |name: &str, body: Value, id: i64| Case::write("writing", name, Route::Delete, body, show(id));
    let key = |id: i64| json!([{"eq_column": "id", "eq_value": id}]);
    let row = |id: i64| json!({"id": id, "name": "new", "qty": 1});
    let events = |at: Value| json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "w"}, at]});
    vec![
        put("insert", json!({"table_name": "items", "insert_body": row(101)}), 101),
        put(
            "insert of a row that is there",
            json!({"table_name": "items", "insert_body": {"id": 1, "name": "x"}}),
            1,
        ),
        put(
            "insert that answers some columns",
            json!({"table_name": "items", "insert_body": row(102), "columns": ["id"]}),
            102,
        ),
        put(
            "insert that answers nothing",
            json!({"table_name": "items", "insert_body": row(103), "head": true}),
            103,
        ),
        put(
            "insert of several rows",
            json!({"table_name": "items", "insert_body": [row(104), row(105)]}),
            105,
        ),
        Case::write(
            "writing",
            "insert of several rows of a partition",
            Route::Insert,
            json!({"table_name": "events", "insert_body": [{"device": "v", "at": 1, "kind": "n"}, {"device": "v", "at": 2, "kind": "n"}]}),
            json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "v"}]}),
        ),
        put("insert without a key", json!({"table_name": "items", "insert_body": {"name": "x"}}), 0),
        put(
            "upsert of a new row",
            json!({"table_name": "items", "insert_body": row(106), "on_conflict": "id"}),
            106,
        ),
        put(
            "upsert of a row that is there",
            json!({"table_name": "items", "insert_body": {"id": 101, "name": "again"}, "on_conflict": "id"}),
            101,
        ),
        put(
            "upsert with other new values",
            json!({"table_name": "items", "insert_body": row(110), "on_conflict": "id", "update_body": {"qty": 9}}),
            110,
        ),
        put(
            "upsert that keeps the old row",
            json!({"table_name": "items", "insert_body": {"id": 101, "name": "never"}, "on_conflict": "id", "update_body": {}}),
            101,
        ),
        put(
            "upsert on another column",
            json!({"table_name": "items", "insert_body": row(107), "on_conflict": "name"}),
            107,
        ),
        change(
            "update by key",
            json!({"table_name": "items", "update_body": {"qty": 5}, "conditions": key(102)}),
            102,
        ),
        change(
            "update of a row that is not there",
            json!({"table_name": "items", "update_body": {"qty": 5}, "conditions": key(999)}),
            999,
        ),
        change(
            "update to null",
            json!({"table_name": "items", "update_body": {"name": null}, "conditions": key(103)}),
            103,
        ),
        change(
            "update by key and another column",
            json!({"table_name": "items", "update_body": {"qty": 6}, "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "qty", "eq_value": 5}]}),
            102,
        ),
        change(
            "update by key and another column that differs",
            json!({"table_name": "items", "update_body": {"qty": 7}, "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "qty", "eq_value": 1}]}),
            102,
        ),
        change(
            "update by several keys",
            json!({"table_name": "items", "update_body": {"qty": 8}, "conditions": [{"operator": "in", "column": "id", "value": [102, 103]}]}),
            103,
        ),
        change(
            "update by another column",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": [{"eq_column": "name", "eq_value": "nobody"}]}),
            101,
        ),
        change(
            "update of the key",
            json!({"table_name": "items", "update_body": {"id": 998}, "conditions": key(101)}),
            101,
        ),
        change(
            "update of at most no row",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": key(101), "max_affected": 0}),
            101,
        ),
        change(
            "update as a dry run",
            json!({"table_name": "items", "update_body": {"qty": 3}, "conditions": key(101), "dry_run": true}),
            101,
        ),
        change("update without a condition", json!({"table_name": "items", "update_body": {"qty": 3}}), 101),
        remove("delete by id", json!({"table_name": "items", "resource_id": "106"}), 106),
        remove(
            "delete of a row that is not there",
            json!({"table_name": "items", "resource_id": "999"}),
            999,
        ),
        remove("delete by key", json!({"table_name": "items", "conditions": key(103)}), 103),
        remove(
            "delete by key and another column",
            json!({"table_name": "items", "conditions": [{"eq_column": "id", "eq_value": 102}, {"eq_column": "name", "eq_value": "new"}]}),
            102,
        ),
        remove(
            "delete by another column",
            json!({"table_name": "items", "conditions": [{"eq_column": "name", "eq_value": "nobody"}]}),
            1,
        ),
        Case::write(
            "writing",
            "delete of a range",
            Route::Delete,
            events(json!({"operator": "gt", "column": "at", "value": 1})),
            json!({"table_name": "events", "conditions": [{"eq_column": "device", "eq_value": "w"}]}),
        ),
        remove("delete without a condition", json!({"table_name": "items"}), 1),
    ]
}
