//! An ordinary plan → a plan for CQL that means the same, or the reason why there is none and what to do instead.

use std::time::Duration;

use super::access::{Access, access};
use super::order::{ranges, sortable};
use super::write::Writes;
use super::{CqlCount, CqlPage, CqlPlan, CqlRead, known, refuse};
use crate::error::RequestError;
use crate::limits::Limits;
use crate::plan::{CountPlan, Operation, Order, Output, SelectPlan};
use crate::query::fetch::Count;
use crate::schema::{CqlRules, CqlTable, Relation};

/// Turns `operation` into one for CQL.
///
/// # Errors
/// What cannot be said in CQL with the same meaning.
pub(in crate::plan) fn stage(
    operation: Operation,
    rules: CqlRules,
    limits: &Limits,
    since_1970: Duration,
) -> Result<Operation, RequestError> {
    ranges(&operation, rules)?;
    known::columns(&operation)?;
    let writes = Writes { limits, since_1970 };
    Ok(Operation::Cql(match operation {
        Operation::Select(select) => CqlPlan::Read(read(select, rules, limits)?),
        Operation::Count(plan) => CqlPlan::Count(count(plan, rules)?),
        Operation::Insert(insert) => CqlPlan::Insert(writes.insert(insert)?),
        Operation::Update(update) => CqlPlan::Update(writes.update(update)?),
        Operation::Delete(delete) => CqlPlan::Delete(writes.delete(delete)?),
        Operation::Cql(_) | Operation::Call(_) | Operation::Raw(_) => return Ok(operation),
    }))
}

/// What is special about the table; without it nothing is known of its keys.
pub(super) fn table(relation: &Relation) -> Result<&CqlTable, RequestError> {
    relation.cql.as_ref().ok_or_else(|| {
        refuse(
            "table_name",
            format!("nothing is known of the key of '{}'", relation.name),
            "use /gateway/query".to_owned(),
        )
    })
}

fn read(select: SelectPlan, rules: CqlRules, limits: &Limits) -> Result<CqlRead, RequestError> {
    let relation = select.relation;
    let keys = table(&relation)?;
    let access = access(&relation, keys, &select.filter, rules)?;
    let reversed = order(&relation, keys, &access, &select.order, rules)?;
    window(select.offset, select.limit, limits)?;
    if access.filtering {
        capped(select.limit, rules)?;
    }
    let mut outputs = select.outputs;
    let mut distinct = Vec::new();
    if !access.disjoint {
        let remembered = select.limit.map(|limit| select.offset.saturating_add(limit));
        if remembered.is_none_or(|rows| rows > limits.max_rows) {
            return Err(refuse(
                "conditions",
                format!(
                    "one row may match several alternatives of `or`, and more than `limits.max_rows` ({}) rows would \
                     have to be remembered to return none twice",
                    limits.max_rows
                ),
                "give a smaller `limit`, or send the alternatives as requests of their own".to_owned(),
            ));
        }
        for &column in &relation.primary_key {
            let place = outputs.iter().position(|output| output.column == column && output.cast.is_none());
            distinct.push(place.unwrap_or(outputs.len()));
            if place.is_none() {
                let label = relation.columns[column].name.clone();
                outputs.push(Output { column, cast: None, label, hidden: true });
            }
        }
    }
    let nothing = select.limit == Some(0);
    Ok(CqlRead {
        reads: if nothing { Vec::new() } else { access.reads },
        outputs,
        every: select.every,
        distinct,
        reversed,
        skip: select.offset,
        limit: select.limit.filter(|_| !nothing),
        filtering: access.filtering,
        unbounded: select.unbounded,
        page: None,
        relation,
    })
}

/// Narrows a read to one page of it.
///
/// # Errors
/// A read whose rows only the gateway can tell apart.
pub(in crate::plan) fn paged(read: &mut CqlRead, page: CqlPage) -> Result<(), RequestError> {
    if !read.distinct.is_empty() {
        return Err(refuse(
            "conditions",
            "one row may match several alternatives of `or`, and on a later page nobody knows which rows came before"
                .to_owned(),
            "send the alternatives as requests of their own, or read them at once with a `limit`".to_owned(),
        ));
    }
    // The page is what bounds it, so that the statement is the same from page to page.
    read.limit = None;
    read.page = Some(page);
    Ok(())
}

