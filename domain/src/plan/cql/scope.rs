//! What the caller's key demands of rows, held against what is written: the database cannot do it for us.

use std::collections::BTreeMap;

use super::access::{restrictions, single_values};
use super::terms::{Term, terms};
use super::work::Work;
use super::{CqlValue, Existing, Restriction, Test, refuse};
use crate::access::{AuthReason, denied};
use crate::error::RequestError;
use crate::plan::Filter;
use crate::schema::{CqlTable, Relation};

fn cannot_tell(relation: &Relation) -> RequestError {
    refuse(
        "table_name",
        format!(
            "the row filter of the API key for '{}' can only be held against what is written here where it compares \
             columns of the primary key",
            relation.name
        ),
        "use a key whose row filter names columns of the primary key only".to_owned(),
    )
}

fn out_of_scope(relation: &Relation) -> RequestError {
    denied(
        AuthReason::RowOutOfScope,
        "table_name",
        format!("The row filter of the API key does not allow such a row in '{}'.", relation.name),
    )
}

/// Checks new rows against what the caller's key demands of rows.
pub(super) fn in_scope(
    relation: &Relation,
    table: &CqlTable,
    check: &Filter,
    existing: Existing,
    columns: &[usize],
    rows: &[Vec<CqlValue>],
) -> Result<(), RequestError> {
    let terms = terms(relation, check, &Work::default())?;
    for column in terms.iter().flat_map(BTreeMap::keys) {
        let known = match existing {
            Existing::Refuses | Existing::Told => !table.statics.contains(column),
            // What is there already must be in scope as well, and only its key is known.
            Existing::Stays | Existing::Changes => relation.primary_key.contains(column),
        };
        if !known {
            return Err(cannot_tell(relation));
        }
    }
    for row in rows {
        let meets = |term: &Term| -> Option<bool> {
            let tests = term.iter().map(|(column, demand)| {
                let place = columns.iter().position(|written| written == column);
                demand.is_met_by(place.and_then(|place| row.get(place)).unwrap_or(&CqlValue::Null))
            });
            tests.collect::<Option<Vec<bool>>>().map(|all| all.into_iter().all(|met| met))
        };
        let outcomes: Vec<Option<bool>> = terms.iter().map(meets).collect();
        if outcomes.contains(&Some(true)) {
            continue;
        }
        return Err(if outcomes.contains(&None) { cannot_tell(relation) } else { out_of_scope(relation) });
    }
    Ok(())
}

/// Checks that rows which meet a demand still meet it with new values.
pub(super) fn stays_in_scope(
    relation: &Relation,
    check: &Filter,
    set: &[(usize, CqlValue)],
) -> Result<(), RequestError> {
    let terms = terms(relation, check, &Work::default())?;
    let given = |column: &usize| set.iter().find(|(written, _)| written == column).map(|(_, value)| value);
    if !terms.iter().flat_map(BTreeMap::keys).any(|column| given(column).is_some()) {
        return Ok(());
    }
    let [only] = terms.as_slice() else { return Err(cannot_tell(relation)) };
    for (column, demand) in only {
        match given(column).map(|value| demand.is_met_by(value)) {
            None | Some(Some(true)) => {}
            Some(Some(false)) => return Err(out_of_scope(relation)),
            Some(None) => return Err(cannot_tell(relation)),
        }
    }
    Ok(())
}

/// What a written row must be to be shown, beside its key, which is held against the filter before: see
/// [`super::CqlInsert::visible`]. A row of which the database cannot be asked that is not shown.
pub(super) fn visible(
    relation: &Relation,
    check: Option<&Filter>,
) -> Result<Option<Vec<Vec<Restriction>>>, RequestError> {
    let Some(check) = check else { return Ok(None) };
    let mut terms = terms(relation, check, &Work::default())?;
    let of_key = |column: &usize| relation.primary_key.contains(column);
    if terms.iter().flat_map(BTreeMap::keys).all(of_key) {
        return Ok(None);
    }
    let Some(mut only) = terms.pop().filter(|_| terms.is_empty()) else { return Ok(Some(Vec::new())) };
    only.retain(|column, _| !of_key(column));
    // More alternatives than that are not worth a read each.
    let alternatives = single_values(&only, |_| true).unwrap_or_default();
    let said = alternatives.iter().map(|term| restrictions(relation, term));
    let askable = |all: &Vec<Restriction>| {
        !all.iter().any(|one| matches!(one.test, Test::Neq(_) | Test::Null | Test::NotNull))
    };
    Ok(Some(said.filter(askable).collect()))
}
