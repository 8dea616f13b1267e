//! Reads: columns, casts, order, window, counts, numbers as text.

use athena_domain::Limits;
use athena_domain::plan::PlanOptions;

use super::recorder::canonical;
use super::run::{Verb, execute, expect, known, plan, run};
use crate::ports::{Backend, SchemaReader};

/// Name, request, rows in order.
const READS: &[(&str, &str, &str)] = &[
    (
        "every column",
        r#"{"table_name":"contract_items","conditions":[{"eq_column":"id","eq_value":1}]}"#,
        r#"[{"id":1,"name":"apple","qty":5,"price":1.50,"tags":["red","fruit"],"meta":{"color":"red","size":1},
            "active":true,"born":"2020-01-01","seen":"2024-01-01T00:00:00+00:00"}]"#,
    ),
    (
        "every column null",
        r#"{"table_name":"contract_items","conditions":[{"eq_column":"id","eq_value":9}]}"#,
        r#"[{"id":9,"name":null,"qty":null,"price":null,"tags":null,"meta":null,"active":null,"born":null,"seen":null}]"#,
    ),
    (
        "arrays keep text, null and emptiness apart",
        r#"{"table_name":"contract_items","columns":"tags","conditions":[{"operator":"in","column":"id","value":[4,5,6,7]}],
            "sort_by":{"field":"id"}}"#,
        r#"[{"tags":[]},{"tags":null},{"tags":["a,b","c\"d","null","{}"]},{"tags":["fruit",null]}]"#,
    ),
    (
        "numbers keep every digit",
        r#"{"table_name":"contract_items","columns":"id,price,meta","conditions":[{"operator":"in","column":"id",
            "value":[5,8,10,9007199254740993]}],"sort_by":{"field":"id"}}"#,
        r#"[{"id":5,"price":9999999999.99,"meta":{"color":"red","deep":{"list":[1,{"x":2}]}}},
            {"id":8,"price":0.00,"meta":null},{"id":10,"price":-0.01,"meta":{"n":12345678901234567890.5}},
            {"id":9007199254740993,"price":1.00,"meta":null}]"#,
    ),
    (
        "moments keep their fraction",
        r#"{"table_name":"contract_items","columns":"seen","conditions":[{"operator":"in","column":"id","value":[3,10]}],
            "sort_by":{"field":"id"}}"#,
        r#"[{"seen":"2024-02-01T00:00:00.25+00:00"},{"seen":"2038-01-19T03:14:07+00:00"}]"#,
    ),
    (
        "alias and cast",
        r#"{"table_name":"contract_items","columns":"id,label:name,qty::text,fee:price::text,active::text,born::text,meta::text",
            "conditions":[{"eq_column":"id","eq_value":1}]}"#,
        r#"[{"id":1,"label":"apple","qty":"5","fee":"1.50","active":"true","born":"2020-01-01",
            "meta":"{\"size\": 1, \"color\": \"red\"}"}]"#,
    ),
    (
        "a cast of null is null",
        r#"{"table_name":"contract_items","columns":"qty::text","conditions":[{"eq_column":"id","eq_value":9}]}"#,
        r#"[{"qty":null}]"#,
    ),
    (
        "a name in another case answers under the caller's",
        r#"{"table_name":"contract_items","columns":"ID,Name","conditions":[{"eq_column":"Id","eq_value":1}]}"#,
        r#"[{"ID":1,"Name":"apple"}]"#,
    ),
    ("no row", r#"{"table_name":"contract_items","conditions":[{"eq_column":"id","eq_value":0}]}"#, "[]"),
    ("limit 0", r#"{"table_name":"contract_items","limit":0}"#, "[]"),
    ("head", r#"{"table_name":"contract_items","head":true}"#, "[]"),
    (
        "nulls stand last when ascending",
        r#"{"table_name":"contract_items","columns":"id","sort_by":[{"field":"qty"},{"field":"id"}]}"#,
        r#"[{"id":5},{"id":4},{"id":9007199254740993},{"id":1},{"id":2},{"id":6},{"id":7},{"id":8},{"id":10},{"id":3},{"id":9}]"#,
    ),
    (
        "nulls stand first when descending",
        r#"{"table_name":"contract_items","columns":"id","sort_by":[{"field":"qty","direction":"desc"},{"field":"id"}]}"#,
        r#"[{"id":3},{"id":9},{"id":10},{"id":7},{"id":8},{"id":6},{"id":1},{"id":2},{"id":9007199254740993},{"id":4},{"id":5}]"#,
    ),
    (
        "nulls first when asked",
        r#"{"table_name":"contract_items","columns":"id","limit":3,"sort_by":[{"field":"qty","nulls":"first"},{"field":"id"}]}"#,
        r#"[{"id":3},{"id":9},{"id":5}]"#,
    ),
    (
        "nulls last when asked",
        r#"{"table_name":"contract_items","columns":"id","limit":2,"sort_by":[{"field":"qty","direction":"desc","nulls":"last"},
            {"field":"id","direction":"desc"}]}"#,
        r#"[{"id":10},{"id":8}]"#,
    ),
    (
        "a column that is cast in the answer sorts by what it is",
        r#"{"table_name":"contract_items","columns":"qty::text","limit":6,"sort_by":[{"field":"qty"},{"field":"id"}]}"#,
        r#"[{"qty":"-3"},{"qty":"0"},{"qty":"1"},{"qty":"5"},{"qty":"5"},{"qty":"7"}]"#,
    ),
    (
        "another column's name in the answer does not sort",
        r#"{"table_name":"contract_items","columns":"qty:id,id:qty","limit":3,"sort_by":[{"field":"qty"}]}"#,
        r#"[{"qty":5,"id":-3},{"qty":4,"id":0},{"qty":9007199254740993,"id":1}]"#,
    ),
    (
        "text by code point",
        r#"{"table_name":"contract_items","columns":"name","limit":5,"sort_by":{"field":"name"}}"#,
        r#"[{"name":"Banana"},{"name":"Fig"},{"name":"apple"},{"name":"back\\slash"},{"name":"cherry"}]"#,
    ),
    (
        "numeric by value, two keys",
        r#"{"table_name":"contract_items","columns":"id","limit":5,"sort_by":[{"field":"price","direction":"desc","nulls":"last"},
            {"field":"id","direction":"desc"}]}"#,
        r#"[{"id":5},{"id":3},{"id":7},{"id":6},{"id":1}]"#,
    ),
    (
        "booleans: false before true",
        r#"{"table_name":"contract_items","columns":"id","limit":4,"sort_by":[{"field":"active"},{"field":"id"}]}"#,
        r#"[{"id":3},{"id":5},{"id":10},{"id":1}]"#,
    ),
    (
        "moments",
        r#"{"table_name":"contract_items","columns":"id","limit":4,"sort_by":[{"field":"seen"},{"field":"id"}]}"#,
        r#"[{"id":5},{"id":1},{"id":6},{"id":2}]"#,
    ),
    (
        "limit and offset",
        r#"{"table_name":"contract_items","columns":"id","limit":2,"offset":3,"sort_by":{"field":"id"}}"#,
        r#"[{"id":4},{"id":5}]"#,
    ),
    (
        "pages without an order follow the key",
        r#"{"table_name":"contract_items","columns":"id","current_page":4,"page_size":3}"#,
        r#"[{"id":10},{"id":9007199254740993}]"#,
    ),
    (
        "pages follow a key of two columns",
        r#"{"table_name":"contract_places","columns":"land,town","current_page":2,"page_size":3}"#,
        r#"[{"land":"FR","town":"Ulm"}]"#,
    ),
    (
        "an offset past the end",
        r#"{"table_name":"contract_items","limit":5,"offset":9223372036854775807}"#,
        "[]",
    ),
    (
        "a column that is not in the answer may sort",
        r#"{"table_name":"contract_places","columns":"note","sort_by":{"field":"people"}}"#,
        r#"[{"note":null},{"note":"twin"},{"note":"Minster"},{"note":null}]"#,
    ),
];

