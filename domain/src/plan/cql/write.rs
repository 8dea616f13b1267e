//! Writes. CQL writes without looking: an insert replaces what is there, an update makes a row that is not. What looks
//! (`IF`) is of one row, or of one partition; nothing that was written can be undone.

use std::collections::HashSet;
use std::time::Duration;

use super::access::{can_be_found, may_be_there, restrictions};
use super::condition::{can_be_asked, demanded};
use super::demand::Demand;
use super::known::row_that_is_there;
use super::members::{Identity, Members, identity};
use super::rows::{existing, invalid, keys};
use super::scope::{in_scope, stays_in_scope, visible};
use super::stage::table;
use super::terms::{Term, terms};
use super::work::Work;
use super::{Batch, CqlDelete, CqlInsert, CqlUpdate, CqlValue, Existing, Restriction, refuse};
use crate::error::{RequestCode, RequestError};
use crate::limits::Limits;
use crate::plan::bind::Datum;
use crate::plan::{Bind, DeletePlan, Filter, Guard, InsertPlan, InsertSource, UpdatePlan};
use crate::schema::{CqlTable, Relation};

/// How far ahead of the gateway's clock a write may be dated. Clocks differ; but what is dated later than the writes
/// after it keeps every one of them from having an effect, and none says so.
const MAX_AHEAD: Duration = Duration::from_secs(3600);

/// Most rows of one write.
const MAX_ROWS: usize = 100;

pub(super) struct Writes<'a> {
    pub limits: &'a Limits,
    /// The time that it is.
    pub since_1970: Duration,
}

