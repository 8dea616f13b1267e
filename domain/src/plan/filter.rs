//! Conditions → filters over existing columns with typed values.

use super::bind::{Bind, Datum, bind};
use super::cql::CqlValue;
use super::{Filter, Planner};
use crate::error::{RequestCode, RequestError};
use crate::query::{CompareOp, Condition, IsTest, Value};
use crate::schema::{ColumnType, CqlType, Relation, TypeKind};

impl Planner<'_> {
    /// All of `conditions`.
    pub(super) fn filter(
        &self,
        relation: &Relation,
        conditions: &[Condition],
    ) -> Result<Filter, RequestError> {
        let all = conditions.iter().map(|condition| self.one(relation, condition));
        Ok(Filter::And(all.collect::<Result<_, _>>()?))
    }

    fn one(&self, relation: &Relation, condition: &Condition) -> Result<Filter, RequestError> {
        let any = |list: &[Condition]| -> Result<Vec<Filter>, RequestError> {
            list.iter().map(|inner| self.one(relation, inner)).collect()
        };
        match condition {
            Condition::Compare { column, op, value } => {
                let place = self.column(relation, column)?;
                compare(place, &relation.columns[place].ty, *op, value, column.as_str())
            }
            Condition::Is { column, test } => {
                let place = self.column(relation, column)?;
                let ty = &relation.columns[place].ty;
                let boolean = matches!(
                    ty.base().kind,
                    TypeKind::Bool | TypeKind::Dynamic | TypeKind::Cql(CqlType::Bool)
                );
                if !boolean && !matches!(test, IsTest::Null | IsTest::NotNull) {
                    return Err(mismatch(column.as_str(), ty, "true, false or unknown"));
                }
                Ok(Filter::Is { column: place, test: *test })
            }
            Condition::In { column, values } => {
                let place = self.column(relation, column)?;
                let ty = &relation.columns[place].ty;
                if matches!(ty.base().kind, TypeKind::Json) {
                    return Err(mismatch(column.as_str(), ty, "equality"));
                }
                if matches!(ty.kind, TypeKind::Cql(_)) {
                    let one = |value: &Value| match bind(value, ty, column.as_str())? {
                        Bind { datum: Datum::Cql(CqlValue::Null), .. } => {
                            Ok(Filter::Is { column: place, test: IsTest::Null })
                        }
                        value => {
                            Ok(Filter::Compare { column: place, op: CompareOp::Eq, value, as_text: false })
                        }
                    };
                    return values.iter().map(one).collect::<Result<_, _>>().map(Filter::Or);
                }
                let mut members = Vec::with_capacity(values.len());
                let mut or_null = false;
                for value in values {
                    match bind(value, ty, column.as_str())?.into_text() {
                        Some(text) => members.push(text.as_str().into()),
                        None => or_null = true,
                    }
                }
                Ok(Filter::In { column: place, members, or_null })
            }
            Condition::Contains { column, by, value } => {
                let place = self.column(relation, column)?;
                let value = contained(value, &relation.columns[place].ty, column.as_str())?;
                Ok(Filter::Contains { column: place, by: *by, value })
            }
            Condition::Not(inner) => Ok(Filter::Not(Box::new(self.one(relation, inner)?))),
            Condition::And(list) => Ok(Filter::And(any(list)?)),
            Condition::Or(list) => Ok(Filter::Or(any(list)?)),
        }
    }
}

fn mismatch(column: &str, ty: &ColumnType, what: &str) -> RequestError {
    RequestError::field(
        RequestCode::TypeMismatch,
        column,
        format!("'{column}' is of type {}, which cannot be tested for {what}", ty.sql),
    )
}

fn compare(
    place: usize,
    ty: &ColumnType,
    op: CompareOp,
    value: &Value,
    column: &str,
) -> Result<Filter, RequestError> {
    if matches!(op, CompareOp::Like | CompareOp::Ilike) {
        let Value::Text(pattern) = value else {
            return Err(mismatch(column, ty, "a pattern that is not text"));
        };
        if pattern.contains('\0') {
            return Err(RequestError::invalid(
                column,
                format!("the pattern for '{column}' contains a NUL character"),
            ));
        }
        // The database would tell only for rows where the match comes to the end of the pattern: of what a row holds
        // that the caller's key must not see.
        let escapes = pattern.len() - pattern.trim_end_matches('\\').len();
        if escapes % 2 == 1 {
            let message = format!(
                "the pattern for '{column}' ends with an escape character; write \\\\ for a backslash"
            );
            return Err(RequestError::field(RequestCode::DataException, column, message));
        }
        let as_text = !matches!(
            ty.base().kind,
            TypeKind::Text | TypeKind::Dynamic | TypeKind::Cql(CqlType::Text | CqlType::Ascii)
        );
        return Ok(Filter::Compare { column: place, op, value: Bind::text(pattern), as_text });
    }
    if matches!(ty.base().kind, TypeKind::Json) {
        return Err(mismatch(column, ty, "equality or order; use a jsonb column"));
    }
    let value = bind(value, ty, column)?;
    Ok(Filter::Compare { column: place, op, value, as_text: false })
}

/// The value of `@>`: an array for arrays, JSON for jsonb, the range's text for ranges.
fn contained(value: &Value, ty: &ColumnType, column: &str) -> Result<Bind, RequestError> {
    match (&ty.base().kind, value) {
        (TypeKind::Jsonb, Value::Text(text)) => {
            let json = crate::query::JsonText::parse(text.as_bytes()).map_err(|_| {
                RequestError::field(
                    RequestCode::DataException,
                    column,
                    format!("the value for '{column}' must be JSON, such as {{\"key\":1}} or [1,2]"),
                )
            })?;
            Ok(Bind { datum: Datum::Text(json.as_text().into()), ty: ty.clone() })
        }
        (TypeKind::Range, Value::Text(text)) => Ok(Bind { datum: Datum::Text(text.clone()), ty: ty.clone() }),
        (
            TypeKind::Jsonb
            | TypeKind::Array(_)
            | TypeKind::Dynamic
            | TypeKind::Cql(CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. }),
            _,
        ) => bind(value, ty, column),
        _ => Err(mismatch(column, ty, "containment; arrays, jsonb and ranges can")),
    }
}

/// Whether `filter` can hold for one row at most, because it fixes every column of a unique index.
pub(super) fn pins_one_row(relation: &Relation, filter: &Filter) -> bool {
    let mut pinned = Vec::new();
    collect_pinned(filter, &mut pinned);
    let fixed =
        |columns: &[usize]| !columns.is_empty() && columns.iter().all(|column| pinned.contains(column));
    !relation.inherited && relation.unique.iter().any(|index| index.total && fixed(&index.columns))
}

fn collect_pinned(filter: &Filter, pinned: &mut Vec<usize>) {
    match filter {
        Filter::Compare { column, op: CompareOp::Eq, .. } => pinned.push(*column),
        Filter::In { column, members, or_null: false } if members.len() == 1 => pinned.push(*column),
        Filter::And(list) => list.iter().for_each(|inner| collect_pinned(inner, pinned)),
        Filter::Compare { .. }
        | Filter::Is { .. }
        | Filter::In { .. }
        | Filter::Contains { .. }
        | Filter::Not(_)
        | Filter::Or(_) => {}
    }
}
