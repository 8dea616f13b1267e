//! Planning: a request and what is known of the database become one statement's plan, or the reason why
//! not. No right, limit or default is decided after this room; nothing here writes SQL.

pub mod bind;
mod fetch;
mod filter;
mod raw;
mod write;

pub use bind::{Bind, Datum};
pub use raw::{RawPlan, replace_placeholders, statements};

use std::sync::Arc;

use crate::access::{AuthReason, Authority, KeyOperation, TablePlace, denied, shield};
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;
use crate::query::fetch::Count;
use crate::query::{CompareOp, Identifier, IsTest, Nulls, RelationName, Selection};
use crate::schema::{ColumnType, Relation, Schema};
use crate::shape::case::camel_to_snake;

/// What a planner may take for granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// Whether names in camelCase stand for snake_case, in requests and in the keys of answers.
    pub camel_to_snake: bool,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    pub big_numbers_as_text: bool,
    /// Whether the database is the gateway's own and the caller may not touch what decides about callers.
    pub shielded: bool,
}

/// One column of the statement's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Position in [`Relation::columns`].
    pub column: usize,
    /// Type to cast to.
    pub cast: Option<ColumnType>,
    /// Key in the answer.
    pub label: Arc<str>,
    /// Whether the value is for the gateway alone.
    pub hidden: bool,
}

impl Output {
    /// Type of the values, after the cast.
    pub fn ty<'a>(&'a self, relation: &'a Relation) -> &'a ColumnType {
        self.cast.as_ref().unwrap_or(&relation.columns[self.column].ty)
    }
}

/// A filter whose columns exist and whose values have types.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// A column against one value.
    Compare {
        /// Column.
        column: usize,
        /// Operator.
        op: CompareOp,
        /// Value of the column's type, or a pattern.
        value: Bind,
        /// Whether the column is compared by its text.
        as_text: bool,
    },
    /// A column against a truth value.
    Is {
        /// Column.
        column: usize,
        /// Test.
        test: IsTest,
    },
    /// Membership.
    In {
        /// Column.
        column: usize,
        /// Members that are not null, as text.
        members: Vec<Box<str>>,
        /// Whether null is a member.
        or_null: bool,
    },
    /// Containment.
    Contains {
        /// Column.
        column: usize,
        /// Whether the column is contained by the value.
        by: bool,
        /// Value of the column's type.
        value: Bind,
    },
    /// The opposite.
    Not(Box<Filter>),
    /// All of them; none is true.
    And(Vec<Filter>),
    /// Any of them; none is false.
    Or(Vec<Filter>),
}

/// A sort key whose column exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Column.
    pub column: usize,
    /// Whether the greatest value comes first.
    pub descending: bool,
    /// Where nulls stand.
    pub nulls: Option<Nulls>,
}

/// A read.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectPlan {
    /// Table or view.
    pub relation: Arc<Relation>,
    /// Columns of the answer.
    pub outputs: Vec<Output>,
    /// Whether `outputs` are every column under its own name, so that a column added since can be noticed.
    pub every: bool,
    /// Which rows.
    pub filter: Filter,
    /// In which order.
    pub order: Vec<Order>,
    /// At most so many.
    pub limit: Option<u64>,
    /// After so many.
    pub offset: u64,
    /// Whether the answer may take longer than one statement, as long as rows keep flowing.
    pub unbounded: bool,
}

/// A count of matching rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CountPlan {
    /// Table or view.
    pub relation: Arc<Relation>,
    /// Which rows.
    pub filter: Filter,
    /// Exactly or by estimate.
    pub count: Count,
}

/// When a write is undone although the database accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guard {
    /// More changed rows than this: undone.
    pub max_affected: Option<u64>,
    /// More returned rows than this: undone.
    pub max_returned: Option<u64>,
    /// Undone in any case.
    pub dry_run: bool,
    /// Whether the statement can change one row at most, so that no guard on numbers can strike.
    pub single_row: bool,
    /// Whether written rows are checked against the caller's key.
    pub checked: bool,
}

impl Guard {
    /// Whether the statement has to run in a transaction of its own that can be rolled back.
    pub fn needs_transaction(&self) -> bool {
        self.dry_run
            || self.checked
            || self.max_affected.is_some()
            || (self.max_returned.is_some() && !self.single_row)
    }
}

/// Where inserted values come from.
#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    /// One row of binds.
    Row(Vec<Bind>),
    /// For each column, the text of its value in every row: one bind a column, whatever the number of
    /// rows, so that one prepared statement serves them all.
    Columns(Vec<Vec<Option<Box<str>>>>),
    /// Rows of binds where `None` is the column's default.
    Rows(Vec<Vec<Option<Bind>>>),
}

/// A new value of a row that is already there.
#[derive(Debug, Clone, PartialEq)]
pub enum SetValue {
    /// A given value.
    Given(Bind),
    /// What would have been inserted.
    Excluded,
    /// What it is already: the row is returned and stays as it is.
    Same,
}

/// What a conflict is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The columns of a unique index, and a partial one's predicate.
    Columns(Vec<usize>, Option<Filter>),
    /// A constraint.
    Constraint(Box<str>),
}

impl InsertSource {
    /// Rows given.
    pub fn rows(&self) -> usize {
        match self {
            Self::Row(_) => 1,
            Self::Columns(columns) => columns.first().map_or(0, Vec::len),
            Self::Rows(rows) => rows.len(),
        }
    }
}

/// Insert-or-update.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// What the conflict is about.
    pub target: Target,
    /// New values, at least one.
    pub set: Vec<(usize, SetValue)>,
}

