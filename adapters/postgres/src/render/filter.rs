//! Filters → WHERE.

use athena_domain::plan::Filter;
use athena_domain::query::{CompareOp, IsTest};
use athena_domain::schema::{Relation, TypeKind};

use super::{Rendered, Statement};

impl Statement {
    /// ` WHERE …`, or nothing when every row matches.
    pub(super) fn where_clause(&mut self, relation: &Relation, filter: &Filter) -> Rendered {
        if filter.is_empty() {
            return Ok(());
        }
        self.sql.push_str(" WHERE ");
        self.filter(relation, filter)
    }

    pub(super) fn filter(&mut self, relation: &Relation, filter: &Filter) -> Rendered {
        match filter {
            Filter::And(list) => self.list(relation, list, " AND ", "true"),
            Filter::Or(list) => self.list(relation, list, " OR ", "false"),
            Filter::Not(inner) => {
                self.sql.push_str("(NOT ");
                let outer = std::mem::replace(&mut self.negated, true);
                self.filter(relation, inner)?;
                self.negated = outer;
                self.sql.push(')');
                Ok(())
            }
            Filter::Compare { column, op, value, as_text } => {
                self.sql.push('(');
                self.tested(relation, *column);
                if *as_text {
                    self.sql.push_str("::text");
                }
                self.sql.push_str(match op {
                    CompareOp::Eq => " = ",
                    CompareOp::Neq => " <> ",
                    CompareOp::Gt => " > ",
                    CompareOp::Gte => " >= ",
                    CompareOp::Lt => " < ",
                    CompareOp::Lte => " <= ",
                    CompareOp::Like => " LIKE ",
                    CompareOp::Ilike => " ILIKE ",
                });
                self.bind(value)?;
                self.sql.push(')');
                Ok(())
            }
            Filter::Is { column, test } => {
                self.sql.push('(');
                self.tested(relation, *column);
                self.sql.push_str(match test {
                    IsTest::Null => " IS NULL)",
                    IsTest::NotNull => " IS NOT NULL)",
                    IsTest::True => " IS TRUE)",
                    IsTest::False => " IS FALSE)",
                    IsTest::Unknown => " IS UNKNOWN)",
                });
                Ok(())
            }
            Filter::In { column, members, or_null } => self.membership(relation, *column, members, *or_null),
            Filter::Contains { column, by, value } => {
                self.sql.push('(');
                self.tested(relation, *column);
                self.sql.push_str(if *by { " <@ " } else { " @> " });
                self.bind(value)?;
                self.sql.push(')');
                Ok(())
            }
        }
    }

    fn tested(&mut self, relation: &Relation, column: usize) {
        if self.qualified {
            self.sql.push_str("t.");
        }
        self.column(relation, column);
    }

    fn list(&mut self, relation: &Relation, list: &[Filter], between: &str, none: &str) -> Rendered {
        match list {
            [] => self.sql.push_str(none),
            [only] => self.filter(relation, only)?,
            _ => {
                self.sql.push('(');
                for (index, inner) in list.iter().enumerate() {
                    if index > 0 {
                        self.sql.push_str(between);
                    }
                    self.filter(relation, inner)?;
                    if between == " AND " && !self.negated && has_shorter_twin(list, index) {
                        self.sql.push_str(" IS TRUE");
                    }
                }
                self.sql.push(')');
            }
        }
        Ok(())
    }

    /// One bind however long the list is, so that lists of every length share a prepared statement.
    fn membership(
        &mut self,
        relation: &Relation,
        column: usize,
        members: &[Box<str>],
        or_null: bool,
    ) -> Rendered {
        let ty = relation.columns[column].ty.base();
        self.sql.push('(');
        if matches!(ty.kind, TypeKind::Array(_)) {
            // An array of arrays would be taken apart by ANY.
            self.sql.push_str("false");
            for member in members {
                self.sql.push_str(" OR ");
                self.tested(relation, column);
                self.sql.push_str(" = ");
                self.placeholder(&**member)?;
                self.sql.push_str("::text");
                self.cast_from_text(ty);
            }
            self.persistent = false;
        } else {
            self.tested(relation, column);
            self.sql.push_str(" = ANY(");
            let members: Vec<String> = members.iter().map(|member| member.to_string()).collect();
            self.placeholder(members)?;
            self.sql.push_str("::text[]");
            if &*ty.sql != "text" {
                self.sql.push_str("::");
                self.sql.push_str(&ty.sql);
                self.sql.push_str("[]");
            }
            self.sql.push(')');
        }
        if or_null {
            self.sql.push_str(" OR ");
            self.tested(relation, column);
            self.sql.push_str(" IS NULL");
        }
        self.sql.push(')');
        Ok(())
    }
}

/// Whether a shorter list for the same column must hold too. An index serves with one list a column: the database
/// would weigh all combinations of several, and more of them than there are numbers for. It takes no index for a list
/// that is tested for being true.
fn has_shorter_twin(list: &[Filter], place: usize) -> bool {
    let size = |filter: &Filter| match filter {
        Filter::In { column, members, .. } => Some((*column, members.len())),
        _ => None,
    };
    let Some((column, length)) = size(&list[place]) else { return false };
    list.iter().enumerate().any(|(other, filter)| {
        size(filter).is_some_and(|(of, members)| of == column && (members, other) < (length, place))
    })
}
