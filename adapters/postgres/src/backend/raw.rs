//! The caller's own SQL: on connections of their own, which are cleansed before anybody else gets them.
//!
//! Without parameters the text goes through the simple protocol: several statements are one implicit
//! transaction, and every value comes as text. With parameters, or read-only, it is one statement of the
//! extended protocol, which takes no second one.
//!
//! Behind a transaction pooler all of it is one transaction, at whose end the session is cleansed
//! (`pooled.rs`).

mod pooled;

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{Done, PortError, PortErrorKind, Reason, RowStream, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_domain::breaker::Health;
use athena_domain::plan::bind::bind;
use athena_domain::plan::{CallPlan, Plan, RawPlan, replace_placeholders};
use athena_domain::rows::{CellRef, ColumnHead, Flow};
use athena_domain::schema::{ColumnType, TypeKind};
use futures_util::StreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, PgStatement};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Either, Executor as _, Row as _, Statement as _,
    ValueRef as _,
};
use tokio::time::Instant;

use super::rows::Fault;
use super::{Ending, PostgresBackend, lost_write, rejected};
use crate::catalog::Catalog;
use crate::decode::{Scratch, bears_text, binary_cell, is_readable, oid, text_cell};
use crate::failure::{port_error, session_survives};
use crate::pool::{Begin, Running, WATCH_THE_CLIENT};
use crate::render;

/// Longest time a connection may take to become clean.
const CLEANSING_TIMEOUT: Duration = Duration::from_secs(5);

impl PostgresBackend {
    pub(super) async fn raw(
        &self,
        plan: &Plan,
        raw: &RawPlan,
        call: Option<&CallPlan>,
        sink: &mut dyn RowStream,
        deadline: Instant,
        waits: &Stopwatch,
    ) -> Result<Done, PortError> {
        let pooled = self.raw_sessions.behind_transaction_pooler();
        if pooled {
            pooled::check(&raw.query)?;
        }
        let begin = match raw {
            RawPlan { read_only: true, .. } => Begin::ReadOnly,
            RawPlan { undoable: true, .. } => Begin::Transaction,
            _ => Begin::Plain,
        };
        let mut running = self.raw_sessions.acquire(deadline, true, begin, waits).await?;
        let mut reading = RawReading {
            catalog: self.schema.catalog(),
            scratch: Scratch::default(),
            // Which of several results would be meant is anybody's guess: scripts give counts only.
            wants_rows: raw.statements == 1,
            announced: false,
            types: Vec::new(),
            described: Vec::new(),
            as_text: None,
        };
        reading.scratch.big_numbers_as_text = plan.big_numbers_as_text;
        let connection = running.connection();
        let outcome = if raw.params.is_some() || raw.read_only {
            reading.extended(connection, raw, call, sink).await
        } else {
            reading.simple(connection, raw, sink).await
        };
        let outcome = match outcome {
            // Dropping `running` stops what is left of the statement and undoes it.
            Ok(Ending::Stopped(done)) => return Ok(done),
            Ok(Ending::Complete(done)) => Ok(done),
            Err(Fault::Driver(error)) => {
                let survives = session_survives(&error);
                let mut failed = port_error(error);
                if let PortErrorKind::Rejected(rejection) = &mut failed.kind
                    && rejection.reason == Reason::Stale
                {
                    // The caller's own prepared names are not what is known of the database.
                    rejection.reason = Reason::Statement;
                }
                self.raw_sessions.learn(&failed);
                if !survives {
                    // By what was run in it, perhaps: a statement can end its own session.
                    failed = failed.saying(Health::Doubtful);
                    running.discard();
                    return Err(if raw.read_only { failed } else { lost_write(failed) });
                }
                Err(failed)
            }
            Err(Fault::Refused(error)) => Err(error),
            Err(fault) => return Err(fault.into_port()),
        };
        let outcome = if pooled {
            self.end_pooled(running, outcome, raw.read_only).await
        } else {
            self.end_own(running, outcome, raw).await
        };
        if outcome.is_ok() && raw.defines {
            self.schema.invalidate();
            drop(self.schema.refresh(None, deadline).await);
        }
        outcome
    }

