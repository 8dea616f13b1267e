//! Planning: a request and what is known of the database become one statement's plan, or the reason why
//! not. No right, limit or default is decided after this room; nothing here writes SQL.

mod authority;
pub mod bind;
mod call;
mod columns;
mod conditional;
mod conflict;
pub mod cql;
mod fetch;
mod filter;
mod lists;
mod number;
mod open;
mod page;
mod raw;
mod refusal;
mod rows;
mod tuning;
mod write;

pub use bind::{Bind, Datum};
pub use call::CallPlan;
pub use cql::CqlPlan;
pub use page::{KeyValue, PageStart};
pub use raw::{RawPlan, replace_placeholders, statements};

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use crate::access::Authority;
use crate::error::RequestError;
use crate::limits::Limits;
use crate::query::fetch::Count;
use crate::query::{CompareOp, IsTest, Nulls, Stamp, Tuning};
use crate::schema::{ColumnType, Dialect, Relation, Schema};

/// What a planner may take for granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// Whether names in camelCase stand for snake_case, in requests and in the keys of answers.
    pub camel_to_snake: bool,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    pub big_numbers_as_text: bool,
    /// Whether the database is the gateway's own and the caller may not touch what decides about callers.
    pub shielded: bool,
    /// The time that it is, since 1970: what a write says of its time is held against it.
    pub since_1970: Duration,
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
    /// A place in `order`, a value for each of its keys: only what stands behind it. `None` begins with the first row.
    pub after: Option<Vec<Bind>>,
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
    Columns(Vec<Vec<Option<SmolStr>>>),
    /// Rows of binds where `None` is the column's default.
    Rows(Vec<Vec<Option<Bind>>>),
    /// Rows for CQL, where what a row leaves out is null.
    Cql(Vec<Vec<cql::CqlValue>>),
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
            Self::Cql(rows) => rows.len(),
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
    /// Whether a row that is there already is an answer; for CQL only.
    pub if_not_exists: bool,
    /// How long the values live and when they were written; for CQL only.
    pub stamp: Stamp,
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
    /// What the one row must be, or the answer says that it was not changed; for CQL only.
    pub only_if: Option<Filter>,
    /// How long the new values live and when they were written; for CQL only.
    pub stamp: Stamp,
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
    /// What the one row must be, or the answer says that it was not removed; for CQL only.
    pub only_if: Option<Filter>,
    /// Microseconds since 1970 until which what goes was written; for CQL only.
    pub timestamp: Option<i64>,
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
    /// What a CQL database is asked: the only operation it gets besides `Raw`.
    Cql(CqlPlan),
    /// A call of a function.
    Call(CallPlan),
    /// The caller's own SQL or CQL.
    Raw(RawPlan),
}

impl Operation {
    /// What an ordinary plan is about.
    fn relation(&self) -> Option<&Arc<Relation>> {
        match self {
            Self::Select(select) => Some(&select.relation),
            Self::Count(count) => Some(&count.relation),
            Self::Insert(insert) => Some(&insert.relation),
            Self::Update(update) => Some(&update.relation),
            Self::Delete(delete) => Some(&delete.relation),
            Self::Call(_) | Self::Cql(_) | Self::Raw(_) => None,
        }
    }
}

/// One statement, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it does.
    pub operation: Operation,
    /// Whether integers beyond 2^53 and exact decimals are written as strings.
    pub big_numbers_as_text: bool,
    /// Whether the names of columns that nobody named are rewritten to snake_case: in an open relation only the
    /// database knows them.
    pub keys_to_snake: bool,
    /// How a CQL database is to carry it out, within what its owner allows.
    pub tuning: Tuning,
}

impl Plan {
    /// Whether the database looks at rows that it does not return, which its owner has allowed.
    pub fn filters(&self) -> bool {
        match &self.operation {
            Operation::Cql(CqlPlan::Read(read)) => read.filtering,
            Operation::Cql(CqlPlan::Count(count)) => count.filtering,
            _ => false,
        }
    }
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
    /// The plan for an operation, in the language of the database.
    fn plan(&self, mut operation: Operation, tuning: Tuning) -> Result<Plan, RequestError> {
        tuning::allowed(tuning, self.schema.dialect())?;
        let operation = match self.schema.dialect() {
            Dialect::Sql | Dialect::Rest => {
                operation.join_lists();
                operation
            }
            Dialect::Cql(rules) => {
                let relation = operation.relation().cloned();
                let staged = cql::stage(operation, rules, self.limits, self.options.since_1970);
                staged.map_err(|error| self.without_names(relation.as_deref(), error))?
            }
        };
        Ok(Plan {
            operation,
            big_numbers_as_text: self.options.big_numbers_as_text,
            keys_to_snake: self.options.camel_to_snake,
            tuning,
        })
    }

    fn speaks_cql(&self) -> bool {
        matches!(self.schema.dialect(), Dialect::Cql(_))
    }
}

#[cfg(test)]
mod tests;
