//! Planning inserts, updates and deletes.

use std::collections::HashMap;
use std::sync::Arc;

use super::bind::{Bind, Datum, bind};
use super::cql::{self, CqlValue, refuse};
use super::filter::pins_one_row;
use super::open::Names;
use super::{
    DeletePlan, Filter, Guard, InsertPlan, InsertSource, Operation, Output, Plan, Planner, Target, UpdatePlan,
};
use crate::access::KeyOperation;
use crate::error::{RequestCode, RequestError};
use crate::query::{Assignment, CompareOp, DeleteRequest, InsertRequest, Selection, Stamp, UpdateRequest};
use crate::schema::{ColumnType, CqlType, Dialect, Relation, TypeKind};

/// Most binds of one statement: PostgreSQL counts them in 16 bits.
const MAX_BINDS: usize = 65_535;

/// Most values of one insert whose rows leave some out: a short body must not become a large one.
const MAX_CELLS: usize = 4_000_000;

impl Planner<'_> {
    /// Plans new rows. The answer ends with a hidden column, the row's id, when the table has one.
    ///
    /// # Errors
    /// Unknown names, values that do not fit, a conflict target without a unique index.
    pub fn insert(&self, request: &InsertRequest) -> Result<Plan, RequestError> {
        let relation =
            self.relation(&request.relation, KeyOperation::Insert, || Names::of_insert(request))?;
        if let (Some(upsert), Some(authority)) = (&request.upsert, &self.authority) {
            // What is there already is changed, or at least shown.
            match upsert.set.as_ref().is_none_or(|set| !set.is_empty()) {
                true => authority.permit_operation(KeyOperation::Update)?,
                false => self.permit_read(&relation)?,
            }
        }
        // Rows that are new hold only what was sent; with an upsert the answer shows what is there.
        self.leaves_a_trace(&relation, request.dry_run && request.upsert.is_some(), request.max_affected)?;
        self.stamped(request.stamp)?;
        cql::counts_nothing(&relation)?;
        if request.if_not_exists {
            self.conditional(&relation, "if_not_exists", !request.head)?;
        }
        let mut known = Known::default();
        let rows = request.rows.iter().map(|row| self.assigned(&relation, row, &mut known));
        let rows: Vec<Vec<(usize, &Assignment)>> = rows.collect::<Result<_, _>>()?;
        let columns = columns_of(&relation, &rows);
        let source = self.source(&relation, &columns, &rows, request.default_to_null)?;
        let (conflict, conflict_unknown) = match &request.upsert {
            None => (None, false),
            Some(upsert) => match self.target(&relation, &columns, upsert)? {
                Some(target) => (Some(self.conflict(&relation, &columns, upsert, target)?), false),
                None => (None, true),
            },
        };
        let mut returning = self.returning(&relation, &request.columns, request.head)?;
        // Without rows the id of a single one is told all the same, where the database gives it with the row.
        let wants_id = !request.head || (!request.many && self.schema.dialect() == Dialect::Sql);
        if let Some(column) = id_column(&relation).filter(|id| wants_id && self.reaches(&relation, *id)) {
            returning.push(Output { column, cast: None, label: Arc::from("id"), hidden: true });
        }
        let check = self.row_filter(&relation)?;
        self.needs_transaction(request.dry_run, check.is_some())?;
        let guard = self.guard(request.max_affected, request.dry_run, request.head, request.rows.len() == 1);
        let insert = InsertPlan {
            guard: Guard { checked: check.is_some(), ..guard },
            check,
            relation,
            columns,
            source,
            conflict,
            conflict_unknown,
            returning,
            if_not_exists: request.if_not_exists,
            stamp: request.stamp,
        };
        self.plan(Operation::Insert(insert), request.tuning)
    }

    /// Plans the same rows again after the unique index `constraint` was violated and the caller had
    /// asked for an upsert without a target; `None` when the index cannot be a target.
    ///
    /// # Errors
    /// As [`Planner::insert`].
    pub fn insert_on(&self, request: &InsertRequest, constraint: &str) -> Result<Option<Plan>, RequestError> {
        let relation =
            self.relation(&request.relation, KeyOperation::Insert, || Names::of_insert(request))?;
        let index = relation.unique.iter().find(|index| &*index.name == constraint && index.total);
        let (Some(index), Some(upsert)) = (index, &request.upsert) else { return Ok(None) };
        let mut plan = self.insert(request)?;
        if let Operation::Insert(insert) = &mut plan.operation {
            self.demand_all(&relation, &index.columns)?;
            let target = Target::Columns(index.columns.to_vec(), None);
            insert.conflict = Some(self.conflict(&relation, &insert.columns, upsert, target)?);
            insert.conflict_unknown = false;
        }
        Ok(Some(plan))
    }

    /// Plans a change of rows.
    ///
    /// # Errors
    /// Unknown names and values that do not fit.
    pub fn update(&self, request: &UpdateRequest) -> Result<Plan, RequestError> {
        if request.grouping.is_some() && self.speaks_cql() {
            return Err(refuse(
                "group_by",
                "changes cannot be undone when the changed rows cannot be grouped".to_owned(),
                "leave `group_by` out, and group with a fetch".to_owned(),
            ));
        }
        let relation =
            self.relation(&request.relation, KeyOperation::Update, || Names::of_update(request))?;
        self.leaves_a_trace(&relation, request.dry_run, request.max_affected)?;
        self.stamped(request.stamp)?;
        let only_if = self.only_if(&relation, request.only_if.as_deref(), !request.head)?;
        let set = self.set(&relation, &request.set)?;
        let filter = self.bounded(&relation, self.filter(&relation, &request.conditions)?)?;
        let check = self.row_filter(&relation)?;
        self.needs_transaction(request.dry_run, check.is_some())?;
        self.needs_catalog(
            request.grouping.is_some(),
            "group_by",
            "through PostgREST a change cannot be undone, which one whose rows cannot be grouped must be",
            "change the rows first, then group them with a fetch",
        )?;
        let returning = self.returning(&relation, &request.columns, request.head)?;
        // Rows that cannot be grouped undo the change, even a single one.
        let single = pins_one_row(&relation, &filter) && request.grouping.is_none();
        let guard = self.guard(request.max_affected, request.dry_run, request.head, single);
        let guard = Guard { checked: check.is_some(), ..guard };
        let update =
            UpdatePlan { relation, set, filter, returning, guard, check, only_if, stamp: request.stamp };
        self.plan(Operation::Update(update), request.tuning)
    }

    /// Plans a removal of rows.
    ///
    /// # Errors
    /// Unknown names, values that do not fit, an id where the table has no single id column.
    pub fn delete(&self, request: &DeleteRequest) -> Result<Plan, RequestError> {
        let relation =
            self.relation(&request.relation, KeyOperation::Delete, || Names::of_delete(request))?;
        self.leaves_a_trace(&relation, request.dry_run, request.max_affected)?;
        self.stamped(Stamp { timestamp: request.timestamp, ..Stamp::default() })?;
        let only_if = self.only_if(&relation, request.only_if.as_deref(), !request.head)?;
        self.needs_transaction(request.dry_run, false)?;
        let id = id_column(&relation);
        let no_id = || {
            RequestError::field(
                RequestCode::InvalidField,
                "resource_id",
                format!(
                    "'{}' has no single id column; use `conditions` that name its key's columns",
                    relation.name
                ),
            )
        };
        // A client may filter on the name `resource_id` and mean the id column.
        let mut conditions = request.conditions.clone();
        // Of an open relation nobody knows whether it has a column of that name: there the name means itself.
        if relation.position("resource_id").is_none() {
            let column = id.map(|place| relation.columns[place].name.clone());
            for condition in &mut conditions {
                rename_resource_id(condition, column.as_deref(), &no_id)?;
            }
        }
        let mut filter = self.filter(&relation, &conditions)?;
        if let Some(value) = &request.resource_id {
            let column = id.ok_or_else(no_id)?;
            self.demand(&relation, column)?;
            let value = bind(value, &relation.columns[column].ty, "resource_id")?;
            let by_id = Filter::Compare { column, op: CompareOp::Eq, value, as_text: false };
            if let Filter::And(all) = &mut filter
                && !all.contains(&by_id)
            {
                all.push(by_id);
            }
        }
        let filter = self.bounded(&relation, filter)?;
        let returning = self.returning(&relation, &request.columns, request.head)?;
        let guard =
            self.guard(request.max_affected, request.dry_run, request.head, pins_one_row(&relation, &filter));
        let delete = DeletePlan { relation, filter, returning, guard, only_if, timestamp: request.timestamp };
        self.plan(Operation::Delete(delete), request.tuning)
    }

    /// Checks that a caller who changes nothing may read. A write that is undone whatever it met tells which rows are
    /// there, as often as it is asked and without a trace.
    fn leaves_a_trace(
        &self,
        relation: &Relation,
        dry_run: bool,
        max_affected: Option<u64>,
    ) -> Result<(), RequestError> {
        if dry_run || max_affected == Some(0) { self.permit_read(relation) } else { Ok(()) }
    }

    /// Refuses what only a transaction that can be rolled back gives.
    fn needs_transaction(&self, dry_run: bool, checked: bool) -> Result<(), RequestError> {
        self.needs_catalog(
            dry_run,
            "dry_run",
            "through PostgREST nothing can be undone after it was done",
            "leave `dry_run` out, or read the rows with the same conditions first",
        )?;
        self.needs_catalog(
            checked,
            "table_name",
            "through PostgREST written rows cannot be held to the row filter of an API key",
            "use a key without a row filter for this table, and row level security in the database",
        )
    }

    fn guard(&self, max_affected: Option<u64>, dry_run: bool, head: bool, single_row: bool) -> Guard {
        let max_returned = (!head).then_some(self.limits.max_rows);
        Guard { max_affected, max_returned, dry_run, single_row, checked: false }
    }

    fn returning(
        &self,
        relation: &Relation,
        columns: &Selection,
        head: bool,
    ) -> Result<Vec<Output>, RequestError> {
        if head { Ok(Vec::new()) } else { self.outputs(relation, columns) }
    }

    /// Finds the columns of a row and sorts by them; a column given twice under two spellings is refused. `known`
    /// remembers what was found.
    fn assigned<'a>(
        &self,
        relation: &Relation,
        row: &'a [Assignment],
        known: &mut Known<'a>,
    ) -> Result<Vec<(usize, &'a Assignment)>, RequestError> {
        let mut places: Vec<(usize, &Assignment)> = Vec::with_capacity(row.len());
        for (index, assignment) in row.iter().enumerate() {
            let place = known.place(index, assignment, || self.column(relation, &assignment.column))?;
            if !relation.columns[place].writable {
                return Err(RequestError::field(
                    RequestCode::InvalidPayload,
                    assignment.field(),
                    format!(
                        "'{}' is generated by the database and cannot be set",
                        relation.columns[place].name
                    ),
                ));
            }
            places.push((place, assignment));
        }
        places.sort_by_key(|(place, _)| *place);
        if let Some([_, (place, twice)]) = places.array_windows().find(|[a, b]| a.0 == b.0) {
            let field = twice.field();
            let message =
                format!("`{field}` sets the column '{}' a second time", relation.columns[*place].name);
            return Err(RequestError::invalid(field, message));
        }
        Ok(places)
    }

    pub(super) fn set(
        &self,
        relation: &Relation,
        set: &[Assignment],
    ) -> Result<Vec<(usize, Bind)>, RequestError> {
        let assigned = self.assigned(relation, set, &mut Known::default())?;
        assigned
            .into_iter()
            .map(|(place, a)| {
                let column = &relation.columns[place];
                let bound = match &column.ty.kind {
                    TypeKind::Cql(CqlType::Counter) => {
                        let added = cql::increment(&a.value, &column.name, &a.field())?;
                        Bind { datum: Datum::Cql(added), ty: column.ty.clone() }
                    }
                    _ => assigned_bind(a, &column.ty)?,
                };
                Ok((place, bound))
            })
            .collect()
    }

    fn source(
        &self,
        relation: &Relation,
        columns: &[usize],
        rows: &[Vec<(usize, &Assignment)>],
        default_to_null: bool,
    ) -> Result<InsertSource, RequestError> {
        if self.speaks_cql() {
            return cql_rows(relation, columns, rows).map(InsertSource::Cql);
        }
        let cell = |row: &[(usize, &Assignment)], column: usize| -> Result<Option<Bind>, RequestError> {
            let given = row.binary_search_by_key(&column, |(place, _)| *place).ok().map(|at| row[at].1);
            given.map(|a| assigned_bind(a, &relation.columns[column].ty)).transpose()
        };
        if let [row] = rows {
            let binds: Vec<Bind> = columns
                .iter()
                .filter_map(|column| cell(row, *column).transpose())
                .collect::<Result<_, _>>()?;
            return Ok(InsertSource::Row(binds));
        }
        let complete = rows.iter().all(|row| row.len() == columns.len());
        let cells = rows.len().saturating_mul(columns.len());
        if !complete && cells > MAX_CELLS {
            let message = format!(
                "insert payload is invalid: {} rows with {} columns between them are {cells} values, of which the \
                 payload leaves most out; send {MAX_CELLS} at most in one request",
                rows.len(),
                columns.len()
            );
            return Err(RequestError::field(RequestCode::InvalidPayload, "insert_body", message));
        }
        if complete || default_to_null {
            let mut texts = Vec::with_capacity(columns.len());
            for &column in columns {
                let cells = rows.iter().map(|row| Ok(cell(row, column)?.and_then(Bind::into_text)));
                texts.push(cells.collect::<Result<Vec<_>, RequestError>>()?);
            }
            return Ok(InsertSource::Columns(texts));
        }
        let binds: usize = rows.iter().map(Vec::len).sum();
        if binds > MAX_BINDS {
            return Err(RequestError::field(
                RequestCode::InvalidPayload,
                "insert_body",
                format!(
                    "insert payload is invalid: {binds} values with defaults in between are more than one \
                     statement takes ({MAX_BINDS}); give every row the same keys or send fewer rows"
                ),
            ));
        }
        let cells = |row: &Vec<(usize, &Assignment)>| columns.iter().map(|c| cell(row, *c)).collect();
        Ok(InsertSource::Rows(rows.iter().map(cells).collect::<Result<_, RequestError>>()?))
    }
}