    /// Ends the work on a session of the gateway's own, which is cleansed after the answer.
    async fn end_own(
        &self,
        mut running: Running,
        outcome: Result<Done, PortError>,
        raw: &RawPlan,
    ) -> Result<Done, PortError> {
        let outcome = match outcome {
            Ok(done) if raw.read_only || raw.undoable => match running.end(ending(raw)).await {
                Ok(()) => Ok(done),
                Err(error) if session_survives(&error) => Err(port_error(error)),
                Err(error) => {
                    let failed = running.lose(error).saying(Health::Doubtful);
                    return Err(if raw.read_only { failed } else { lost_write(failed) });
                }
            },
            Ok(_) if raw.opens_transaction && in_transaction(running.connection()).await => {
                Err(open_transaction())
            }
            outcome => outcome,
        };
        running.leave_open();
        tokio::spawn(cleanse(running));
        outcome
    }
}

/// How a transaction ends whose statement has succeeded. What only reads has nothing to keep, and a transaction that
/// the database takes for one that reads may still tell listeners, or make large objects.
fn ending(raw: &RawPlan) -> &'static str {
    if raw.read_only { "ROLLBACK" } else { "COMMIT" }
}

fn open_transaction() -> PortError {
    rejected(
        Reason::OpenTransaction,
        "the script ended inside a transaction block, which was rolled back; add COMMIT",
    )
}

/// Whether the session is inside a transaction block: there the transaction began before the statement.
async fn in_transaction(connection: &mut PgConnection) -> bool {
    let open = sqlx::raw_sql("SELECT now() <> statement_timestamp() AS open").fetch_one(connection).await;
    // A failed block refuses even this.
    open.and_then(|row| row.try_get::<bool, _>(0)).unwrap_or(true)
}

/// Leaves nothing of the script behind: no transaction, setting, role, lock, temporary table, prepared name.
async fn cleanse(mut running: Running) {
    let connection = running.connection();
    let clean = async {
        if sqlx::raw_sql("DISCARD ALL").execute(&mut *connection).await.is_err() {
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
            sqlx::raw_sql("DISCARD ALL").execute(&mut *connection).await?;
        }
        // The reset took this with it.
        drop(sqlx::raw_sql(WATCH_THE_CLIENT).execute(&mut *connection).await);
        Ok::<_, sqlx::Error>(())
    };
    match tokio::time::timeout(CLEANSING_TIMEOUT, clean).await {
        Ok(Ok(())) => drop(running.finish(Ok(())).await),
        Ok(Err(_)) => running.discard(),
        // Its process is at work still: it is stopped, and counts until it has.
        Err(_) => drop(running),
    }
}

pub(super) struct RawReading {
    pub(super) catalog: Option<Arc<Catalog>>,
    scratch: Scratch,
    wants_rows: bool,
    announced: bool,
    /// Type of each column, with its number.
    types: Vec<(u32, ColumnType)>,
    /// Names of the columns, where the statement was described before it ran.
    described: Vec<String>,
    /// For columns that were asked for as text: the types they have.
    as_text: Option<Vec<u32>>,
}

impl RawReading {
    async fn rows(
        &mut self,
        mut rows: futures_util::stream::BoxStream<
            '_,
            Result<Either<sqlx::postgres::PgQueryResult, PgRow>, sqlx::Error>,
        >,
        sink: &mut dyn RowStream,
    ) -> Result<Ending, Fault> {
        let mut done = Done::default();
        while let Some(next) = rows.next().await {
            match next.map_err(Fault::Driver)? {
                Either::Left(result) => {
                    done.statements += 1;
                    done.affected += result.rows_affected();
                }
                Either::Right(row) if self.wants_rows => {
                    if !self.announced {
                        self.announce(&row, sink);
                    }
                    self.row(&row, sink)?;
                    done.rows += 1;
                    let flow = match sink.end_row() {
                        Flow::Full => sink.flush().await,
                        flow => flow,
                    };
                    if flow == Flow::Stop {
                        return Ok(Ending::Stopped(done));
                    }
                }
                Either::Right(_) => {}
            }
        }
        if !self.announced && !self.described.is_empty() {
            sink.columns(&ColumnHead::named(self.described.iter().map(String::as_str)));
        }
        // Rows that were read are no rows that were changed.
        if done.rows > 0 && done.affected == done.rows {
            done.affected = 0;
        }
        Ok(Ending::Complete(done))
    }

