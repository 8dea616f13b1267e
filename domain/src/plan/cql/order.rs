//! Which values come first. CQL has orders of its own for some types; where SQL's differs, a range or a sort would answer
//! with other rows than the same request gets from SQL, and without a word about it.

use super::refuse;
use crate::error::RequestError;
use crate::plan::{Filter, Operation};
use crate::query::CompareOp;
use crate::schema::{CqlRules, CqlType, Relation, TypeKind};

/// What the database's order of a type is, where SQL has another one, or none.
fn own(ty: &CqlType) -> Option<&'static str> {
    match ty {
        CqlType::Uuid => {
            Some("by their version, and those of version 1 by their time; SQL takes them digit by digit")
        }
        CqlType::TimeUuid => Some("by their time; SQL takes them digit by digit"),
        CqlType::Inet => Some("byte by byte, those of both versions mixed; SQL puts all of version 4 first"),
        CqlType::List { element, .. } | CqlType::Vector { element, .. } => own(element),
        CqlType::Set { .. }
        | CqlType::Map { .. }
        | CqlType::Tuple(_)
        | CqlType::Udt { .. }
        | CqlType::Custom(_) => Some("part by part, in a way that SQL does not know"),
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Bool
        | CqlType::Int(_)
        | CqlType::Varint
        | CqlType::Decimal
        | CqlType::Float(_)
        | CqlType::Timestamp
        | CqlType::Date
        | CqlType::Time
        | CqlType::Duration
        | CqlType::Blob
        | CqlType::Counter => None,
    }
}

/// Checks that rows which are sorted by a column come as SQL would sort them, unless the owner of the database takes its
/// order as it is.
///
/// # Errors
/// A column of a type that SQL sorts otherwise.
pub(super) fn sortable(relation: &Relation, column: usize, rules: CqlRules) -> Result<(), RequestError> {
    same(relation, column, rules, "sort_by", "leave `sort_by` out and sort the rows yourself")
}

/// Checks that the ranges of an operation hold for the rows for which they hold in SQL, unless the owner of the database
/// takes its order as it is.
///
/// # Errors
/// A range of a type that SQL sorts otherwise.
pub(super) fn ranges(operation: &Operation, rules: CqlRules) -> Result<(), RequestError> {
    let (relation, filters) = match operation {
        Operation::Select(select) => (&select.relation, [Some(&select.filter), None, None]),
        Operation::Count(count) => (&count.relation, [Some(&count.filter), None, None]),
        Operation::Insert(insert) => (&insert.relation, [insert.check.as_ref(), None, None]),
        Operation::Update(update) => {
            let filters = [Some(&update.filter), update.check.as_ref(), update.only_if.as_ref()];
            (&update.relation, filters)
        }
        Operation::Delete(delete) => {
            (&delete.relation, [Some(&delete.filter), delete.only_if.as_ref(), None])
        }
        Operation::Cql(_) | Operation::Call(_) | Operation::Raw(_) => return Ok(()),
    };
    filters.into_iter().flatten().try_for_each(|filter| ranges_of(relation, filter, rules))
}

fn ranges_of(relation: &Relation, filter: &Filter, rules: CqlRules) -> Result<(), RequestError> {
    match filter {
        Filter::Compare {
            column,
            op: CompareOp::Gt | CompareOp::Gte | CompareOp::Lt | CompareOp::Lte,
            ..
        } => {
            // What cannot be asked for a range at all is refused by whoever reads the filter.
            let asked = matches!(&relation.columns[*column].ty.kind, TypeKind::Cql(ty) if ty.has_order());
            let name = &relation.columns[*column].name;
            let fix = format!("compare '{name}' with eq or in");
            if asked { same(relation, *column, rules, name, &fix) } else { Ok(()) }
        }
        Filter::Not(inner) => ranges_of(relation, inner, rules),
        Filter::And(list) | Filter::Or(list) => {
            list.iter().try_for_each(|inner| ranges_of(relation, inner, rules))
        }
        Filter::Compare { .. } | Filter::Is { .. } | Filter::In { .. } | Filter::Contains { .. } => Ok(()),
    }
}

fn same(
    relation: &Relation,
    column: usize,
    rules: CqlRules,
    field: &str,
    fix: &str,
) -> Result<(), RequestError> {
    let TypeKind::Cql(ty) = &relation.columns[column].ty.kind else { return Ok(()) };
    let Some(own) = own(ty).filter(|_| !rules.database_order) else { return Ok(()) };
    Err(refuse(
        field,
        format!("the database sorts '{}', a {ty}, {own}", relation.columns[column].name),
        format!(
            "{fix}; or let the client's connection URI say database_order=true, which takes its order as it is"
        ),
    ))
}
