//! Reads and counts: one question after the other, page by page.

use athena_application::ports::{Done, PortError, RowStream};
use athena_domain::plan::Plan;
use athena_domain::plan::cql::{CqlCount, CqlRead};
use athena_domain::rows::Flow;
use scylla::response::PagingState;
use tokio::time::Instant;

use super::ScyllaBackend;
use super::effort::Effort;
use super::rows::{Answer, rows, unreadable};
use crate::failure::Intent;
use crate::render::Statement;

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
            let session = self.link.session(effort.deadline).await?;
            let statement = Statement::read(read, restrictions);
            let mut pages = session.pages(&statement.text, self.link.settings().page_size);
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
            let session = self.link.session(effort.deadline).await?;
            let statement = Statement::count(count, restrictions);
            let result = self.once(&session, statement, Intent::Read, effort).await?;
            let (found,) = rows(result)?.single_row::<(i64,)>().map_err(unreadable)?;
            sum += found.unsigned_abs();
            done.statements += 1;
        }
        done.count = Some(sum);
        Ok(done)
    }
}