/// The columns that names mean, each found once: rows mostly have the same names in the same order.
#[derive(Default)]
struct Known<'a> {
    /// What stood at each position of a row last.
    order: Vec<(&'a str, usize)>,
    /// What stood anywhere before it was another one's turn.
    places: HashMap<&'a str, usize>,
}

impl<'a> Known<'a> {
    /// The column of an assignment, which is the `index`th one of its row.
    fn place(
        &mut self,
        index: usize,
        assignment: &'a Assignment,
        find: impl FnOnce() -> Result<usize, RequestError>,
    ) -> Result<usize, RequestError> {
        let name = assignment.column.as_str();
        if let Some((_, place)) = self.order.get(index).filter(|(known, _)| *known == name) {
            return Ok(*place);
        }
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => find()?,
        };
        self.places.extend(self.order.drain(index.min(self.order.len())..));
        self.order.push((name, place));
        Ok(place)
    }
}

/// Every column that a row has, in order.
fn columns_of(relation: &Relation, rows: &[Vec<(usize, &Assignment)>]) -> Vec<usize> {
    let mut named = vec![false; relation.columns.len()];
    rows.iter().flatten().for_each(|(column, _)| named[*column] = true);
    (0..named.len()).filter(|column| named[*column]).collect()
}

/// The value of an assignment. Its path is made where a refusal tells of it: there is one for every value.
fn assigned_bind(assignment: &Assignment, ty: &ColumnType) -> Result<Bind, RequestError> {
    bind(&assignment.value, ty, "").or_else(|_| bind(&assignment.value, ty, &assignment.field()))
}

