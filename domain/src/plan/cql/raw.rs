//! The caller's own CQL: one statement, passed on as it is.

use super::refuse;
use crate::error::RequestError;
use crate::plan::RawPlan;
use crate::query::RawRequest;

/// First words of statements that change tables, types or indexes.
const DEFINING: &[&str] = &["create", "alter", "drop"];

/// Plans a statement of the caller's own.
///
/// # Errors
/// Several statements, a write that must be read-only, and what would reach other requests.
pub(in crate::plan) fn raw(request: &RawRequest) -> Result<RawPlan, RequestError> {
    let (statements, first) = outline(&request.query);
    // A batch holds statements that end in semicolons.
    if statements > 1 && first != "begin" {
        return Err(refuse(
            "query",
            "the database takes one statement at a time".to_owned(),
            "send the statements one by one, or writes between BEGIN BATCH and APPLY BATCH".to_owned(),
        ));
    }
    if request.read_only && first != "select" {
        return Err(refuse(
            "read_only",
            "the database has no transactions that only read, so that with `read_only` the query must begin with \
             SELECT"
                .to_owned(),
            "send a SELECT, or leave `read_only` out".to_owned(),
        ));
    }
    if first == "use" {
        return Err(refuse(
            "query",
            "USE would change the keyspace of every request that shares the connection".to_owned(),
            "write the keyspace before the table's name".to_owned(),
        ));
    }
    Ok(RawPlan {
        query: request.query.clone(),
        params: request.params.clone(),
        read_only: request.read_only,
        statements: 1,
        undoable: false,
        defines: DEFINING.contains(&first.as_str()),
        opens_transaction: false,
        tells_columns: request.tells_columns,
    })
}

/// The first word of a statement in lower case, after blanks and comments; empty when it begins with anything else.
pub fn first_word(text: &str) -> String {
    outline(text).1
}

/// The number of statements and the first word, in lower case; empty when the text begins with anything else.
fn outline(text: &str) -> (usize, String) {
    let (mut statements, mut first, mut open) = (0, None, false);
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let ends =
            |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
        let length = if char.is_whitespace() {
            char.len_utf8()
        } else if rest.starts_with("--") || rest.starts_with("//") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            ends(2, "*/")
        } else if char == ';' {
            open = false;
            1
        } else {
            if !std::mem::replace(&mut open, true) {
                statements += 1;
            }
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            first.get_or_insert_with(|| rest[..word].to_ascii_lowercase());
            match char {
                // A doubled quote ends one text and begins the next, which comes to the same.
                '\'' | '"' => ends(1, if char == '"' { "\"" } else { "'" }),
                '$' if rest.starts_with("$$") => ends(2, "$$"),
                _ => word.max(char.len_utf8()),
            }
        };
        rest = &rest[length..];
    }
    (statements, first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_told_apart_by_their_first_word() {
        let check = |text: &str, expected: (usize, &str)| {
            let (statements, first) = outline(text);
            assert_eq!((statements, first.as_str()), expected, "{text}");
        };
        check("", (0, ""));
        check("-- only; a comment", (0, ""));
        check("/* ; */ Select 1 // ; x", (1, "select"));
        check("// select\n DELETE FROM t", (1, "delete"));
        check("-- select\r DELETE FROM t", (1, "delete"));
        check("/* /* */ select 1", (1, "select"));
        check("select ';', \"a;b\", $$ ; $$, 'it''s;' from t", (1, "select"));
        check("select 1; ; drop table t;", (2, "select"));
        check("(select)", (1, ""));
        check("'select'", (1, ""));
        check("select'a;", (1, "select"));
        check("selects", (1, "selects"));
    }

    #[test]
    fn what_would_reach_others_or_write_is_refused() {
        let check = |query: &str, read_only: bool, field: Option<&str>| {
            let request = RawRequest {
                query: query.into(),
                params: None,
                read_only,
                max_rows: None,
                one_statement: false,
                tells_columns: false,
            };
            let refused = raw(&request).err().and_then(|error| error.field);
            assert_eq!(refused.as_deref(), field, "{query}");
        };
        check("select * from t", true, None);
        check("insert into t (a) values (?)", false, None);
        check("begin batch insert into t (a) values (1); apply batch", false, None);
        check("insert into t (a) values (?)", true, Some("read_only"));
        check("/* select */ truncate t", true, Some("read_only"));
        check("begin batch apply batch", true, Some("read_only"));
        check("list users", true, Some("read_only"));
        check("USE other", false, Some("query"));
        check("/**/ use \"other\"", false, Some("query"));
        check("select 1; delete from t", false, Some("query"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>(), like in "[a$'\"/*;é \n-]{0,40}") {
            outline(&text);
            outline(&like);
        }
    }
}
