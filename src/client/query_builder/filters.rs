//! Which rows a request is about.

use serde_json::{Value, json};

use super::{Filtered, Query};

impl<V: Filtered> Query<'_, V> {
    /// Any condition: an operator of the gateway's, a column and a value.
    pub fn filter(mut self, operator: &str, column: &str, value: impl Into<Value>) -> Self {
        self.conditions.push(json!({ "operator": operator, "column": column, "value": value.into() }));
        self
    }

    /// Rows whose column equals the value; null means "is null".
    pub fn where_eq(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("eq", column, value)
    }

    /// Rows whose column differs from the value; null means "is not null".
    pub fn where_neq(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("neq", column, value)
    }

    /// Rows whose column is greater.
    pub fn where_gt(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("gt", column, value)
    }

    /// Rows whose column is greater or equal.
    pub fn where_gte(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("gte", column, value)
    }

    /// Rows whose column is less.
    pub fn where_lt(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("lt", column, value)
    }

    /// Rows whose column is less or equal.
    pub fn where_lte(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("lte", column, value)
    }

    /// Rows whose column is one of the values; of none there are no rows.
    pub fn where_in<T: Into<Value>>(self, column: &str, values: Vec<T>) -> Self {
        self.filter("in", column, values.into_iter().map(Into::into).collect::<Vec<Value>>())
    }

    /// Rows whose column matches the pattern, `%` and `_` standing for any text and any character.
    pub fn where_like(self, column: &str, pattern: &str) -> Self {
        self.filter("like", column, pattern)
    }

    /// As [`Query::where_like`], whatever the case.
    pub fn where_ilike(self, column: &str, pattern: &str) -> Self {
        self.filter("ilike", column, pattern)
    }

    /// Rows whose column is null.
    pub fn where_null(self, column: &str) -> Self {
        self.filter("is", column, "null")
    }

    /// Rows whose column is something.
    pub fn where_not_null(self, column: &str) -> Self {
        self.filter("is", column, "not null")
    }

    /// Rows whose column is true, or false; never those where it is null.
    pub fn where_is(self, column: &str, truth: bool) -> Self {
        self.filter("is", column, truth)
    }

    /// Rows whose array, JSON or range contains the value.
    pub fn where_contains(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("contains", column, value)
    }

    /// Rows whose array, JSON or range is contained by the value.
    pub fn where_contained_by(self, column: &str, value: impl Into<Value>) -> Self {
        self.filter("containedBy", column, value)
    }

    /// Rows for which the expression does not hold, such as `name.like.A%`.
    pub fn not(mut self, expression: &str) -> Self {
        self.conditions.push(json!({ "operator": "not", "value": expression }));
        self
    }

    /// Rows for which any of the expressions holds, such as `age.gt.36,name.is.null`.
    pub fn or(mut self, expressions: &str) -> Self {
        self.conditions.push(json!({ "operator": "or", "value": expressions }));
        self
    }

    pub(in crate::client) fn by_id(self, id: Option<Value>) -> Self {
        match id {
            Some(id) => self.where_eq("id", id),
            None => self,
        }
    }
}
