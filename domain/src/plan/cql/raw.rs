//! The caller's own CQL: one statement, passed on as it is.

use super::refuse;
use crate::error::RequestError;
use crate::plan::RawPlan;
use crate::query::RawRequest;

/// First words of statements that change tables, types or indexes.
const DEFINING: &[&str] = &["create", "alter", "drop"];

/// Deepest nesting of brackets. The server reads them one inside the other, and fails where they take its whole stack.
const MAX_DEPTH: usize = 50;

/// Plans a statement of the caller's own.
///
/// # Errors
/// Several statements, a write that must be read-only, what would reach other requests, and what is nested too deep.
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
    if depth(&request.query) > MAX_DEPTH {
        return Err(refuse(
            "query",
            format!("its brackets are nested more than {MAX_DEPTH} deep, which the database fails to read"),
            "write it with fewer of them".to_owned(),
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

/// How many rows a statement reads at most, as its text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLimit {
    /// As many as there are.
    None,
    /// So many.
    Rows(u64),
    /// As many as a bound value says.
    Bound,
    /// The word is there, and what follows is no number.
    Unclear,
}

/// The `LIMIT` of a statement, the lowest where the word stands there several times. That of each partition is another
/// matter.
pub fn row_limit(text: &str) -> RowLimit {
    let pieces: Vec<&str> = Pieces(text).collect();
    let is = |at: Option<usize>, word: &str| at.is_some_and(|at| pieces[at].eq_ignore_ascii_case(word));
    let mut found = RowLimit::None;
    for at in (0..pieces.len()).filter(|at| is(Some(*at), "limit")) {
        // Not so a table `partition` of the keyspace `per`.
        let [third, second, first] = [3, 2, 1].map(|back| at.checked_sub(back));
        if is(first, "partition") && is(second, "per") && !is(third, "from") {
            continue;
        }
        let limit = match pieces.get(at + 1) {
            Some(&("?" | "$" | ":")) => RowLimit::Bound,
            Some(word) => word.parse().map_or(RowLimit::Unclear, RowLimit::Rows),
            None => RowLimit::Unclear,
        };
        found = match (found, limit) {
            (RowLimit::None, limit) => limit,
            (RowLimit::Rows(one), RowLimit::Rows(other)) => RowLimit::Rows(one.min(other)),
            _ => RowLimit::Unclear,
        };
    }
    found
}

/// The number of statements and the first word, in lower case; empty when the text begins with anything else.
fn outline(text: &str) -> (usize, String) {
    let (mut statements, mut first, mut open) = (0, None, false);
    for piece in Pieces(text) {
        if piece == ";" {
            open = false;
        } else if !std::mem::replace(&mut open, true) {
            statements += 1;
            first.get_or_insert_with(|| match is_word(piece) {
                true => piece.to_ascii_lowercase(),
                false => String::new(),
            });
        }
    }
    (statements, first.unwrap_or_default())
}

/// How deep brackets are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for piece in Pieces(text) {
        match piece {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn is_word(piece: &str) -> bool {
    piece.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// What a text is made of: words and numbers, quoted texts and names with their quotes, and single characters. Blanks
/// and comments are left out.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let rest = self.0;
            let char = rest.chars().next()?;
            let ends = |from: usize, end: &str| {
                rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len())
            };
            let (length, tells) = if char.is_whitespace() {
                (char.len_utf8(), false)
            } else if rest.starts_with("--") || rest.starts_with("//") {
                (rest.find(['\n', '\r']).unwrap_or(rest.len()), false)
            } else if rest.starts_with("/*") {
                (ends(2, "*/"), false)
            } else {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let length = match char {
                    // A doubled quote ends one text and begins the next, which comes to the same.
                    '\'' => ends(1, "'"),
                    '"' => ends(1, "\""),
                    '$' if rest.starts_with("$$") => ends(2, "$$"),
                    _ => word.max(char.len_utf8()),
                };
                (length, true)
            };
            let (piece, rest) = rest.split_at(length);
            self.0 = rest;
            if tells {
                return Some(piece);
            }
        }
    }
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
    fn the_limit_is_that_of_all_rows() {
        let check = |text: &str, expected: RowLimit| assert_eq!(row_limit(text), expected, "{text}");
        check("select * from t", RowLimit::None);
        check("select * from t limit 10", RowLimit::Rows(10));
        check("select * from t LIMIT/* all */\n-- of them\n7 allow filtering", RowLimit::Rows(7));
        check("select * from t per partition limit 2 limit 30", RowLimit::Rows(30));
        check("select * from t PER /**/ PARTITION LIMIT 2", RowLimit::None);
        check("select * from per.partition limit 2", RowLimit::Rows(2));
        check("select * from t where a = 'limit 5'", RowLimit::None);
        check("select \"limit\" from t", RowLimit::None);
        check("select * from t limit ?", RowLimit::Bound);
        check("select * from t limit $1", RowLimit::Bound);
        check("select * from t limit :rows", RowLimit::Bound);
        check("select limit from t limit 5", RowLimit::Unclear);
        check("select * from t limit", RowLimit::Unclear);
        check("select * from t limit 1.5", RowLimit::Rows(1));
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
        let nested = |depth| format!("select a from t where b = {}1{}", "(".repeat(depth), ")".repeat(depth));
        check(&nested(MAX_DEPTH), false, None);
        check(&nested(MAX_DEPTH + 1), false, Some("query"));
        check(&format!("select a from t where b in ({}1)", "(1), [2], {3}, ".repeat(200)), false, None);
        check(&format!("select a from t where b = '{}'", "(".repeat(200)), false, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>(), like in "[a$'\"/*;é \n-]{0,40}") {
            outline(&text);
            outline(&like);
            row_limit(&like);
        }
    }
}
