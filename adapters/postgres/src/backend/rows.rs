//! From the driver's rows to the sink.

use std::time::Duration;

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, RowStream};
use athena_domain::plan::{Operation, Output, Plan};
use athena_domain::rows::{CellRef, ColumnHead, Flow};
use athena_domain::schema::{ColumnType, Relation};
use futures_util::StreamExt as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Column as _, Either, Executor as _, Row as _, ValueRef as _};

use super::{Ending, rejected};
use crate::decode::{Scratch, Unreadable, binary_cell, text_cell};
use crate::failure::{PORT, port_error};
use crate::render::{Statement, is_native};

/// Why rows stopped coming.
pub(super) enum Fault {
    /// The driver or the database.
    Driver(sqlx::Error),
    /// What is known of the database is old: the answer has other columns than were planned.
    Stale,
    /// A value that cannot be read: a bug.
    Unreadable(Unreadable),
    /// The caller's fault, found before the statement ran or in a row that it may not write.
    Refused(PortError),
    /// A text that is not UTF-8: the statement has changed the session's encoding, or the database has none.
    Illegible,
    /// No row came for as long as one statement may take.
    Stalled,
}

impl Fault {
    pub(super) fn into_port(self) -> PortError {
        match self {
            Self::Driver(error) => port_error(error),
            Self::Stale => rejected(Reason::Stale, "the table has changed; please try again"),
            Self::Unreadable(error) => PortError::new(PORT, PortErrorKind::Internal).caused_by(error),
            Self::Refused(error) => error,
            Self::Illegible => rejected(
                Reason::Unsupported,
                "the answer holds a text that is not UTF-8; leave `client_encoding` as it is, or return the value as bytea",
            ),
            Self::Stalled => PortError::new(PORT, PortErrorKind::TimedOut),
        }
    }
}

/// The refusal of a write that the caller's key does not allow on such a row.
pub(super) fn row_out_of_scope() -> PortError {
    rejected(Reason::RowOutOfScope, "a row does not meet the row filter of the API key; nothing was changed")
}

/// How a column's values are read.
enum Decoder<'a> {
    /// From their binary form, by the type number of the answer, which no snapshot can belie.
    Binary(u32),
    /// From the text that was asked for.
    Text(&'a ColumnType),
}

