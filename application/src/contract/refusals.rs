//! What a backend refuses although the planner let it pass.

use std::sync::Arc;

use athena_domain::Limits;
use athena_domain::plan::{Filter, Operation, Output, Plan, PlanOptions, SelectPlan};
use athena_domain::schema::{Column, ColumnType, Relation, TypeKind};

use super::run::{Verb, execute, known, plan, run};
use crate::ports::{Backend, PortErrorKind, Reason, SchemaReader};

/// A read of every column of a relation that may not be in the database as it is here.
fn read_of(relation: Relation) -> Plan {
    let columns = relation.columns.iter().enumerate();
    let outputs = columns
        .map(|(column, c)| Output { column, cast: None, label: c.name.clone(), hidden: false })
        .collect();
    let operation = Operation::Select(SelectPlan {
        relation: Arc::new(relation),
        outputs,
        every: false,
        filter: Filter::And(Vec::new()),
        after: None,
        order: Vec::new(),
        limit: None,
        offset: 0,
        unbounded: false,
    });
    Plan { operation, big_numbers_as_text: false, keys_to_snake: false, tuning: Default::default() }
}

async fn places(schema: &dyn SchemaReader) -> Relation {
    let known = known(schema).await;
    let found = known.relations().find(|relation| &*relation.name == "contract_places");
    found.expect("the fixture's table").as_ref().clone()
}

/// What has gone from the database since it was read is named as such.
pub async fn unknown_names_are_rejected(backend: &dyn Backend, schema: &dyn SchemaReader) {
    if known(schema).await.is_open() {
        let table = run(backend, schema, Verb::Fetch, r#"{"table_name":"contract_gone"}"#).await;
        assert_eq!(table.expect_err("there is no such table").reason(), Some(Reason::UndefinedTable));
        let columns = r#"{"table_name":"contract_places","columns":["land","gone"]}"#;
        let column = run(backend, schema, Verb::Fetch, columns).await;
        assert_eq!(column.expect_err("there is no such column").reason(), Some(Reason::UndefinedColumn));
        return;
    }
    let gone = Relation { name: "contract_gone".into(), ..places(schema).await };
    let fault = execute(backend, &read_of(gone)).await.expect_err("there is no such table");
    assert_eq!(fault.reason(), Some(Reason::UndefinedTable), "{fault}");

    let mut changed = places(schema).await;
    let ty = ColumnType::new("text", TypeKind::Text);
    changed.columns.push(Column { name: "gone".into(), ty, nullable: true, writable: true });
    let fault = execute(backend, &read_of(changed)).await.expect_err("there is no such column");
    assert_eq!(fault.reason(), Some(Reason::UndefinedColumn), "{fault}");
}

/// A read of every column gives those added since the schema was read, or says that it is stale.
pub async fn columns_added_since_are_noticed(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let mut older = places(schema).await;
    older.columns.retain(|column| &*column.name != "note");
    let mut plan = read_of(older);
    if let Operation::Select(select) = &mut plan.operation {
        select.every = true;
    }
    match execute(backend, &plan).await {
        Ok(answer) => assert!(answer.sink.labels().contains(&"note"), "the column that was added"),
        Err(fault) => assert_eq!(fault.reason(), Some(Reason::Stale), "{fault}"),
    }
}

/// Verb and request with a value that only the database can tell to be none of its type.
const BAD_VALUES: &[(Verb, &str)] = &[
    (
        Verb::Fetch,
        r#"{"table_name":"contract_items","conditions":[{"eq_column":"born","eq_value":"someday"}]}"#,
    ),
    (
        Verb::Fetch,
        r#"{"table_name":"contract_items","conditions":[{"eq_column":"born","eq_value":"2023-02-29"}]}"#,
    ),
    (
        Verb::Fetch,
        r#"{"table_name":"contract_items","conditions":[{"operator":"in","column":"seen","value":["soon"]}]}"#,
    ),
    (
        Verb::Fetch,
        r#"{"table_name":"contract_items","conditions":[{"operator":"contains","column":"tags","value":"{a"}]}"#,
    ),
    (Verb::Insert, r#"{"table_name":"contract_items","insert_body":{"id":9001,"born":"never"}}"#),
    (
        Verb::Insert,
        r#"{"table_name":"contract_items","insert_body":[{"id":9001},{"id":9002,"born":"never"}]}"#,
    ),
    (Verb::Insert, r#"{"table_name":"contract_items","insert_body":{"id":9001,"price":99999999999.99}}"#),
    (
        Verb::Update,
        r#"{"table_name":"contract_items","set":{"seen":"?"},"conditions":[{"eq_column":"id","eq_value":1}]}"#,
    ),
];

/// A value that is not one of its type is the caller's fault, and nothing is written.
pub async fn bad_values_are_rejected(backend: &dyn Backend, schema: &dyn SchemaReader) {
    for (verb, request) in BAD_VALUES {
        let fault = run(backend, schema, *verb, request).await.expect_err("a value of no type");
        assert_eq!(fault.reason(), Some(Reason::BadValue), "{request}: {fault}");
        assert!(matches!(fault.kind, PortErrorKind::Rejected(_)));
    }
    let known = known(schema).await;
    let request = r#"{"table_name":"contract_items","count":"exact","conditions":[{"gt_column":"id","gt_value":9000}]}"#;
    let count = plan(&known, &Limits::default(), &PlanOptions::default(), Verb::Count, request);
    let answer = execute(backend, &count).await.expect("rows can be counted");
    assert_eq!(answer.done.count, Some(1), "rows of the fixture beyond 9000");
}
