//! Writes: one statement for each row, or a batch; rows for the answer are read by their keys.

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, Rejection, RowStream};
use athena_domain::plan::cql::{Batch, CqlDelete, CqlInsert, CqlUpdate, Existing, Restriction};
use athena_domain::plan::{Output, Plan};
use athena_domain::rows::Flow;
use athena_domain::schema::{PRIMARY_KEY, Relation};
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::statement::batch::{Batch as DriverBatch, BatchType};

use super::ScyllaBackend;
use super::effort::Effort;
use super::exchange::finish;
use super::rows::{Answer, rows, unreadable};
use crate::failure::{Intent, PORT};
use crate::render::{Marker, Statement};
use crate::session::Session;

/// The column that tells whether a conditional write was carried out.
const APPLIED: &str = "[applied]";

impl ScyllaBackend {
    pub(super) async fn insert(
        &self,
        plan: &Plan,
        insert: &CqlInsert,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let session = self.link.session(effort.deadline).await?;
        let mut done = Done::default();
        if insert.batch != Batch::Single {
            self.batch(&session, insert, effort).await?;
            done.statements = 1;
            done.affected = insert.rows.len() as u64;
        } else {
            for row in &insert.rows {
                let statement = Statement::insert(insert, row);
                let result = self.once(&session, statement, Intent::Write, effort).await;
                let result = result.map_err(|error| after(error, done.affected))?;
                done.statements += 1;
                let written = match insert.existing {
                    Existing::Refuses | Existing::Told => applied(&result_rows(result)?)?,
                    // What stays is returned as well.
                    Existing::Stays | Existing::Changes => true,
                };
                match insert.existing {
                    Existing::Refuses if !written => {
                        return Err(after(duplicate(&insert.relation), done.affected));
                    }
                    Existing::Told => done.applied = Some(written),
                    Existing::Refuses | Existing::Stays | Existing::Changes => {}
                }
                done.affected += u64::from(written);
            }
        }
        if insert.returning.is_empty() {
            return Ok(done);
        }
        let effort = match insert.existing {
            // It is another's write that is shown.
            _ if done.applied == Some(false) => effort.after_conditional_writes(),
            Existing::Refuses | Existing::Stays | Existing::Told => effort.after_own_conditional_write(),
            Existing::Changes => effort,
        };
        let keys: Vec<Vec<Restriction>> = insert.rows.iter().map(|row| insert.key(row)).collect();
        let keys: Vec<&[Restriction]> = keys.iter().map(|key| &key[..]).collect();
        let shown = Shown { outputs: &insert.returning, visible: insert.visible.as_deref() };
        self.answer(plan, &session, &insert.relation, shown, &keys, sink, effort, done).await
    }

    /// Writes rows by one batch: all of them or none.
    async fn batch(&self, session: &Session, insert: &CqlInsert, effort: Effort) -> Result<(), PortError> {
        let kind = match insert.batch {
            Batch::Partition | Batch::Single => BatchType::Unlogged,
            Batch::Logged => BatchType::Logged,
        };
        let mut batch = DriverBatch::new(kind);
        batch.set_consistency(effort.consistency);
        batch.set_serial_consistency(Some(effort.serial));
        let Some(first) = insert.rows.first() else { return Ok(()) };
        // Every row has the same columns, so that one text serves them all; what stands behind the values does too.
        let Statement { text, markers } = Statement::insert(insert, first);
        let ready = self.prepared(session, text, Intent::Write, effort).await?;
        let shared = &markers[first.len()..];
        let mut values = Vec::with_capacity(insert.rows.len());
        for row in &insert.rows {
            values.push(row.iter().map(Marker::One).chain(shared.iter().copied()).collect::<Vec<_>>());
            batch.append_statement(ready.clone());
        }
        let patience = effort.patience();
        batch.set_request_timeout(Some(patience));
        let result = finish(session.driver().batch(&batch, &values), Intent::Write, patience).await?;
        if insert.existing == Existing::Refuses && !applied(&result_rows(result)?)? {
            return Err(duplicate(&insert.relation));
        }
        Ok(())
    }

    pub(super) async fn update(
        &self,
        plan: &Plan,
        update: &CqlUpdate,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let session = self.link.session(effort.deadline).await?;
        let mut done = Done::default();
        let mut changed = Vec::new();
        for key in &update.rows {
            let statement = Statement::update(update, key);
            let result = self.once(&session, statement, Intent::Write, effort).await;
            let result = result.map_err(|error| after(error, done.affected))?;
            done.statements += 1;
            if applied(&result_rows(result)?)? {
                done.affected += 1;
                changed.push(&key[..]);
            }
        }
        let mut effort = if update.added { effort } else { effort.after_own_conditional_write() };
        if update.told {
            done.applied = Some(done.affected > 0);
            if done.affected == 0 {
                effort = effort.after_conditional_writes();
                changed.extend(update.rows.iter().map(|key| &key[..]));
            }
        }
        let shown = Shown { outputs: &update.returning, visible: update.visible.as_deref() };
        self.answer(plan, &session, &update.relation, shown, &changed, sink, effort, done).await
    }

