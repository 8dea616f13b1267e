//! Pages: one behind the other they are the whole order, wherever it is cut.

use athena_domain::Limits;
use athena_domain::plan::{KeyValue, Operation, PageStart, Plan, PlanOptions, Planner};
use athena_domain::query::{Decoding, FetchRequest, JsonText};

use super::run::{Verb, execute, known, run};
use crate::ports::{Backend, SchemaReader};

/// Orders with nulls and equal values, in each direction; the key is added to all of them.
const ORDERS: &[&str] = &[
    "[]",
    r#"[{"field":"id","direction":"desc"}]"#,
    r#"[{"field":"qty"}]"#,
    r#"[{"field":"qty","direction":"desc"}]"#,
    r#"[{"field":"qty","nulls":"first"}]"#,
    r#"[{"field":"qty","direction":"desc","nulls":"last"}]"#,
    r#"[{"field":"qty","nulls":"first"},{"field":"price","direction":"desc","nulls":"last"},{"field":"id","direction":"desc"}]"#,
    r#"[{"field":"active"},{"field":"born","direction":"desc"}]"#,
    r#"[{"field":"active","direction":"desc"},{"field":"active"},{"field":"id"}]"#,
    r#"[{"field":"born"},{"field":"seen","nulls":"first"}]"#,
    r#"[{"field":"name","direction":"desc","nulls":"last"}]"#,
    r#"[{"field":"name"}]"#,
    r#"[{"field":"price"},{"field":"qty"}]"#,
    r#"[{"field":"seen","direction":"desc"}]"#,
];

/// Every page begins behind the last row of the one before, whatever the order and its nulls.
pub async fn pages_go_on_where_they_ended(backend: &dyn Backend, schema: &dyn SchemaReader) {
    for order in ORDERS {
        let request = format!(
            r#"{{"table_name":"contract_items","columns":"id","sort_by":{order},"current_page":1,"page_size":100}}"#
        );
        let whole = run(backend, schema, Verb::Fetch, &request).await;
        let whole = whole.unwrap_or_else(|fault| panic!("{order}: {fault}")).sink.rows;
        assert_eq!(whole.len(), 11, "{order}");
        for size in [1, 2, 3, 10, 11, 12] {
            let request = format!(
                r#"{{"table_name":"contract_items","columns":"id","sort_by":{order},"cursor":"","page_size":{size}}}"#
            );
            let pages = pages(backend, schema, &request, size).await;
            assert_eq!(pages, whole, "{order} in pages of {size}");
        }
    }
    // A key of two columns, and a condition beside the place.
    let order = r#""sort_by":{"field":"people","direction":"desc"}"#;
    let towns = r#""table_name":"contract_places","columns":"land,town","conditions":[{"neq_column":"land","neq_value":"XX"}]"#;
    let whole = format!(r#"{{{towns},{order},"current_page":1,"page_size":9}}"#);
    let whole = run(backend, schema, Verb::Fetch, &whole).await.expect("a read").sink.rows;
    assert!(whole.len() > 3, "{whole:?}");
    for size in 1..=3 {
        let request = format!(r#"{{{towns},{order},"cursor":"","page_size":{size}}}"#);
        assert_eq!(pages(backend, schema, &request, size).await, whole, "towns in pages of {size}");
    }
}

/// Reads all pages of a request.
async fn pages(backend: &dyn Backend, schema: &dyn SchemaReader, request: &str, size: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut after: Option<Vec<KeyValue>> = None;
    loop {
        let plan = page(schema, request, after.as_deref()).await;
        let Operation::Select(select) = &plan.operation else { panic!("{plan:?}") };
        let answer = execute(backend, &plan).await.unwrap_or_else(|fault| panic!("{request}: {fault}"));
        let keys = select.order.len();
        assert_eq!(answer.sink.hidden.len(), keys * answer.sink.rows.len(), "the order's values are there");
        rows.extend(answer.sink.rows.iter().take(size).cloned());
        if answer.sink.rows.len() <= size {
            return rows;
        }
        let last = answer.sink.hidden.chunks(keys).nth(size - 1).expect("the last row of the page");
        let key = |(order, value): (&athena_domain::plan::Order, &Option<String>)| KeyValue {
            column: select.relation.columns[order.column].name.as_ref().into(),
            value: value.as_deref().map(Box::from),
        };
        after = Some(select.order.iter().zip(last).map(key).collect());
    }
}

async fn page(schema: &dyn SchemaReader, request: &str, after: Option<&[KeyValue]>) -> Plan {
    let (schema, limits, options) = (known(schema).await, Limits::default(), PlanOptions::default());
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let body = JsonText::parse(request.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {request}"));
    let planned = FetchRequest::decode(body, &limits, Decoding::default())
        .and_then(|request| planner.page(&request, after.map(PageStart::Keys)));
    planned.unwrap_or_else(|fault| panic!("{fault}: {request}")).0
}