/// Reads the rows of one planned statement.
pub(super) struct Reading<'a> {
    relation: &'a Relation,
    outputs: &'a [Output],
    every: bool,
    scratch: Scratch,
    decoders: Vec<Decoder<'a>>,
    announced: bool,
    max_rows: Option<u64>,
    writes: bool,
    /// Whether the last column tells if the row is one that the caller may write.
    checked: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(relation: &'a Relation, outputs: &'a [Output], every: bool, plan: &Plan) -> Self {
        let writes = !matches!(plan.operation, Operation::Select(_));
        // Names are the caller's to compare only where `*` was written.
        let every = every && outputs.iter().all(|output| is_native(output.ty(relation)));
        let mut scratch = Scratch::default();
        scratch.big_numbers_as_text = plan.big_numbers_as_text;
        Self {
            relation,
            outputs,
            every,
            scratch,
            decoders: Vec::new(),
            announced: false,
            max_rows: None,
            writes,
            checked: match &plan.operation {
                Operation::Insert(insert) => insert.check.is_some(),
                Operation::Update(update) => update.check.is_some(),
                Operation::Select(_)
                | Operation::Count(_)
                | Operation::Delete(_)
                | Operation::Call(_)
                | Operation::Raw(_)
                | Operation::Cql(_) => false,
            },
        }
    }

    /// Stops after more rows than this.
    pub(super) fn stop_after(&mut self, rows: Option<u64>) {
        self.max_rows = rows;
    }

    /// Whether the sink has been told the columns.
    pub(super) fn announced(&self) -> bool {
        self.announced
    }

    /// Runs the statement. With `patience`, no two rows may be further apart than that.
    pub(super) async fn run(
        &mut self,
        connection: &mut PgConnection,
        statement: Statement,
        sink: &mut dyn RowStream,
        patience: Option<Duration>,
    ) -> Result<Ending, Fault> {
        let mut done = Done { statements: 1, ..Done::default() };
        let mut rows = connection.fetch_many(statement.query());
        loop {
            let next = match patience {
                None => rows.next().await,
                Some(patience) => match tokio::time::timeout(patience, rows.next()).await {
                    Ok(next) => next,
                    Err(_) => return Err(Fault::Stalled),
                },
            };
            match next {
                None => break,
                Some(Err(error)) => return Err(Fault::Driver(error)),
                // The database counts the rows of a read here too.
                Some(Ok(Either::Left(result))) if self.writes => done.affected += result.rows_affected(),
                Some(Ok(Either::Left(_))) => {}
                Some(Ok(Either::Right(row))) => {
                    if !self.announced {
                        self.announce(Some(&row), sink)?;
                    }
                    self.row(&row, sink)?;
                    if self.outputs.is_empty() {
                        continue;
                    }
                    done.rows += 1;
                    let flow = match sink.end_row() {
                        Flow::Full => sink.flush().await,
                        flow => flow,
                    };
                    if flow == Flow::Stop || self.max_rows.is_some_and(|most| done.rows > most) {
                        return Ok(Ending::Stopped(done));
                    }
                }
            }
        }
        if !self.announced {
            self.announce(None, sink)?;
        }
        Ok(Ending::Complete(done))
    }

    /// Checks that the answer has the planned columns, chooses how to read them, and tells the sink.
    fn announce(&mut self, row: Option<&PgRow>, sink: &mut dyn RowStream) -> Result<(), Fault> {
        if let Some(row) = row {
            let columns = row.columns();
            let as_planned = columns.len() == self.outputs.len() + usize::from(self.checked)
                && (!self.every
                    || columns.iter().zip(self.outputs).all(|(column, output)| {
                        column.name() == &*self.relation.columns[output.column].name
                    }));
            if !as_planned {
                return Err(Fault::Stale);
            }
            for (column, output) in columns.iter().zip(self.outputs) {
                let ty = output.ty(self.relation);
                self.decoders.push(if is_native(ty) {
                    Decoder::Binary(column.type_info().oid().map_or(0, |oid| oid.0))
                } else {
                    Decoder::Text(ty)
                });
            }
        }
        let heads: Vec<ColumnHead> = self
            .outputs
            .iter()
            .map(|output| ColumnHead { label: output.label.clone(), hidden: output.hidden })
            .collect();
        sink.columns(&heads);
        self.announced = true;
        Ok(())
    }

    fn row(&mut self, row: &PgRow, sink: &mut dyn RowStream) -> Result<(), Fault> {
        if self.checked && !row.try_get::<bool, _>(self.outputs.len()).map_err(Fault::Driver)? {
            return Err(Fault::Refused(row_out_of_scope()));
        }
        for (place, decoder) in self.decoders.iter().enumerate() {
            let value = row.try_get_raw(place).map_err(Fault::Driver)?;
            if value.is_null() {
                sink.cell(CellRef::Null);
                continue;
            }
            let bytes = value.as_bytes().map_err(|error| Fault::Driver(sqlx::Error::Decode(error)))?;
            let cell = match decoder {
                Decoder::Binary(oid) => {
                    binary_cell(*oid, bytes, &mut self.scratch).map_err(Fault::Unreadable)?
                }
                Decoder::Text(ty) => {
                    let text = std::str::from_utf8(bytes)
                        .map_err(|e| Fault::Driver(sqlx::Error::Decode(e.into())))?;
                    text_cell(ty, text, &mut self.scratch)
                }
            };
            sink.cell(cell);
        }
        Ok(())
    }
}
