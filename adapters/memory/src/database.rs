//! The tables, and what a schema reader knows of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use athena_application::ports::{PortError, PortErrorKind, SchemaReader};
use athena_domain::schema::{Column, ColumnType, Relation, Schema, TypeKind};
use tokio::time::Instant;

use crate::reject;
use crate::table::{Row, Table};

/// A database in memory: a backend and the reader of its schema in one.
///
/// Unqualified names are looked for in the schema `public`.
#[derive(Debug, Default)]
pub struct MemoryDatabase {
    tables: Mutex<Vec<Table>>,
    /// Writers stand in line, each for its whole statement.
    pub(crate) writing: tokio::sync::Mutex<()>,
    reading: Mutex<Reading>,
    unreachable: AtomicBool,
    readings: AtomicU64,
    pub(crate) answered: AtomicBool,
}

#[derive(Debug, Default)]
struct Reading {
    last: Option<Arc<Schema>>,
    invalid: bool,
}

impl MemoryDatabase {
    /// A database of these tables.
    pub fn new(tables: impl IntoIterator<Item = Table>) -> Self {
        Self { tables: Mutex::new(tables.into_iter().collect()), ..Self::default() }
    }

    /// Creates a table behind the schema reader's back.
    pub fn create_table(&self, table: Table) {
        self.lock().push(table);
    }

    /// Drops a table behind the schema reader's back.
    pub fn drop_table(&self, name: &str) {
        self.lock().retain(|table| &*table.relation.name != name);
    }

    /// Adds a column, null in every row, behind the schema reader's back.
    pub fn add_column(&self, table: &str, column: Column) {
        let mut tables = self.lock();
        if let Some(table) = tables.iter_mut().find(|known| &*known.relation.name == table) {
            table.add_column(column);
        }
    }

    /// Decides whether the database answers at all.
    pub fn set_reachable(&self, reachable: bool) {
        self.unreachable.store(!reachable, Ordering::Relaxed);
    }

    /// How often the schema was read.
    pub fn schema_readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table that a plan is about, as it is now.
    pub(crate) fn table(&self, planned: &Relation) -> Result<Table, PortError> {
        let tables = self.lock();
        let same =
            |table: &&Table| table.relation.name == planned.name && table.relation.schema == planned.schema;
        let table = tables.iter().find(same).cloned();
        let table = table.ok_or_else(|| reject::undefined_table(planned))?;
        table.still_fits(planned)?;
        Ok(table)
    }

    /// Keeps a table's new rows.
    pub(crate) fn commit(&self, relation: &Relation, rows: Vec<Row>) {
        let mut tables = self.lock();
        let same = |table: &&mut Table| {
            table.relation.name == relation.name && table.relation.schema == relation.schema
        };
        if let Some(table) = tables.iter_mut().find(same) {
            table.rows = Arc::new(rows);
        }
    }

    /// Fails when the database does not answer or the time is up.
    pub(crate) fn check(&self, deadline: Instant) -> Result<(), PortError> {
        let kind = if self.unreachable.load(Ordering::Relaxed) {
            PortErrorKind::Unavailable
        } else if Instant::now() >= deadline {
            PortErrorKind::TimedOut
        } else {
            return Ok(());
        };
        self.answered.store(kind == PortErrorKind::TimedOut, Ordering::Relaxed);
        Err(reject::error(kind))
    }

    fn read(&self) -> Schema {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let relations = self.lock().iter().map(|table| table.relation.as_ref().clone()).collect();
        Schema::new(relations, castable(), vec!["public".into()])
    }
}

#[async_trait::async_trait]
impl SchemaReader for MemoryDatabase {
    fn loaded(&self) -> Option<Arc<Schema>> {
        self.lock_reading().last.clone()
    }

    fn has_reading(&self) -> bool {
        self.loaded().is_some()
    }

    async fn refresh(&self, seen: Option<&Arc<Schema>>, deadline: Instant) -> Result<Arc<Schema>, PortError> {
        self.check(deadline)?;
        let mut reading = self.lock_reading();
        let newer = reading.last.as_ref().filter(|last| !seen.is_some_and(|seen| Arc::ptr_eq(seen, last)));
        if let (Some(newer), false) = (newer, reading.invalid) {
            return Ok(newer.clone());
        }
        let schema = Arc::new(self.read());
        *reading = Reading { last: Some(schema.clone()), invalid: false };
        Ok(schema)
    }

    fn invalidate(&self) {
        self.lock_reading().invalid = true;
    }
}

/// Types a caller may cast to.
fn castable() -> HashMap<Box<str>, ColumnType> {
    let types = [
        (&["text", "varchar"][..], "text", TypeKind::Text),
        (&["smallint", "int2"], "smallint", TypeKind::Int(16)),
        (&["integer", "int", "int4"], "integer", TypeKind::Int(32)),
        (&["bigint", "int8"], "bigint", TypeKind::Int(64)),
        (&["real", "float4"], "real", TypeKind::Float(32)),
        (&["float8", "float"], "double precision", TypeKind::Float(64)),
        (&["numeric", "decimal"], "numeric", TypeKind::Numeric),
        (&["boolean", "bool"], "boolean", TypeKind::Bool),
        (&["uuid"], "uuid", TypeKind::Uuid),
        (&["json"], "json", TypeKind::Json),
        (&["jsonb"], "jsonb", TypeKind::Jsonb),
        (&["date"], "date", TypeKind::Date),
        (&["timestamp"], "timestamp without time zone", TypeKind::Timestamp),
        (&["timestamptz"], "timestamp with time zone", TypeKind::TimestampTz),
    ];
    let mut known = HashMap::new();
    for (names, sql, kind) in types {
        let ty = ColumnType::new(sql, kind);
        for name in names {
            let array = ColumnType::new(&format!("{sql}[]"), TypeKind::Array(Arc::new(ty.clone())));
            known.insert(Box::from(format!("{name}[]")), array);
            known.insert(Box::from(*name), ty.clone());
        }
    }
    known
}