    pub(super) async fn delete(
        &self,
        plan: &Plan,
        delete: &CqlDelete,
        sink: &mut dyn RowStream,
        effort: Effort,
    ) -> Result<Done, PortError> {
        let session = self.link.session(effort.deadline).await?;
        let mut done = Done::default();
        let mut removed = Vec::new();
        for key in &delete.rows {
            // Afterwards nobody can read it.
            let before = match &delete.returning[..] {
                [] if delete.timestamp.is_none() => None,
                [] => Some(Statement::presence(&delete.relation, key)),
                outputs => Some(Statement::row(&delete.relation, outputs, key, delete.visible())),
            };
            let before = match before {
                None => None,
                Some(statement) => {
                    let effort = match delete.timestamp {
                        None => effort.after_own_conditional_write(),
                        Some(_) => effort,
                    };
                    let result = self.once(&session, statement, Intent::Read, effort).await;
                    let result = result.map_err(|error| after(error, done.affected))?;
                    done.statements += 1;
                    Some(rows(result)?)
                }
            };
            let statement = Statement::delete(delete, key);
            let result = self.once(&session, statement, Intent::Write, effort).await;
            let result = result.map_err(|error| after(error, done.affected))?;
            done.statements += 1;
            let gone = match &delete.timestamp {
                None => applied(&result_rows(result)?)?,
                // Whether it was written before then, the database does not say.
                Some(_) => {
                    let statement = Statement::presence(&delete.relation, key);
                    let left = self.once(&session, statement, Intent::Read, effort).await;
                    let left = left.map_err(|error| after(error, done.affected))?;
                    done.statements += 1;
                    let there = |rows: &QueryRowsResult| rows.rows_num() > 0;
                    before.as_ref().is_some_and(there) && !there(&rows(left)?)
                }
            };
            if gone {
                done.affected += 1;
                removed.extend(before);
            }
        }
        if delete.told {
            done.applied = Some(done.affected > 0);
            if done.affected == 0 {
                let keys: Vec<&[Restriction]> = delete.rows.iter().map(|key| &key[..]).collect();
                let effort = effort.after_conditional_writes();
                // A caller whose key looks at more than the primary key is not told.
                let shown = Shown { outputs: &delete.returning, visible: None };
                let relation = &delete.relation;
                return self.answer(plan, &session, relation, shown, &keys, sink, effort, done).await;
            }
        }
        if delete.returning.is_empty() {
            return Ok(done);
        }
        let mut answer = Answer::new(&delete.relation, &delete.returning, plan.big_numbers_as_text);
        for page in &removed {
            if answer.push(page, sink).await? == Flow::Stop {
                break;
            }
        }
        answer.announce(sink);
        done.rows = answer.rows;
        Ok(done)
    }

    /// Reads what was written and hands it on.
    #[expect(clippy::too_many_arguments, reason = "they have nothing in common but this end of a write")]
    async fn answer(
        &self,
        plan: &Plan,
        session: &Session,
        relation: &Relation,
        shown: Shown<'_>,
        keys: &[&[Restriction]],
        sink: &mut dyn RowStream,
        effort: Effort,
        mut done: Done,
    ) -> Result<Done, PortError> {
        if shown.outputs.is_empty() {
            return Ok(done);
        }
        let mut answer = Answer::new(relation, shown.outputs, plan.big_numbers_as_text);
        let every = [Vec::new()];
        let alternatives = shown.visible.unwrap_or(&every);
        'keys: for key in keys {
            for visible in alternatives {
                let statement = Statement::row(relation, shown.outputs, key, visible);
                let result = self.once(session, statement, Intent::Read, effort).await;
                let result = rows(result.map_err(|error| after(error, done.affected))?)?;
                done.statements += 1;
                if answer.push(&result, sink).await? == Flow::Stop {
                    break 'keys;
                }
                if result.rows_num() > 0 {
                    break;
                }
            }
        }
        answer.announce(sink);
        done.rows = answer.rows;
        Ok(done)
    }
}

/// What an answer shows of written rows.
#[derive(Clone, Copy)]
struct Shown<'a> {
    outputs: &'a [Output],
    /// Which of them; all when nothing is said.
    visible: Option<&'a [Vec<Restriction>]>,
}

/// A failure after rows were written, which cannot be taken back: the caller has to look.
fn after(error: PortError, written: u64) -> PortError {
    if written == 0 {
        return error;
    }
    PortError::new(PORT, PortErrorKind::Lost)
        .caused_by(format!("{written} rows were written before: {error}"))
}

fn result_rows(result: QueryResult) -> Result<Option<QueryRowsResult>, PortError> {
    if result.is_rows() { rows(result).map(Some) } else { Ok(None) }
}

/// Whether a conditional write was carried out. The servers differ in the columns that stand beside the answer.
fn applied(answer: &Option<QueryRowsResult>) -> Result<bool, PortError> {
    let Some(answer) = answer else { return Ok(true) };
    let Some((place, _)) = answer.column_specs().get_by_name(APPLIED) else {
        return Err(unreadable("a conditional write without its outcome"));
    };
    for row in answer.rows::<ColumnIterator<'_, '_>>().map_err(unreadable)? {
        let column =
            row.map_err(unreadable)?.nth(place).ok_or_else(|| unreadable("a row without its end"))?;
        let slice = column.map_err(unreadable)?.slice;
        if slice.is_none_or(|slice| slice.as_slice() != [1]) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn duplicate(relation: &Relation) -> PortError {
    let message = format!("a row with this primary key is already in {}", relation.name);
    let mut rejection = Rejection::new(Reason::Unique, message);
    rejection.constraint = Some(PRIMARY_KEY.into());
    rejection.table = Some(relation.name.as_ref().into());
    rejection.schema = Some(relation.schema.as_ref().into());
    PortError::rejected(PORT, rejection)
}
