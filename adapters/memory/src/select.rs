//! Reads: filter, order, window, columns.

use std::cmp::Ordering;

use athena_application::ports::PortError;
use athena_domain::plan::{Filter, Order, Output, SelectPlan};
use athena_domain::query::Nulls;
use athena_domain::rows::{ColumnHead, RowSink};
use athena_domain::schema::{Relation, TypeKind};

use crate::filter::Test;
use crate::reject;
use crate::table::{Row, Table};
use crate::value::Stored;

/// The rows of a read, in order.
pub(crate) fn select(plan: &SelectPlan, table: &Table) -> Result<Vec<Row>, PortError> {
    if plan.every && plan.relation.columns.len() != table.relation.columns.len() {
        return Err(reject::stale(&table.relation));
    }
    let mut rows = matching(&plan.filter, table)?;
    let json = |key: &&Order| table.relation.columns[key.column].ty.base().kind == TypeKind::Json;
    if let Some(key) = plan.order.iter().find(json) {
        return Err(reject::no_operator(&table.relation.columns[key.column].ty, "order"));
    }
    rows.sort_by(|a, b| {
        let orders = plan.order.iter().map(|key| by(key, &a[key.column], &b[key.column]));
        orders.fold(Ordering::Equal, Ordering::then)
    });
    if let Some(after) = &plan.after {
        let place = after.iter().map(Stored::from_bind).collect::<Result<Vec<_>, _>>()?;
        rows.retain(|row| {
            let orders = plan.order.iter().zip(&place).map(|(key, value)| by(key, &row[key.column], value));
            orders.fold(Ordering::Equal, Ordering::then) == Ordering::Greater
        });
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    rows.drain(..size(plan.offset).min(rows.len()));
    rows.truncate(plan.limit.map_or(usize::MAX, size));
    Ok(rows)
}

/// Rows that match, in the order they were written.
pub(crate) fn matching(filter: &Filter, table: &Table) -> Result<Vec<Row>, PortError> {
    let test = Test::prepare(filter, &table.relation)?;
    Ok(table.rows.iter().filter(|row| test.keeps(row)).cloned().collect())
}

/// Nulls count as greater than every value, unless the key says where they stand.
fn by(key: &Order, a: &Stored, b: &Stored) -> Ordering {
    let nulls_first = key.nulls.map_or(key.descending, |nulls| nulls == Nulls::First);
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if nulls_first => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if nulls_first => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if key.descending => b.compare(a),
        (false, false) => a.compare(b),
    }
}

/// What the sink is told before the first row.
pub(crate) fn heads(outputs: &[Output]) -> Vec<ColumnHead> {
    let head = |output: &Output| ColumnHead { label: output.label.clone(), hidden: output.hidden };
    outputs.iter().map(head).collect()
}

/// Hands the columns of one row to the sink.
pub(crate) fn project<S: RowSink + ?Sized>(
    row: &Row,
    outputs: &[Output],
    relation: &Relation,
    big_as_text: bool,
    sink: &mut S,
) -> Result<(), PortError> {
    for output in outputs {
        let value = &row[output.column];
        match &output.cast {
            None => value.with_cell(output.ty(relation), big_as_text, |cell| sink.cell(cell)),
            Some(to) => {
                let cast = value.cast(&relation.columns[output.column].ty, to)?;
                cast.with_cell(to, big_as_text, |cell| sink.cell(cell));
            }
        }
    }
    Ok(())
}
