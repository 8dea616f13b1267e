//! Planning inserts, updates and deletes.

use std::sync::Arc;

use super::bind::{Bind, Datum, bind};
use super::cql::{self, refuse};
use super::filter::pins_one_row;
use super::open::Names;
use super::rows::{Known, assigned_bind, columns_of};
use super::{DeletePlan, Filter, Guard, InsertPlan, Operation, Output, Plan, Planner, Target, UpdatePlan};
use crate::access::KeyOperation;
use crate::error::{RequestCode, RequestError};
use crate::query::{Assignment, CompareOp, DeleteRequest, InsertRequest, Selection, Stamp, UpdateRequest};
use crate::schema::{CqlType, Dialect, Relation, TypeKind};

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
        let rows = self.placed(&relation, &request.rows)?;
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

    pub(super) fn set(
        &self,
        relation: &Relation,
        set: &[Assignment],
    ) -> Result<Vec<(usize, Bind)>, RequestError> {
        let order = self.columns_in(relation, set.iter().map(Assignment::cell), &mut Known::default())?;
        order
            .into_iter()
            .map(|(place, nth)| {
                let (column, cell) = (&relation.columns[place], set[nth].cell());
                let bound = match &column.ty.kind {
                    TypeKind::Cql(CqlType::Counter) => {
                        let added = cql::increment(cell.value, &column.name, &cell.field())?;
                        Bind { datum: Datum::Cql(added), ty: column.ty.clone() }
                    }
                    _ => assigned_bind(cell, &column.ty)?,
                };
                Ok((place, bound))
            })
            .collect()
    }
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
