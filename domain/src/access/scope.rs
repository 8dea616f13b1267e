//! What a key is limited to besides its rights: operations, tables, columns and rows (contract 29.4).

use std::sync::Arc;

use crate::error::RequestError;
use crate::limits::Limits;
use crate::query::condition;
use crate::query::{Condition, Decoding, Identifier, JsonText};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOperation {
    /// Reading rows.
    Fetch,
    /// Adding rows.
    Insert,
    /// Changing rows.
    Update,
    /// Removing rows.
    Delete,
    /// The caller's own SQL.
    Query,
    /// Calling functions.
    Rpc,
    /// Looking at tables and columns.
    Schema,
}

impl KeyOperation {
    const ALL: [Self; 7] =
        [Self::Fetch, Self::Insert, Self::Update, Self::Delete, Self::Query, Self::Rpc, Self::Schema];

    /// The word in bodies and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Query => "query",
            Self::Rpc => "rpc",
            Self::Schema => "schema",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }
}

/// `schema.table`, `schema.*`, `table` in the default schema, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    /// As it was written.
    text: Box<str>,
    /// Part before the dot; none means the default schema, or any for `*`.
    dot: Option<usize>,
}

impl TablePattern {
    /// Reads a pattern; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = match text.split_once('.') {
            Some((schema, table)) => {
                Identifier::is_valid(schema) && (table == "*" || Identifier::is_valid(table))
            }
            None => text == "*" || Identifier::is_valid(text),
        };
        valid.then(|| Self { text: text.into(), dot: text.find('.') })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the table is meant by a pattern that opens tables: names as they are.
    pub fn opens(&self, schema: &str, table: &str, default_schema: &str) -> bool {
        self.fits(schema, table, default_schema, |written, name| written == name)
    }

    /// Whether the table is meant by a pattern that limits what is open: names whatever their case, as one that was
    /// written in another would leave everything open.
    pub fn limits(&self, schema: &str, table: &str, default_schema: &str) -> bool {
        self.fits(schema, table, default_schema, str::eq_ignore_ascii_case)
    }

    fn fits(&self, schema: &str, table: &str, default_schema: &str, same: fn(&str, &str) -> bool) -> bool {
        match self.dot {
            Some(dot) => {
                let (written, name) = (&self.text[..dot], &self.text[dot + 1..]);
                same(written, schema) && (name == "*" || same(name, table))
            }
            None => &*self.text == "*" || (same(schema, default_schema) && same(&self.text, table)),
        }
    }
}

/// Tables, and the columns of them that may be named or seen.
pub type ColumnRule = (TablePattern, Vec<Box<str>>);

/// Conditions that every row must meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFilter {
    /// Tables it holds for.
    pub tables: TablePattern,
    /// ANDed to every statement.
    pub conditions: Vec<Condition>,
}

/// What a key is limited to; `None` and empty lists of rules mean no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// What it may be used for.
    pub operations: Option<Vec<KeyOperation>>,
    /// Tables it may touch.
    pub tables: Option<Vec<TablePattern>>,
    /// Columns it may name or see, by table.
    pub columns: Vec<ColumnRule>,
    /// Rows it may see, change or make, by table.
    pub row_filters: Vec<RowFilter>,
}

impl Scope {
    /// A scope that permits nothing: what is left of one that cannot be read.
    pub fn nothing() -> Self {
        Self { operations: Some(Vec::new()), tables: Some(Vec::new()), ..Self::default() }
    }

    /// Reads a scope from its four stored parts: words, patterns, and two JSON objects.
    ///
    /// # Errors
    /// The first part that cannot be read.
    pub fn from_parts(
        operations: Option<&[String]>,
        tables: Option<&[String]>,
        columns: Option<&str>,
        row_filters: Option<&str>,
    ) -> Result<Self, RequestError> {
        let listed = |items: &[String]| serde_json::to_vec(items).unwrap_or_default();
        Ok(Self {
            operations: operations
                .map(|items| Self::parse_operations(JsonText::parse(&listed(items))?, "operations"))
                .transpose()?,
            tables: tables
                .map(|items| Self::parse_tables(JsonText::parse(&listed(items))?, "tables"))
                .transpose()?,
            columns: match columns {
                Some(text) => Self::parse_columns(JsonText::parse(text.as_bytes())?, "columns")?,
                None => Vec::new(),
            },
            row_filters: match row_filters {
                Some(text) => Self::parse_row_filters(JsonText::parse(text.as_bytes())?, "row_filters")?,
                None => Vec::new(),
            },
        })
    }

