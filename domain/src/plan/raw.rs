//! Planning the caller's own SQL or CQL: nothing of it is changed, but what it is decides how it is run.

use super::{Operation, Plan, Planner, cql};
use crate::access::shielded;
use crate::error::{RequestCode, RequestError};
use crate::query::{RawRequest, Tuning, Value};

/// The caller's own SQL or CQL.
#[derive(Debug, Clone, PartialEq)]
pub struct RawPlan {
    /// Text, as it was given.
    pub query: Box<str>,
    /// Values for `$1…`, in CQL for `?`; with them, one statement only.
    pub params: Option<Vec<Value>>,
    /// Whether the database must refuse writes.
    pub read_only: bool,
    /// Statements in the text.
    pub statements: usize,
    /// Whether it is one statement that may both change and return rows: it is undone when its rows are
    /// too many.
    pub undoable: bool,
    /// Whether it may change tables or types.
    pub defines: bool,
    /// Whether the script might end inside a transaction block.
    pub opens_transaction: bool,
    /// Whether the columns are announced also when no row comes.
    pub tells_columns: bool,
}

/// First words of statements that may change tables or types; a call may hide anything.
const DEFINING: &[&str] = &["create", "alter", "drop", "comment", "do", "call", "import", "execute"];

impl Planner<'_> {
    /// Plans a raw query.
    ///
    /// # Errors
    /// Several statements where one is needed, COPY over the connection, a `max_rows` above the limit.
    pub fn raw(&self, request: &RawRequest) -> Result<Plan, RequestError> {
        // Behind PostgREST no SQL runs anyway.
        if self.options.shielded && !self.schema.is_open() {
            return Err(shielded("query", "SQL of a caller's own"));
        }
        if let Some(authority) = &self.authority {
            authority.permit_sql()?;
        }
        self.needs_catalog(
            true,
            "query",
            "PostgREST runs no SQL of a caller's own",
            "use /gateway/fetch, insert, update or delete, or a client that reaches the PostgreSQL itself",
        )?;
        if let Some(rows) = request.max_rows.filter(|rows| *rows > self.limits.max_rows) {
            return Err(RequestError::limit(
                "max_rows",
                self.limits.max_rows,
                "max_rows",
                format!("`max_rows` is {rows}"),
            ));
        }
        let raw = if self.speaks_cql() { cql::raw(request)? } else { raw_sql(request)? };
        self.plan(Operation::Raw(raw), Tuning::default())
    }
}

fn raw_sql(request: &RawRequest) -> Result<RawPlan, RequestError> {
    let statements = split(&request.query);
    let several = statements.len() > 1;
    let refuse = |field: &str, message: &str| RequestError::invalid(field, message);
    if several && request.one_statement {
        return Err(refuse("query", "The query holds several statements; this route runs one.")
            .hint("send a script to POST /gateway/query, which runs it as one transaction"));
    }
    if several && request.params.is_some() {
        return Err(refuse("params", "`params` goes with one statement; the query has several"));
    }
    if several && request.read_only {
        return Err(refuse("read_only", "`read_only` goes with one statement; the query has several"));
    }
    for words in &statements {
        let first = words.first().map(String::as_str);
        if first == Some("copy") && words.iter().any(|word| word == "stdin" || word == "stdout") {
            return Err(RequestError::field(
                RequestCode::NotSupportedByBackend,
                "query",
                "COPY from STDIN or to STDOUT has no place in a JSON request",
            )
            .hint(
                "insert rows with PUT /gateway/insert; read them with Accept: text/csv on /gateway/fetch",
            ));
        }
        if first == Some("prepare") && words.get(1).is_some_and(|word| word == "transaction") {
            return Err(RequestError::field(
                RequestCode::NotSupportedByBackend,
                "query",
                "PREPARE TRANSACTION would leave a transaction and its locks behind, which no session ends",
            )
            .hint("end the transaction in the script itself, with COMMIT or ROLLBACK"));
        }
    }
    let begins = |first: &[&str]| {
        statements.iter().any(|words| words.first().is_some_and(|word| first.contains(&word.as_str())))
    };
    Ok(RawPlan {
        query: request.query.clone(),
        params: request.params.clone(),
        read_only: request.read_only,
        statements: statements.len(),
        undoable: !several && begins(&["insert", "update", "delete", "merge", "with"]),
        defines: begins(DEFINING),
        opens_transaction: begins(&["begin", "start"]),
        tells_columns: request.tells_columns,
    })
}

