//! Filters: SQL's three truth values, and each type's own order.

use super::run::expect;
use crate::ports::{Backend, SchemaReader};

/// The id of the row beyond 2^53 is written `H` in the table below.
const HUGE: &str = "9007199254740993";

/// Name, `conditions`, ids of the rows that match.
const FILTERS: &[(&str, &str, &str)] = &[
    ("no condition", r"[]", "1,2,3,4,5,6,7,8,9,10,H"),
    ("eq", r#"[{"eq_column":"qty","eq_value":5}]"#, "1,2"),
    ("eq, a number as text", r#"[{"operator":"eq","column":"qty","value":"5"}]"#, "1,2"),
    ("eq null", r#"[{"eq_column":"name","eq_value":null}]"#, "6,9"),
    ("neq", r#"[{"operator":"neq","column":"qty","value":5}]"#, "4,5,6,7,8,10,H"),
    ("neq null", r#"[{"operator":"neq","column":"name","value":null}]"#, "1,2,3,4,5,7,8,10,H"),
    ("gt", r#"[{"operator":"gt","column":"qty","value":5}]"#, "6,7,8,10"),
    ("gte", r#"[{"operator":"gte","column":"qty","value":5}]"#, "1,2,6,7,8,10"),
    ("lt", r#"[{"operator":"lt","column":"qty","value":0}]"#, "5"),
    ("lte", r#"[{"operator":"lte","column":"qty","value":0}]"#, "4,5"),
    ("several", r#"[{"eq_column":"qty","eq_value":12},{"gt_column":"price","gt_value":0}]"#, "7"),
    ("numeric by value", r#"[{"eq_column":"price","eq_value":3.1}]"#, "6,7"),
    ("numeric as text", r#"[{"eq_column":"price","eq_value":"3.100"}]"#, "6,7"),
    ("numeric, all digits", r#"[{"gt_column":"price","gt_value":9999999999.98}]"#, "5"),
    ("numeric, more digits than the column", r#"[{"gt_column":"price","gt_value":9999999999.985}]"#, "5"),
    ("numeric, no equal", r#"[{"eq_column":"price","eq_value":1.504}]"#, ""),
    ("numeric below zero", r#"[{"lt_column":"price","lt_value":0}]"#, "10"),
    ("integer beyond 2^53", r#"[{"eq_column":"id","eq_value":9007199254740993}]"#, "H"),
    ("integer next to it", r#"[{"gt_column":"id","gt_value":9007199254740992}]"#, "H"),
    ("text by code point", r#"[{"gt_column":"name","gt_value":"a"}]"#, "1,3,4,5,8,10,H"),
    ("text is not a pattern", r#"[{"eq_column":"name","eq_value":"%"}]"#, ""),
    ("text with a backslash", r#"[{"eq_column":"name","eq_value":"back\\slash"}]"#, "8"),
    ("text in quotes", r#"[{"eq_column":"name","eq_value":"' OR ''='"}]"#, ""),
    ("like", r#"[{"operator":"like","column":"name","value":"%e%"}]"#, "1,3,4,5,10,H"),
    ("like, one character", r#"[{"operator":"like","column":"name","value":"_ig"}]"#, "7"),
    ("like, any character", r#"[{"operator":"like","column":"name","value":"date_palm"}]"#, "4"),
    ("like, escaped _", r#"[{"operator":"like","column":"name","value":"date\\_palm"}]"#, "4"),
    ("like, escaped %", r#"[{"operator":"like","column":"name","value":"%\\%%"}]"#, "5"),
    ("like, escaped backslash", r#"[{"operator":"like","column":"name","value":"back\\\\slash"}]"#, "8"),
    ("like minds case", r#"[{"operator":"like","column":"name","value":"b%"}]"#, "8"),
    ("ilike does not", r#"[{"operator":"ilike","column":"name","value":"b%"}]"#, "2,8"),
    ("like fits the whole text", r#"[{"operator":"like","column":"name","value":"appl"}]"#, ""),
    ("like over numbers", r#"[{"operator":"like","column":"qty","value":"1%"}]"#, "7,8,H"),
    ("like over dates", r#"[{"operator":"like","column":"born","value":"2020-%"}]"#, "1,2,8"),
    ("is null", r#"[{"operator":"is","column":"qty","value":null}]"#, "3,9"),
    ("is not null", r#"[{"operator":"is","column":"qty","value":"not null"}]"#, "1,2,4,5,6,7,8,10,H"),
    ("is true", r#"[{"operator":"is","column":"active","value":true}]"#, "1,2,6,8"),
    ("is false", r#"[{"operator":"is","column":"active","value":"false"}]"#, "3,5,10"),
    ("is unknown", r#"[{"operator":"is","column":"active","value":"unknown"}]"#, "4,7,9,H"),
    ("eq true", r#"[{"eq_column":"active","eq_value":true}]"#, "1,2,6,8"),
    ("neq true leaves null out", r#"[{"neq_column":"active","neq_value":true}]"#, "3,5,10"),
    ("in", r#"[{"operator":"in","column":"qty","value":[5,12]}]"#, "1,2,7,8"),
    ("in, one twice", r#"[{"operator":"in","column":"qty","value":[5,5,"5"]}]"#, "1,2"),
    ("in nothing", r#"[{"operator":"in","column":"qty","value":[]}]"#, ""),
    ("in with null", r#"[{"operator":"in","column":"qty","value":[5,null]}]"#, "1,2,3,9"),
    ("in null alone", r#"[{"operator":"in","column":"qty","value":[null]}]"#, "3,9"),
    ("in, text", r#"[{"operator":"in","column":"name","value":["apple","Fig","%"]}]"#, "1,7"),
    ("in, numeric", r#"[{"operator":"in","column":"price","value":["3.1",12]}]"#, "3,6,7"),
    ("in, date", r#"[{"operator":"in","column":"born","value":["2020-01-01"]}]"#, "1,8"),
    ("in, arrays", r#"[{"operator":"in","column":"tags","value":[["red"],["red","fruit"],[]]}]"#, "1,3,4,10"),
    (
        "in, jsonb",
        r#"[{"operator":"in","column":"meta","value":[{"size":1,"color":"red"},[1,2,3],"text"]}]"#,
        "1,6,7",
    ),
    ("not in, arrays", r#"[{"operator":"not","value":"tags.in.({red})"}]"#, "1,2,4,6,7,8,10"),
    ("in, boolean", r#"[{"operator":"in","column":"active","value":[false]}]"#, "3,5,10"),
    ("not eq leaves null out", r#"[{"operator":"not","value":"qty.eq.5"}]"#, "4,5,6,7,8,10,H"),
    ("not not", r#"[{"operator":"not","value":"not.qty.eq.5"}]"#, "1,2"),
    ("not is null", r#"[{"operator":"not","value":"qty.is.null"}]"#, "1,2,4,5,6,7,8,10,H"),
    ("not in", r#"[{"operator":"not","value":"qty.in.(5,12)"}]"#, "4,5,6,10,H"),
    ("not in, with null", r#"[{"operator":"not","value":"qty.in.(5,null)"}]"#, "4,5,6,7,8,10,H"),
    ("not in nothing", r#"[{"operator":"not","value":"qty.in.()"}]"#, "1,2,3,4,5,6,7,8,9,10,H"),
    ("not like", r#"[{"operator":"not","value":"name.like.%e%"}]"#, "2,7,8"),
    ("or", r#"[{"operator":"or","value":"qty.eq.5,name.eq.zebra"}]"#, "1,2,10"),
    ("or, unknown and true", r#"[{"operator":"or","value":"name.is.null,qty.lt.0"}]"#, "5,6,9"),
    (
        "or and another",
        r#"[{"operator":"or","value":"qty.eq.5,qty.eq.12"},{"eq_column":"active","eq_value":true}]"#,
        "1,2,8",
    ),
    (
        "or of and",
        r#"[{"operator":"or","value":"and(qty.eq.5,active.is.true),and(qty.eq.12,price.gt.1)"}]"#,
        "1,2,7",
    ),
    ("not and", r#"[{"operator":"not","value":"and(qty.gt.0,active.eq.true)"}]"#, "3,4,5,10"),
    ("not or", r#"[{"operator":"not","value":"or(qty.gt.5,active.eq.true)"}]"#, "5"),
    ("array contains", r#"[{"operator":"contains","column":"tags","value":["red"]}]"#, "1,3,8"),
    ("array contains all", r#"[{"operator":"contains","column":"tags","value":["red","fruit"]}]"#, "1"),
    ("array contains nothing", r#"[{"operator":"contains","column":"tags","value":[]}]"#, "1,2,3,4,6,7,8,10"),
    ("array contains a comma", r#"[{"operator":"contains","column":"tags","value":["a,b"]}]"#, "6"),
    ("array contains a quote", r#"[{"operator":"contains","column":"tags","value":["c\"d"]}]"#, "6"),
    ("array contains the word null", r#"[{"operator":"contains","column":"tags","value":["null"]}]"#, "6"),
    ("array contains no null", r#"[{"operator":"contains","column":"tags","value":[null]}]"#, ""),
    ("array contains, as text", r#"[{"operator":"contains","column":"tags","value":"{red,fruit}"}]"#, "1"),
    (
        "array contained",
        r#"[{"operator":"containedBy","column":"tags","value":["red","fruit","yellow"]}]"#,
        "1,2,3,4,8,10",
    ),
    ("not array contains", r#"[{"operator":"not","value":"tags.cs.{red}"}]"#, "2,4,6,7,10"),
    ("array eq", r#"[{"eq_column":"tags","eq_value":["red","fruit"]}]"#, "1"),
    ("array eq minds order", r#"[{"eq_column":"tags","eq_value":["fruit","red"]}]"#, ""),
    ("array eq empty", r#"[{"eq_column":"tags","eq_value":[]}]"#, "4,10"),
    ("array eq with null", r#"[{"eq_column":"tags","eq_value":["fruit",null]}]"#, "7"),
    ("jsonb contains", r#"[{"operator":"contains","column":"meta","value":{"color":"red"}}]"#, "1,5"),
    ("jsonb contains a number", r#"[{"operator":"contains","column":"meta","value":{"size":1.0}}]"#, "1"),
    (
        "jsonb contains an element",
        r#"[{"operator":"contains","column":"meta","value":{"marks":["b"]}}]"#,
        "2",
    ),
    (
        "jsonb contains deep",
        r#"[{"operator":"contains","column":"meta","value":{"deep":{"list":[{"x":2}]}}}]"#,
        "5",
    ),
    ("jsonb contains an array", r#"[{"operator":"contains","column":"meta","value":[3,1]}]"#, "6"),
    ("jsonb contains a scalar", r#"[{"operator":"contains","column":"meta","value":"2"}]"#, "6"),
    ("jsonb contains text", r#"[{"operator":"contains","column":"meta","value":"\"text\""}]"#, "7"),
    ("jsonb contains {}", r#"[{"operator":"contains","column":"meta","value":{}}]"#, "1,2,4,5,10"),
    (
        "jsonb contained",
        r#"[{"operator":"cd","column":"meta","value":{"color":"red","size":1,"more":true}}]"#,
        "1,4",
    ),
    ("jsonb eq", r#"[{"eq_column":"meta","eq_value":{"size":1,"color":"red"}}]"#, "1"),
    ("jsonb eq text", r#"[{"eq_column":"meta","eq_value":"text"}]"#, "7"),
    ("jsonb eq, all digits", r#"[{"eq_column":"meta","eq_value":{"n":12345678901234567890.5}}]"#, "10"),
    ("date", r#"[{"gte_column":"born","gte_value":"2020-02-29"}]"#, "2,5,6,10"),
    ("timestamp in another zone", r#"[{"eq_column":"seen","eq_value":"2024-01-01T02:00:00+02:00"}]"#, "1,6"),
    ("timestamp", r#"[{"gt_column":"seen","gt_value":"2024-01-01T00:00:00Z"}]"#, "2,3,10"),
    ("timestamp, fraction", r#"[{"eq_column":"seen","eq_value":"2024-02-01 00:00:00.250+00"}]"#, "3"),
];

/// Every filter keeps exactly the rows for which it is true. Gives the names of those that are refused, which only a
/// database whose catalog is not known may do.
pub async fn filters_follow_sql(backend: &dyn Backend, schema: &dyn SchemaReader) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for (name, conditions, ids) in FILTERS {
        let request = format!(
            r#"{{"table_name":"contract_items","columns":"id","conditions":{conditions},"sort_by":{{"field":"id"}}}}"#
        );
        let ids = ids.split(',').filter(|id| !id.is_empty());
        let rows: Vec<String> = ids.map(|id| format!(r#"{{"id":{}}}"#, id.replace('H', HUGE))).collect();
        if !expect(backend, schema, name, &request, &format!("[{}]", rows.join(","))).await {
            refused.push(*name);
        }
    }
    refused
}
