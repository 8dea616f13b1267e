//! One page of a read, from where the page before ended.

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, RowStream};
use athena_domain::plan::Plan;
use athena_domain::plan::cql::{CqlPage, CqlRead};
use athena_domain::rows::Flow;
use scylla::errors::{DbError, RequestAttemptError};
use scylla::response::PagingState;

use super::ScyllaBackend;
use super::effort::Effort;
use super::rows::{Answer, rows, unreadable};
use crate::failure::{Intent, rejected};
use crate::render::Statement;

/// A place between two rows of several reads that come one after the other.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// Which of the reads.
    read: u16,
    /// Where it stopped.
    state: PagingState,
}

impl Place {
    fn first() -> Self {
        Self { read: 0, state: PagingState::start() }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (read, state) = bytes.split_first_chunk()?;
        let state = match state {
            [] => PagingState::start(),
            state => PagingState::new_from_raw_bytes(state),
        };
        Some(Self { read: u16::from_be_bytes(*read), state })
    }

    fn bytes(&self) -> Box<[u8]> {
        let state = self.state.as_bytes_slice().map_or(&[][..], |state| state);
        self.read.to_be_bytes().iter().chain(state).copied().collect()
    }
}

impl ScyllaBackend {
    pub(super) async fn read_page(
        &self,
        plan: &Plan,
        read: &CqlRead,
        page: &CqlPage,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let mut answer = Answer::new(&read.relation, &read.outputs, plan.big_numbers_as_text)
            .every(read.every)
            .between(0, Some(page.size));
        let mut place = match &page.from {
            None => Place::first(),
            Some(from) => {
                let place = Place::parse(from).ok_or_else(no_place)?;
                if usize::from(place.read) >= read.reads.len() {
                    return Err(no_place());
                }
                place
            }
        };
        let mut done = Done::default();
        // Whether it is the caller's cursor that says where to go on.
        let mut given = page.from.is_some();
        'reads: while let Some(restrictions) = read.reads.get(usize::from(place.read)) {
            let session = self.link.session(effort.readiness()).await?;
            let statement = Statement::read(read, restrictions);
            let mut pages = session.pages(&statement.text, effort.fetch_size).limited(statement.limit());
            let mut prepared = self.prepared(&session, statement.text, Intent::Read, effort).await?;
            done.statements += 1;
            loop {
                let full = answer.is_full();
                // When the page is full, one row more tells whether there is a further page. Where most rows may be
                // left out, looking for it can take as long as the page did: there the next page may be an empty one.
                if full && read.filtering {
                    done.next = Some(place.bytes());
                    break 'reads;
                }
                let size = pages.size(answer.wanted());
                prepared.set_page_size(size);
                let from = place.state.clone();
                let asked =
                    self.page(&session, &mut prepared, &statement.markers, from, Intent::Read, effort);
                let (result, more) = match asked.await {
                    Err(error) if given && is_no_place(&error) => return Err(no_place().caused_by(error)),
                    outcome => outcome?,
                };
                given = false;
                let result = rows(result)?;
                pages.came(result.rows_num(), result.rows_bytes_size());
                if result.rows_num() > usize::try_from(size).unwrap_or_default() {
                    // What is beyond it would be neither here nor on the next page.
                    return Err(unreadable("a page with more rows than were asked for"));
                }
                if full && (result.rows_num() > 0 || more.is_some()) {
                    done.next = Some(place.bytes());
                    break 'reads;
                }
                if !full {
                    let flow = answer.push(&result, sink).await?;
                    done.rows = answer.rows;
                    if flow == Flow::Stop && !answer.is_full() {
                        break 'reads;
                    }
                }
                match more {
                    Some(state) => place.state = state,
                    None => break,
                }
            }
            place = Place { read: place.read.saturating_add(1), state: PagingState::start() };
        }
        answer.announce(sink);
        Ok(done)
    }
}

/// Whether the server could not read the paging state, or not go on from it.
fn is_no_place(error: &PortError) -> bool {
    let cause = error.source.as_deref().and_then(|source| source.downcast_ref::<RequestAttemptError>());
    matches!(cause, Some(RequestAttemptError::DbError(DbError::ProtocolError | DbError::Invalid, _)))
}

fn no_place() -> PortError {
    let mut error = rejected(Reason::Cursor, "The cursor is no place in this table, or not any more.");
    if let PortErrorKind::Rejected(rejection) = &mut error.kind {
        rejection.hint = Some("begin again with \"cursor\": \"\"".to_owned());
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        for (read, state) in [(0, &[][..]), (0, &[1, 0]), (9, &[]), (u16::MAX, &[0; 300])] {
            let state = match state {
                [] => PagingState::start(),
                state => PagingState::new_from_raw_bytes(state),
            };
            let place = Place { read, state };
            assert_eq!(Place::parse(&place.bytes()), Some(place));
        }
        assert_eq!((Place::parse(&[]), Place::parse(&[0])), (None, None));
    }
}