    fn announce(&mut self, row: &PgRow, sink: &mut dyn RowStream) {
        match &self.as_text {
            Some(_) => sink.columns(&ColumnHead::named(self.described.iter().map(String::as_str))),
            None => sink.columns(&ColumnHead::named(row.columns().iter().map(|column| column.name()))),
        }
        for (place, column) in row.columns().iter().enumerate() {
            let oid = match &self.as_text {
                Some(types) => types[place],
                None => column.type_info().oid().map_or(0, |oid| oid.0),
            };
            let known = self.catalog.as_ref().and_then(|catalog| catalog.types.get(&oid)).cloned();
            self.types.push((oid, known.unwrap_or_else(|| ColumnType::new("text", TypeKind::Other))));
        }
        self.announced = true;
    }

    fn row(&mut self, row: &PgRow, sink: &mut dyn RowStream) -> Result<(), Fault> {
        for (place, (oid, ty)) in self.types.iter().enumerate() {
            let value = row.try_get_raw(place).map_err(Fault::Driver)?;
            if value.is_null() {
                sink.cell(CellRef::Null);
                continue;
            }
            let bytes = value.as_bytes().map_err(|error| Fault::Driver(sqlx::Error::Decode(error)))?;
            let binary = value.format() == sqlx::postgres::PgValueFormat::Binary && self.as_text.is_none();
            let cell = if binary {
                // Of a text nothing can be unreadable but its encoding.
                let fault =
                    |fault| if bears_text(*oid) { Fault::Illegible } else { Fault::Unreadable(fault) };
                binary_cell(*oid, bytes, &mut self.scratch).map_err(fault)?
            } else {
                let text = std::str::from_utf8(bytes).map_err(|_| Fault::Illegible)?;
                text_cell(ty, text, &mut self.scratch)
            };
            sink.cell(cell);
        }
        Ok(())
    }

    /// A script, or one statement without parameters.
    async fn simple(
        &mut self,
        connection: &mut PgConnection,
        raw: &RawPlan,
        sink: &mut dyn RowStream,
    ) -> Result<Ending, Fault> {
        if raw.tells_columns {
            // This protocol, as the driver reads it, names columns with the first row only.
            let described = describe(connection, &raw.query).await.map_err(Fault::Driver)?;
            self.described = described.columns().iter().map(|column| column.name().to_owned()).collect();
        }
        let script = sqlx::raw_sql(AssertSqlSafe(&*raw.query)).fetch_many(connection);
        self.rows(script, sink).await
    }

