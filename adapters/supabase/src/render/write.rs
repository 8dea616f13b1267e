//! Writes → requests with a body.

use athena_domain::plan::{
    Bind, Conflict, DeletePlan, Filter, InsertPlan, InsertSource, Output, SetValue, Target as Meeting,
    UpdatePlan,
};
use athena_domain::rows::escape_into;
use athena_domain::schema::Relation;

use super::{Call, Inexpressible, Method, Target, cannot, filter};

pub(super) fn insert(plan: &InsertPlan) -> Result<Call, Inexpressible> {
    if matches!(plan.source, InsertSource::Cql(_)) {
        return cannot("PostgREST is not told of rows for CQL", "plan the rows for SQL");
    }
    let relation = &plan.relation;
    let mut target = Target::new(relation);
    let names: Vec<&str> = plan.columns.iter().map(|column| &*relation.columns[*column].name).collect();
    target.parameter("columns", &names.join(","));
    let mut prefer = Vec::new();
    if let Some(conflict) = &plan.conflict {
        if let Meeting::Columns(columns, None) = &conflict.target {
            let names: Vec<&str> = columns.iter().map(|column| &*relation.columns[*column].name).collect();
            if !names.is_empty() {
                target.parameter("on_conflict", &names.join(","));
            }
        } else {
            return cannot(
                "PostgREST meets conflicts on plain columns only",
                "name the columns of a unique index",
            );
        }
        prefer.push(resolution(plan, conflict)?.to_owned());
    }
    let strict = matches!(plan.source, InsertSource::Rows(_));
    if strict {
        prefer.extend(["handling=strict".to_owned(), "missing=default".to_owned()]);
    }
    let body = rows(&names, &plan.source);
    finish(Method::Post, relation, target, prefer, &plan.returning, Some(body), strict)
}

/// What happens to a row that is there already, in PostgREST's words: it takes the values that were to be inserted, or
/// stays and is not returned.
fn resolution(plan: &InsertPlan, conflict: &Conflict) -> Result<&'static str, Inexpressible> {
    const MERGE: &str = "resolution=merge-duplicates";
    let Meeting::Columns(target, _) = &conflict.target else { return Ok(MERGE) };
    let others: Vec<usize> = plan.columns.iter().copied().filter(|column| !target.contains(column)).collect();
    let stays = conflict.set.iter().all(|(_, value)| *value == SetValue::Same);
    if stays {
        return match (others.is_empty() && !target.is_empty(), plan.returning.is_empty()) {
            // Only what was equal in any case is written.
            (true, _) => Ok(MERGE),
            (false, true) => Ok("resolution=ignore-duplicates"),
            (false, false) => cannot(
                "PostgREST does not return a row that was there already and stays as it is",
                "send \"head\": true, or leave `update_body` out to write the inserted values",
            ),
        };
    }
    let merges = |(column, value): &(usize, SetValue)| match value {
        SetValue::Excluded => true,
        SetValue::Given(bind) => is_inserted(plan, *column, bind),
        SetValue::Same => false,
    };
    let every = others.iter().all(|column| conflict.set.iter().any(|(set, _)| set == column));
    if every && conflict.set.iter().all(merges) {
        return Ok(MERGE);
    }
    cannot(
        "on a conflict PostgREST writes the inserted values, all of them and no others",
        "leave `update_body` out, or change the row with /gateway/update",
    )
}

/// Whether every row inserts this very value.
fn is_inserted(plan: &InsertPlan, column: usize, bind: &Bind) -> bool {
    let Some(place) = plan.columns.iter().position(|written| *written == column) else { return false };
    let text = bind.clone().into_text();
    let same = |other: &Bind| other.clone().into_text() == text;
    match &plan.source {
        InsertSource::Row(row) => row.get(place).is_some_and(same),
        InsertSource::Columns(columns) => {
            columns.get(place).is_some_and(|column| column.iter().all(|value| *value == text))
        }
        InsertSource::Rows(rows) => {
            rows.iter().all(|row| row.get(place).and_then(Option::as_ref).is_some_and(same))
        }
        InsertSource::Cql(_) => false,
    }
}

