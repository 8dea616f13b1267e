//! What the caller's key lets a plan touch: relations, columns and rows. Without a key everything is open.

use std::sync::Arc;

use super::open::Names;
use super::{Filter, Planner, cql};
use crate::access::{AuthReason, KeyOperation, TablePlace, denied, shield};
use crate::error::{RequestCode, RequestError};
use crate::query::RelationName;
use crate::schema::{Column, Relation};

impl Planner<'_> {
    /// Finds the relation and checks that the caller may do this to it, before anything of it is told. Where the
    /// schema is open, the relation is made of `names`.
    pub(super) fn relation<'n>(
        &self,
        name: &RelationName,
        operation: KeyOperation,
        names: impl FnOnce() -> Names<'n>,
    ) -> Result<Arc<Relation>, RequestError> {
        let found = self.schema.relation(name);
        if self.options.shielded {
            let table = found.map_or(name.name.as_str(), |relation| &relation.name);
            let led = found.and_then(|relation| self.schema.led_openness(relation));
            shield(table, led, operation)?;
        }
        if let Some(authority) = &self.authority {
            let default_schema = self.schema.default_schema();
            let place = match found {
                Some(relation) => self.place(relation),
                None => TablePlace {
                    schema: name.schema.as_ref().map_or(default_schema, |schema| schema.as_str()),
                    table: name.name.as_str(),
                    default_schema,
                },
            };
            authority.permit_table(operation, place)?;
        }
        if self.schema.is_open() {
            return self.open_relation(name, &names()).map(Arc::new);
        }
        found.cloned().ok_or_else(|| {
            RequestError::field(
                RequestCode::UndefinedTable,
                "table_name",
                format!("The table '{name}' was not found."),
            )
            .hint(
                "It may not exist yet, or you might have a typo. Check your migrations or ensure you're \
                 connected to the correct schema.",
            )
        })
    }

    pub(super) fn place<'r>(&'r self, relation: &'r Relation) -> TablePlace<'r> {
        TablePlace {
            schema: &relation.schema,
            table: &relation.name,
            default_schema: self.schema.default_schema(),
        }
    }

    /// Whether the caller may see and name the column.
    pub(super) fn reaches(&self, relation: &Relation, column: usize) -> bool {
        self.authority
            .as_ref()
            .is_none_or(|a| a.allows_column(self.place(relation), &relation.columns[column].name))
    }

    /// Checks that the caller may name a column that the request means without naming it.
    pub(super) fn demand(&self, relation: &Relation, column: usize) -> Result<(), RequestError> {
        match &self.authority {
            Some(authority) if !self.reaches(relation, column) => {
                Err(authority.column_denied(&relation.columns[column].name))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn demand_all(&self, relation: &Relation, columns: &[usize]) -> Result<(), RequestError> {
        columns.iter().try_for_each(|column| self.demand(relation, *column))
    }

    /// Whether the caller's key names the columns of this relation that it reaches.
    pub(super) fn limits_columns(&self, relation: &Relation) -> bool {
        self.authority.as_ref().is_some_and(|authority| authority.limits_columns(self.place(relation)))
    }

    /// Whether the caller's key hides rows of this relation.
    pub(super) fn limits_rows(&self, relation: &Relation) -> bool {
        let place = self.place(relation);
        self.authority.as_ref().is_some_and(|authority| authority.conditions(place).next().is_some())
    }

    /// The conditions that the caller's key sets on rows of this relation.
    ///
    /// # Errors
    /// [`RequestCode::Denied`] when they do not fit the relation: then no row may be touched at all.
    pub(super) fn row_filter(&self, relation: &Relation) -> Result<Option<Filter>, RequestError> {
        let Some(authority) = &self.authority else { return Ok(None) };
        let conditions: Vec<_> = authority.conditions(self.place(relation)).cloned().collect();
        if conditions.is_empty() {
            return Ok(None);
        }
        // The columns of the key's own filter need not be among those that its user may name.
        let unbounded = Planner { authority: None, ..*self };
        unbounded.filter(relation, &conditions).map(Some).map_err(|_| {
            denied(
                AuthReason::RowOutOfScope,
                "table_name",
                format!("The row filter of the API key does not fit the table '{}'.", relation.name),
            )
        })
    }

    /// A refusal that tells nothing of columns that the caller's key does not reach: not of the table's key, and not
    /// of the key's own row filter.
    pub(super) fn without_names(&self, relation: Option<&Relation>, error: RequestError) -> RequestError {
        let Some(relation) = relation else { return error };
        if matches!(error.code, RequestCode::InvalidPayload | RequestCode::DataException) {
            let about = |(place, column): (usize, &Column)| {
                !self.reaches(relation, place) && error.field.as_deref() == Some(&*column.name)
            };
            if !relation.columns.iter().enumerate().any(about) {
                return error;
            }
            let reason = "a new row needs values that the API key cannot give".to_owned();
            return cql::refuse("insert_body", reason, "ask whoever gave you the API key".to_owned());
        }
        if error.code != RequestCode::NotSupportedByBackend {
            return error;
        }
        let texts = [Some(&error.message), error.hint.as_ref(), error.field.as_ref()];
        let told = |name: &str| texts.iter().flatten().any(|text| text.contains(name));
        let hidden = |(place, column): (usize, &Column)| !self.reaches(relation, place) && told(&column.name);
        if !relation.columns.iter().enumerate().any(hidden) {
            return error;
        }
        let reason = "neither the key nor an index of the table answers the request".to_owned();
        cql::refuse("table_name", reason, "ask whoever gave you the API key how rows are found".to_owned())
    }

    /// A filter that also holds what the caller's key demands of rows.
    pub(super) fn bounded(&self, relation: &Relation, filter: Filter) -> Result<Filter, RequestError> {
        Ok(match (filter, self.row_filter(relation)?) {
            (filter, None) => filter,
            (Filter::And(mut all), Some(demanded)) => {
                all.push(demanded);
                Filter::And(all)
            }
            (filter, Some(demanded)) => Filter::And(vec![filter, demanded]),
        })
    }
}