    /// One statement with parameters, or read-only.
    async fn extended(
        &mut self,
        connection: &mut PgConnection,
        raw: &RawPlan,
        call: Option<&CallPlan>,
        sink: &mut dyn RowStream,
    ) -> Result<Ending, Fault> {
        let params = raw.params.as_deref().unwrap_or_default();
        let mut described = describe(connection, &raw.query).await.map_err(Fault::Driver)?;
        let other;
        let mut raw = raw;
        // The database takes a value of no type for a text wherever a function takes one.
        if let Some(call) = call
            && let Some(types) = self.overload(connection, call, &expected_types(&described)).await?
        {
            drop(described);
            other = render::call(call, Some(&types));
            raw = &other;
            described = describe(connection, &raw.query).await.map_err(Fault::Driver)?;
        }
        let types: Vec<u32> = described
            .columns()
            .iter()
            .map(|column| column.type_info().oid().map_or(0, |oid| oid.0))
            .collect();
        self.described = described.columns().iter().map(|column| column.name().to_owned()).collect();
        let expected = expected_types(&described);
        if expected.len() != params.len() {
            let message =
                format!("the query has {} parameters, but `params` has {}", expected.len(), params.len());
            return Err(Fault::Refused(rejected(Reason::BadValue, message)));
        }
        drop(described);
        let (mut sql, arguments) = self.bound(raw, call, &expected)?;
        if types.iter().any(|oid| !is_readable(*oid)) {
            sql = as_text(&sql, &types).ok_or_else(|| {
                Fault::Refused(rejected(
                    Reason::Unsupported,
                    "a column of this statement has a type that cannot be returned beside `params` or \
                     `read_only`; cast it to text",
                ))
            })?;
            self.as_text = Some(types);
        }
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
        self.rows((&mut *connection).fetch_many(query), sink).await
    }

    /// The text with each placeholder cast where it stands, and the values: they travel as text, so that
    /// every type takes its own notation.
    fn bound(
        &self,
        raw: &RawPlan,
        call: Option<&CallPlan>,
        expected: &[u32],
    ) -> Result<(String, PgArguments), Fault> {
        let unknown = ColumnType::new("text", TypeKind::Other);
        let params = raw.params.as_deref().unwrap_or_default();
        let mut arguments = PgArguments::default();
        let mut casts = Vec::with_capacity(params.len());
        for (index, (value, oid)) in params.iter().zip(expected).enumerate() {
            let ty = self.catalog.as_ref().and_then(|catalog| catalog.types.get(oid)).unwrap_or(&unknown);
            let refuse = |message: String| Fault::Refused(rejected(Reason::BadValue, message));
            let field = match call.and_then(|call| call.arguments.get(index)) {
                Some((name, _)) => format!("args.{name}"),
                None => format!("params[{index}]"),
            };
            let bind = bind(value, ty, &field).map_err(|error| refuse(error.message))?;
            let text: Option<String> = bind.into_text().map(String::from);
            arguments.add(text).map_err(|error| refuse(error.to_string()))?;
            casts.push(format!("(${}::text::{})", index + 1, ty.sql));
        }
        let sql = replace_placeholders(&raw.query, |number| {
            number
                .checked_sub(1)
                .and_then(|index| casts.get(index))
                .cloned()
                .unwrap_or_else(|| format!("${number}"))
        });
        Ok((sql, arguments))
    }
}

async fn describe(connection: &mut PgConnection, query: &str) -> Result<PgStatement, sqlx::Error> {
    connection.prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(query.to_owned()))).await
}

/// The types that a statement expects of its parameters, by number.
fn expected_types(described: &PgStatement) -> Vec<u32> {
    match described.parameters() {
        Some(Either::Left(types)) => types.iter().map(|ty| ty.oid().map_or(0, |oid| oid.0)).collect(),
        _ => Vec::new(),
    }
}

/// The statement with every column as text; `None` for a statement that cannot stand in FROM.
fn as_text(query: &str, types: &[u32]) -> Option<String> {
    let first: String = query.chars().take_while(char::is_ascii_alphabetic).collect();
    if !["select", "values", "table", "with"].contains(&first.to_ascii_lowercase().as_str()) {
        return None;
    }
    let names: Vec<String> = (0..types.len()).map(|place| format!("c{place}")).collect();
    let cast = |(name, oid): (&String, &u32)| match *oid {
        // The cast adds a mask that the type's own text does not have.
        oid::INET => format!("abbrev(q.{name})"),
        _ => format!("q.{name}::text"),
    };
    let casts: Vec<String> = names.iter().zip(types).map(cast).collect();
    // The line break ends a trailing comment.
    Some(format!("SELECT {} FROM (\n{query}\n) AS q({})", casts.join(","), names.join(",")))
}
