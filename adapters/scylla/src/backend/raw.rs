//! The caller's own CQL.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Mutex;

use athena_application::ports::{Done, PortError, Reason, RowStream, SchemaReader as _};
use athena_domain::plan::cql::{self, CqlValue, RowLimit};
use athena_domain::plan::{Plan, RawPlan, replace_placeholders};
use athena_domain::query::Value;
use athena_domain::rows::{ColumnHead, Flow};
use scylla::deserialize::row::ColumnIterator;
use scylla::frame::response::result::ColumnSpec;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

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
        let session = self.link.session(effort.readiness()).await?;
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
        let mut pages = limited(session.pages(&raw.query, effort.fetch_size), &raw.query, None);
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
            let asked = pin!(session.driver().query_single_page(statement.clone(), (), from));
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
        let mut prepared = self.prepared(session, text.clone(), intent, effort).await?;
        let values = self::values(params, &order, &prepared)?;
        let mut pages =
            limited(session.pages(&text, effort.fetch_size), &text, bound_limit(&prepared, &values));
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

/// What the database calls a bound value that stands behind `LIMIT`.
const BOUND_LIMIT: &str = "[limit]";

/// The pages of a statement of somebody's own, whose `LIMIT` may be among the bound values.
fn limited<'a>(pages: Pages<'a>, query: &str, bound: Option<u64>) -> Pages<'a> {
    match (cql::row_limit(query), bound) {
        (RowLimit::None, _) => pages,
        (RowLimit::Rows(limit), _) | (RowLimit::Bound, Some(limit)) => pages.limited(limit),
        (RowLimit::Bound | RowLimit::Unclear, _) => pages.steady(),
    }
}

/// The bound value that is the `LIMIT`.
fn bound_limit(prepared: &PreparedStatement, values: &[CqlValue]) -> Option<u64> {
    let specs = prepared.get_variable_col_specs();
    let mut limits = specs.iter().zip(values).filter(|(spec, _)| spec.name() == BOUND_LIMIT);
    match limits.next() {
        Some((_, CqlValue::Int(rows))) => u64::try_from(*rows).ok(),
        _ => None,
    }
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
    prepared: &PreparedStatement,
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
