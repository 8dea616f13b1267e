#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

mod conditional;
mod foreign;
mod keys;
mod properties;
mod reads;
mod scope;
mod steps;
mod tuning;
mod writes;

use super::*;
use crate::access::Authority;
use crate::limits::Limits;
use crate::plan::{KeyValue, Operation, PageStart, Plan, PlanOptions, Planner};
use crate::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use crate::rows::RowFormat;
use crate::schema::{
    Clustering, Column, ColumnType, Consistency, CqlIndex, CqlRules, CqlTable, CqlType, Dialect, IndexKind,
    IndexTarget, Schema,
};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// The usual bounds, but for lists that some owners of databases let be longer.
fn limits() -> Limits {
    Limits { max_in_list: 1_000_000, ..Limits::default() }
}

/// Counts a value that is looked at.
pub(super) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// How often values are looked at meanwhile.
fn steps(meanwhile: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    meanwhile();
    STEPS.get() - before
}

fn column(name: &str, ty: CqlType) -> Column {
    Column { name: name.into(), ty: ColumnType::cql(ty), nullable: true, writable: true }
}

fn clustering(column: usize, descending: bool) -> Clustering {
    Clustering { column, descending }
}

fn index(column: usize, kind: IndexKind, target: IndexTarget) -> CqlIndex {
    CqlIndex { name: format!("i{column}").into(), column, kind, target }
}

/// `PRIMARY KEY ((a, b), c, d, e)` with `c` descending, and columns with and without indexes.
fn events() -> Relation {
    let text = || Arc::new(CqlType::Text);
    let int = || CqlType::Int(32);
    let columns = vec![
        column("a", int()),
        column("b", int()),
        column("c", int()),
        column("d", int()),
        column("e", int()),
        column("plain", int()),
        column("legacy", int()),
        column("fast", int()),
        column("word", CqlType::Text),
        column("tags", CqlType::Set { frozen: false, element: text() }),
        column("props", CqlType::Map { frozen: false, key: text(), value: int().into() }),
        column("shared", int()),
        column("whole", CqlType::List { frozen: true, element: int().into() }),
        column("flag", CqlType::Bool),
        column("analyzed", CqlType::Text),
        column("span", CqlType::Duration),
        column("price", CqlType::Decimal),
        column("items", CqlType::List { frozen: false, element: int().into() }),
    ];
    let table = CqlTable {
        partition: Box::new([0, 1]),
        clustering: Box::new([clustering(2, true), clustering(3, false), clustering(4, false)]),
        statics: Box::new([11]),
        indexes: vec![
            index(4, IndexKind::Sai, IndexTarget::Values),
            index(6, IndexKind::Secondary, IndexTarget::Values),
            index(7, IndexKind::Sai, IndexTarget::Values),
            index(8, IndexKind::Sai, IndexTarget::Values),
            index(9, IndexKind::Secondary, IndexTarget::Values),
            index(10, IndexKind::Sai, IndexTarget::Entries),
            index(12, IndexKind::Secondary, IndexTarget::Full),
            index(14, IndexKind::Other, IndexTarget::Values),
            index(16, IndexKind::Sai, IndexTarget::Values),
        ],
        ..CqlTable::default()
    };
    Relation::of_cql("ks", "events", columns, table)
}

fn users() -> Relation {
    let columns =
        vec![column("id", CqlType::Int(32)), column("name", CqlType::Text), column("age", CqlType::Int(32))];
    Relation::of_cql("ks", "users", columns, CqlTable { partition: Box::new([0]), ..CqlTable::default() })
}

/// `PRIMARY KEY (p, c)` with decimals, one of them with an index.
fn rates() -> Relation {
    let columns =
        vec![column("p", CqlType::Decimal), column("c", CqlType::Int(32)), column("old", CqlType::Decimal)];
    let table = CqlTable {
        partition: Box::new([0]),
        clustering: Box::new([clustering(1, false)]),
        indexes: vec![index(2, IndexKind::Secondary, IndexTarget::Values)],
        ..CqlTable::default()
    };
    Relation::of_cql("ks", "rates", columns, table)
}