/// What the scanner tells of a text.
enum Token {
    /// A bare word, between these places.
    Word(usize, usize),
    /// A semicolon between statements, at this place.
    Semicolon(usize),
    /// `$n`, between these places.
    Placeholder(usize, usize),
    /// Something else that belongs to a statement.
    Other,
}

/// Splits a script at its semicolons and gives the lower-case bare words of each statement: those that
/// stand outside quotes, comments and dollar quotes. Empty statements are left out.
fn split(text: &str) -> Vec<Vec<String>> {
    let (mut statements, mut words, mut something) = (Vec::new(), Vec::new(), false);
    scan(text, |token| match token {
        Token::Semicolon(_) => {
            if std::mem::take(&mut something) {
                statements.push(std::mem::take(&mut words));
            }
        }
        Token::Word(start, end) => {
            words.push(text[start..end].to_ascii_lowercase());
            something = true;
        }
        Token::Placeholder(..) | Token::Other => something = true,
    });
    if something {
        statements.push(words);
    }
    statements
}

/// The statements of a script, each without its semicolon; pieces without a statement are left out.
pub fn statements(script: &str) -> Vec<&str> {
    let (mut found, mut start, mut something) = (Vec::new(), 0, false);
    scan(script, |token| match token {
        Token::Semicolon(at) => {
            if std::mem::take(&mut something) {
                found.push(script[start..at].trim());
            }
            start = at + 1;
        }
        Token::Word(..) | Token::Placeholder(..) | Token::Other => something = true,
    });
    if something {
        found.push(script[start..].trim());
    }
    found
}

/// Replaces every placeholder `$n` outside of quotes and comments by what `with` makes of its number.
pub fn replace_placeholders(text: &str, with: impl Fn(usize) -> String) -> String {
    let (mut out, mut copied) = (String::with_capacity(text.len() + 32), 0);
    scan(text, |token| {
        if let Token::Placeholder(start, end) = token {
            out.push_str(&text[copied..start]);
            out.push_str(&with(text[start + 1..end].parse().unwrap_or(usize::MAX)));
            copied = end;
        }
    });
    out.push_str(&text[copied..]);
    out
}

