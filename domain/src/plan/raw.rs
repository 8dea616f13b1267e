//! Planning the caller's own SQL or CQL: nothing of it is changed, but what it is decides how it is run.

mod outline;

pub use outline::{replace_placeholders, statements};

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
    /// Several statements where one is needed, what makes no sense in a request (COPY over the connection, LISTEN,
    /// PREPARE TRANSACTION), a `max_rows` above the limit.
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
    if outline::keeps_the_lexer_busy(&request.query) {
        let message = "`query` has thousands of operators or comments without a blank in between, which would keep the \
                       database busy where nothing can stop it";
        return Err(
            RequestError::invalid("query", message).hint("separate them with blanks, or take them out")
        );
    }
    let statements = outline::split(&request.query);
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
        if first == Some("listen") {
            return Err(RequestError::field(
                RequestCode::NotSupportedByBackend,
                "query",
                "LISTEN hears of nothing here: its session is cleansed as soon as the query is done",
            )
            .hint("listen over a connection of your own to the database; NOTIFY works here"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(query: &str) -> Result<RawPlan, RequestError> {
        raw_sql(&RawRequest {
            query: query.into(),
            params: None,
            read_only: false,
            max_rows: None,
            one_statement: false,
            tells_columns: false,
        })
    }

    #[test]
    fn a_text_that_would_keep_the_database_busy_is_refused() {
        let nested = |depth: usize| format!("select 1 {}{}", "/*".repeat(depth), "*/".repeat(depth));
        assert!(plan(&nested(100)).is_ok());
        let error = plan(&nested(20_000)).expect_err("busy");
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidField, Some("query")));
    }

    #[test]
    fn transactions_are_not_left_prepared() {
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
}
