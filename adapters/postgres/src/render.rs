//! Plans → SQL text and what is bound to it. Pure: nothing here runs anything.
//!
//! Every value is bound, with the type it is bound as written beside the placeholder, so that one text
//! always means one set of parameter types and a prepared statement can never meet another type's bytes.
//! Names come from the catalog and are always quoted. `LIMIT` alone is written out: a page size is one of
//! few numbers, and the planner can only choose well when it sees it.

mod after;
mod call;
mod filter;
mod write;

pub(crate) use call::call;

use std::fmt::Write as _;

use athena_domain::plan::{Bind, CountPlan, Datum, Operation, Order, Output, Plan, SelectPlan};
use athena_domain::query::Nulls;
use athena_domain::schema::{ColumnType, Relation, TypeKind};
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;

/// A statement and its arguments.
pub(crate) struct Statement {
    /// Text.
    pub sql: String,
    /// Arguments, in the order of the placeholders.
    pub arguments: PgArguments,
    /// Placeholders so far.
    pub binds: usize,
    /// Whether the text is worth keeping prepared.
    pub persistent: bool,
    /// Whether columns are written with the table's alias `t`.
    qualified: bool,
    /// Whether what is written stands behind NOT, where unknown is not as good as false.
    negated: bool,
}

/// A value that could not be encoded: more bytes than the protocol carries.
#[derive(Debug, thiserror::Error)]
#[error("a value cannot be encoded")]
pub(crate) struct Unencodable(#[source] Box<dyn std::error::Error + Send + Sync>);

type Rendered = Result<(), Unencodable>;

/// Renders every plan but the raw ones.
pub(crate) fn render(plan: &Plan) -> Result<Statement, Unencodable> {
    let mut statement = Statement::new();
    match &plan.operation {
        Operation::Select(select) => statement.select(select)?,
        Operation::Count(count) => statement.count(count)?,
        Operation::Insert(insert) => statement.insert(insert)?,
        Operation::Update(update) => statement.update(update)?,
        Operation::Delete(delete) => statement.delete(delete)?,
        Operation::Raw(raw) => statement.sql.push_str(&raw.query),
        Operation::Call(plan) => statement.sql.push_str(&call(plan, None).query),
        Operation::Cql(_) => return Err(Unencodable("a plan for CQL".into())),
    }
    Ok(statement)
}

/// Whether the decoder reads the type's binary form; the others are asked for as text.
pub(crate) fn is_native(ty: &ColumnType) -> bool {
    match &ty.kind {
        TypeKind::Domain(base) => is_native(base),
        TypeKind::Array(element) => is_native(element) && !matches!(element.kind, TypeKind::Domain(_)),
        TypeKind::Bool
        | TypeKind::Int(_)
        | TypeKind::Float(_)
        | TypeKind::Numeric
        | TypeKind::Text
        | TypeKind::Uuid
        | TypeKind::Json
        | TypeKind::Jsonb
        | TypeKind::Bytes
        | TypeKind::Date
        | TypeKind::Timestamp
        | TypeKind::TimestampTz => true,
        TypeKind::Composite(_) | TypeKind::Range | TypeKind::Cql(_) | TypeKind::Other | TypeKind::Dynamic => {
            false
        }
    }
}

impl Statement {
    fn new() -> Self {
        Self {
            sql: String::with_capacity(256),
            arguments: PgArguments::default(),
            binds: 0,
            persistent: true,
            qualified: false,
            negated: false,
        }
    }

    fn name(&mut self, name: &str) {
        self.sql.push('"');
        if name.contains('"') {
            self.sql.push_str(&name.replace('"', "\"\""));
        } else {
            self.sql.push_str(name);
        }
        self.sql.push('"');
    }

    fn relation(&mut self, relation: &Relation) {
        self.name(&relation.schema);
        self.sql.push('.');
        self.name(&relation.name);
    }

    fn column(&mut self, relation: &Relation, column: usize) {
        self.name(&relation.columns[column].name);
    }

    /// `$n`, bound to what `add` adds.
    fn placeholder<'v, T>(&mut self, value: T) -> Rendered
    where
        T: sqlx::Encode<'v, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.arguments.add(value).map_err(Unencodable)?;
        self.binds += 1;
        self.sql.push('$');
        self.number(self.binds as u64);
        Ok(())
    }

    fn number(&mut self, number: u64) {
        self.sql.push_str(itoa::Buffer::new().format(number));
    }

    /// A typed placeholder. Domains are bound as their base type: assignment checks them.
    fn bind(&mut self, bind: &Bind) -> Rendered {
        let ty = bind.ty.base();
        match (&bind.datum, &ty.kind) {
            (Datum::Int(number), TypeKind::Int(16)) => {
                self.placeholder(i16::try_from(*number).map_err(|e| Unencodable(e.into()))?)?;
                self.sql.push_str("::int2");
            }
            (Datum::Int(number), TypeKind::Int(32)) => {
                self.placeholder(i32::try_from(*number).map_err(|e| Unencodable(e.into()))?)?;
                self.sql.push_str("::int4");
            }
            (Datum::Int(number), _) => {
                self.placeholder(*number)?;
                self.sql.push_str("::int8");
            }
            (Datum::Bool(flag), _) => {
                self.placeholder(*flag)?;
                self.sql.push_str("::bool");
            }
            (Datum::Float(number), _) => {
                self.placeholder(*number)?;
                self.sql.push_str("::float8");
                if matches!(ty.kind, TypeKind::Float(32)) {
                    self.sql.push_str("::float4");
                }
            }
            (Datum::Text(text), _) => {
                self.placeholder(&**text)?;
                self.sql.push_str("::text");
                self.cast_from_text(ty);
            }
            (Datum::Cql(_), _) => return Err(Unencodable("a value of CQL".into())),
            (Datum::Null, _) => {
                self.placeholder(None::<&str>)?;
                self.sql.push_str("::text");
                self.cast_from_text(ty);
            }
        }
        Ok(())
    }

    /// `::type` unless the type takes text as it is.
    fn cast_from_text(&mut self, ty: &ColumnType) {
        if !matches!(&*ty.sql, "text" | "character varying") {
            self.sql.push_str("::");
            self.sql.push_str(&ty.sql);
        }
    }

    /// The list after SELECT or RETURNING; `every` writes `*` where each value is read as it is.
    fn outputs(&mut self, relation: &Relation, outputs: &[Output], every: bool) {
        let star = every && !outputs.is_empty() && outputs.iter().all(|o| is_native(o.ty(relation)));
        if star {
            self.sql.push('*');
        }
        for (index, output) in outputs.iter().filter(|output| !star || output.hidden).enumerate() {
            if star || index > 0 {
                self.sql.push(',');
            }
            let ty = output.ty(relation);
            // The cast to text adds a mask that the type's own text does not have.
            if &*ty.base().sql == "inet" && output.cast.is_none() {
                self.sql.push_str("abbrev(");
                self.column(relation, output.column);
                self.sql.push(')');
                continue;
            }
            self.column(relation, output.column);
            if let Some(cast) = &output.cast {
                self.sql.push_str("::");
                self.sql.push_str(&cast.sql);
            }
            if !is_native(ty) {
                self.sql.push_str("::text");
            }
        }
    }

    fn select(&mut self, plan: &SelectPlan) -> Rendered {
        self.sql.push_str("SELECT ");
        self.outputs(&plan.relation, &plan.outputs, plan.every);
        self.sql.push_str(" FROM ");
        self.relation(&plan.relation);
        self.where_clause(&plan.relation, &plan.filter)?;
        if let Some(after) = &plan.after {
            self.sql.push_str(if plan.filter.is_empty() { " WHERE " } else { " AND " });
            self.after(plan, after)?;
        }
        self.order(&plan.relation, &plan.order);
        if let Some(limit) = plan.limit {
            self.sql.push_str(" LIMIT ");
            self.number(limit);
        }
        if plan.offset > 0 {
            self.sql.push_str(" OFFSET ");
            self.placeholder(i64::try_from(plan.offset).map_err(|e| Unencodable(e.into()))?)?;
            self.sql.push_str("::int8");
        }
        Ok(())
    }

    fn order(&mut self, relation: &Relation, order: &[Order]) {
        for (index, key) in order.iter().enumerate() {
            self.sql.push_str(if index == 0 { " ORDER BY " } else { "," });
            // A bare name would mean the column of the answer, which may be another one, or this one as text.
            self.name(&relation.name);
            self.sql.push('.');
            self.column(relation, key.column);
            if key.descending {
                self.sql.push_str(" DESC");
            }
            match key.nulls {
                Some(Nulls::First) => self.sql.push_str(" NULLS FIRST"),
                Some(Nulls::Last) => self.sql.push_str(" NULLS LAST"),
                None => {}
            }
        }
    }

    fn count(&mut self, plan: &CountPlan) -> Rendered {
        self.sql.push_str("SELECT count(*) FROM ");
        self.relation(&plan.relation);
        self.where_clause(&plan.relation, &plan.filter)
    }

    /// The planner's view of how many rows match, as JSON.
    pub(crate) fn estimate(plan: &CountPlan) -> Result<Self, Unencodable> {
        let mut statement = Self::new();
        statement.sql.push_str("EXPLAIN (FORMAT JSON) SELECT 1 FROM ");
        statement.relation(&plan.relation);
        statement.where_clause(&plan.relation, &plan.filter)?;
        statement.persistent = false;
        Ok(statement)
    }
}

impl Statement {
    /// The statement for the driver.
    pub(crate) fn query(self) -> sqlx::query::Query<'static, sqlx::Postgres, PgArguments> {
        // Safe: the text was written by this module, from quoted catalog names and placeholders only.
        sqlx::query_with(sqlx::AssertSqlSafe(self.sql), self.arguments).persistent(self.persistent)
    }
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The arguments are the caller's data.
        let mut text = String::new();
        write!(text, "{} ({} binds)", self.sql, self.binds)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