/// New rows.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertPlan {
    /// Table.
    pub relation: Arc<Relation>,
    /// Columns written.
    pub columns: Vec<usize>,
    /// Values.
    pub source: InsertSource,
    /// Insert-or-update.
    pub conflict: Option<Conflict>,
    /// Whether the caller asked for an upsert without saying on what: a unique violation names it.
    pub conflict_unknown: bool,
    /// Columns of the answer; none for an answer without rows.
    pub returning: Vec<Output>,
    /// When it is undone.
    pub guard: Guard,
    /// What every written row must meet afterwards, and a row that is there before it is changed; else the whole
    /// write is undone.
    pub check: Option<Filter>,
}

/// A change of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdatePlan {
    /// Table.
    pub relation: Arc<Relation>,
    /// New values.
    pub set: Vec<(usize, Bind)>,
    /// Which rows.
    pub filter: Filter,
    /// Columns of the answer.
    pub returning: Vec<Output>,
    /// When it is undone.
    pub guard: Guard,
    /// What every changed row must meet afterwards; else the whole write is undone.
    pub check: Option<Filter>,
}

/// A removal of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletePlan {
    /// Table.
    pub relation: Arc<Relation>,
    /// Which rows.
    pub filter: Filter,
    /// Columns of the answer.
    pub returning: Vec<Output>,
    /// When it is undone.
    pub guard: Guard,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A read.
    Select(SelectPlan),
    /// A count.
    Count(CountPlan),
    /// New rows.
    Insert(InsertPlan),
    /// A change of rows.
    Update(UpdatePlan),
    /// A removal of rows.
    Delete(DeletePlan),
    /// The caller's own SQL.
    Raw(RawPlan),
}

/// One statement, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it does.
    pub operation: Operation,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    pub big_numbers_as_text: bool,
}

/// Turns requests into plans.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    /// What is known of the database.
    pub schema: &'a Schema,
    /// Bounds.
    pub limits: &'a Limits,
    /// Switches.
    pub options: &'a PlanOptions,
    /// The key that bounds the request; none where keys are not demanded.
    pub authority: Option<Authority<'a>>,
}

impl Planner<'_> {
    /// Finds the relation and checks that the caller may do this to it, before anything of it is told.
    fn relation(&self, name: &RelationName, operation: KeyOperation) -> Result<Arc<Relation>, RequestError> {
        let found = self.schema.relation(name);
        if self.options.shielded {
            let table = found.map_or(name.name.as_str(), |relation| &relation.name);
            shield(table)?;
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

    fn place<'r>(&'r self, relation: &'r Relation) -> TablePlace<'r> {
        TablePlace {
            schema: &relation.schema,
            table: &relation.name,
            default_schema: self.schema.default_schema(),
        }
    }

    /// Whether the caller may see and name the column.
    fn reaches(&self, relation: &Relation, column: usize) -> bool {
        self.authority
            .as_ref()
            .is_none_or(|a| a.allows_column(self.place(relation), &relation.columns[column].name))
    }

    /// Checks that the caller may name a column that the request means without naming it.
    fn demand(&self, relation: &Relation, column: usize) -> Result<(), RequestError> {
        match &self.authority {
            Some(authority) if !self.reaches(relation, column) => {
                Err(authority.column_denied(&relation.columns[column].name))
            }
            _ => Ok(()),
        }
    }

    fn demand_all(&self, relation: &Relation, columns: &[usize]) -> Result<(), RequestError> {
        columns.iter().try_for_each(|column| self.demand(relation, *column))
    }

    /// Whether the caller's key names the columns of this relation that it reaches.
    fn limits_columns(&self, relation: &Relation) -> bool {
        self.authority.as_ref().is_some_and(|authority| authority.limits_columns(self.place(relation)))
    }

    /// The conditions that the caller's key sets on rows of this relation.
    ///
    /// # Errors
    /// [`RequestCode::Denied`] when they do not fit the relation: then no row may be touched at all.
    fn row_filter(&self, relation: &Relation) -> Result<Option<Filter>, RequestError> {
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

    /// A filter that also holds what the caller's key demands of rows.
    fn bounded(&self, relation: &Relation, filter: Filter) -> Result<Filter, RequestError> {
        Ok(match (filter, self.row_filter(relation)?) {
            (filter, None) => filter,
            (Filter::And(mut all), Some(demanded)) => {
                all.push(demanded);
                Filter::And(all)
            }
            (filter, Some(demanded)) => Filter::And(vec![filter, demanded]),
        })
    }

    /// Position of a column that the caller may name.
    fn column(&self, relation: &Relation, name: &Identifier) -> Result<usize, RequestError> {
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

    fn outputs(&self, relation: &Relation, selection: &Selection) -> Result<Vec<Output>, RequestError> {
        let label = |name: &Arc<str>| -> Arc<str> {
            if self.options.camel_to_snake { camel_to_snake(name).as_ref().into() } else { name.clone() }
        };
        let items = match selection {
            Selection::All => {
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
            let cast = match &item.cast {
                None => None,
                Some(name) => Some(self.schema.type_named(name).cloned().ok_or_else(|| {
                    RequestError::field(
                        RequestCode::UnsupportedSelect,
                        "columns",
                        format!("`{name}` is not a type of this database that a column can be cast to"),
                    )
                })?),
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

    fn plan(&self, operation: Operation) -> Plan {
        Plan { operation, big_numbers_as_text: self.options.big_numbers_as_text }
    }
}

#[cfg(test)]
mod tests;