/// `PRIMARY KEY (id, c, d)` with a decimal and a double.
fn scales() -> Relation {
    let parts = CqlType::List { frozen: true, element: Arc::new(CqlType::Float(64)) };
    let columns = vec![
        column("id", CqlType::Int(32)),
        column("c", CqlType::Decimal),
        column("d", CqlType::Float(64)),
        column("v", CqlType::Float(64)),
        column("parts", parts),
    ];
    let table = CqlTable {
        partition: Box::new([0]),
        clustering: Box::new([clustering(1, false), clustering(2, false)]),
        ..CqlTable::default()
    };
    Relation::of_cql("ks", "scales", columns, table)
}

fn notes() -> Relation {
    let columns = vec![column("id", CqlType::Text), column("body", CqlType::Text)];
    Relation::of_cql("ks", "notes", columns, CqlTable { partition: Box::new([0]), ..CqlTable::default() })
}

/// `PRIMARY KEY (id, at, who, host)` with types that CQL and SQL sort differently.
fn visits() -> Relation {
    let columns = vec![
        column("id", CqlType::Int(32)),
        column("at", CqlType::TimeUuid),
        column("who", CqlType::Uuid),
        column("host", CqlType::Inet),
        column("pair", CqlType::Tuple(vec![CqlType::Int(32), CqlType::Text].into())),
        column("path", CqlType::List { frozen: true, element: Arc::new(CqlType::Int(32)) }),
        column("n", CqlType::Int(32)),
    ];
    let table = CqlTable {
        partition: Box::new([0]),
        clustering: Box::new([
            clustering(1, true),
            clustering(2, false),
            clustering(3, false),
            clustering(5, false),
            clustering(4, false),
        ]),
        ..CqlTable::default()
    };
    Relation::of_cql("ks", "visits", columns, table)
}

/// A table with a column of a type of the server's own.
fn odd() -> Relation {
    let columns = vec![
        column("id", CqlType::Int(32)),
        column("v", CqlType::Int(32)),
        column("mark", CqlType::Custom("org.example.Mark".into())),
    ];
    Relation::of_cql("ks", "odd", columns, CqlTable { partition: Box::new([0]), ..CqlTable::default() })
}

fn schema(allow_filtering: bool, database_order: bool) -> Schema {
    let hits = Relation::of_cql(
        "ks",
        "hits",
        vec![column("id", CqlType::Int(32)), column("n", CqlType::Counter)],
        CqlTable { partition: Box::new([0]), counter: true, ..CqlTable::default() },
    );
    let view = CqlTable {
        partition: Box::new([1]),
        clustering: Box::new([clustering(0, false)]),
        view: true,
        ..CqlTable::default()
    };
    let view = Relation::of_cql("ks", "by_name", users().columns, view);
    Schema::new(
        vec![events(), users(), hits, view, rates(), scales(), notes(), visits(), odd()],
        HashMap::new(),
        vec!["ks".into()],
    )
    .speaking(Dialect::Cql(CqlRules {
        allow_filtering,
        database_order,
        max_filtered_rows: 1000,
        max_consistency: Consistency::LocalQuorum,
        max_timeout: std::time::Duration::from_secs(30),
        max_fetch_size: 1000,
    }))
}

/// How a test asks.
#[derive(Clone, Copy, Default)]
struct Asking<'a> {
    allow_filtering: bool,
    database_order: bool,
    authority: Option<Authority<'a>>,
}

