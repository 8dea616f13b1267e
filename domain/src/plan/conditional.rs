//! Planning writes whose answer tells whether they were carried out, and shows the row as it is where they were not:
//! `if_not_exists` and `if`. And what else only a CQL database is told of a write.

use super::cql::refuse;
use super::{Filter, Planner};
use crate::access::KeyOperation;
use crate::error::{RequestCode, RequestError};
use crate::query::{Condition, Stamp};
use crate::schema::{Dialect, Relation};

impl Planner<'_> {
    /// What `if` demands of the one row, in order; nothing where it was not given.
    ///
    /// # Errors
    /// As [`Planner::conditional`]; unknown names, values that do not fit.
    pub(super) fn only_if(
        &self,
        relation: &Relation,
        conditions: Option<&[Condition]>,
        shows: bool,
    ) -> Result<Option<Filter>, RequestError> {
        let Some(conditions) = conditions else { return Ok(None) };
        self.conditional(relation, "if", shows)?;
        self.filter(relation, conditions).map(Some)
    }

    /// Checks that the caller may be told whether a write was carried out and, where the answer `shows` it, what is
    /// there instead.
    ///
    /// # Errors
    /// What other databases have better means for; a key that may not read, or whose row filter might not show the row.
    pub(super) fn conditional(
        &self,
        relation: &Relation,
        field: &str,
        shows: bool,
    ) -> Result<(), RequestError> {
        let (reason, fix) = match (self.schema.dialect(), field) {
            (Dialect::Cql(_), _) => {
                if !shows {
                    return Ok(());
                }
                self.permit_read(relation)?;
                return self.shows_every_row(relation, field);
            }
            (_, "if_not_exists") => (
                "a database with unique indexes says by itself that a row is there already",
                "send \"update_body\": {} with `on_conflict`, which returns the row that is there, or leave \
                 `if_not_exists` out and take 409 for it",
            ),
            _ => (
                "a change asks every row for its conditions anyway, and says how many met them",
                "put what the row must be into `conditions`; no row comes back where none met them",
            ),
        };
        let refusal = RequestError::field(RequestCode::NotSupportedByBackend, field, reason);
        Err(refusal.hint(fix))
    }

    /// Checks that the values of a write may be dated, and given an end.
    ///
    /// # Errors
    /// What other databases do not do.
    pub(super) fn stamped(&self, stamp: Stamp) -> Result<(), RequestError> {
        let told = [
            (
                "ttl",
                stamp.ttl.is_some(),
                "rows of this database stay until they are deleted",
                "keep the time of their end in a column, and delete by it",
            ),
            (
                "timestamp",
                stamp.timestamp.is_some(),
                "this database keeps of a value only what was written last, and dates no write",
                "leave `timestamp` out; keep the time in a column where it matters",
            ),
        ];
        match told.iter().find(|(_, given, ..)| *given && !self.speaks_cql()) {
            Some((field, _, reason, fix)) => {
                Err(RequestError::field(RequestCode::NotSupportedByBackend, *field, *reason).hint(*fix))
            }
            None => Ok(()),
        }
    }

    /// Checks that the caller may read the relation, as well as write it.
    pub(super) fn permit_read(&self, relation: &Relation) -> Result<(), RequestError> {
        let place = self.place(relation);
        self.authority.as_ref().map_or(Ok(()), |authority| authority.permit_table(KeyOperation::Fetch, place))
    }

    /// Checks that the key of a row tells whether the caller may see it.
    fn shows_every_row(&self, relation: &Relation, field: &str) -> Result<(), RequestError> {
        let Some(filter) = self.row_filter(relation)? else { return Ok(()) };
        let mut columns = Vec::new();
        filter.columns(&mut columns);
        if columns.iter().all(|column| relation.primary_key.contains(column)) {
            return Ok(());
        }
        Err(refuse(
            field,
            "the answer shows the row that is there, which may be one that the row filter of the API key does not let \
             through"
                .to_owned(),
            "ask for no rows with \"head\": true, or use a key whose row filter names columns of the primary key only"
                .to_owned(),
        ))
    }
}

impl Filter {
    /// The columns that it names.
    fn columns(&self, columns: &mut Vec<usize>) {
        match self {
            Self::Compare { column, .. }
            | Self::Is { column, .. }
            | Self::In { column, .. }
            | Self::Contains { column, .. } => columns.push(*column),
            Self::Not(inner) => inner.columns(columns),
            Self::And(list) | Self::Or(list) => list.iter().for_each(|inner| inner.columns(columns)),
        }
    }
}
