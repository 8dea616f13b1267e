//! Planning without a catalog: an open schema knows no relation, so that each request is planned against one made of
//! the names that it mentions, and of those that the caller's key does. Whether they exist, the database itself says.

use std::collections::HashSet;
use std::sync::Arc;

use super::Planner;
use crate::access::TablePlace;
use crate::error::{RequestCode, RequestError};
use crate::query::{
    Assignment, Condition, ConflictTarget, DeleteRequest, FetchRequest, Identifier, InsertRequest,
    MAX_COLUMNS, RelationName, Selection, UpdateRequest,
};
use crate::schema::{Column, ColumnType, Relation};
use crate::shape::case::camel_to_snake;

/// The column that stands for a row's id where no key is known (contract 8.3, 9.1).
const ID: &str = "id";

/// Names of columns in a request.
#[derive(Debug, Default)]
pub(super) struct Names<'r>(Vec<&'r str>);

impl<'r> Names<'r> {
    pub(super) fn of_fetch(request: &'r FetchRequest) -> Self {
        let mut names = Self::default();
        names.selection(&request.columns);
        names.conditions(&request.conditions);
        names.0.extend(request.sort.iter().map(|key| key.column.as_str()));
        names
    }

    pub(super) fn of_insert(request: &'r InsertRequest) -> Self {
        let mut names = Self::default();
        names.selection(&request.columns);
        let mut before = None;
        for row in &request.rows {
            if !before.is_some_and(|before| row.shares_names_with(before)) {
                names.0.extend(row.names().iter().map(Identifier::as_str));
            }
            before = Some(row);
        }
        if let Some(upsert) = &request.upsert {
            names.assignments(upsert.set.as_deref().unwrap_or_default());
            if let Some(ConflictTarget::Columns { columns, .. }) = &upsert.target {
                names.0.extend(columns.iter().map(Identifier::as_str));
            }
        }
        if matches!(request.columns, Selection::All | Selection::AllWith(_)) {
            names.0.push(ID);
        }
        names
    }

    pub(super) fn of_update(request: &'r UpdateRequest) -> Self {
        let mut names = Self::default();
        names.selection(&request.columns);
        names.assignments(&request.set);
        names.conditions(&request.conditions);
        names
    }

    pub(super) fn of_delete(request: &'r DeleteRequest) -> Self {
        let mut names = Self::default();
        names.selection(&request.columns);
        names.conditions(&request.conditions);
        if request.resource_id.is_some() {
            names.0.push(ID);
        }
        names
    }

    fn selection(&mut self, selection: &'r Selection) {
        if let Selection::Items(items) | Selection::AllWith(items) = selection {
            self.0.extend(items.iter().map(|item| item.column.as_str()));
        }
    }

    fn assignments(&mut self, assignments: &'r [Assignment]) {
        self.0.extend(assignments.iter().map(|assignment| assignment.column.as_str()));
    }

    fn conditions(&mut self, conditions: &'r [Condition]) {
        for condition in conditions {
            match condition {
                Condition::Compare { column, .. }
                | Condition::Is { column, .. }
                | Condition::In { column, .. }
                | Condition::Contains { column, .. } => self.0.push(column.as_str()),
                Condition::Not(inner) => self.conditions(std::slice::from_ref(inner)),
                Condition::And(list) | Condition::Or(list) => self.conditions(list),
            }
        }
    }
}

impl Planner<'_> {
    /// A relation of these names, of those that the caller's key limits it to, and of `*`.
    ///
    /// # Errors
    /// More names than any table has columns: each is looked for among all others.
    pub(super) fn open_relation(
        &self,
        name: &RelationName,
        names: &Names<'_>,
    ) -> Result<Relation, RequestError> {
        let default_schema = self.schema.default_schema();
        let schema = name.schema.as_ref().map_or(default_schema, Identifier::as_str);
        let table = name.name.as_str();
        let column = |name: &str| Column {
            name: name.into(),
            ty: ColumnType::dynamic(),
            nullable: true,
            writable: true,
        };
        let mut columns = vec![Column { writable: false, ..column("*") }];
        let mut known: HashSet<Arc<str>> = HashSet::from([columns[0].name.clone()]);
        let mut add = |name: &str| {
            if !known.contains(name) && columns.len() <= MAX_COLUMNS {
                let column = column(name);
                known.insert(column.name.clone());
                columns.push(column);
            }
        };
        let mut mentioned = names.0.clone();
        if let Some(authority) = &self.authority {
            let place = TablePlace { schema, table, default_schema };
            // Columns of a key are the database's own names; those of its conditions are a request's.
            authority.columns(place).for_each(&mut add);
            let mut conditions = Names::default();
            for condition in authority.conditions(place) {
                conditions.conditions(std::slice::from_ref(condition));
            }
            mentioned.append(&mut conditions.0);
        }
        for name in mentioned {
            if self.options.camel_to_snake { add(&camel_to_snake(name)) } else { add(name) }
        }
        if columns.len() > MAX_COLUMNS {
            let message =
                format!("The request names more than the {MAX_COLUMNS} columns that a table has at most.");
            return Err(RequestError::field(RequestCode::InvalidPayload, "table_name", message));
        }
        Ok(Relation {
            schema: schema.into(),
            name: table.into(),
            columns,
            primary_key: Box::default(),
            unique: Vec::new(),
            inherited: false,
            cql: None,
        })
    }

    /// Refuses what needs to be known of the database, or done inside it, where it is only reached through an
    /// interface like PostgREST's.
    pub(super) fn needs_catalog(
        &self,
        wanted: bool,
        field: &str,
        reason: &str,
        fix: &str,
    ) -> Result<(), RequestError> {
        if wanted && self.schema.is_open() {
            return Err(
                RequestError::field(RequestCode::NotSupportedByBackend, field, reason.to_owned()).hint(fix)
            );
        }
        Ok(())
    }
}
