//! Writes: one statement for each row, or a batch; rows for the answer are read by their keys.

use std::pin::pin;

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
use crate::failure::{Intent, PORT, is_forgotten};
use crate::render::{Statement, Values};
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
        let session = self.link.session(effort.readiness()).await?;
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
        let mut ready = self.prepared(session, text, Intent::Write, effort).await?;
        let shared = &markers[first.len()..];
        let values: Vec<Values<'_>> = insert.rows.iter().map(|row| Values { row, shared }).collect();
        let mut times = 0;
        let result = loop {
            batch.statements = vec![ready.clone().into(); values.len()];
            let patience = effort.patience();
            batch.set_request_timeout(Some(patience));
            let asked = pin!(session.driver().batch(&batch, &values));
            match finish(asked, Intent::Write, patience).await {
                Err(error) if is_forgotten(&error) => {
                    let text = ready.get_statement();
                    ready = self.remembered(session, text, Intent::Write, effort, &mut times, error).await?;
                }
                outcome => break outcome?,
            }
        };
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
        let session = self.link.session(effort.readiness()).await?;
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
        let session = self.link.session(effort.readiness()).await?;
        let mut done = Done::default();
        let Some(before) = self.before(&session, delete, sink, effort, &mut done).await? else {
            return Ok(done);
        };
        let mut before = before.into_iter();
        let mut removed = Vec::new();
        for key in &delete.rows {
            let before = before.next();
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

    /// What the rows of a removal are before it, as afterwards nobody can read them; nothing where it does not matter,
    /// and `None` when they are too large to be kept, all of them before the first one is removed.
    async fn before(
        &self,
        session: &Session,
        delete: &CqlDelete,
        sink: &mut dyn RowStream,
        effort: Effort,
        done: &mut Done,
    ) -> Result<Option<Vec<QueryRowsResult>>, PortError> {
        if delete.returning.is_empty() && delete.timestamp.is_none() {
            return Ok(Some(Vec::new()));
        }
        let effort = match delete.timestamp {
            None => effort.after_own_conditional_write(),
            Some(_) => effort,
        };
        let (mut before, mut bytes) = (Vec::with_capacity(delete.rows.len()), 0);
        for key in &delete.rows {
            let statement = match &delete.returning[..] {
                [] => Statement::presence(&delete.relation, key),
                outputs => Statement::row(&delete.relation, outputs, key, delete.visible()),
            };
            let row = rows(self.once(session, statement, Intent::Read, effort).await?)?;
            done.statements += 1;
            bytes += row.rows_bytes_size() as u64;
            before.push(row);
            if !sink.keep(bytes) {
                return Ok(None);
            }
        }
        Ok(Some(before))
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
    let lost = PortError::new(PORT, PortErrorKind::Lost).meeting(error.obstacle);
    lost.caused_by(format!("{written} rows were written before: {error}"))
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
