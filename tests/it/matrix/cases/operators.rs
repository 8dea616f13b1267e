//! Every operator on every type.

use super::Case;

/// A table with a column for each of some types.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
}

/// A column.
pub struct Column {
    pub name: &'static str,
    /// Its type in PostgreSQL.
    pub sql: &'static str,
    /// Its type in CQL, if there is one.
    pub cql: Option<&'static str>,
    /// Three values that rows have, a low one, one in the middle, a high one; two rows more have null in all of a
    /// table's columns but `id`. Bytes as PostgreSQL writes them.
    pub values: [&'static str; 3],
}

const fn column(
    name: &'static str,
    sql: &'static str,
    cql: &'static str,
    values: [&'static str; 3],
) -> Column {
    Column { name, sql, cql: Some(cql), values }
}

/// The tables, whose key is `id`.
pub static TABLES: [Table; 2] = [
    Table {
        name: "items",
        columns: &[
            column("id", "int", "int", ["1", "2", "3"]),
            column("name", "text", "text", [r#""Ada""#, r#""Bob""#, r#""Cy""#]),
            column("qty", "int", "int", ["-7", "0", "2147483647"]),
            column("big", "bigint", "bigint", ["-9223372036854775808", "1", "9007199254740993"]),
            column("price", "numeric", "decimal", ["-0.05", "19.99", "12345678901234567890.25"]),
            column("ratio", "double precision", "double", ["-1.5", "0.25", "1e100"]),
            column("active", "boolean", "boolean", ["false", "true", "true"]),
            column("born", "date", "date", [r#""1815-12-10""#, r#""2000-02-29""#, r#""2025-01-01""#]),
            column(
                "seen",
                "timestamptz",
                "timestamp",
                [
                    r#""1969-12-31T23:59:59.999+00:00""#,
                    r#""2000-02-29T12:00:00+00:00""#,
                    r#""2025-01-01T00:00:00.123+00:00""#,
                ],
            ),
            column(
                "clock",
                "time",
                "time",
                [r#""00:00:00""#, r#""12:30:15.123456""#, r#""23:59:59.999999""#],
            ),
            column(
                "ref",
                "uuid",
                "uuid",
                [
                    r#""00000000-0000-4000-8000-000000000001""#,
                    r#""7f000000-0000-4000-8000-000000000002""#,
                    r#""ff000000-0000-4000-8000-000000000003""#,
                ],
            ),
            column("tags", "text[]", "list<text>", [r#"["a"]"#, r#"["a","b"]"#, r#"["c"]"#]),
        ],
    },
    Table {
        name: "kinds",
        columns: &[
            column("id", "int", "int", ["1", "2", "3"]),
            column("small", "smallint", "smallint", ["-32768", "0", "32767"]),
            column("single", "real", "float", ["-1.5", "0.25", "3.5"]),
            column(
                "huge",
                "numeric",
                "varint",
                ["-170141183460469231731687303715884105729", "1", "18446744073709551616"],
            ),
            column(
                "mixed",
                "uuid",
                "uuid",
                [
                    r#""10000000-0000-4000-8000-000000000001""#,
                    r#""20000000-0000-1000-8000-000000000002""#,
                    r#""30000000-0000-4000-8000-000000000003""#,
                ],
            ),
            column(
                "timed",
                "uuid",
                "timeuuid",
                [
                    r#""10000000-0000-1009-8000-000000000001""#,
                    r#""20000000-0000-1001-8000-000000000002""#,
                    r#""30000000-0000-1005-8000-000000000003""#,
                ],
            ),
            column("addr", "inet", "inet", [r#""10.0.0.1""#, r#""192.168.0.1""#, r#""2001:db8::1""#]),
            column("span", "interval", "duration", [r#""PT0.5S""#, r#""P1DT2H""#, r#""P1M""#]),
            column("bytes", "bytea", "blob", [r#""\\x00""#, r#""\\x00ff""#, r#""\\xff""#]),
            column("words", "text[]", "set<text>", [r#"["a"]"#, r#"["a","b"]"#, r#"["c"]"#]),
            column("props", "jsonb", "map<text, int>", [r#"{"a":1}"#, r#"{"a":1,"b":2}"#, r#"{"c":3}"#]),
            column("pair", "jsonb", "tuple<int, text>", [r#"[1,"a"]"#, r#"[2,"b"]"#, r#"[3,"c"]"#]),
            column("vec", "real[]", "vector<float, 3>", ["[-1.5,0.25,2]", "[0.5,0.5,0.5]", "[3.5,1,1]"]),
            column(
                "spot",
                "place",
                "frozen<place>",
                [r#"{"name":"A","no":1}"#, r#"{"name":"B","no":2}"#, r#"{"name":"C","no":3}"#],
            ),
            Column {
                name: "doc",
                sql: "json",
                cql: None,
                values: [r#"{"a":1}"#, r#"{"a":1,"b":[2]}"#, r#"{"c":null}"#],
            },
        ],
    },
];

impl Table {
    /// Its rows, with the columns that `has` names.
    pub fn rows(&self, has: impl Fn(&Column) -> bool) -> Vec<String> {
        let row = |at: usize| {
            let columns = self.columns.iter().filter(|column| has(column));
            let fields: Vec<String> =
                columns.map(|column| format!("\"{}\":{}", column.name, column.values[at])).collect();
            format!("{{{}}}", fields.join(","))
        };
        let mut rows: Vec<String> = (0..3).map(row).collect();
        rows.extend([r#"{"id":4}"#.to_owned(), r#"{"id":5}"#.to_owned()]);
        rows
    }
}

impl Column {
    /// Its types, as a heading.
    pub fn types(&self) -> String {
        match self.cql {
            Some(cql) if cql == self.sql => cql.to_owned(),
            Some(cql) => format!("{}, {cql}", self.sql),
            None => self.sql.to_owned(),
        }
    }

    /// What is a part of a value, and what values are a part of.
    fn parts(&self) -> (&'static str, &'static str) {
        match self.name {
            "tags" | "words" => (r#"["a"]"#, r#"["a","b","z"]"#),
            "props" | "doc" => (r#"{"a":1}"#, r#"{"a":1,"b":2,"z":3}"#),
            "pair" => (r#"["a"]"#, r#"[1,"a","z"]"#),
            "vec" => ("[0.5]", "[0.5,1]"),
            _ => ("[1]", "[1]"),
        }
    }
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for table in &TABLES {
        for column in table.columns {
            if table.name == "kinds" && column.name == "id" {
                continue;
            }
            of_column(table.name, column, &mut cases);
        }
    }
    cases
}

fn of_column(table: &str, column: &Column, cases: &mut Vec<Case>) {
    let [low, middle, high] = column.values;
    let mut add = |name: &str, operator: &str, value: &str| {
        let text = format!(r#"{{"operator":"{operator}","column":"{}","value":{value}}}"#, column.name);
        let shown = match (table, column.name) {
            ("items", _) => String::new(),
            // Through PostgREST an interval comes in the style of its database.
            (_, "span") => r#""columns":["id"],"#.to_owned(),
            (_, name) => format!(r#""columns":["id","{name}"],"#),
        };
        let body = format!(r#"{{"table_name":"{table}",{shown}"conditions":[{text}]}}"#);
        let case = Case::read(column.name, name, body);
        // In CQL a tuple and a vector are one value: they have no members to look for, as the arrays of jsonb do.
        let whole = matches!(column.name, "pair" | "vec") && operator.starts_with("contain");
        cases.push(Case { of_sql_types: column.cql.is_none() || whole, ..case });
    };
    for operator in ["eq", "neq", "gt", "gte", "lt", "lte"] {
        add(&format!("`{operator}`"), operator, middle);
    }
    add("`in` list", "in", &format!("[{low},{high}]"));
    add("`in` list with null", "in", &format!("[{low},null]"));
    add("`eq` null", "eq", "null");
    add("`neq` null", "neq", "null");
    add("`is` null", "is", "\"null\"");
    add("`is` not null", "is", "\"not null\"");
    if column.name == "active" {
        for truth in ["true", "false", "unknown"] {
            add(&format!("`is` {truth}"), "is", &format!("\"{truth}\""));
        }
    }
    add("`like`", "like", "\"%a%\"");
    add("`ilike`", "ilike", "\"%A%\"");
    let (part, whole) = column.parts();
    add("`contains`", "contains", part);
    add("`containedBy`", "containedBy", whole);
}
