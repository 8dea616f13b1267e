//! Names of columns → their positions, and a selection → the columns of the answer.

use std::sync::Arc;

use super::cql::refuse;
use super::{Output, Planner};
use crate::access::{AuthReason, denied};
use crate::error::{RequestCode, RequestError};
use crate::query::{Identifier, Selection};
use crate::schema::{ColumnType, Relation};
use crate::shape::case::camel_to_snake;

/// Whether a cast to the type tells what there is in the database, whatever the caller may reach: `regclass` gives the
/// name of any table, and fails where there is none.
fn reads_catalog(name: &str) -> bool {
    const TYPES: [&str; 11] = [
        "class",
        "collation",
        "config",
        "dictionary",
        "namespace",
        "oper",
        "operator",
        "proc",
        "procedure",
        "role",
        "type",
    ];
    let bare =
        name.rsplit('.').next().unwrap_or(name).trim_matches('"').trim_end_matches("[]").trim_matches('"');
    let bare = bare.trim().to_ascii_lowercase();
    bare.strip_prefix("reg").is_some_and(|kind| TYPES.contains(&kind))
}

impl Planner<'_> {
    /// Position of a column that the caller may name.
    pub(super) fn column(&self, relation: &Relation, name: &Identifier) -> Result<usize, RequestError> {
        let found = self.find_column(relation, name);
        match &self.authority {
            Some(authority) if self.limits_columns(relation) => found
                .ok()
                .filter(|place| self.reaches(relation, *place))
                .ok_or_else(|| authority.column_denied(name.as_str())),
            _ => found,
        }
    }

    /// Position of a column: by its exact name, then without regard to case, then from camelCase.
    fn find_column(&self, relation: &Relation, name: &Identifier) -> Result<usize, RequestError> {
        let wanted = name.as_str();
        let undefined = || {
            RequestError::field(
                RequestCode::UndefinedColumn,
                wanted,
                format!("The column '{wanted}' does not exist in '{}'.", relation.name),
            )
            .hint("Please verify the column name and try again.")
        };
        if self.options.camel_to_snake
            && let Some(place) = relation.position(&camel_to_snake(wanted))
        {
            return Ok(place);
        }
        if let Some(place) = relation.position(wanted) {
            return Ok(place);
        }
        let mut folded = relation
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.name.eq_ignore_ascii_case(wanted));
        match (folded.next(), folded.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(RequestError::field(
                RequestCode::UndefinedColumn,
                wanted,
                format!(
                    "'{wanted}' fits several columns of '{}' that differ in case; write one exactly",
                    relation.name
                ),
            )),
            (None, _) => relation.position(&camel_to_snake(wanted)).ok_or_else(undefined),
        }
    }

    /// The type that a column is cast to.
    fn cast(&self, name: &str) -> Result<ColumnType, RequestError> {
        if reads_catalog(name) {
            return Err(RequestError::field(
                RequestCode::UnsupportedSelect,
                "columns",
                format!("`{name}` reads the database's own tables, and no column is cast to it"),
            ));
        }
        if self.schema.is_open() {
            self.needs_catalog(
                name.ends_with("[]"),
                "columns",
                "PostgREST casts to no array types",
                "leave the cast out, or cast in a view of the database",
            )?;
            return Ok(ColumnType { sql: name.into(), ..ColumnType::dynamic() });
        }
        self.schema.type_named(name).cloned().ok_or_else(|| {
            RequestError::field(
                RequestCode::UnsupportedSelect,
                "columns",
                format!("`{name}` is not a type of this database that a column can be cast to"),
            )
        })
    }

    pub(super) fn outputs(
        &self,
        relation: &Relation,
        selection: &Selection,
    ) -> Result<Vec<Output>, RequestError> {
        let label = |name: &Arc<str>| -> Arc<str> {
            if self.options.camel_to_snake { camel_to_snake(name).as_ref().into() } else { name.clone() }
        };
        if let Selection::AllWith(items) = selection {
            if relation.is_open() {
                return Err(refuse(
                    "columns",
                    "through PostgREST it is not known which columns `*` stands for, nor whether those beside it exist"
                        .to_owned(),
                    "give `*` alone, or the names".to_owned(),
                ));
            }
            for item in items {
                self.column(relation, &item.column)?;
            }
        }
        let items = match selection {
            // Only the database knows which they are.
            Selection::All if relation.is_open() && !self.limits_columns(relation) => {
                let label = relation.columns[Relation::EVERY].name.clone();
                return Ok(vec![Output { column: Relation::EVERY, cast: None, label, hidden: false }]);
            }
            Selection::All | Selection::AllWith(_) => {
                let reached =
                    relation.columns.iter().enumerate().filter(|(at, _)| self.reaches(relation, *at));
                let every: Vec<Output> = reached
                    .map(|(column, c)| Output { column, cast: None, label: label(&c.name), hidden: false })
                    .collect();
                if every.is_empty() && !relation.columns.is_empty() {
                    return Err(denied(
                        AuthReason::ColumnOutOfScope,
                        "columns",
                        format!("The API key reaches no column of '{}'.", relation.name),
                    ));
                }
                return Ok(every);
            }
            Selection::Items(items) => items,
        };
        let mut outputs: Vec<Output> = Vec::with_capacity(items.len());
        for item in items {
            let column = self.column(relation, &item.column)?;
            if item.cast.is_some() && self.speaks_cql() {
                return Err(refuse(
                    "columns",
                    "the database has no casts that give what `::` gives".to_owned(),
                    format!("ask for '{}' as it is", item.column),
                ));
            }
            let cast = match &item.cast {
                None => None,
                Some(name) => Some(self.cast(name)?),
            };
            let spelled: Arc<str> = item.column.as_str().into();
            let key = item.alias.as_deref().map_or_else(|| label(&spelled), Arc::from);
            if let Some(twice) = outputs.iter().find(|output| output.label == key) {
                if twice.column == column && twice.cast == cast {
                    continue;
                }
                return Err(RequestError::invalid(
                    "columns",
                    format!("`columns` names two different columns `{key}`; give one an alias"),
                ));
            }
            outputs.push(Output { column, cast, label: key, hidden: false });
        }
        Ok(outputs)
    }
}