pub(super) fn update(plan: &UpdatePlan) -> Result<Call, Inexpressible> {
    let mut target = Target::new(&plan.relation);
    bounded(&mut target, &plan.relation, &plan.filter)?;
    let mut body = Vec::new();
    let set = plan
        .set
        .iter()
        .map(|(column, bind)| (&*plan.relation.columns[*column].name, Some(bind.clone().into_text())));
    object(set, &mut body);
    let (prefer, strict) = at_most(plan.guard.max_affected);
    finish(Method::Patch, &plan.relation, target, prefer, &plan.returning, Some(body), strict)
}

pub(super) fn delete(plan: &DeletePlan) -> Result<Call, Inexpressible> {
    let mut target = Target::new(&plan.relation);
    bounded(&mut target, &plan.relation, &plan.filter)?;
    let (prefer, strict) = at_most(plan.guard.max_affected);
    finish(Method::Delete, &plan.relation, target, prefer, &plan.returning, None, strict)
}

/// Adds the filter of a write, which must be one.
fn bounded(target: &mut Target, relation: &Relation, filter: &Filter) -> Result<(), Inexpressible> {
    let before = target.0.len();
    filter::parameter(target, relation, filter)?;
    if target.0.len() == before {
        return cannot("the conditions hold for every row", "give a condition that chooses rows");
    }
    Ok(())
}

fn at_most(max_affected: Option<u64>) -> (Vec<String>, bool) {
    match max_affected {
        Some(most) => (vec!["handling=strict".to_owned(), format!("max-affected={most}")], true),
        None => (Vec::new(), false),
    }
}

fn finish(
    method: Method,
    relation: &Relation,
    mut target: Target,
    mut prefer: Vec<String>,
    returning: &[Output],
    body: Option<Vec<u8>>,
    strict: bool,
) -> Result<Call, Inexpressible> {
    prefer.push("count=exact".to_owned());
    if returning.is_empty() {
        prefer.push("return=minimal".to_owned());
    } else {
        prefer.push("return=representation".to_owned());
        target.select(relation, returning);
    }
    let schema = relation.schema.as_ref().into();
    Ok(Call { method, schema, target: target.finish()?, prefer, body, strict })
}

fn rows(names: &[&str], source: &InsertSource) -> Vec<u8> {
    let mut body = Vec::new();
    match source {
        InsertSource::Row(row) => {
            let values = row.iter().map(|bind| Some(bind.clone().into_text()));
            object(names.iter().copied().zip(values), &mut body);
        }
        InsertSource::Columns(columns) => {
            let row = |at: usize, body: &mut Vec<u8>| {
                let values = columns.iter().map(|column| column.get(at).cloned());
                object(names.iter().copied().zip(values), body);
            };
            array(source.rows(), row, &mut body);
        }
        InsertSource::Rows(rows) => {
            let row = |at: usize, body: &mut Vec<u8>| {
                let values = rows[at].iter().map(|bind| bind.clone().map(Bind::into_text));
                object(names.iter().copied().zip(values), body);
            };
            array(rows.len(), row, &mut body);
        }
        // Refused before.
        InsertSource::Cql(_) => {}
    }
    body
}

fn array(rows: usize, row: impl Fn(usize, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    for at in 0..rows {
        if at > 0 {
            out.push(b',');
        }
        row(at, out);
    }
    out.push(b']');
}

/// An object of JSON texts; `Some(None)` is null, `None` leaves the key out.
fn object<'a>(fields: impl Iterator<Item = (&'a str, Option<Option<impl AsRef<str>>>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        escape_into(name, out);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.as_ref().map_or("null", AsRef::as_ref).as_bytes());
    }
    out.push(b'}');
}