impl Asking<'_> {
    fn plan<T>(&self, plan: impl FnOnce(Planner<'_>) -> Result<T, RequestError>) -> Result<T, RequestError> {
        let (schema, limits) = (schema(self.allow_filtering, self.database_order), limits());
        let options = PlanOptions::default();
        plan(Planner { schema: &schema, limits: &limits, options: &options, authority: self.authority })
    }

    fn fetch(&self, body: &str, format: RowFormat) -> Result<(Plan, Option<Plan>), RequestError> {
        let request = FetchRequest::decode(json(body), &limits(), Decoding::default())?;
        self.plan(|planner| planner.fetch(&request, format))
    }

    fn read(&self, table: &str, rest: &str) -> Result<CqlRead, RequestError> {
        let body = format!(r#"{{"table_name":"{table}"{rest}}}"#);
        match self.fetch(&body, RowFormat::Json)?.0.operation {
            Operation::Cql(CqlPlan::Read(read)) => Ok(read),
            other => panic!("{other:?}"),
        }
    }

    fn insert(&self, body: &str) -> Result<CqlInsert, RequestError> {
        let request = InsertRequest::decode(json(body), &limits(), Decoding::default())?;
        match self.plan(|planner| planner.insert(&request))?.operation {
            Operation::Cql(CqlPlan::Insert(insert)) => Ok(insert),
            other => panic!("{other:?}"),
        }
    }

    fn update(&self, body: &str) -> Result<CqlUpdate, RequestError> {
        let request = UpdateRequest::decode(json(body), &limits(), Decoding::default())?;
        match self.plan(|planner| planner.update(&request))?.operation {
            Operation::Cql(CqlPlan::Update(update)) => Ok(update),
            other => panic!("{other:?}"),
        }
    }

    fn delete(&self, body: &str) -> Result<CqlDelete, RequestError> {
        let request = DeleteRequest::decode(json(body), &limits(), Decoding::default())?;
        match self.plan(|planner| planner.delete(&request))?.operation {
            Operation::Cql(CqlPlan::Delete(delete)) => Ok(delete),
            other => panic!("{other:?}"),
        }
    }
}

fn json(body: &str) -> JsonText<'_> {
    JsonText::parse(body.as_bytes()).unwrap()
}

/// Conditions as `column op value`, separated by `;`.
fn conditions(text: &str) -> String {
    let entries = text.split(';').map(str::trim).filter(|one| !one.is_empty()).map(|one| {
        let mut words = one.splitn(3, ' ');
        match (words.next().unwrap(), words.next().unwrap(), words.next()) {
            (op @ ("or" | "not"), expression, rest) => {
                let expression = [Some(expression), rest].into_iter().flatten().collect::<Vec<_>>().join(" ");
                format!(r#"{{"operator":"{op}","value":{}}}"#, serde_json::to_string(&expression).unwrap())
            }
            (column, op, value) => {
                format!(r#"{{"operator":"{op}","column":"{column}","value":{}}}"#, value.unwrap())
            }
        }
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(","))
}

fn shown(value: &CqlValue) -> String {
    match value {
        CqlValue::Null => "null".to_owned(),
        CqlValue::Unset => "unset".to_owned(),
        CqlValue::Int(number) => number.to_string(),
        CqlValue::Bool(flag) => flag.to_string(),
        CqlValue::Text(text) => format!("'{text}'"),
        CqlValue::List(members) => format!("{:?}", members.iter().map(shown).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

/// A `WHERE` as text.
fn said(relation: &Relation, restrictions: &[Restriction]) -> String {
    let one = |restriction: &Restriction| {
        let name = &relation.columns[restriction.column].name;
        match &restriction.test {
            Test::Eq(value) => format!("{name}={}", shown(value)),
            Test::In(members) => {
                format!("{name} in ({})", members.iter().map(shown).collect::<Vec<_>>().join(","))
            }
            Test::Gt(value) => format!("{name}>{}", shown(value)),
            Test::Gte(value) => format!("{name}>={}", shown(value)),
            Test::Lt(value) => format!("{name}<{}", shown(value)),
            Test::Lte(value) => format!("{name}<={}", shown(value)),
            Test::Contains(value) => format!("{name} contains {}", shown(value)),
            Test::Entry(key, value) => format!("{name}[{}]={}", shown(key), shown(value)),
            Test::Neq(value) => format!("{name}!={}", shown(value)),
            Test::Null => format!("{name}=null"),
            Test::NotNull => format!("{name}!=null"),
        }
    };
    restrictions.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// Several `WHERE`s as text, with `|` in between.
fn all_said(relation: &Relation, reads: &[Vec<Restriction>]) -> String {
    reads.iter().map(|read| said(relation, read)).collect::<Vec<_>>().join(" | ")
}

/// The field of a refusal that says why and what to do instead.
fn refused<T: std::fmt::Debug>(outcome: Result<T, RequestError>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{error:?}");
    assert!(!error.message.is_empty() && error.hint.is_some_and(|fix| !fix.is_empty()), "{}", error.message);
    error.field.unwrap()
}