/// Rows for CQL.
fn cql_rows(
    relation: &Relation,
    columns: &[usize],
    rows: &[Vec<(usize, &Assignment)>],
) -> Result<Vec<Vec<CqlValue>>, RequestError> {
    let cell = |row: &[(usize, &Assignment)], nth: usize, column: usize| {
        let given = match row.get(nth) {
            Some((place, assignment)) if *place == column => Some(*assignment),
            _ => row.binary_search_by_key(&column, |(place, _)| *place).ok().map(|at| row[at].1),
        };
        let Some(given) = given else { return Ok(CqlValue::Null) };
        let column = &relation.columns[column];
        let TypeKind::Cql(ty) = &column.ty.base().kind else {
            return Err(RequestError::invalid(
                given.field(),
                format!("'{}' is not of a type of CQL", column.name),
            ));
        };
        cql::read(&given.value, ty, "").or_else(|_| cql::read(&given.value, ty, &given.field()))
    };
    let row = |row: &Vec<(usize, &Assignment)>| {
        // A row is made of as many cells as there are columns, which `collect` cannot tell beforehand.
        let mut cells = Vec::with_capacity(columns.len());
        for (nth, column) in columns.iter().enumerate() {
            cells.push(cell(row, nth, *column)?);
        }
        Ok(cells)
    };
    rows.iter().map(row).collect()
}

/// The column that identifies a row: the primary key's only one, else `id` where there is no key.
fn id_column(relation: &Relation) -> Option<usize> {
    match relation.primary_key.len() {
        0 => relation.position("id"),
        _ => relation.single_key(),
    }
}

fn rename_resource_id(
    condition: &mut crate::query::Condition,
    id: Option<&str>,
    no_id: &impl Fn() -> RequestError,
) -> Result<(), RequestError> {
    use crate::query::{Condition, Identifier};
    match condition {
        Condition::Compare { column, .. }
        | Condition::Is { column, .. }
        | Condition::In { column, .. }
        | Condition::Contains { column, .. } => {
            if column.as_str() == "resource_id" {
                *column = Identifier::parse(id.ok_or_else(no_id)?, "resource_id")?;
            }
            Ok(())
        }
        Condition::Not(inner) => rename_resource_id(inner, id, no_id),
        Condition::And(list) | Condition::Or(list) => {
            list.iter_mut().try_for_each(|inner| rename_resource_id(inner, id, no_id))
        }
    }
}