impl Writes<'_> {
    pub(super) fn insert(&self, plan: InsertPlan) -> Result<CqlInsert, RequestError> {
        let relation = plan.relation;
        let table = writable(&relation)?;
        can_be_kept(plan.guard)?;
        let mut rows = match plan.source {
            InsertSource::Cql(rows) => rows,
            InsertSource::Row(_) | InsertSource::Rows(_) | InsertSource::Columns(_) => {
                return Err(invalid("its rows cannot be written"));
            }
        };
        self.not_too_many("insert_body", rows.len())?;
        if let Some(most) = plan.guard.max_affected.filter(|most| rows.len() as u64 > *most) {
            return Err(RequestError::field(
                RequestCode::TooManyRows,
                "max_affected",
                format!("the insert is of {} rows, more than `max_affected` ({most}) allows", rows.len()),
            ));
        }
        let existing = match plan.if_not_exists {
            true => Existing::Told,
            false => existing(&relation, plan.conflict.as_ref())?,
        };
        row_that_is_there(&relation, existing)?;
        if plan.stamp.timestamp.is_some() && existing != Existing::Changes {
            return Err(refuse(
                "timestamp",
                "an insert looks whether its row is there already, and a write that looks is dated by the database"
                    .to_owned(),
                "write it as an upsert, with `on_conflict` on the primary key, or leave `timestamp` out".to_owned(),
            ));
        }
        self.not_ahead(plan.stamp.timestamp)?;
        let several = rows.len() > 1;
        for column in &plan.columns {
            not_static(&relation, table, *column)?;
        }
        if existing != Existing::Changes {
            // A null for what is new would be kept as a deletion.
            for value in rows.iter_mut().flatten().filter(|value| **value == CqlValue::Null) {
                *value = CqlValue::Unset;
            }
        }
        let partitions = keys(&relation, table, existing, &plan.columns, &rows)?;
        let batch = match (several, partitions, existing) {
            (false, ..) => Batch::Single,
            (true, 1, Existing::Refuses | Existing::Changes) => Batch::Partition,
            (true, _, Existing::Changes) => Batch::Logged,
            (true, 1, Existing::Stays | Existing::Told) => {
                return Err(refuse(
                    "update_body",
                    "rows that are there already would keep the others from being written".to_owned(),
                    "send the rows one by one".to_owned(),
                ));
            }
            (true, _, Existing::Refuses | Existing::Stays | Existing::Told) => {
                return Err(refuse(
                    "insert_body",
                    format!(
                        "the rows belong to {partitions} partitions, and the database can look for rows that are \
                         there already, and write all or none, in one partition only"
                    ),
                    "send the rows one by one, or as an upsert with `on_conflict` on the primary key"
                        .to_owned(),
                ));
            }
        };
        if let Some(check) = &plan.check {
            in_scope(&relation, table, check, existing, &plan.columns, &rows)?;
        }
        let visible = visible(&relation, plan.check.as_ref())?;
        Ok(CqlInsert {
            visible,
            columns: plan.columns,
            rows,
            existing,
            batch,
            stamp: plan.stamp,
            returning: plan.returning,
            relation,
        })
    }

    pub(super) fn update(&self, plan: UpdatePlan) -> Result<CqlUpdate, RequestError> {
        let relation = plan.relation;
        let table = writable(&relation)?;
        can_be_kept(plan.guard)?;
        let mut set = Vec::with_capacity(plan.set.len());
        for (column, Bind { datum, .. }) in plan.set {
            let name = &relation.columns[column].name;
            if relation.primary_key.contains(&column) {
                return Err(refuse(
                    name,
                    format!(
                        "'{name}' is of the primary key, which says where a row is kept and cannot change"
                    ),
                    "insert a row with the new key and delete the old one".to_owned(),
                ));
            }
            not_static(&relation, table, column)?;
            let Datum::Cql(value) = datum else { return Err(invalid("a value cannot be written")) };
            set.push((column, value));
        }
        let (rows, condition) =
            self.found(&relation, table, &plan.filter, plan.only_if.as_ref(), plan.guard)?;
        if let Some(check) = &plan.check {
            stays_in_scope(&relation, check, &set)?;
        }
        let visible = visible(&relation, plan.check.as_ref())?;
        let (told, ttl) = (plan.only_if.is_some(), plan.stamp.ttl);
        if plan.stamp.timestamp.is_some() {
            return Err(refuse(
                "timestamp",
                "an update looks whether its row is there, and a write that looks is dated by the database".to_owned(),
                "insert the row's key and new values with `on_conflict` on the primary key, which makes a row that is \
                 not there, or leave `timestamp` out"
                    .to_owned(),
            ));
        }
        if table.counter {
            added_alone(&relation, &condition, told, ttl)?;
        }
        Ok(CqlUpdate {
            visible,
            rows,
            set,
            added: table.counter,
            ttl,
            condition,
            told,
            returning: plan.returning,
            relation,
        })
    }

    pub(super) fn delete(&self, plan: DeletePlan) -> Result<CqlDelete, RequestError> {
        let relation = plan.relation;
        let table = writable(&relation)?;
        can_be_kept(plan.guard)?;
        let (rows, condition) =
            self.found(&relation, table, &plan.filter, plan.only_if.as_ref(), plan.guard)?;
        if table.counter {
            return Err(refuse(
                "table_name",
                format!(
                    "a counter of '{}' that was deleted may not count when it is added to again",
                    relation.name
                ),
                "take away what it has with a negative `increment`, or use /gateway/query".to_owned(),
            ));
        }
        let told = plan.only_if.is_some();
        if plan.timestamp.is_some() && (told || !condition.is_empty()) {
            return Err(refuse(
                "timestamp",
                "the database dates a removal by itself that depends on what the row holds".to_owned(),
                "name the rows by their primary keys only, or leave `timestamp` out".to_owned(),
            ));
        }
        self.not_ahead(plan.timestamp)?;
        Ok(CqlDelete {
            rows,
            condition,
            timestamp: plan.timestamp,
            told,
            returning: plan.returning,
            relation,
        })
    }

    /// Checks that a write is not dated so late that those after it would do nothing.
    fn not_ahead(&self, timestamp: Option<i64>) -> Result<(), RequestError> {
        let latest = (self.since_1970 + MAX_AHEAD).as_micros();
        if timestamp.is_some_and(|micros| i128::from(micros) > latest as i128) {
            let message = format!(
                "`timestamp` is more than {} seconds ahead of now; until then no other write of these values would have \
                 an effect",
                MAX_AHEAD.as_secs()
            );
            let fix = "give microseconds since 1970, not later than now, or leave `timestamp` out";
            return Err(RequestError::invalid("timestamp", message).hint(fix));
        }
        Ok(())
    }

    fn not_too_many(&self, field: &str, rows: usize) -> Result<(), RequestError> {
        let most = MAX_ROWS.min(usize::try_from(self.limits.max_rows).unwrap_or(usize::MAX));
        if rows > most {
            return Err(refuse(
                field,
                format!("the request writes {rows} rows; without transactions it may write {most} at most"),
                format!("write at most {most} rows in one request"),
            ));
        }
        Ok(())
    }

    /// The rows that a filter names by their whole primary keys, and what they must be besides.
    fn found(
        &self,
        relation: &Relation,
        table: &CqlTable,
        filter: &Filter,
        only_if: Option<&Filter>,
        guard: Guard,
    ) -> Result<(Vec<Vec<Restriction>>, Vec<Restriction>), RequestError> {
        let work = Work::default();
        let mut terms = terms(relation, filter, &work)?;
        for term in &terms {
            can_be_found(relation, table, term)?;
        }
        terms.retain_mut(|term| may_be_there(table, term));
        let (mut rows, mut seen): (Vec<Term>, HashSet<Vec<Identity>>) = (Vec::new(), HashSet::new());
        let mut condition: Option<Term> = None;
        for mut term in terms {
            let mut keys = vec![Term::new()];
            for column in &relation.primary_key {
                let members =
                    term.remove(column).and_then(|demand| demand.among).ok_or_else(|| no_key(relation))?;
                self.not_too_many("conditions", keys.len().saturating_mul(members.len()))?;
                let with = |key: &Term| {
                    let longer = |member: Members| {
                        let mut key = key.clone();
                        key.insert(*column, Demand::among(member));
                        key
                    };
                    members.singles().map(longer).collect::<Vec<_>>()
                };
                keys = keys.iter().flat_map(with).collect();
            }
            if condition.as_ref().is_some_and(|before| *before != term) {
                return Err(refuse(
                    "conditions",
                    "the alternatives of `or` name rows that must meet different conditions".to_owned(),
                    "send the alternatives as requests of their own".to_owned(),
                ));
            }
            condition = Some(term);
            rows.extend(keys.into_iter().filter(|key| seen.insert(key_identity(key))));
            self.not_too_many("conditions", rows.len())?;
        }
        let mut condition = restrictions(relation, &condition.unwrap_or_default());
        if let Some(only_if) = only_if {
            if rows.len() > 1 {
                return Err(refuse(
                    "conditions",
                    format!("the answer of `if` is of one row, and the conditions name {} rows", rows.len()),
                    "send a request for each of the rows".to_owned(),
                ));
            }
            condition.extend(demanded(relation, only_if, &work)?);
        }
        can_be_asked(relation, table, &condition)?;
        if let Some(most) = guard.max_affected.filter(|most| rows.len() as u64 > *most) {
            return Err(refuse(
                "max_affected",
                format!(
                    "the conditions name {} rows, and no write can be undone when more than {most} are there",
                    rows.len()
                ),
                format!("name at most {most} rows, or allow more with `max_affected`"),
            ));
        }
        let rows = rows.iter().map(|key| restrictions(relation, key)).collect();
        Ok((rows, condition))
    }
}

