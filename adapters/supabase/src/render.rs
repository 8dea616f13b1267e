//! Plans → requests as PostgREST's grammar has them. Pure: nothing is sent here.

mod call;
mod filter;
mod write;

use athena_domain::plan::{CountPlan, Operation, Order, Output, Plan, SelectPlan};
use athena_domain::query::Nulls;
use athena_domain::query::fetch::Count;
use athena_domain::schema::Relation;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Alias of a column that is for the gateway alone.
pub(crate) const HIDDEN: &str = "athena_hidden";

/// Longest path and query; the HTTP library refuses 64 KiB, and most servers much less.
const MAX_TARGET_BYTES: usize = 60_000;

/// What stands in a query as it is: whatever is not reserved, and the marks of PostgREST's own grammar.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'(')
    .remove(b')')
    .remove(b',')
    .remove(b':')
    .remove(b'*');

/// How a request changes something, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// One request to PostgREST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Method.
    pub method: Method,
    /// Schema, for the profile headers.
    pub schema: Box<str>,
    /// Table and query, encoded.
    pub target: String,
    /// Preferences; none where nothing is preferred.
    pub prefer: Vec<String>,
    /// Body, JSON.
    pub body: Option<Vec<u8>>,
    /// Whether it must not be sent to a server that skips preferences which it does not know.
    pub strict: bool,
}

/// Why a plan is no request to PostgREST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inexpressible {
    /// What PostgREST cannot do.
    pub reason: &'static str,
    /// What would do.
    pub fix: &'static str,
}

fn cannot<T>(reason: &'static str, fix: &'static str) -> Result<T, Inexpressible> {
    Err(Inexpressible { reason, fix })
}

/// A target under construction.
struct Target(String);

impl Target {
    fn new(relation: &Relation) -> Self {
        Self(utf8_percent_encode(&relation.name, PLAIN).to_string())
    }

    fn parameter(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, PLAIN));
    }

    fn select(&mut self, relation: &Relation, outputs: &[Output]) {
        self.parameter("select", &select(relation, outputs));
    }

    fn finish(self) -> Result<String, Inexpressible> {
        if self.0.len() > MAX_TARGET_BYTES {
            return cannot(
                "the conditions are longer than a URL can be, which is where PostgREST reads them",
                "send fewer values, in several requests",
            );
        }
        Ok(self.0)
    }
}

/// Renders a plan.
pub(crate) fn render(plan: &Plan) -> Result<Call, Inexpressible> {
    match &plan.operation {
        Operation::Select(select) => read(select),
        Operation::Count(plan) => count(plan),
        Operation::Insert(insert) => write::insert(insert),
        Operation::Update(update) => write::update(update),
        Operation::Delete(delete) => write::delete(delete),
        Operation::Call(plan) => call::call(plan),
        Operation::Raw(_) | Operation::Cql(_) => cannot(
            "PostgREST runs no SQL of a caller's own",
            "use a client that reaches the PostgreSQL itself",
        ),
    }
}

/// A question that tells whether a server takes preferences strictly, and knows those that writes depend on.
pub(crate) fn probe(relation: &Relation) -> Call {
    let mut target = Target::new(relation);
    target.parameter("limit", "0");
    Call {
        method: Method::Get,
        schema: relation.schema.as_ref().into(),
        target: target.0,
        prefer: ["handling=strict", "max-affected=1", "missing=default"].map(str::to_owned).into(),
        body: None,
        strict: false,
    }
}

fn read(plan: &SelectPlan) -> Result<Call, Inexpressible> {
    let mut target = Target::new(&plan.relation);
    target.select(&plan.relation, &plan.outputs);
    filter::parameter(&mut target, &plan.relation, &plan.filter)?;
    if !plan.order.is_empty() {
        target.parameter("order", &order(&plan.relation, &plan.order));
    }
    if let Some(limit) = plan.limit {
        target.parameter("limit", &limit.to_string());
    }
    if plan.offset > 0 {
        target.parameter("offset", &plan.offset.to_string());
    }
    Ok(Call {
        method: Method::Get,
        schema: plan.relation.schema.as_ref().into(),
        target: target.finish()?,
        prefer: Vec::new(),
        body: None,
        strict: false,
    })
}

/// No rows, and the number of those that match in `Content-Range`. Not HEAD: that says nothing of what went wrong.
fn count(plan: &CountPlan) -> Result<Call, Inexpressible> {
    let mut target = Target::new(&plan.relation);
    filter::parameter(&mut target, &plan.relation, &plan.filter)?;
    target.parameter("limit", "0");
    let prefer = match plan.count {
        Count::Exact => "count=exact",
        Count::Planned => "count=planned",
        Count::Estimated => "count=estimated",
    };
    Ok(Call {
        method: Method::Get,
        schema: plan.relation.schema.as_ref().into(),
        target: target.finish()?,
        prefer: vec![prefer.to_owned()],
        body: None,
        strict: false,
    })
}

/// Whether the output stands for every column.
pub(crate) fn is_every(output: &Output) -> bool {
    output.column == Relation::EVERY
}

/// The key of an output's value in PostgREST's rows.
pub(crate) fn key(output: &Output) -> &str {
    if output.hidden { HIDDEN } else { &output.label }
}

fn select(relation: &Relation, outputs: &[Output]) -> String {
    if outputs.iter().any(is_every) {
        return "*".to_owned();
    }
    let mut list = String::new();
    for output in outputs {
        let name = &*relation.columns[output.column].name;
        if !list.is_empty() {
            list.push(',');
        }
        if key(output) != name {
            list.push_str(key(output));
            list.push(':');
        }
        list.push_str(name);
        if let Some(cast) = &output.cast {
            list.push_str("::");
            list.push_str(&cast.sql);
        }
    }
    list
}

fn order(relation: &Relation, order: &[Order]) -> String {
    let key = |key: &Order| {
        let direction = if key.descending { "desc" } else { "asc" };
        let nulls = match key.nulls {
            None => "",
            Some(Nulls::First) => ".nullsfirst",
            Some(Nulls::Last) => ".nullslast",
        };
        format!("{}.{direction}{nulls}", relation.columns[key.column].name)
    };
    order.iter().map(key).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