    /// Reads `operations`.
    ///
    /// # Errors
    /// When it is no list of known words.
    pub fn parse_operations(list: JsonText<'_>, field: &str) -> Result<Vec<KeyOperation>, RequestError> {
        texts(list, field)?
            .into_iter()
            .map(|(path, text)| {
                KeyOperation::parse(&text).ok_or_else(|| {
                    RequestError::invalid(
                        &*path,
                        format!("`{path}` must be one of fetch, insert, update, delete, query, rpc, schema"),
                    )
                })
            })
            .collect()
    }

    /// Reads `tables`.
    ///
    /// # Errors
    /// When it is no list of patterns.
    pub fn parse_tables(list: JsonText<'_>, field: &str) -> Result<Vec<TablePattern>, RequestError> {
        texts(list, field)?.into_iter().map(|(path, text)| pattern(&text, &path)).collect()
    }

    /// Reads `columns`: an object of patterns to lists of names.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse_columns(map: JsonText<'_>, field: &str) -> Result<Vec<ColumnRule>, RequestError> {
        let entries = map.expect_object(field)?.rest();
        entries
            .into_iter()
            .map(|(key, names)| {
                let path = format!("{field}.{key}");
                let tables = pattern(&key, &path)?;
                let names = texts(names, &path)?.into_iter().map(|(path, name)| {
                    if Identifier::is_valid(&name) {
                        return Ok(name.into());
                    }
                    Err(RequestError::invalid(&*path, format!("`{path}` is not the name of a column")))
                });
                Ok((tables, names.collect::<Result<_, _>>()?))
            })
            .collect()
    }

    /// Reads `row_filters`: an object of patterns to lists of conditions.
    ///
    /// # Errors
    /// When it is none, or a condition is not understood whole.
    pub fn parse_row_filters(map: JsonText<'_>, field: &str) -> Result<Vec<RowFilter>, RequestError> {
        let strict = Decoding { refuse_unknown_fields: true, ..Decoding::default() };
        let entries = map.expect_object(field)?.rest();
        entries
            .into_iter()
            .map(|(key, list)| {
                let path = format!("{field}.{key}");
                let tables = pattern(&key, &path)?;
                let conditions = condition::parse_list(list, &path, &Limits::default(), strict)?;
                if conditions.is_empty() {
                    let message =
                        format!("`{path}` holds no condition; leave the table out to set no filter");
                    return Err(RequestError::invalid(path, message));
                }
                Ok(RowFilter { tables, conditions })
            })
            .collect()
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.operations.is_some()
            || self.tables.is_some()
            || !self.columns.is_empty()
            || !self.row_filters.is_empty()
    }

    /// Whether the key may be used for this. The caller's own SQL cannot be held to tables, columns and rows, so
    /// a limited key needs it named.
    pub fn allows(&self, operation: KeyOperation) -> bool {
        match &self.operations {
            Some(allowed) => allowed.contains(&operation),
            // Both may touch what the key does not reach.
            None => !matches!(operation, KeyOperation::Query | KeyOperation::Rpc) || !self.is_limited(),
        }
    }

    /// Whether the key may touch the table.
    pub fn allows_table(&self, schema: &str, table: &str, default_schema: &str) -> bool {
        let fits = |pattern: &TablePattern| pattern.opens(schema, table, default_schema);
        self.tables.as_ref().is_none_or(|patterns| patterns.iter().any(fits))
    }

    /// Whether the key may see and name the column.
    pub fn allows_column(&self, schema: &str, table: &str, default_schema: &str, column: &str) -> bool {
        self.columns
            .iter()
            .filter(|(pattern, _)| pattern.limits(schema, table, default_schema))
            .all(|(_, names)| names.iter().any(|name| **name == *column))
    }

    /// Whether any rule names columns of the table.
    pub fn limits_columns(&self, schema: &str, table: &str, default_schema: &str) -> bool {
        self.columns.iter().any(|(pattern, _)| pattern.limits(schema, table, default_schema))
    }

    /// The columns of the table that any rule names.
    pub fn columns<'a>(
        &'a self,
        schema: &'a str,
        table: &'a str,
        default_schema: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let fits = move |rule: &&ColumnRule| rule.0.limits(schema, table, default_schema);
        self.columns.iter().filter(fits).flat_map(|(_, names)| names.iter().map(|name| &**name))
    }

    /// The conditions that rows of the table must meet.
    pub fn conditions<'a>(
        &'a self,
        schema: &'a str,
        table: &'a str,
        default_schema: &'a str,
    ) -> impl Iterator<Item = &'a Condition> {
        let fits = move |filter: &&RowFilter| filter.tables.limits(schema, table, default_schema);
        self.row_filters.iter().filter(fits).flat_map(|filter| &filter.conditions)
    }
}

fn pattern(text: &str, path: &str) -> Result<TablePattern, RequestError> {
    TablePattern::parse(text).ok_or_else(|| {
        RequestError::invalid(
            path,
            format!("`{path}` is not a table: write \"public.users\", \"audit.*\", \"users\" or \"*\""),
        )
    })
}