fn key_identity(key: &Term) -> Vec<Identity> {
    key.values().filter_map(Demand::single).map(identity).collect()
}

fn no_key(relation: &Relation) -> RequestError {
    let key: Vec<_> = relation.primary_key.iter().map(|column| &*relation.columns[*column].name).collect();
    refuse(
        "conditions",
        format!(
            "rows of '{}' are written by their whole primary key, which the conditions do not give",
            relation.name
        ),
        format!("give each of {} by eq or in; read the keys first where they are not known", key.join(", ")),
    )
}

fn writable(relation: &Relation) -> Result<&CqlTable, RequestError> {
    let table = table(relation)?;
    let name = &relation.name;
    if table.view {
        let reason = format!("'{name}' is a materialized view, which the database writes by itself");
        return Err(refuse("table_name", reason, "write to the table that it is made of".to_owned()));
    }
    Ok(table)
}

/// Checks that counters are added to by the key of their row and nothing else.
fn added_alone(
    relation: &Relation,
    condition: &[Restriction],
    told: bool,
    ttl: Option<i32>,
) -> Result<(), RequestError> {
    let reason = "the database adds to a counter without looking at it".to_owned();
    if told {
        return Err(refuse("if", reason, "leave `if` out".to_owned()));
    }
    if let Some(first) = condition.first() {
        let name = &relation.columns[first.column].name;
        return Err(refuse(name, reason, "name the rows by their primary keys only".to_owned()));
    }
    if ttl.is_some() {
        let reason = "counters stay until they are deleted".to_owned();
        return Err(refuse("ttl", reason, "leave `ttl` out".to_owned()));
    }
    Ok(())
}

/// A value that all rows of a partition share is not written with one of them.
fn not_static(relation: &Relation, table: &CqlTable, column: usize) -> Result<(), RequestError> {
    if !table.statics.contains(&column) {
        return Ok(());
    }
    let name = &relation.columns[column].name;
    Err(refuse(
        name,
        format!("'{name}' is static: it would change in every row of the partition"),
        "leave it out, and use /gateway/query to change it for the whole partition".to_owned(),
    ))
}

fn can_be_kept(guard: Guard) -> Result<(), RequestError> {
    if guard.dry_run {
        return Err(refuse(
            "dry_run",
            "the database has no transactions, so that nothing can be written and undone".to_owned(),
            "read the rows instead".to_owned(),
        ));
    }
    Ok(())
}
