//! Filters: the JSON spellings of contract 6.2, decoded into one tree.

use super::body::{Decoding, JsonText, Object};
use super::grammar;
use super::identifier::Identifier;
use super::value::Value;
use crate::error::{RequestCode, RequestError, excerpt};
use crate::limits::Limits;

/// A comparison with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`, and `IS NULL` for null.
    Eq,
    /// `<>`, and `IS NOT NULL` for null.
    Neq,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `LIKE`
    Like,
    /// `ILIKE`
    Ilike,
}

/// What `is` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IsTest {
    /// `IS NULL`
    Null,
    /// `IS NOT NULL`
    NotNull,
    /// `IS TRUE`
    True,
    /// `IS FALSE`
    False,
    /// `IS UNKNOWN`
    Unknown,
}

/// One filter of a request; a list of them is ANDed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A column against one value.
    Compare {
        /// Column.
        column: Identifier,
        /// Operator.
        op: CompareOp,
        /// Value; null only with `Eq` and `Neq`.
        value: Value,
    },
    /// A column against a truth value.
    Is {
        /// Column.
        column: Identifier,
        /// Test.
        test: IsTest,
    },
    /// Membership; a null member matches null.
    In {
        /// Column.
        column: Identifier,
        /// Members; none matches nothing.
        values: Vec<Value>,
    },
    /// `@>` or, when `by`, `<@`.
    Contains {
        /// Column.
        column: Identifier,
        /// Whether the column is contained by the value.
        by: bool,
        /// Array, object, or the database's own text for them.
        value: Value,
    },
    /// The opposite.
    Not(Box<Condition>),
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
}

/// An operator by name, before its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Compare(CompareOp),
    Is,
    In,
    Contains { by: bool },
}

/// Names of the operators that stand between a column and a value, as callers may write them.
pub(crate) const OPERATORS: &[(&str, Operator)] = &[
    ("eq", Operator::Compare(CompareOp::Eq)),
    ("neq", Operator::Compare(CompareOp::Neq)),
    ("gt", Operator::Compare(CompareOp::Gt)),
    ("gte", Operator::Compare(CompareOp::Gte)),
    ("lt", Operator::Compare(CompareOp::Lt)),
    ("lte", Operator::Compare(CompareOp::Lte)),
    ("like", Operator::Compare(CompareOp::Like)),
    ("ilike", Operator::Compare(CompareOp::Ilike)),
    ("is", Operator::Is),
    ("in", Operator::In),
    ("contains", Operator::Contains { by: false }),
    ("cs", Operator::Contains { by: false }),
    ("containedBy", Operator::Contains { by: true }),
    ("contained_by", Operator::Contains { by: true }),
    ("cd", Operator::Contains { by: true }),
];

impl Operator {
    pub(crate) fn parse(name: &str, field: &str) -> Result<Self, RequestError> {
        let found = OPERATORS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, op)| *op).ok_or_else(|| unknown_operator(name, field))
    }
}

fn unknown_operator(name: &str, field: &str) -> RequestError {
    let known: Vec<&str> = OPERATORS.iter().map(|(known, _)| *known).collect();
    RequestError::field(
        RequestCode::UnknownOperator,
        field,
        format!(
            "unknown operator `{}` in `{field}`; known are: {}, not, or",
            excerpt(name),
            known.join(", ")
        ),
    )
}

/// Counts leaves, members of lists and depth while conditions are read.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    limits: &'a Limits,
    leaves: u64,
    members: u64,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self { limits, leaves: 0, members: 0 }
    }

    pub(crate) fn leaf(&mut self, field: &str) -> Result<(), RequestError> {
        self.leaves += 1;
        let most = self.limits.max_conditions;
        if self.leaves > most {
            return Err(RequestError::limit("max_conditions", most, field, "too many conditions"));
        }
        Ok(())
    }

    pub(crate) fn depth(&self, depth: u64, field: &str) -> Result<(), RequestError> {
        let most = self.limits.max_nesting;
        if depth > most {
            return Err(RequestError::limit("max_nesting", most, field, "conditions are nested too deep"));
        }
        Ok(())
    }

    /// Counts the members of one more list: a database may weigh every list against all others.
    pub(crate) fn list(&mut self, length: usize, field: &str) -> Result<(), RequestError> {
        let (most, before) = (self.limits.max_in_list, self.members);
        self.members = before.saturating_add(length as u64);
        if self.members > most {
            let message = match before {
                0 => format!("the list has {length} members"),
                _ => {
                    format!("the lists of the request have {} members together, with this one", self.members)
                }
            };
            return Err(RequestError::limit("max_in_list", most, field, message));
        }
        Ok(())
    }
}

