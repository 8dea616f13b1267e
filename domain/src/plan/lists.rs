//! Several `in` lists for one column of which all, or any, must hold become one.
//!
//! Databases take each list for a way to look a row up, and weigh all of their combinations: PostgreSQL's estimate of
//! some dozen long lists for one indexed column is beyond every number, and so is the time that it then takes.

use std::collections::HashSet;

use super::{Filter, Operation};
use crate::schema::{Relation, TypeKind};

impl Operation {
    /// Joins the lists in what decides which rows are meant.
    pub(super) fn join_lists(&mut self) {
        let (relation, filter) = match self {
            Self::Select(select) => (&select.relation, &mut select.filter),
            Self::Count(count) => (&count.relation, &mut count.filter),
            Self::Update(update) => (&update.relation, &mut update.filter),
            Self::Delete(delete) => (&delete.relation, &mut delete.filter),
            Self::Insert(_) | Self::Call(_) | Self::Cql(_) | Self::Raw(_) => return,
        };
        if lists(filter) > 1 {
            let whole = std::mem::replace(filter, Filter::And(Vec::new()));
            *filter = joined(whole, relation, true);
        }
    }
}

fn lists(filter: &Filter) -> usize {
    match filter {
        Filter::In { .. } => 1,
        Filter::Not(inner) => lists(inner),
        Filter::And(list) | Filter::Or(list) => list.iter().map(lists).sum(),
        Filter::Compare { .. } | Filter::Is { .. } | Filter::Contains { .. } => 0,
    }
}

/// The filter, or with `holds` off its opposite, with its lists joined. `not` ends up before single comparisons only:
/// whatever stands elsewhere makes a row one of those that are meant by being true, so that what is false may be
/// unknown as well.
fn joined(filter: Filter, relation: &Relation, holds: bool) -> Filter {
    let (list, all) = match filter {
        Filter::Not(inner) => return joined(*inner, relation, !holds),
        Filter::And(list) => (list, holds),
        Filter::Or(list) => (list, !holds),
        leaf if holds => return leaf,
        leaf => return Filter::Not(Box::new(leaf)),
    };
    let mut flat = Vec::with_capacity(list.len());
    for inner in list {
        match (joined(inner, relation, holds), all) {
            (Filter::And(inner), true) | (Filter::Or(inner), false) => {
                inner.into_iter().for_each(|one| add(&mut flat, one, relation, all));
            }
            (one, _) => add(&mut flat, one, relation, all),
        }
    }
    match flat.len() {
        1 => flat.remove(0),
        _ if all => Filter::And(flat),
        _ => Filter::Or(flat),
    }
}

/// Adds a filter to those of which all, or any, must hold.
fn add(flat: &mut Vec<Filter>, one: Filter, relation: &Relation, all: bool) {
    let Filter::In { column, members, or_null } = one else { return flat.push(one) };
    // Members of other types may be equal and yet be written differently.
    let told_by_text = matches!(relation.columns[column].ty.base().kind, TypeKind::Int(_) | TypeKind::Bool);
    let same = flat.iter_mut().find_map(|other| match other {
        Filter::In { column: of, members, or_null } if *of == column && (!all || told_by_text) => {
            Some((members, or_null))
        }
        _ => None,
    });
    let Some((known, known_null)) = same else { return flat.push(Filter::In { column, members, or_null }) };
    if all {
        let both: HashSet<Box<str>> = members.into_iter().collect();
        known.retain(|member| both.contains(member));
        *known_null &= or_null;
    } else {
        let fresh: Vec<Box<str>> = {
            let mut seen: HashSet<&str> = known.iter().map(AsRef::as_ref).collect();
            members.iter().filter(|member| seen.insert(member)).cloned().collect()
        };
        known.extend(fresh);
        *known_null |= or_null;
    }
}

#[cfg(test)]
mod tests;
