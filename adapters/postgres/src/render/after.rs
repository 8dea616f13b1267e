//! The rows behind a place in an order → WHERE.
//!
//! Where all keys run in one direction and none can be null, this is PostgreSQL's comparison of rows, which an index
//! over the keys answers. Else it is spelled out key by key, and begins with a bound that an index over the first key
//! answers.

use athena_domain::plan::{Bind, Datum, Order, SelectPlan};
use athena_domain::query::Nulls;
use athena_domain::schema::{Column, Relation, TypeKind};

use super::{Statement, Unencodable};

/// One key of the order and the place's value in it.
struct Key<'a> {
    /// Quoted name.
    column: String,
    /// Placeholder with its type; nothing for null.
    value: Option<String>,
    order: &'a Order,
    nullable: bool,
    /// `IS NULL` of a row type means its fields, where the order means the value.
    composite: bool,
}

impl Key<'_> {
    fn nulls_first(&self) -> bool {
        self.order.nulls.map_or(self.order.descending, |nulls| nulls == Nulls::First)
    }

    fn sign(&self) -> char {
        if self.order.descending { '<' } else { '>' }
    }

    /// The rows behind the value.
    fn beyond(&self) -> String {
        match &self.value {
            None if self.nulls_first() => self.null("IS NOT NULL", "IS DISTINCT FROM NULL"),
            None => "false".to_owned(),
            Some(value) => self.compared("", value),
        }
    }

    /// The rows behind the value and beside it; nothing where these are all.
    fn bound(&self) -> Option<String> {
        match &self.value {
            None if self.nulls_first() => None,
            None => Some(self.same()),
            Some(value) => Some(self.compared("=", value)),
        }
    }

    fn compared(&self, equal: &str, value: &str) -> String {
        let (column, sign) = (&self.column, self.sign());
        if self.nullable && !self.nulls_first() {
            format!("({column} {sign}{equal} {value} OR {})", self.is_null())
        } else {
            format!("{column} {sign}{equal} {value}")
        }
    }

    /// The rows beside the value.
    fn same(&self) -> String {
        match &self.value {
            None => self.is_null(),
            Some(value) => format!("{} = {value}", self.column),
        }
    }

    fn is_null(&self) -> String {
        self.null("IS NULL", "IS NOT DISTINCT FROM NULL")
    }

    fn null(&self, plain: &str, composite: &str) -> String {
        format!("{} {}", self.column, if self.composite { composite } else { plain })
    }
}

impl Statement {
    /// The condition that a row stands behind the place `after` in the plan's order.
    pub(super) fn after(&mut self, plan: &SelectPlan, after: &[Bind]) -> Result<(), Unencodable> {
        let mut keys = Vec::with_capacity(after.len());
        for (order, bind) in plan.order.iter().zip(after) {
            keys.push(self.key(&plan.relation, order, bind)?);
        }
        let condition = behind(&keys);
        self.sql.push_str(&condition);
        Ok(())
    }

    /// Binds a value once; it is written wherever it is needed.
    fn key<'a>(
        &mut self,
        relation: &Relation,
        order: &'a Order,
        bind: &Bind,
    ) -> Result<Key<'a>, Unencodable> {
        let start = self.sql.len();
        self.column(relation, order.column);
        let column = self.sql.split_off(start);
        let value = match bind.datum {
            Datum::Null => None,
            _ => {
                self.bind(bind)?;
                Some(self.sql.split_off(start))
            }
        };
        let Column { nullable, ty, .. } = &relation.columns[order.column];
        let composite = matches!(ty.base().kind, TypeKind::Composite(_));
        Ok(Key { column, value, order, nullable: *nullable, composite })
    }
}

fn behind(keys: &[Key<'_>]) -> String {
    let [first, rest @ ..] = keys else { return "false".to_owned() };
    let descending = first.order.descending;
    let plain = |key: &Key<'_>| !key.nullable && key.value.is_some() && key.order.descending == descending;
    if !rest.is_empty() && keys.iter().all(plain) {
        let columns: Vec<&str> = keys.iter().map(|key| key.column.as_str()).collect();
        let values: Vec<&str> = keys.iter().filter_map(|key| key.value.as_deref()).collect();
        return format!("(({}) {} ({}))", columns.join(","), first.sign(), values.join(","));
    }
    if rest.is_empty() {
        return format!("({})", first.beyond());
    }
    let further = format!("({} OR ({} AND {}))", first.beyond(), first.same(), behind(rest));
    match first.bound() {
        Some(bound) => format!("({bound} AND {further})"),
        None => further,
    }
}
