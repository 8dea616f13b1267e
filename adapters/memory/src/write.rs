//! Writes: each gives the rows as they would be, and the caller keeps them or not.

mod index;

use std::collections::HashSet;
use std::sync::Arc;

use athena_application::ports::{PortError, PortErrorKind, Reason};
use athena_domain::plan::{
    Conflict, DeletePlan, Guard, InsertPlan, InsertSource, SetValue, Target, UpdatePlan,
};

use crate::filter::Test;
use crate::reject;
use crate::table::{Row, Table};
use crate::value::Stored;
use index::Indexes;

/// What a write would do.
pub(crate) struct Change {
    /// Every row of the table afterwards.
    pub rows: Vec<Row>,
    /// Rows inserted, changed or removed.
    pub touched: Vec<Row>,
}

impl Change {
    /// Checks the bounds that the planner set.
    pub(crate) fn check(&self, guard: &Guard, returns_rows: bool) -> Result<(), PortError> {
        let touched = self.touched.len() as u64;
        match (guard.max_affected, guard.max_returned) {
            (Some(most), _) if touched > most => {
                Err(reject::too_many(Reason::TooManyRows, "max_affected", most))
            }
            (_, Some(most)) if returns_rows && touched > most => {
                Err(reject::too_many(Reason::LimitExceeded, "max_rows", most))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn insert(plan: &InsertPlan, table: &Table) -> Result<Change, PortError> {
    let mut rows = table.rows.as_ref().clone();
    let mut indexes = Indexes::build(&table.relation, &rows)?;
    let arbiter = match &plan.conflict {
        None => None,
        Some(conflict) => Some((conflict, arbiter(conflict, table)?)),
    };
    let check = plan.check.as_ref().map(|check| Test::prepare(check, &table.relation)).transpose()?;
    let mut places = HashSet::new();
    let mut touched = Vec::new();
    for values in proposed(plan, table)? {
        let mut row = table.fresh(&rows);
        for (column, value) in plan.columns.iter().zip(values) {
            if let Some(value) = value {
                row[*column] = value;
            }
        }
        check_nulls(table, &row)?;
        let met = arbiter.and_then(|(conflict, index)| Some((conflict, indexes.find(index, &row)?)));
        let (place, row): (usize, Row) = match met {
            None => (rows.len(), row.into()),
            Some((_, place)) if places.contains(&place) => return Err(reject::twice(&table.relation)),
            Some((conflict, place)) => {
                if check.as_ref().is_some_and(|check| !check.keeps(&rows[place])) {
                    return Err(reject::row_out_of_scope());
                }
                let changed = resolve(conflict, &rows[place], &row)?;
                check_nulls(table, &changed)?;
                indexes.remove(&rows[place]);
                (place, changed.into())
            }
        };
        if check.as_ref().is_some_and(|check| !check.keeps(&row)) {
            return Err(reject::row_out_of_scope());
        }
        indexes.add(&row, place)?;
        places.insert(place);
        touched.push(row.clone());
        if place == rows.len() { rows.push(row) } else { rows[place] = row }
    }
    Ok(Change { rows, touched })
}

/// Values of each new row; `None` is the column's default.
fn proposed(plan: &InsertPlan, table: &Table) -> Result<Vec<Vec<Option<Stored>>>, PortError> {
    match &plan.source {
        InsertSource::Row(binds) => {
            let values = binds.iter().map(|bind| Stored::from_bind(bind).map(Some));
            Ok(vec![values.collect::<Result<_, _>>()?])
        }
        InsertSource::Columns(columns) => {
            let count = columns.first().map_or(0, Vec::len);
            let row = |row: usize| {
                let cells = columns.iter().zip(&plan.columns);
                let value = cells.map(|(texts, column)| match &texts[row] {
                    None => Ok(Some(Stored::Null)),
                    Some(text) => Stored::parse(text, &table.relation.columns[*column].ty).map(Some),
                });
                value.collect()
            };
            (0..count).map(row).collect()
        }
        InsertSource::Rows(rows) => {
            let row = |binds: &Vec<_>| {
                let value = |bind: &Option<_>| bind.as_ref().map(Stored::from_bind).transpose();
                binds.iter().map(value).collect()
            };
            rows.iter().map(row).collect()
        }
        InsertSource::Cql(_) => {
            Err(PortError::new(reject::PORT, PortErrorKind::Internal).caused_by("rows for CQL"))
        }
    }
}

/// Place of the index that a conflict is about.
fn arbiter(conflict: &Conflict, table: &Table) -> Result<usize, PortError> {
    let found = match &conflict.target {
        Target::Constraint(name) => table.relation.unique.iter().position(|index| index.name == *name),
        Target::Columns(columns, _) => table.relation.unique.iter().position(|index| {
            index.columns.len() == columns.len()
                && index.columns.iter().all(|column| columns.contains(column))
        }),
    };
    found.ok_or_else(|| reject::no_target(&table.relation))
}

/// The row that is there, changed as the upsert says.
fn resolve(conflict: &Conflict, there: &Row, excluded: &[Stored]) -> Result<Vec<Stored>, PortError> {
    let mut row = there.to_vec();
    for (column, value) in &conflict.set {
        match value {
            SetValue::Given(bind) => row[*column] = Stored::from_bind(bind)?,
            SetValue::Excluded => row[*column] = excluded[*column].clone(),
            SetValue::Same => {}
        }
    }
    Ok(row)
}

pub(crate) fn update(plan: &UpdatePlan, table: &Table) -> Result<Change, PortError> {
    let test = Test::prepare(&plan.filter, &table.relation)?;
    let set: Vec<(usize, Stored)> = plan
        .set
        .iter()
        .map(|(column, bind)| Ok((*column, Stored::from_bind(bind)?)))
        .collect::<Result<_, PortError>>()?;
    let check = plan.check.as_ref().map(|check| Test::prepare(check, &table.relation)).transpose()?;
    let mut touched = Vec::new();
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter() {
        if !test.keeps(row) {
            rows.push(row.clone());
            continue;
        }
        let mut changed = row.to_vec();
        for (column, value) in &set {
            changed[*column] = value.clone();
        }
        check_nulls(table, &changed)?;
        let changed: Row = changed.into();
        if check.as_ref().is_some_and(|check| !check.keeps(&changed)) {
            return Err(reject::row_out_of_scope());
        }
        touched.push(changed.clone());
        rows.push(changed);
    }
    Indexes::build(&table.relation, &rows)?;
    Ok(Change { rows, touched })
}

pub(crate) fn delete(plan: &DeletePlan, table: &Table) -> Result<Change, PortError> {
    let test = Test::prepare(&plan.filter, &table.relation)?;
    let (touched, rows) = table.rows.iter().map(Arc::clone).partition(|row| test.keeps(row));
    Ok(Change { rows, touched })
}

fn check_nulls(table: &Table, row: &[Stored]) -> Result<(), PortError> {
    let missing = row.iter().zip(&table.not_null).position(|(value, required)| *required && value.is_null());
    match missing {
        Some(column) => Err(reject::not_null(&table.relation, &table.relation.columns[column].name)),
        None => Ok(()),
    }
}
