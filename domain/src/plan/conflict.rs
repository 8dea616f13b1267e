//! Planning what becomes of a row that is there already.

use super::{Conflict, Planner, SetValue, Target};
use crate::error::RequestError;
use crate::query::{ConflictTarget, Upsert};
use crate::schema::Relation;

impl Planner<'_> {
    /// The conflict target: the caller's, else the primary key when the row holds it, else none yet.
    pub(super) fn target(
        &self,
        relation: &Relation,
        columns: &[usize],
        upsert: &Upsert,
    ) -> Result<Option<Target>, RequestError> {
        let refuse = |message: String| RequestError::invalid("on_conflict", message);
        match &upsert.target {
            Some(ConflictTarget::Constraint(_)) if relation.is_open() => {
                self.needs_catalog(
                    true,
                    "on_conflict",
                    "PostgREST meets conflicts on columns only",
                    "name the columns of the unique index",
                )?;
                Ok(None)
            }
            Some(ConflictTarget::Columns { columns: names, predicate }) if relation.is_open() => {
                self.needs_catalog(
                    !predicate.is_empty(),
                    "on_conflict",
                    "PostgREST meets no conflicts on a partial index",
                    "leave `where` out and name the columns of a unique index without a predicate",
                )?;
                let mut places: Vec<usize> =
                    names.iter().map(|name| self.column(relation, name)).collect::<Result<_, _>>()?;
                places.sort_unstable();
                places.dedup();
                Ok(Some(Target::Columns(places, None)))
            }
            // The database knows its primary key.
            None if relation.is_open() => Ok(Some(Target::Columns(Vec::new(), None))),
            Some(ConflictTarget::Constraint(name)) => {
                let found =
                    relation.unique.iter().any(|index| index.constraint && &*index.name == name.as_str());
                if !found {
                    return Err(refuse(format!(
                        "'{}' has no unique constraint named '{name}'",
                        relation.name
                    )));
                }
                let index = relation.unique.iter().find(|index| &*index.name == name.as_str());
                index.map_or(Ok(()), |index| self.demand_all(relation, &index.columns))?;
                Ok(Some(Target::Constraint(name.as_str().into())))
            }
            Some(ConflictTarget::Columns { columns: names, predicate }) => {
                let mut places: Vec<usize> =
                    names.iter().map(|name| self.column(relation, name)).collect::<Result<_, _>>()?;
                places.sort_unstable();
                places.dedup();
                let fits = relation.unique.iter().any(|index| {
                    let mut of_index = index.columns.to_vec();
                    of_index.sort_unstable();
                    of_index == places && (index.total || !predicate.is_empty())
                });
                if !fits {
                    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                    return Err(refuse(format!(
                        "no unique index of '{}' has exactly the columns {}; a conflict can only be met on one",
                        relation.name,
                        names.join(", ")
                    )));
                }
                let predicate = match predicate.is_empty() {
                    true => None,
                    false => Some(self.filter(relation, predicate)?),
                };
                Ok(Some(Target::Columns(places, predicate)))
            }
            None => {
                let key = &relation.primary_key;
                let given = !key.is_empty() && key.iter().all(|column| columns.contains(column));
                Ok(given.then(|| Target::Columns(key.to_vec(), None)))
            }
        }
    }

    pub(super) fn conflict(
        &self,
        relation: &Relation,
        columns: &[usize],
        upsert: &Upsert,
        target: Target,
    ) -> Result<Conflict, RequestError> {
        let key: Vec<usize> = match &target {
            Target::Columns(columns, _) => columns.clone(),
            Target::Constraint(name) => {
                let index = relation.unique.iter().find(|index| index.name == *name);
                index.map(|index| index.columns.to_vec()).unwrap_or_default()
            }
        };
        let mut set: Vec<(usize, SetValue)> = match &upsert.set {
            Some(given) => self
                .set(relation, given)?
                .into_iter()
                .map(|(place, bind)| (place, SetValue::Given(bind)))
                .collect(),
            None => {
                let written = columns.iter().filter(|column| !key.contains(column));
                written.map(|column| (*column, SetValue::Excluded)).collect()
            }
        };
        if set.is_empty() {
            // Nothing is changed: the row that is there is only shown.
            self.permit_read(relation)?;
            // `DO NOTHING` would not return it.
            let column = key.first().or(columns.first()).copied().unwrap_or_default();
            set.push((column, SetValue::Same));
        }
        Ok(Conflict { target, set })
    }
}
