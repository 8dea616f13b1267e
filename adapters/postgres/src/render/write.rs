//! Writes → INSERT, UPDATE, DELETE.

use athena_domain::plan::{
    Conflict, DeletePlan, Filter, InsertPlan, InsertSource, Output, SetValue, Target, UpdatePlan,
};
use athena_domain::schema::Relation;

use super::{Rendered, Statement, Unencodable};

impl Statement {
    pub(super) fn insert(&mut self, plan: &InsertPlan) -> Rendered {
        let relation = &plan.relation;
        self.sql.push_str("INSERT INTO ");
        self.relation(relation);
        // The alias is what `Same` refers to.
        self.sql.push_str(" AS t (");
        self.columns(relation, &plan.columns);
        self.sql.push(')');
        match &plan.source {
            InsertSource::Row(binds) => {
                for (index, bind) in binds.iter().enumerate() {
                    self.sql.push_str(if index == 0 { " VALUES (" } else { "," });
                    self.bind(bind)?;
                }
                self.sql.push(')');
            }
            InsertSource::Columns(columns) => self.columns_of_text(plan, columns)?,
            InsertSource::Cql(_) => return Err(Unencodable("rows for CQL".into())),
            InsertSource::Rows(rows) => {
                self.persistent = false;
                for (index, row) in rows.iter().enumerate() {
                    self.sql.push_str(if index == 0 { " VALUES (" } else { ",(" });
                    for (place, cell) in row.iter().enumerate() {
                        if place > 0 {
                            self.sql.push(',');
                        }
                        match cell {
                            Some(bind) => self.bind(bind)?,
                            None => self.sql.push_str("DEFAULT"),
                        }
                    }
                    self.sql.push(')');
                }
            }
        }
        if let Some(conflict) = &plan.conflict {
            self.conflict(relation, conflict)?;
            if let Some(check) = &plan.check {
                // A row that is there and that the caller may not touch stays as it is, and is then missing.
                self.sql.push_str(" WHERE ");
                self.qualified_filter(relation, check)?;
            }
        }
        self.returning(relation, &plan.returning, plan.check.as_ref())
    }

    /// ` SELECT u.c0::type, … FROM unnest($1::text[], …) AS u(c0, …)`.
    fn columns_of_text(&mut self, plan: &InsertPlan, columns: &[Vec<Option<impl AsRef<str>>>]) -> Rendered {
        self.sql.push_str(" SELECT ");
        for (index, &column) in plan.columns.iter().enumerate() {
            self.sql.push_str(if index == 0 { "u.c" } else { ",u.c" });
            self.number(index as u64);
            self.cast_from_text(plan.relation.columns[column].ty.base());
        }
        self.sql.push_str(" FROM unnest(");
        for (index, cells) in columns.iter().enumerate() {
            if index > 0 {
                self.sql.push(',');
            }
            let cells: Vec<Option<&str>> =
                cells.iter().map(|cell| cell.as_ref().map(AsRef::as_ref)).collect();
            self.placeholder(cells)?;
            self.sql.push_str("::text[]");
        }
        self.sql.push_str(") AS u(");
        for index in 0..columns.len() {
            self.sql.push_str(if index == 0 { "c" } else { ",c" });
            self.number(index as u64);
        }
        self.sql.push(')');
        Ok(())
    }

    fn conflict(&mut self, relation: &Relation, conflict: &Conflict) -> Rendered {
        self.sql.push_str(" ON CONFLICT ");
        match &conflict.target {
            Target::Columns(columns, predicate) => {
                self.sql.push('(');
                self.columns(relation, columns);
                self.sql.push(')');
                if let Some(predicate) = predicate {
                    // A prepared plan could not prove that a parameter fits the index's predicate.
                    self.persistent = false;
                    self.where_clause(relation, predicate)?;
                }
            }
            Target::Constraint(name) => {
                self.sql.push_str("ON CONSTRAINT ");
                self.name(name);
            }
        }
        self.sql.push_str(" DO UPDATE SET ");
        for (index, (column, value)) in conflict.set.iter().enumerate() {
            if index > 0 {
                self.sql.push(',');
            }
            self.column(relation, *column);
            self.sql.push_str(" = ");
            match value {
                SetValue::Given(bind) => self.bind(bind)?,
                SetValue::Excluded => {
                    self.sql.push_str("EXCLUDED.");
                    self.column(relation, *column);
                }
                SetValue::Same => {
                    self.sql.push_str("t.");
                    self.column(relation, *column);
                }
            }
        }
        Ok(())
    }

    pub(super) fn update(&mut self, plan: &UpdatePlan) -> Rendered {
        self.sql.push_str("UPDATE ");
        self.relation(&plan.relation);
        for (index, (column, bind)) in plan.set.iter().enumerate() {
            self.sql.push_str(if index == 0 { " SET " } else { "," });
            self.column(&plan.relation, *column);
            self.sql.push_str(" = ");
            self.bind(bind)?;
        }
        self.where_clause(&plan.relation, &plan.filter)?;
        self.returning(&plan.relation, &plan.returning, plan.check.as_ref())
    }

    pub(super) fn delete(&mut self, plan: &DeletePlan) -> Rendered {
        self.sql.push_str("DELETE FROM ");
        self.relation(&plan.relation);
        self.where_clause(&plan.relation, &plan.filter)?;
        self.returning(&plan.relation, &plan.returning, None)
    }

    fn columns(&mut self, relation: &Relation, columns: &[usize]) {
        for (index, &column) in columns.iter().enumerate() {
            if index > 0 {
                self.sql.push(',');
            }
            self.column(relation, column);
        }
    }

    /// ` RETURNING …`; with a check, whether the written row meets it stands at the end.
    fn returning(&mut self, relation: &Relation, outputs: &[Output], check: Option<&Filter>) -> Rendered {
        if outputs.is_empty() && check.is_none() {
            return Ok(());
        }
        self.sql.push_str(" RETURNING ");
        self.outputs(relation, outputs, false);
        if let Some(check) = check {
            self.sql.push_str(if outputs.is_empty() { "(" } else { ",(" });
            self.filter(relation, check)?;
            self.sql.push_str(" IS TRUE)");
        }
        Ok(())
    }

    /// A filter where another row of the same columns is in sight.
    fn qualified_filter(&mut self, relation: &Relation, filter: &Filter) -> Rendered {
        self.qualified = true;
        let rendered = self.filter(relation, filter);
        self.qualified = false;
        rendered
    }
}
