//! What a write asks of the row it is about: `IF`, which looks at that row alone and sees it as it is.

use super::access::restrictions;
use super::terms::terms;
use super::work::Work;
use super::{CqlValue, Restriction, Test, refuse};
use crate::error::RequestError;
use crate::plan::bind::Datum;
use crate::plan::{Bind, Filter};
use crate::query::CompareOp;
use crate::schema::{CqlTable, Relation, TypeKind};

/// The restrictions of a caller's own `if`: conditions that all hold, of single columns.
///
/// # Errors
/// What `IF` cannot say.
pub(super) fn demanded(
    relation: &Relation,
    filter: &Filter,
    work: &Work,
) -> Result<Vec<Restriction>, RequestError> {
    let all = match filter {
        Filter::And(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut demanded = Vec::with_capacity(all.len());
    for one in all {
        if let Some(not_equal) = not_equal(relation, one) {
            demanded.extend(not_equal);
            continue;
        }
        match terms(relation, one, work)?.as_slice() {
            [only] => demanded.extend(restrictions(relation, only)),
            [] => {
                return Err(refuse(
                    "if",
                    "no row meets one of the conditions".to_owned(),
                    "leave that condition out".to_owned(),
                ));
            }
            _ => {
                return Err(refuse(
                    "if",
                    "the database asks a row for conditions that all hold: it knows no `or` and no null among others \
                     there"
                        .to_owned(),
                    "send a request for each of the alternatives".to_owned(),
                ));
            }
        }
    }
    Ok(demanded)
}

/// `c != ?` holds for null in CQL, which is no different value in SQL and here.
fn not_equal(relation: &Relation, filter: &Filter) -> Option<Vec<Restriction>> {
    let (column, value) = match filter {
        Filter::Compare {
            column, op: CompareOp::Neq, value: Bind { datum: Datum::Cql(value), .. }, ..
        } => (*column, value),
        _ => return None,
    };
    let whole = matches!(&relation.columns[column].ty.kind, TypeKind::Cql(ty) if ty.is_whole());
    let test = |test| Restriction { column, test };
    // The opposite of a truth value is the other one.
    (whole && !matches!(value, CqlValue::Bool(_))).then(|| {
        let values = match value {
            CqlValue::Float(number) if *number == 0.0 => vec![CqlValue::Float(-0.0), CqlValue::Float(0.0)],
            value => vec![value.clone()],
        };
        let all = values.into_iter().map(Test::Neq).chain([Test::NotNull]);
        all.map(test).collect()
    })
}

/// Checks that a condition can stand behind `IF`, and holds for no row that is not there.
pub(super) fn can_be_asked(
    relation: &Relation,
    table: &CqlTable,
    condition: &[Restriction],
) -> Result<(), RequestError> {
    for Restriction { column, test } in condition {
        let name = &relation.columns[*column].name;
        if relation.primary_key.contains(column) {
            return Err(refuse(
                name,
                format!("'{name}' is of the primary key, by which `conditions` finds the row"),
                format!("leave '{name}' out of `if`"),
            ));
        }
        if table.statics.contains(column) {
            return Err(refuse(
                name,
                format!("'{name}' is static and has its value also where the row is not"),
                format!("leave the condition on '{name}' out"),
            ));
        }
        if matches!(test, Test::Contains(_) | Test::Entry(..)) {
            return Err(refuse(
                name,
                "a write cannot depend on what a collection holds".to_owned(),
                format!("read the row first and leave the condition on '{name}' out"),
            ));
        }
    }
    if !condition.is_empty() && condition.iter().all(|restriction| restriction.test == Test::Null) {
        let column = condition.first().map_or("conditions", |first| &*relation.columns[first.column].name);
        return Err(refuse(
            column,
            "a row that is not there is null too, and would be written".to_owned(),
            "add a condition that only a row meets, such as `is` \"not null\" on another column".to_owned(),
        ));
    }
    Ok(())
}