/// Reads the `conditions` array found at `field`.
///
/// # Errors
/// An entry that is not recognised whole is refused: a dropped filter would widen the result.
pub fn parse_list(
    list: JsonText<'_>,
    field: &str,
    limits: &Limits,
    decoding: Decoding,
) -> Result<Vec<Condition>, RequestError> {
    let mut budget = Budget::new(limits);
    let mut conditions = Vec::new();
    list.each(field, |index, entry| {
        let path = format!("{field}[{index}]");
        conditions.push(parse_entry(entry, &path, &mut budget, decoding)?);
        Ok(())
    })?;
    Ok(conditions)
}

fn parse_entry(
    entry: JsonText<'_>,
    path: &str,
    budget: &mut Budget<'_>,
    decoding: Decoding,
) -> Result<Condition, RequestError> {
    let mut object = entry.expect_object(path)?;
    let operator = match (object.take_string("operator")?, object.take_string("op")?) {
        (Some(_), Some(_)) => {
            return Err(RequestError::invalid(
                path,
                format!("`{path}` has both `operator` and `op`; give one"),
            ));
        }
        (first, second) => first.or(second),
    };
    let condition = match operator {
        Some(name) if name.eq_ignore_ascii_case("or") || name.eq_ignore_ascii_case("not") => {
            let field = object.path("value");
            let text = object
                .take("value")
                .ok_or_else(|| missing(&field, "the expression"))?
                .expect_string(&field)?;
            if let Some(column) = object.take_nullable("column") {
                let _ = column;
                return Err(RequestError::invalid(
                    object.path("column"),
                    format!("`{name}` takes its columns from the expression in `value`; leave `column` out"),
                ));
            }
            if name.eq_ignore_ascii_case("or") {
                grammar::parse_or(&text, &field, budget)?
            } else {
                grammar::parse_not(&text, &field, budget)?
            }
        }
        Some(name) => {
            let operator = Operator::parse(&name, &object.path("operator"))?;
            let column_path = object.path("column");
            let column = object.take("column").ok_or_else(|| missing(&column_path, "the column's name"))?;
            let column = Identifier::parse(&column.expect_string(&column_path)?, &column_path)?;
            let value_path = object.path("value");
            let value = object.take_nullable("value").ok_or_else(|| missing(&value_path, "the value"))?;
            build(column, operator, value, &value_path, budget)?
        }
        None => parse_pair(&mut object, path, budget)?,
    };
    // Even where unknown fields are ignored: a second filter in one object must not be.
    let second = PAIRS.iter().any(|(_, column, value)| object.names().any(|n| n == *column || n == *value));
    if second {
        return Err(RequestError::invalid(
            path,
            format!("`{path}` holds several conditions; give each its own object"),
        ));
    }
    object.finish(decoding)?;
    Ok(condition)
}

/// The operators that have a pair of fields of their own.
const PAIRS: &[(&str, &str, &str)] = &[
    ("eq", "eq_column", "eq_value"),
    ("neq", "neq_column", "neq_value"),
    ("gt", "gt_column", "gt_value"),
    ("gte", "gte_column", "gte_value"),
    ("lt", "lt_column", "lt_value"),
    ("lte", "lte_column", "lte_value"),
    ("like", "like_column", "like_value"),
    ("ilike", "ilike_column", "ilike_value"),
    ("is", "is_column", "is_value"),
    ("in", "in_column", "in_value"),
    ("contains", "contains_column", "contains_value"),
    ("containedBy", "containedBy_column", "containedBy_value"),
];

