//! What the scope of a key names that no database has: a misspelt rule limits nothing, or opens nothing.

use super::scope::{Scope, TablePattern};
use crate::nearest::nearest;
use crate::query::Condition;
use crate::schema::{Relation, Schema};

/// A name of a scope that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where it stands, as in `columns.users[1]`.
    pub field: String,
    /// What is missing, and what may have been meant.
    pub message: String,
    /// The name that resembles it most.
    pub nearest: Option<String>,
}

/// Every name of `scope` that none of `schemas` has. Each of them must be known; where one is not, nobody can say.
pub fn missing(scope: &Scope, schemas: &[&Schema]) -> Vec<Missing> {
    if schemas.is_empty() || schemas.iter().any(|schema| schema.is_open()) {
        return Vec::new();
    }
    let look = Look { schemas };
    let mut found = Vec::new();
    for (index, pattern) in scope.tables.iter().flatten().enumerate() {
        let opens = TablePattern::opens;
        found.extend(look.relations(pattern, opens, &format!("tables[{index}]")).err());
    }
    for (pattern, names) in &scope.columns {
        let field = format!("columns.{}", pattern.as_str());
        match look.relations(pattern, TablePattern::limits, &field) {
            Ok(relations) => {
                let names = names.iter().enumerate();
                found.extend(names.filter_map(|(index, name)| {
                    column(&relations, name, format!("{field}[{index}]"), pattern)
                }));
            }
            Err(missing) => found.push(missing),
        }
    }
    for filter in &scope.row_filters {
        let field = format!("row_filters.{}", filter.tables.as_str());
        match look.relations(&filter.tables, TablePattern::limits, &field) {
            Ok(relations) => {
                for (index, condition) in filter.conditions.iter().enumerate() {
                    let mut names = Vec::new();
                    named(condition, &mut names);
                    found.extend(names.into_iter().filter_map(|name| {
                        column(&relations, name, format!("{field}[{index}]"), &filter.tables)
                    }));
                }
            }
            Err(missing) => found.push(missing),
        }
    }
    found
}

struct Look<'a> {
    schemas: &'a [&'a Schema],
}

impl<'a> Look<'a> {
    /// The relations that a pattern means, or that it means none.
    fn relations(
        &self,
        pattern: &TablePattern,
        means: fn(&TablePattern, &str, &str, &str) -> bool,
        field: &str,
    ) -> Result<Vec<&'a Relation>, Missing> {
        let all = || {
            let each = |schema: &'a &'a Schema| {
                schema.relations().map(move |relation| (schema.default_schema(), &**relation))
            };
            self.schemas.iter().flat_map(each)
        };
        let meant: Vec<&Relation> = all()
            .filter(|(default, relation)| means(pattern, &relation.schema, &relation.name, default))
            .map(|(_, relation)| relation)
            .collect();
        if !meant.is_empty() || pattern.as_str() == "*" {
            return Ok(meant);
        }
        let text = pattern.as_str();
        let names: Vec<String> = all()
            .map(|(default, relation)| match (text.split_once('.'), *relation.schema == *default) {
                (Some((_, "*")), _) => format!("{}.*", relation.schema),
                (None, true) => relation.name.to_string(),
                _ => format!("{}.{}", relation.schema, relation.name),
            })
            .collect();
        Err(told(field.to_owned(), &format!("no table is meant by `{text}`"), text, &names))
    }
}

/// That a column is in none of the relations. A pattern of many tables need not fit all of them.
fn column(relations: &[&Relation], name: &str, field: String, tables: &TablePattern) -> Option<Missing> {
    if relations.is_empty() || relations.iter().any(|relation| relation.position(name).is_some()) {
        return None;
    }
    let names: Vec<String> = relations
        .iter()
        .flat_map(|relation| relation.columns.iter().map(|column| column.name.to_string()))
        .collect();
    Some(told(field, &format!("`{}` has no column `{name}`", tables.as_str()), name, &names))
}

fn told(field: String, what: &str, name: &str, names: &[String]) -> Missing {
    let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    let meant = nearest.as_ref().map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"));
    Missing { field, message: format!("{what}{meant}"), nearest }
}

/// The columns that a condition names.
fn named<'c>(condition: &'c Condition, names: &mut Vec<&'c str>) {
    match condition {
        Condition::Compare { column, .. }
        | Condition::Is { column, .. }
        | Condition::In { column, .. }
        | Condition::Contains { column, .. } => names.push(column.as_str()),
        Condition::Not(inner) => named(inner, names),
        Condition::And(all) | Condition::Or(all) => all.iter().for_each(|inner| named(inner, names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, ColumnType, TypeKind};

    fn relation(schema: &str, name: &str, columns: &[&str]) -> Relation {
        let column = |name: &&str| Column {
            name: (*name).into(),
            ty: ColumnType::new("text", TypeKind::Text),
            nullable: true,
            writable: true,
        };
        Relation {
            schema: schema.into(),
            name: name.into(),
            columns: columns.iter().map(column).collect(),
            primary_key: Box::default(),
            unique: Vec::new(),
            inherited: false,
            cql: None,
        }
    }

    fn schema(relations: Vec<Relation>) -> Schema {
        Schema::new(relations, Default::default(), vec!["public".into()])
    }

    #[test]
    fn names_that_mean_nothing_are_told_with_what_was_meant() {
        let shop = schema(vec![
            relation("public", "users", &["id", "email"]),
            relation("audit", "events", &["id", "tenant"]),
        ]);
        let other = schema(vec![relation("public", "orders", &["id"])]);
        let check = |tables: &[&str], columns: &str, filters: &str, expected: &[(&str, Option<&str>)]| {
            let tables: Vec<String> = tables.iter().map(|&text| text.to_owned()).collect();
            let scope =
                Scope::from_parts(None, Some(&tables), Some(columns), Some(filters)).expect("a scope");
            let found = missing(&scope, &[&shop, &other]);
            let found: Vec<_> =
                found.iter().map(|one| (one.field.as_str(), one.nearest.as_deref())).collect();
            assert_eq!(found, expected);
        };
        check(&["users", "*", "audit.*", "public.orders"], "{}", "{}", &[]);
        check(
            &["usres", "Users", "audit.event", "adit.*", "elsewhere"],
            "{}",
            "{}",
            &[
                ("tables[0]", Some("users")),
                ("tables[1]", Some("users")),
                ("tables[2]", Some("audit.events")),
                ("tables[3]", Some("audit.*")),
                ("tables[4]", None),
            ],
        );
        check(
            &[],
            r#"{"users":["id","emial"],"Users":["email"],"*":["tenant"],"customer":["id"]}"#,
            "{}",
            &[("columns.users[1]", Some("email")), ("columns.customer", None)],
        );
        let filters = r#"{"users":[{"eq_column":"id","eq_value":1},
            {"operator":"or","value":"email.eq.a,tenat.not.eq.1"}],
            "audit.events":[{"eq_column":"tenat","eq_value":1}]}"#;
        check(
            &[],
            "{}",
            filters,
            &[("row_filters.users[1]", None), ("row_filters.audit.events[0]", Some("tenant"))],
        );
        let scope = Scope::from_parts(None, Some(&["usres".to_owned()]), None, None).expect("a scope");
        let told = missing(&scope, &[&shop]);
        assert_eq!(told[0].message, "no table is meant by `usres`; did you mean `users`?");
        assert_eq!(missing(&scope, &[&shop, &Schema::open("public")]), [], "nobody can say");
        assert_eq!(missing(&scope, &[]), []);
    }
}
