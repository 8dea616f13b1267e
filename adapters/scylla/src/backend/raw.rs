//! The caller's own CQL.

use std::collections::HashSet;
use std::sync::Mutex;

use athena_application::ports::{Done, PortError, Reason, RowStream, SchemaReader as _};
use athena_domain::plan::cql::{self, CqlValue};
use athena_domain::plan::{Plan, RawPlan, replace_placeholders};
use athena_domain::query::Value;
use athena_domain::rows::{ColumnHead, Flow};
use scylla::deserialize::row::ColumnIterator;
use scylla::frame::response::result::ColumnSpec;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::Statement;

use super::ScyllaBackend;
use super::effort::Effort;
use super::exchange::{Page, finish, next};
use super::pages::Pages;
use super::rows::{rows, unreadable};
use crate::failure::{Intent, bad_value, of_own_words, rejected};
use crate::render::Marker;
use crate::session::Session;
use crate::value::{Scratch, cell, domain_type};

impl ScyllaBackend {
    pub(super) async fn raw(
        &self,
        plan: &Plan,
        raw: &RawPlan,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let reads = cql::first_word(&raw.query) == "select";
        let intent = if reads { Intent::Read } else { Intent::Write };
        let session = self.link.session(effort.deadline).await?;
        let mut done = Done::default();
        let outcome = match &raw.params {
            None => self.plain(plan, raw, intent, &session, sink, effort, &mut done).await,
            Some(params) => {
                self.with_params(plan, raw, params, intent, &session, sink, effort, &mut done).await
            }
        };
        if raw.defines {
            self.schema.invalidate();
        }
        outcome.map(|()| done).map_err(of_own_words)
    }

    #[expect(clippy::too_many_arguments, reason = "they have nothing in common but this statement")]
    async fn plain(
        &self,
        plan: &Plan,
        raw: &RawPlan,
        intent: Intent,
        session: &Session,
        sink: &mut dyn RowStream,
        effort: Effort,
        done: &mut Done,
    ) -> Result<(), PortError> {
        let mut pages = limited(session.pages(&raw.query, effort.fetch_size), &raw.query);
        let mut statement = Statement::new(ended(&raw.query));
        statement.set_is_idempotent(intent == Intent::Read);
        statement.set_consistency(effort.consistency);
        statement.set_serial_consistency(Some(effort.serial));
        let mut scratch = Scratch::new(plan.big_numbers_as_text);
        let mut state = Some(PagingState::start());
        while let Some(from) = state {
            let patience = effort.patience();
            statement.set_request_timeout(Some(patience));
            statement.set_page_size(pages.size(u64::MAX));
            let asked = session.driver().query_single_page(statement.clone(), (), from);
            let (result, more) = finish(asked, intent, patience).await?;
            state = hand_on((result, next(more)), &mut pages, sink, &mut scratch, done).await?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "they have nothing in common but this statement")]
    async fn with_params(
        &self,
        plan: &Plan,
        raw: &RawPlan,
        params: &[Value],
        intent: Intent,
        session: &Session,
        sink: &mut dyn RowStream,
        effort: Effort,
        done: &mut Done,
    ) -> Result<(), PortError> {
        let (text, order) = markers(&ended(&raw.query));
        let mut pages = limited(session.pages(&text, effort.fetch_size), &text);
        let mut prepared = self.prepared(session, text, intent, effort).await?;
        let values = self::values(params, &order, &prepared)?;
        let values: Vec<Marker<'_>> = values.iter().map(Marker::One).collect();
        let mut scratch = Scratch::new(plan.big_numbers_as_text);
        let mut state = Some(PagingState::start());
        while let Some(from) = state {
            prepared.set_page_size(pages.size(u64::MAX));
            let page = self.page(session, &mut prepared, &values, from, intent, effort).await?;
            state = hand_on(page, &mut pages, sink, &mut scratch, done).await?;
        }
        Ok(())
    }
}

/// Hands on a page; none when no more are wanted.
async fn hand_on(
    (result, more): Page,
    pages: &mut Pages<'_>,
    sink: &mut dyn RowStream,
    scratch: &mut Scratch,
    done: &mut Done,
) -> Result<Option<PagingState>, PortError> {
    let first = std::mem::replace(&mut done.statements, 1) == 0;
    if !result.is_rows() {
        return Ok(None);
    }
    let page = rows(result)?;
    pages.came(page.rows_num(), page.rows_bytes_size());
    if first {
        sink.columns(&ColumnHead::named(page.column_specs().iter().map(|spec| spec.name())));
    }
    let flow = push(&page, sink, scratch, done).await?;
    Ok(more.filter(|_| flow != Flow::Stop))
}

