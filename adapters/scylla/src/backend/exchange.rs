//! One statement, one page of its answer.

use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::time::Duration;

use athena_application::ports::{PortError, PortErrorKind};
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use super::effort::Effort;
use super::{ScyllaBackend, stale};
use crate::failure::{Intent, PORT, failed, is_forgotten, late};
use crate::render::Statement;
use crate::session::Session;

/// How often a statement is prepared once more in one exchange.
const REMINDERS: u32 = 6;

/// How long the second time waits; each further one waits as much longer.
const REMINDER_PAUSE: Duration = Duration::from_millis(10);

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
        self.ready(pin!(session.prepare(text)), intent, effort).await
    }

    /// Prepares a statement once more that the server has forgotten, though the driver has just prepared it again: its
    /// memory for statements is full, and others have taken the place of this one meanwhile. It was not carried out.
    ///
    /// # Errors
    /// `forgotten`, when that has happened too often.
    pub(super) async fn remembered(
        &self,
        session: &Session,
        text: &str,
        intent: Intent,
        effort: Effort,
        times: &mut u32,
        forgotten: PortError,
    ) -> Result<PreparedStatement, PortError> {
        *times += 1;
        if *times > REMINDERS {
            return Err(forgotten);
        }
        // Others who were forgotten at the same time must not drive each other out for ever.
        tokio::time::sleep(REMINDER_PAUSE.saturating_mul(*times - 1).min(effort.patience())).await;
        self.ready(pin!(session.prepare_anew(text.to_owned())), intent, effort).await
    }

    async fn ready(
        &self,
        prepare: Pin<&mut (impl Future<Output = Result<PreparedStatement, PortError>> + Send)>,
        intent: Intent,
        effort: Effort,
    ) -> Result<PreparedStatement, PortError> {
        let mut prepared = match tokio::time::timeout_at(effort.readiness(), prepare).await {
            Ok(prepared) => prepared?,
            Err(_) => return Err(PortError::new(PORT, PortErrorKind::TimedOut)),
        };
        prepared.set_page_size(self.link.settings().page_size);
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
        let mut times = 0;
        loop {
            let patience = effort.patience();
            prepared.set_request_timeout(Some(patience));
            let asked = session.driver().execute_single_page(prepared, values, from.clone());
            let answer = finish(pin!(asked), intent, patience).await;
            match answer {
                Ok((result, more)) => return Ok((result, next(more))),
                Err(error) if is_forgotten(&error) => {
                    let text = prepared.get_statement();
                    let page_size = prepared.get_page_size();
                    let anew = self.remembered(session, text, intent, effort, &mut times, error).await?;
                    *prepared = anew;
                    prepared.set_page_size(page_size);
                }
                Err(error) => return Err(error),
            }
        }
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

/// Waits for an answer of the driver. What asks is pinned where it was made: it is large, and would take its place again
/// in every future that it is moved into.
pub(super) async fn finish<T>(
    asked: Pin<&mut impl Future<Output = Result<T, ExecutionError>>>,
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
