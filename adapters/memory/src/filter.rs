//! Filters with SQL's three truth values: `None` is unknown, and only true keeps a row.

use athena_application::ports::PortError;
use athena_domain::plan::Filter;
use athena_domain::query::{CompareOp, IsTest};
use athena_domain::schema::{ColumnType, Relation, TypeKind};

use crate::pattern::Pattern;
use crate::reject;
use crate::table::Row;
use crate::value::Stored;

/// A filter whose values and patterns are read.
pub(crate) enum Test<'p> {
    Compare { column: usize, op: CompareOp, value: Stored },
    Like { column: usize, ty: &'p ColumnType, pattern: Pattern },
    Is { column: usize, test: IsTest },
    In { column: usize, members: Vec<Stored>, or_null: bool },
    Contains { column: usize, by: bool, value: Stored },
    Not(Box<Test<'p>>),
    And(Vec<Test<'p>>),
    Or(Vec<Test<'p>>),
}

impl<'p> Test<'p> {
    /// Reads a filter's values.
    pub(crate) fn prepare(filter: &Filter, relation: &'p Relation) -> Result<Self, PortError> {
        let list = |list: &[Filter]| -> Result<Vec<Self>, PortError> {
            list.iter().map(|inner| Self::prepare(inner, relation)).collect()
        };
        let ty = |column: usize| &relation.columns[column].ty;
        Ok(match filter {
            Filter::Compare { column, op: op @ (CompareOp::Like | CompareOp::Ilike), value, .. } => {
                let text = Stored::from_bind(value)?.text();
                let pattern = Pattern::parse(&text, *op == CompareOp::Ilike);
                let pattern = pattern.ok_or_else(reject::bad_pattern)?;
                Self::Like { column: *column, ty: ty(*column), pattern }
            }
            Filter::Compare { column, op, value, as_text } => {
                if ty(*column).base().kind == TypeKind::Json && !as_text {
                    return Err(reject::no_operator(ty(*column), "equality and no order"));
                }
                Self::Compare { column: *column, op: *op, value: Stored::operand(value)? }
            }
            Filter::Is { column, test } => Self::Is { column: *column, test: *test },
            Filter::In { column, members, or_null } => {
                let members = members.iter().map(|text| Stored::parse_operand(text, ty(*column)));
                Self::In { column: *column, members: members.collect::<Result<_, _>>()?, or_null: *or_null }
            }
            Filter::Contains { column, by, value } => {
                if !matches!(ty(*column).base().kind, TypeKind::Array(_) | TypeKind::Jsonb) {
                    return Err(reject::no_operator(ty(*column), "containment"));
                }
                Self::Contains { column: *column, by: *by, value: Stored::from_bind(value)? }
            }
            Filter::Not(inner) => Self::Not(Box::new(Self::prepare(inner, relation)?)),
            Filter::And(inner) => Self::And(list(inner)?),
            Filter::Or(inner) => Self::Or(list(inner)?),
        })
    }

    /// Whether the row is kept.
    pub(crate) fn keeps(&self, row: &Row) -> bool {
        self.truth(row) == Some(true)
    }

    fn truth(&self, row: &Row) -> Option<bool> {
        let known = |value: bool, null: bool| if null { None } else { Some(value) };
        match self {
            Self::Compare { column, op, value } => {
                let cell = &row[*column];
                known(compare(cell, *op, value), cell.is_null() || value.is_null())
            }
            Self::Like { column, ty, pattern } => {
                let cell = &row[*column];
                known(pattern.fits(&cell.shown(ty)), cell.is_null())
            }
            Self::Is { column, test } => {
                let cell = &row[*column];
                Some(match test {
                    IsTest::Null | IsTest::Unknown => cell.is_null(),
                    IsTest::NotNull => !cell.is_null(),
                    IsTest::True => *cell == Stored::Bool(true),
                    IsTest::False => *cell == Stored::Bool(false),
                })
            }
            Self::In { column, members, or_null } => {
                let cell = &row[*column];
                if cell.is_null() {
                    // `null = ANY('{}')` is false, not unknown.
                    return if *or_null { Some(true) } else { known(false, !members.is_empty()) };
                }
                Some(members.iter().any(|member| cell.compare(member).is_eq()))
            }
            Self::Contains { column, by, value } => {
                let cell = &row[*column];
                let contains = if *by { value.contains(cell) } else { cell.contains(value) };
                known(contains, cell.is_null() || value.is_null())
            }
            Self::Not(inner) => inner.truth(row).map(|truth| !truth),
            Self::And(list) => any(list, row, false).map(|found| !found),
            Self::Or(list) => any(list, row, true),
        }
    }
}

/// Whether one of `list` is `wanted`; unknown when none is but one is unknown.
fn any(list: &[Test<'_>], row: &Row, wanted: bool) -> Option<bool> {
    let mut unknown = false;
    for test in list {
        match test.truth(row) {
            Some(truth) if truth == wanted => return Some(true),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(false) }
}

fn compare(cell: &Stored, op: CompareOp, value: &Stored) -> bool {
    let order = cell.compare(value);
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Neq => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Gte => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Lte => order.is_le(),
        CompareOp::Like | CompareOp::Ilike => false,
    }
}