/// Reads SQL as far as quotes, comments, words and placeholders go.
fn scan(text: &str, mut tell: impl FnMut(Token)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        match bytes[at] {
            b';' => {
                tell(Token::Semicolon(at));
                at += 1;
            }
            b'-' if rest.starts_with("--") => at += rest.find(['\n', '\r']).map_or(rest.len(), |end| end + 1),
            b'/' if rest.starts_with("/*") => at += comment(rest),
            b'\'' => {
                // `E'…'` is the only form in which a backslash hides the next byte.
                let escapes =
                    at > 0 && matches!(bytes[at - 1], b'e' | b'E') && (at == 1 || !is_word(bytes[at - 2]));
                at += quoted(rest, b'\'', escapes);
                // After a line break the same text goes on, and in it a backslash means what it meant before.
                while escapes && let Some(gap) = continuation(&text[at..]) {
                    at += gap;
                    at += quoted(&text[at..], b'\'', true);
                }
                tell(Token::Other);
            }
            b'"' => {
                at += quoted(rest, b'"', false);
                tell(Token::Other);
            }
            b'$' if at == 0 || !is_word(bytes[at - 1]) => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                if digits > 0 {
                    tell(Token::Placeholder(at, at + 1 + digits));
                    at += 1 + digits;
                } else {
                    at += dollar_quoted(rest);
                    tell(Token::Other);
                }
            }
            byte if is_word(byte) => {
                let end = rest.bytes().position(|b| !is_word(b) && b != b'$').unwrap_or(rest.len());
                tell(Token::Word(at, at + end));
                at += end;
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    tell(Token::Other);
                }
                at += 1;
            }
        }
        while at < bytes.len() && !text.is_char_boundary(at) {
            at += 1;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Length of a comment; comments nest.
fn comment(text: &str) -> usize {
    let (bytes, mut depth, mut at) = (text.as_bytes(), 0_usize, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// Length of a quoted text; a doubled quote stands for itself.
fn quoted(text: &str, quote: u8, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    bytes.len()
}

/// Length of what lies between a quoted text and the quote that goes on with it: blanks and comments with at
/// least one line break.
fn continuation(text: &str) -> Option<usize> {
    let (bytes, mut at, mut broken) = (text.as_bytes(), 0, false);
    loop {
        match bytes.get(at)? {
            b'\'' => return broken.then_some(at),
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            }
            byte if byte.is_ascii_whitespace() => {
                broken |= matches!(byte, b'\n' | b'\r');
                at += 1;
            }
            _ => return None,
        }
    }
}

/// Length of `$tag$…$tag$`, or 1 when the dollar starts no quote (as in `$1`).
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[1..=end];
    let valid = tag.bytes().all(is_word) && !tag.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !valid {
        return 1;
    }
    let fence = &text[..end + 2];
    text[fence.len()..].find(fence).map_or(text.len(), |close| close + 2 * fence.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_counted_outside_of_quotes() {
        let check = |text: &str, count: usize| assert_eq!(split(text).len(), count, "{text}");
        check("select 1", 1);
        check("select 1; select 2", 2);
        check(";; select 1 ;;", 1);
        check("select ';'; -- ;\n select \";\" /* ; /* ; */ ; */", 2);
        check("select E'\\'; x' , ''';'", 1);
        check("select E'a'\n'\\'' ; commit; select '", 3);
        check("select E'a' -- b\n '\\'; commit'; select E'a' '\\'; commit; select '", 4);
        check("select 'a\\'; select 2", 2);
        check("do $$ begin; end; $$; select $x$;$$;$x$", 2);
        check("select $1; select a$1", 2);
        check("-- only a comment", 0);
        check("select é; select 'é;'", 2);
        assert_eq!(split("/* x */ COPY t FROM stdin")[0][0], "copy");
    }

    #[test]
    fn statements_are_cut_at_their_semicolons() {
        let check = |text: &str, expected: &[&str]| assert_eq!(statements(text), expected, "{text}");
        check("", &[]);
        check("-- only; a comment", &[]);
        check("select 1", &["select 1"]);
        check(" a ;; b;\n", &["a", "b"]);
        check(
            "-- first;\ncreate table t ();\n/* ; */ do $x$ begin; end $x$; -- end;",
            &["-- first;\ncreate table t ()", "/* ; */ do $x$ begin; end $x$"],
        );
        check("select ';', \";\", E'\\';' ; select é", &["select ';', \";\", E'\\';'", "select é"]);
    }

    #[test]
    fn transactions_are_not_left_prepared() {
        let plan = |query: &str| {
            let request = RawRequest {
                query: query.into(),
                params: None,
                read_only: false,
                max_rows: None,
                one_statement: false,
                tells_columns: false,
            };
            raw_sql(&request)
        };
        for query in [
            "PREPARE TRANSACTION 'x'",
            "begin; insert into t values (1); /* a */ Prepare -- b\n transaction E'x'",
            "select ';'; prepare transaction $a$x$a$; select 1",
        ] {
            let error = plan(query).expect_err(query);
            assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{query}");
            assert!(error.message.contains("locks") && error.hint.is_some(), "{error:?}");
        }
        for query in [
            "prepare p as select 1; execute p",
            "select 'prepare transaction'; -- ; prepare transaction 'x'",
            "do $$ begin perform 'x; prepare transaction'; end $$",
            "select prepare, transaction from t",
        ] {
            assert!(plan(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn placeholders_are_replaced_outside_of_quotes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(replace_placeholders(text, |number| format!("<{number}>")), expected, "{text}");
        };
        check("select $1, $12 + a$1", "select <1>, <12> + a$1");
        check(
            "select '$1', \"$1\", $$ $1 $$, -- $1\n $2 /* $1 */",
            "select '$1', \"$1\", $$ $1 $$, -- $1\n <2> /* $1 */",
        );
        check("x=$1and", "x=<1>and");
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_panic(text in any::<String>()) {
            split(&text);
        }
        #[test]
        fn any_sql_like_text_is_split_without_panic(text in "[a$'\"/*;é\\\\e \n-]{0,40}") {
            split(&text);
            prop_assert_eq!(statements(&text).len(), split(&text).len());
        }
    }
}
