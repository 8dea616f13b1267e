//! One statement, one page of its answer.

use std::ops::ControlFlow;
use std::time::Duration;

use athena_application::ports::{PortError, PortErrorKind};
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use super::effort::Effort;
use super::{ScyllaBackend, stale};
use crate::failure::{Intent, PORT, failed, late};
use crate::render::Statement;
use crate::session::Session;

/// A page, and where the next one begins.
pub(super) type Page = (QueryResult, Option<PagingState>);

impl ScyllaBackend {
    /// Prepares a statement.
    pub(super) async fn prepared(
        &self,
        session: &Session,
        text: String,
        intent: Intent,
        effort: Effort,
    ) -> Result<PreparedStatement, PortError> {
        let prepare = session.prepare(text, self.link.settings().page_size);
        let mut prepared = match tokio::time::timeout_at(effort.deadline, prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => return Err(PortError::new(PORT, PortErrorKind::TimedOut)),
        };
        // What changes nothing may be asked again, of another node too.
        prepared.set_is_idempotent(intent == Intent::Read);
        prepared.set_consistency(effort.consistency);
        prepared.set_serial_consistency(Some(effort.serial));
        Ok(prepared)
    }

    /// Runs a prepared statement up to the end of a page.
    pub(super) async fn page(
        &self,
        session: &Session,
        prepared: &mut PreparedStatement,
        values: &(impl SerializeRow + Sync),
        from: PagingState,
        intent: Intent,
        effort: Effort,
    ) -> Result<Page, PortError> {
        let patience = effort.patience();
        prepared.set_request_timeout(Some(patience));
        let asked = session.driver().execute_single_page(prepared, values, from);
        let (result, more) = finish(asked, intent, patience).await?;
        Ok((result, next(more)))
    }

    /// Prepares and runs a statement whose answer is one page.
    pub(super) async fn once(
        &self,
        session: &Session,
        statement: Statement<'_>,
        intent: Intent,
        effort: Effort,
    ) -> Result<QueryResult, PortError> {
        let mut prepared = self.prepared(session, statement.text, intent, effort).await?;
        let start = PagingState::start();
        let page = self.page(session, &mut prepared, &statement.markers, start, intent, effort);
        page.await.map(|(result, _)| result)
    }
}

/// Waits for an answer of the driver.
pub(super) async fn finish<T>(
    asked: impl Future<Output = Result<T, ExecutionError>>,
    intent: Intent,
    patience: Duration,
) -> Result<T, PortError> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer.map_err(|error| match error {
            // The values were planned for other types than the server wants.
            ExecutionError::BadQuery(scylla::errors::BadQuery::SerializationError(_))
            | ExecutionError::LastAttemptError(RequestAttemptError::SerializationError(_)) => {
                stale().caused_by(error)
            }
            error => failed(error, intent),
        }),
        Err(_) => Err(late(patience, intent)),
    }
}

/// Where the next page begins, when there may be one.
pub(super) fn next(response: PagingStateResponse) -> Option<PagingState> {
    match response.into_paging_control_flow() {
        ControlFlow::Continue(state) => Some(state),
        ControlFlow::Break(()) => None,
    }
}
