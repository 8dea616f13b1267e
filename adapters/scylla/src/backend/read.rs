//! Reads and counts: one question after the other, page by page.

use athena_application::ports::{Done, PortError, Reason, Rejection, RowStream};
use athena_domain::plan::Plan;
use athena_domain::plan::cql::{CqlCount, CqlRead};
use athena_domain::rows::Flow;
use scylla::response::PagingState;
use tokio::time::Instant;

use super::ScyllaBackend;
use super::effort::Effort;
use super::rows::{Answer, rows, unreadable};
use crate::failure::{Intent, PORT};
use crate::render::Statement;
use crate::session::Session;

impl ScyllaBackend {
    pub(super) async fn read(
        &self,
        plan: &Plan,
        read: &CqlRead,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let mut answer = Answer::new(&read.relation, &read.outputs, plan.big_numbers_as_text)
            .every(read.every && read.distinct.is_empty())
            .distinct(&read.distinct)
            .between(read.skip, read.limit);
        let mut done = Done::default();
        let mut effort = effort;
        'reads: for restrictions in &read.reads {
            let session = self.link.session(effort.readiness()).await?;
            let statement = Statement::read(read, restrictions);
            let mut pages = session.pages(&statement.text, effort.fetch_size).limited(statement.limit());
            let mut prepared = self.prepared(&session, statement.text, Intent::Read, effort).await?;
            let mut state = Some(PagingState::start());
            done.statements += 1;
            while let Some(from) = state {
                prepared.set_page_size(pages.size(answer.wanted()));
                let page = self.page(&session, &mut prepared, &statement.markers, from, Intent::Read, effort);
                let (result, more) = page.await?;
                let result = rows(result)?;
                pages.came(result.rows_num(), result.rows_bytes_size());
                let flow = answer.push(&result, sink).await?;
                done.rows = answer.rows;
                if flow == Flow::Stop || answer.is_full() {
                    break 'reads;
                }
                state = more;
                if read.unbounded {
                    // It may take as long as rows keep flowing.
                    effort = effort.until(Instant::now() + effort.timeout);
                }
            }
        }
        answer.announce(sink);
        Ok(done)
    }

    pub(super) async fn count(&self, count: &CqlCount, effort: Effort) -> Result<Done, PortError> {
        let mut done = Done { count: Some(0), ..Done::default() };
        let mut sum = 0;
        for restrictions in &count.reads {
            let session = self.link.session(effort.readiness()).await?;
            done.statements += 1;
            if let Some(most) = count.most {
                // `COUNT(*)` would go on to the end, whatever its `LIMIT`.
                let statement = Statement::counted(count, restrictions, most.saturating_add(1) - sum);
                sum += self.rows_of(&session, statement, effort).await?;
                if sum > most {
                    return Err(too_many(most));
                }
                continue;
            }
            let statement = Statement::count(count, restrictions);
            let result = self.once(&session, statement, Intent::Read, effort).await?;
            let (found,) = rows(result)?.single_row::<(i64,)>().map_err(unreadable)?;
            sum += found.unsigned_abs();
        }
        done.count = Some(sum);
        Ok(done)
    }

    /// How many rows a statement has, whatever stands in them.
    async fn rows_of(
        &self,
        session: &Session,
        statement: Statement<'_>,
        effort: Effort,
    ) -> Result<u64, PortError> {
        let mut pages = session.pages(&statement.text, effort.fetch_size).limited(statement.limit());
        let mut prepared = self.prepared(session, statement.text, Intent::Read, effort).await?;
        let (mut sum, mut state) = (0, Some(PagingState::start()));
        while let Some(from) = state {
            prepared.set_page_size(pages.size(u64::MAX));
            let page = self.page(session, &mut prepared, &statement.markers, from, Intent::Read, effort);
            let (result, more) = page.await?;
            let result = rows(result)?;
            pages.came(result.rows_num(), result.rows_bytes_size());
            sum += result.rows_num() as u64;
            state = more;
        }
        Ok(sum)
    }
}

/// The refusal of a count that looks at rows which do not match, once it has found more than `most`.
fn too_many(most: u64) -> PortError {
    let message = format!(
        "more than {most} rows match, and a count that looks at rows which do not match counts {most} at most"
    );
    let mut rejection = Rejection::new(Reason::LimitExceeded, message);
    rejection.hint = Some("count with conditions that the key or an index answers".to_owned());
    rejection.limit = Some(("max_rows", most));
    PortError::rejected(PORT, rejection)
}