fn texts(list: JsonText<'_>, field: &str) -> Result<Vec<(Arc<str>, String)>, RequestError> {
    list.expect_array(field)?
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let path: Arc<str> = format!("{field}[{index}]").into();
            let text = item.expect_string(&path)?.into_owned();
            Ok((path, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(
        operations: Option<&[&str]>,
        tables: Option<&[&str]>,
        columns: Option<&str>,
        filters: Option<&str>,
    ) -> Scope {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Scope::from_parts(operations.map(own).as_deref(), tables.map(own).as_deref(), columns, filters)
            .expect("a scope")
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, schema: &str, table: &str, expected: bool| {
            let read = TablePattern::parse(pattern).expect("a pattern");
            assert_eq!(read.opens(schema, table, "public"), expected, "{pattern} {schema}.{table}");
        };
        check("*", "audit", "users", true);
        check("users", "public", "users", true);
        check("users", "audit", "users", false);
        check("public.users", "public", "users", true);
        check("public.users", "public", "users2", false);
        check("audit.*", "audit", "x", true);
        check("audit.*", "public", "x", false);
        for pattern in ["Users", "PUBLIC.users", "Public.*"] {
            let read = TablePattern::parse(pattern).expect("a pattern");
            let opens_and_limits =
                (read.opens("public", "users", "public"), read.limits("public", "users", "public"));
            assert_eq!(opens_and_limits, (false, true), "{pattern}");
        }
        // A request may write the schema otherwise, too, where the database is the one that finds it.
        for pattern in ["users", "public.users", "public.*"] {
            let read = TablePattern::parse(pattern).expect("a pattern");
            for (schema, table) in [("Public", "Users"), ("PUBLIC", "users"), ("pUBLIC", "USERS")] {
                assert!(read.limits(schema, table, "public"), "{pattern} {schema}.{table}");
                assert!(!read.opens(schema, table, "public"), "{pattern} {schema}.{table}");
            }
        }
        for bad in ["", "*.users", "a.b.c", "a b", "users*", ".x", "x."] {
            assert!(TablePattern::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_rule_is_no_limit() {
        let free = Scope::default();
        assert!(!free.is_limited() && free.allows(KeyOperation::Query));
        assert!(free.allows_table("a", "b", "public") && free.allows_column("a", "b", "public", "c"));
    }

    #[test]
    fn a_limited_key_needs_raw_sql_named() {
        for limited in [
            scope(None, Some(&["users"]), None, None),
            scope(None, None, Some(r#"{"users":["id"]}"#), None),
            scope(None, None, None, Some(r#"{"users":[{"eq_column":"id","eq_value":1}]}"#)),
        ] {
            assert!(!limited.allows(KeyOperation::Query) && limited.allows(KeyOperation::Fetch));
        }
        assert!(scope(Some(&["query"]), Some(&["users"]), None, None).allows(KeyOperation::Query));
        assert!(!Scope::nothing().allows(KeyOperation::Fetch));
    }

    #[test]
    fn rules_that_meet_one_table_hold_together() {
        let both = scope(None, None, Some(r#"{"users":["id","a"],"public.*":["id","b"]}"#), None);
        let allowed = |column| both.allows_column("public", "users", "public", column);
        assert!(allowed("id") && !allowed("a") && !allowed("b"));
        assert!(both.allows_column("audit", "users", "public", "z"));
        let filters = r#"{"users":[{"eq_column":"a","eq_value":1}],"*":[{"eq_column":"b","eq_value":2}]}"#;
        let filtered = scope(None, None, None, Some(filters));
        assert_eq!(filtered.conditions("public", "users", "public").count(), 2);
        assert_eq!(filtered.conditions("audit", "users", "public").count(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |columns: Option<&str>, filters: Option<&str>, field: &str| {
            let error = Scope::from_parts(None, None, columns, filters).expect_err("a refusal");
            assert!(error.field.as_deref().is_some_and(|f| f.starts_with(field)), "{error:?}");
        };
        check(Some(r#"{"a b":[]}"#), None, "columns.a b");
        check(Some(r#"{"a":["x y"]}"#), None, "columns.a[0]");
        check(None, Some(r#"{"a":[]}"#), "row_filters.a");
        check(None, Some(r#"{"a":[{"eq_column":"x"}]}"#), "row_filters.a[0]");
        check(None, Some(r#"{"a":[{"eq_column":"x","eq_value":1,"typo":2}]}"#), "row_filters.a[0]");
        let unknown = Scope::from_parts(Some(&["read".to_owned()]), None, None, None);
        assert_eq!(unknown.expect_err("a refusal").field.as_deref(), Some("operations[0]"));
    }
}