async fn push(
    page: &QueryRowsResult,
    sink: &mut dyn RowStream,
    scratch: &mut Scratch,
    done: &mut Done,
) -> Result<Flow, PortError> {
    for row in page.rows::<ColumnIterator<'_, '_>>().map_err(unreadable)? {
        for column in row.map_err(unreadable)? {
            let column = column.map_err(unreadable)?;
            let bytes = column.slice.map(|slice| slice.as_slice());
            sink.cell(cell(column.spec.typ(), bytes, scratch).map_err(unreadable)?);
        }
        done.rows += 1;
        let flow = match sink.end_row() {
            Flow::Full => sink.flush().await,
            flow => flow,
        };
        if flow == Flow::Stop {
            return Ok(flow);
        }
    }
    Ok(Flow::More)
}

/// The text with an end of its last line, without which the database takes a comment there for none.
fn ended(query: &str) -> String {
    format!("{query}\n")
}

/// The pages of a statement that may have a `LIMIT` in its text.
fn limited<'a>(pages: Pages<'a>, query: &str) -> Pages<'a> {
    // A comment may stand between the word and its number.
    if ["/*", "--", "//"].iter().any(|comment| query.contains(comment)) {
        return pages.steady();
    }
    let words = query.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '?' | '$' | ':'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is = |at: Option<usize>, word: &str| at.is_some_and(|at| words[at].eq_ignore_ascii_case(word));
    let mut least = u64::MAX;
    for at in (0..words.len()).filter(|at| is(Some(*at), "limit")) {
        // That of each partition is another matter; not so a table `partition` of the keyspace `per`.
        let [third, second, first] = [3, 2, 1].map(|back| at.checked_sub(back));
        if is(first, "partition") && is(second, "per") && !is(third, "from") {
            continue;
        }
        match words.get(at + 1).and_then(|word| word.parse::<u64>().ok()) {
            Some(limit) => least = least.min(limit),
            // A value that is bound, or a word that only looks like it.
            None => return pages.steady(),
        }
    }
    pages.limited(least)
}

/// The text with `?` for `$1` and the like, and which value each of them takes; none where the text has `?` itself.
fn markers(query: &str) -> (String, Vec<usize>) {
    let order = Mutex::new(Vec::new());
    let text = replace_placeholders(query, |number| {
        order.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(number);
        "?".to_owned()
    });
    (text, order.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn values(
    params: &[Value],
    order: &[usize],
    prepared: &scylla::statement::prepared::PreparedStatement,
) -> Result<Vec<CqlValue>, PortError> {
    let specs = prepared.get_variable_col_specs();
    let mismatch = || {
        let message = format!("the query takes {} values, and `params` has {}", specs.len(), params.len());
        rejected(Reason::BadValue, message)
    };
    let taken: Vec<&Value> = if order.is_empty() {
        params.iter().collect()
    } else {
        let named: HashSet<usize> = order.iter().copied().collect();
        if (1..=params.len()).any(|number| !named.contains(&number)) {
            return Err(mismatch());
        }
        order
            .iter()
            .map(|number| number.checked_sub(1).and_then(|at| params.get(at)))
            .collect::<Option<_>>()
            .ok_or_else(mismatch)?
    };
    if taken.len() != specs.len() {
        return Err(mismatch());
    }
    let encoded = taken.into_iter().zip(specs.iter()).enumerate();
    let one = |(at, (value, spec)): (usize, (&Value, &ColumnSpec<'_>))| {
        cql::read(value, &domain_type(spec.typ()), &format!("params[{at}]"))
            .map_err(|error| bad_value(&error))
    };
    encoded.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_placeholders_become_markers() {
        assert_eq!(
            markers("a = $2 AND b = $1 AND c = '$3'"),
            ("a = ? AND b = ? AND c = '$3'".to_owned(), vec![2, 1])
        );
        assert_eq!(markers("a = ?").1, Vec::<usize>::new());
    }
}