/// `conditions` and the rows that match them.
const COUNTS: &[(&str, u64)] = &[
    ("[]", 11),
    (r#"[{"eq_column":"qty","eq_value":5}]"#, 2),
    (r#"[{"eq_column":"id","eq_value":0}]"#, 0),
    (r#"[{"operator":"not","value":"qty.eq.5"}]"#, 7),
];

/// Every read gives the columns, order and window that were asked for. Gives the names of those that are refused, which
/// only a database whose catalog is not known may do.
pub async fn reads_answer_as_asked(backend: &dyn Backend, schema: &dyn SchemaReader) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for (name, request, rows) in READS {
        if !expect(backend, schema, name, request, rows).await {
            refused.push(*name);
        }
    }
    for (conditions, count) in COUNTS {
        let request = format!(
            r#"{{"table_name":"contract_items","conditions":{conditions},"count":"exact","limit":1}}"#
        );
        let answer = run(backend, schema, Verb::Count, &request).await.expect("rows can be counted");
        assert_eq!(answer.done.count, Some(*count), "{conditions}");
        assert!(answer.sink.rows.is_empty(), "a count hands on no row");
    }
    columns_are_announced(backend, schema).await;
    big_numbers_leave_as_text(backend, schema).await;
    refused
}

/// The columns come in the order asked for, also when no row follows.
async fn columns_are_announced(backend: &dyn Backend, schema: &dyn SchemaReader) {
    for id in [1, 0] {
        let request = format!(
            r#"{{"table_name":"contract_items","columns":["seen","n:name","id"],"conditions":[{{"eq_column":"id","eq_value":{id}}}]}}"#
        );
        let answer = run(backend, schema, Verb::Fetch, &request).await.expect("a read");
        assert_eq!(answer.sink.labels(), ["seen", "n", "id"], "columns of {} rows", answer.done.rows);
    }
}

/// With the switch, what a JSON reader might round is a string, and nothing else is.
async fn big_numbers_leave_as_text(backend: &dyn Backend, schema: &dyn SchemaReader) {
    let known = known(schema).await;
    let options = PlanOptions { big_numbers_as_text: true, ..PlanOptions::default() };
    let request = r#"{"table_name":"contract_items","columns":"id,qty,price",
        "conditions":[{"operator":"in","column":"id","value":[10,9007199254740993]}],"sort_by":{"field":"id"}}"#;
    let plan = plan(&known, &Limits::default(), &options, Verb::Fetch, request);
    let answer = execute(backend, &plan).await.expect("a read");
    // JSON does not tell an exact decimal from another number: one with few digits, which nobody rounds, stays one.
    let rows = match known.is_open() {
        true => {
            r#"[{"id":10,"qty":2147483647,"price":-0.01},{"id":"9007199254740993","qty":1,"price":1.00}]"#
        }
        false => {
            r#"[{"id":10,"qty":2147483647,"price":"-0.01"},{"id":"9007199254740993","qty":1,"price":"1.00"}]"#
        }
    };
    assert_eq!(format!("[{}]", answer.sink.rows.join(",")), canonical(rows), "big numbers as text");
}