/// The `<op>_column` / `<op>_value` spelling.
fn parse_pair(
    object: &mut Object<'_>,
    path: &str,
    budget: &mut Budget<'_>,
) -> Result<Condition, RequestError> {
    let present: Vec<_> = PAIRS
        .iter()
        .filter(|(_, column, value)| object.names().any(|name| name == *column || name == *value))
        .collect();
    match present[..] {
        [(operator, column_field, value_field)] => {
            let operator = Operator::parse(operator, path)?;
            let column_path = object.path(column_field);
            let column =
                object.take(column_field).ok_or_else(|| missing(&column_path, "the column's name"))?;
            let column = Identifier::parse(&column.expect_string(&column_path)?, &column_path)?;
            let value_path = object.path(value_field);
            let value = object.take_nullable(value_field).ok_or_else(|| missing(&value_path, "the value"))?;
            build(column, operator, value, &value_path, budget)
        }
        [] => Err(RequestError::invalid(
            path,
            format!(
                "`{path}` is not a condition: write {{\"eq_column\": name, \"eq_value\": value}} or \
                 {{\"operator\": op, \"column\": name, \"value\": value}}"
            ),
        )),
        _ => Err(RequestError::invalid(
            path,
            format!("`{path}` holds several conditions; give each its own object"),
        )),
    }
}

fn missing(field: &str, what: &str) -> RequestError {
    RequestError::field(RequestCode::MissingField, field, format!("`{field}` is required: {what}"))
}

fn build(
    column: Identifier,
    operator: Operator,
    value: JsonText<'_>,
    field: &str,
    budget: &mut Budget<'_>,
) -> Result<Condition, RequestError> {
    if operator == Operator::In {
        let members = value.expect_array(field)?;
        budget.leaf(field)?;
        budget.list(members.len(), field)?;
        let values = members
            .iter()
            .enumerate()
            .map(|(index, member)| member.value(&format!("{field}[{index}]")))
            .collect::<Result<_, _>>()?;
        return Ok(Condition::In { column, values });
    }
    build_leaf(column, operator, value.value(field)?, field, budget)
}

/// A leaf other than `in`, from its decoded value.
pub(crate) fn build_leaf(
    column: Identifier,
    operator: Operator,
    value: Value,
    field: &str,
    budget: &mut Budget<'_>,
) -> Result<Condition, RequestError> {
    budget.leaf(field)?;
    match operator {
        Operator::Compare(op) => match (op, &value) {
            (CompareOp::Eq, Value::Null) => Ok(Condition::Is { column, test: IsTest::Null }),
            (CompareOp::Neq, Value::Null) => Ok(Condition::Is { column, test: IsTest::NotNull }),
            (_, Value::Null) => Err(RequestError::invalid(
                field,
                format!("`{field}` is null, which has no order and no pattern; use `is` or `eq`"),
            )),
            (CompareOp::Like | CompareOp::Ilike, Value::Text(_)) => {
                Ok(Condition::Compare { column, op, value })
            }
            (CompareOp::Like | CompareOp::Ilike, _) => Err(RequestError::invalid(
                field,
                format!("`{field}` must be a string: a pattern with % and _"),
            )),
            _ => Ok(Condition::Compare { column, op, value }),
        },
        Operator::Is => Ok(Condition::Is { column, test: is_test(&value, field)? }),
        Operator::In => {
            budget.list(1, field)?;
            Ok(Condition::In { column, values: vec![value] })
        }
        Operator::Contains { by } => match value {
            Value::Json(ref text) | Value::Text(ref text) => {
                budget.list(contained(text), field)?;
                Ok(Condition::Contains { column, by, value })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Err(RequestError::invalid(
                field,
                format!("`{field}` must be an array or an object, not {}", value.kind()),
            )),
        },
    }
}

/// About how many values an array, an object or the database's text of one holds, at every depth.
fn contained(text: &str) -> usize {
    let (mut commas, mut quoted, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => commas += 1,
            _ => {}
        }
    }
    commas + 1
}

fn is_test(value: &Value, field: &str) -> Result<IsTest, RequestError> {
    let word = match value {
        Value::Null => return Ok(IsTest::Null),
        Value::Bool(true) => return Ok(IsTest::True),
        Value::Bool(false) => return Ok(IsTest::False),
        Value::Text(text) => text.to_ascii_lowercase().replace('_', " "),
        Value::Number(_) | Value::Json(_) => String::new(),
    };
    match word.as_str() {
        "null" => Ok(IsTest::Null),
        "not null" => Ok(IsTest::NotNull),
        "true" => Ok(IsTest::True),
        "false" => Ok(IsTest::False),
        "unknown" => Ok(IsTest::Unknown),
        _ => Err(RequestError::invalid(
            field,
            format!("`{field}` must be null, true, false, unknown or \"not null\""),
        )),
    }
}

#[cfg(test)]
mod tests;
