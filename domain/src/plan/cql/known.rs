//! Types of the server's own making. Nothing is known of them: not how their values are written, and not how they are
//! read, so that one of them makes a whole answer unreadable.

use super::{Existing, refuse};
use crate::error::RequestError;
use crate::plan::{Operation, Output};
use crate::schema::{CqlType, Relation, TypeKind};

/// Whether nothing is known of the column's type.
fn is_foreign(relation: &Relation, column: usize) -> bool {
    matches!(&relation.columns[column].ty.kind, TypeKind::Cql(CqlType::Custom(_)))
}

/// Checks that nothing is read or written of which the type is not known.
///
/// # Errors
/// A column of such a type.
pub(super) fn columns(operation: &Operation) -> Result<(), RequestError> {
    let (relation, outputs, written): (_, &[Output], Vec<usize>) = match operation {
        Operation::Select(select) => (&select.relation, &select.outputs, Vec::new()),
        Operation::Insert(insert) => (&insert.relation, &insert.returning, insert.columns.clone()),
        Operation::Update(update) => {
            (&update.relation, &update.returning, update.set.iter().map(|(column, _)| *column).collect())
        }
        Operation::Delete(delete) => (&delete.relation, &delete.returning, Vec::new()),
        Operation::Count(_) | Operation::Cql(_) | Operation::Call(_) | Operation::Raw(_) => return Ok(()),
    };
    if let Some(column) = written.into_iter().find(|column| is_foreign(relation, *column)) {
        let name = &relation.columns[column].name;
        return Err(foreign(relation, column, name, format!("leave '{name}' out")));
    }
    if let Some(output) = outputs.iter().find(|output| is_foreign(relation, output.column)) {
        let name = &relation.columns[output.column].name;
        let fix = format!("name the columns that you need in `columns`, without '{name}'");
        return Err(foreign(relation, output.column, "columns", fix));
    }
    Ok(())
}

/// Checks that a column may be asked for.
///
/// # Errors
/// One of a type that is not known.
pub(super) fn asked(relation: &Relation, column: usize) -> Result<(), RequestError> {
    if is_foreign(relation, column) {
        let name = &relation.columns[column].name;
        return Err(foreign(relation, column, name, format!("leave the condition on '{name}' out")));
    }
    Ok(())
}

/// Checks that an insert which looks whether its row is there can be answered: the answer then holds that row whole.
///
/// # Errors
/// A table with a column of a type that is not known.
pub(super) fn row_that_is_there(relation: &Relation, existing: Existing) -> Result<(), RequestError> {
    let column = (0..relation.columns.len()).find(|column| is_foreign(relation, *column));
    match column.filter(|_| existing != Existing::Changes) {
        None => Ok(()),
        Some(column) => {
            let fix = "write it as an upsert, with `on_conflict` on the primary key".to_owned();
            Err(foreign(relation, column, "insert_body", fix))
        }
    }
}

fn foreign(relation: &Relation, column: usize, field: &str, fix: String) -> RequestError {
    let Relation { columns, .. } = relation;
    refuse(
        field,
        format!(
            "'{}' is of the type {}, which nothing is known of",
            columns[column].name, columns[column].ty.sql
        ),
        fix,
    )
}