/// Whether the order asked for is the reverse of the clustering order; any other than that or the order itself is
/// refused.
fn order(
    relation: &Relation,
    table: &CqlTable,
    access: &Access,
    order: &[Order],
    rules: CqlRules,
) -> Result<bool, RequestError> {
    // A column with one value has no part in an order.
    let order: Vec<&Order> = order.iter().filter(|key| !access.fixed.contains(&key.column)).collect();
    if order.is_empty() || access.reads.is_empty() {
        return Ok(false);
    }
    let refused = |reason: String| {
        let keys = table.clustering.iter().map(|clustering| {
            let direction = if clustering.descending { "desc" } else { "asc" };
            format!("{} {direction}", relation.columns[clustering.column].name)
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let partition: Vec<_> = table.partition.iter().map(|at| &*relation.columns[*at].name).collect();
        let fix = match keys.is_empty() {
            true => "leave `sort_by` out and sort the rows yourself".to_owned(),
            false => format!(
                "give each of {} by eq and sort by {keys}, or by all of that in reverse; or sort the rows yourself",
                partition.join(", ")
            ),
        };
        refuse("sort_by", reason, fix)
    };
    if access.reads.len() > 1 {
        return Err(refused("rows of several reads come one read after the other".to_owned()));
    }
    if table.partition.iter().any(|column| !access.fixed.contains(column)) {
        return Err(refused("rows have an order inside one partition only".to_owned()));
    }
    if access.indexed {
        return Err(refused("rows that an index finds have no order".to_owned()));
    }
    let mut clustering =
        table.clustering.iter().filter(|clustering| !access.fixed.contains(&clustering.column));
    let mut reversed = None;
    for key in order {
        let in_place = clustering.next().filter(|clustering| clustering.column == key.column);
        let turned = in_place.map(|clustering| clustering.descending != key.descending);
        match (turned, reversed) {
            (Some(turned), None) => reversed = Some(turned),
            (Some(turned), Some(before)) if turned == before => {}
            _ => {
                return Err(refused(
                    "that is not the order in which the rows of a partition are kept".to_owned(),
                ));
            }
        }
        sortable(relation, key.column, rules)?;
    }
    Ok(reversed.unwrap_or(false))
}

/// Rows are skipped by reading them, so that there may not be too many.
fn window(offset: u64, limit: Option<u64>, limits: &Limits) -> Result<(), RequestError> {
    if offset > 0 && offset.saturating_add(limit.unwrap_or(0)) > limits.max_rows {
        return Err(refuse(
            "offset",
            format!(
                "the database has no offset: every row before the page would be read, and `offset` with `limit` is \
                 more than `limits.max_rows` ({})",
                limits.max_rows
            ),
            "go from page to page with `cursor` (`\"cursor\": \"\"` begins), or read all rows at once with Accept: \
             application/x-ndjson"
                .to_owned(),
        ));
    }
    Ok(())
}

fn capped(limit: Option<u64>, rules: CqlRules) -> Result<(), RequestError> {
    let most = rules.max_filtered_rows;
    if limit.is_none_or(|limit| limit > most) {
        return Err(refuse(
            "limit",
            format!("a read that looks at rows which it does not return may return {most} rows at most"),
            format!("give a `limit` of {most} at most, or conditions that the key answers"),
        ));
    }
    Ok(())
}

fn count(plan: CountPlan, rules: CqlRules) -> Result<CqlCount, RequestError> {
    if plan.count != Count::Exact {
        return Err(refuse(
            "count",
            "the database makes no estimate of how many rows match".to_owned(),
            "ask for `count`: \"exact\", or for none".to_owned(),
        ));
    }
    let access = access(&plan.relation, table(&plan.relation)?, &plan.filter, rules)?;
    if !access.disjoint {
        return Err(refuse(
            "count",
            "one row may match several alternatives of `or`, and would be counted for each".to_owned(),
            "count the alternatives in requests of their own".to_owned(),
        ));
    }
    let most = access.filtering.then_some(rules.max_filtered_rows);
    Ok(CqlCount { reads: access.reads, filtering: access.filtering, most, relation: plan.relation })
}
