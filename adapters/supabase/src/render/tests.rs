#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use athena_domain::Limits;
use athena_domain::plan::{PlanOptions, Planner};
use athena_domain::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use athena_domain::rows::RowFormat;
use athena_domain::schema::Schema;
use percent_encoding::percent_decode_str;

use super::*;

fn call(route: &str, body: &str) -> Result<Call, Inexpressible> {
    let (limits, options, decoding) = (Limits::default(), PlanOptions::default(), Decoding::default());
    let schema = Schema::open("public");
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
    let json = JsonText::parse(body.as_bytes()).unwrap();
    let plan = match route {
        "fetch" | "count" => {
            let request = FetchRequest::decode(json, &limits, decoding).unwrap();
            let (read, count) = planner.fetch(&request, RowFormat::Json).unwrap();
            if route == "count" { count.unwrap() } else { read }
        }
        "insert" => planner.insert(&InsertRequest::decode(json, &limits, decoding).unwrap()).unwrap(),
        "update" => planner.update(&UpdateRequest::decode(json, &limits, decoding).unwrap()).unwrap(),
        _ => planner.delete(&DeleteRequest::decode(json, &limits, decoding).unwrap()).unwrap(),
    };
    render(&plan)
}

/// A target as PostgREST reads it. Two values in it would be told apart by marks that are encoded inside of them.
fn target(route: &str, body: &str) -> String {
    let call = call(route, body).unwrap();
    percent_decode_str(&call.target).decode_utf8().unwrap().into_owned()
}

fn filter(conditions: &str) -> String {
    let target = target("fetch", &format!(r#"{{"table_name":"t","conditions":{conditions}}}"#));
    let filter = target.strip_prefix("t?select=*").and_then(|rest| rest.strip_suffix("&limit=100")).unwrap();
    filter.strip_prefix("&and=").unwrap_or(filter).to_owned()
}

fn refused(route: &str, body: &str) -> &'static str {
    call(route, body).unwrap_err().reason
}

#[test]
fn every_operator_has_its_form() {
    let check = |conditions: &str, expected: &str| assert_eq!(filter(conditions), expected, "{conditions}");
    check("[]", "");
    for (op, value, expected) in [
        ("eq", "5", "a.eq.\"5\""),
        ("eq", "1.10", "a.eq.\"1.10\""),
        ("eq", "\"\"", "a.eq.\"\""),
        ("eq", "null", "a.is.null"),
        ("neq", "null", "a.not.is.null"),
        ("neq", "true", "a.neq.\"true\""),
        ("gt", "\"2024-01-01T00:00:00+01:00\"", "a.gt.\"2024-01-01T00:00:00+01:00\""),
        ("gte", "-1", "a.gte.\"-1\""),
        ("lt", "1e5", "a.lt.\"1e5\""),
        ("lte", "\"x\"", "a.lte.\"x\""),
        ("like", "\"50\\\\%_%\"", "a.like.\"50\\\\%_%\""),
        ("ilike", "\"a,b%\"", "a.ilike.\"a,b%\""),
        ("is", "\"not null\"", "a.not.is.null"),
        ("is", "\"unknown\"", "a.is.unknown"),
        ("is", "false", "a.is.false"),
        ("in", "[1,\"b,)\",\"c\\\"\\\\\"]", "a.in.(\"1\",\"b,)\",\"c\\\"\\\\\")"),
        ("in", "[]", "a.in.()"),
        ("in", "[\"\"]", "a.eq.\"\""),
        ("in", "[null]", "a.is.null"),
        ("in", "[1,null]", "or(a.eq.\"1\",a.is.null)"),
        ("in", "[\"\",\"null\",null]", "or(a.in.(\"\",\"null\"),a.is.null)"),
        (
            "contains",
            "[1,\"x\\\"y\",null,[true]]",
            "a.cs.\"{\\\"1\\\",\\\"x\\\\\\\"y\\\",NULL,{\\\"true\\\"}}\"",
        ),
        ("contains", "{\"k\":1.0}", "a.cs.\"{\\\"k\\\":1.0}\""),
        ("contains", "[{\"k\":1}]", "a.cs.\"[{\\\"k\\\":1}]\""),
        ("contains", "\"[1,2)\"", "a.cs.\"[1,2)\""),
        ("contains", "\"{}\"", "a.cs.\"{}\""),
        ("containedBy", "[1]", "a.cd.\"{\\\"1\\\"}\""),
    ] {
        let conditions = format!(r#"[{{"operator":"{op}","column":"a","value":{value}}}]"#);
        check(&conditions, &format!("({expected})"));
    }
}

#[test]
fn nesting_is_kept() {
    let expression = |op: &str, value: &str| filter(&format!(r#"[{{"operator":"{op}","value":"{value}"}}]"#));
    assert_eq!(expression("or", "a.eq.1,b.eq.2"), "(or(a.eq.\"1\",b.eq.\"2\"))");
    assert_eq!(
        expression("or", "and(a.eq.1,not.or(b.is.null,c.gt.2)),not.d.in.(1,2)"),
        "(or(and(a.eq.\"1\",not.or(b.is.null,c.gt.\"2\")),d.not.in.(\"1\",\"2\")))"
    );
    assert_eq!(expression("not", "a.is.null"), "(a.not.is.null)");
    assert_eq!(expression("not", "and(a.eq.1,b.eq.2)"), "(not.and(a.eq.\"1\",b.eq.\"2\"))");
    let twice = r#"[{"eq_column":"a","eq_value":1},{"operator":"or","value":"b.eq.2,c.eq.3"}]"#;
    assert_eq!(filter(twice), "(a.eq.\"1\",or(b.eq.\"2\",c.eq.\"3\"))");
}

#[test]
fn columns_may_have_the_names_of_parameters() {
    for name in ["select", "order", "limit", "offset", "columns", "on_conflict", "and", "or", "not"] {
        let conditions = format!(r#"[{{"eq_column":"{name}","eq_value":"eq.1"}}]"#);
        assert_eq!(filter(&conditions), format!("({name}.eq.\"eq.1\")"));
    }
}

#[test]
fn no_value_leaves_its_quotes() {
    let value = "\"),or(id.gt.0)&select=secret#%26\\u0000é\\\\";
    let body = format!(
        r#"{{"table_name":"t","conditions":[{{"eq_column":"a","eq_value":{}}}]}}"#,
        serde_json::to_string(&value.replace("\\u0000", "")).unwrap()
    );
    let call = call("fetch", &body).unwrap();
    let (_, query) = call.target.split_once('?').unwrap();
    let parameters: Vec<(&str, &str)> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!(parameters.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["select", "and", "limit"]);
    assert!(call.target.is_ascii() && !call.target.contains(['"', '#', ' ', '\\']), "{}", call.target);
    let read = percent_decode_str(parameters[1].1).decode_utf8().unwrap();
    assert_eq!(read, "(a.eq.\"\\\"),or(id.gt.0)&select=secret#%26é\\\\\\\\\")");
    // A plus sign would be read as a blank.
    let plus = r#"{"table_name":"t","conditions":[{"eq_column":"a","eq_value":"1+1"}]}"#;
    assert!(self::call("fetch", plus).unwrap().target.contains("1%2B1"));
}

#[test]
fn what_has_no_form_is_refused() {
    let condition = |op: &str, value: &str| {
        format!(r#"{{"table_name":"t","conditions":[{{"operator":"{op}","column":"a","value":{value}}}]}}"#)
    };
    assert!(refused("fetch", &condition("like", "\"a*\"")).contains('*'));
    assert!(refused("fetch", &condition("contains", "[]")).contains("empty array"));
    let long = format!("[\"{}\"]", vec!["x".repeat(600); 101].join("\",\""));
    assert!(refused("fetch", &condition("in", &long)).contains("longer"));
}

#[test]
fn reads_say_columns_order_and_window() {
    let body = r#"{"table_name":"audit.t","columns":["id","n:name","age::text","x:y::double precision"],
        "sort_by":[{"field":"a","direction":"desc","nulls":"last"},{"field":"order"},{"field":"c","nulls":"first"}],
        "limit":10,"offset":20}"#;
    assert_eq!(
        target("fetch", body),
        "t?select=id,n:name,age::text,x:y::double precision&order=a.desc.nullslast,order.asc,c.asc.nullsfirst\
         &limit=10&offset=20"
    );
    let call = call("fetch", body).unwrap();
    assert_eq!((call.method, &*call.schema, call.prefer.len()), (Method::Get, "audit", 0));
    for kind in ["exact", "planned", "estimated"] {
        let body = format!(
            r#"{{"table_name":"t","count":"{kind}","conditions":[{{"eq_column":"a","eq_value":1}}],"limit":5}}"#
        );
        assert_eq!(target("count", &body), "t?and=(a.eq.\"1\")&limit=0");
        assert_eq!(self::call("count", &body).unwrap().prefer, [format!("count={kind}")]);
    }
}

fn body(call: &Call) -> &str {
    std::str::from_utf8(call.body.as_deref().unwrap()).unwrap()
}

#[test]
fn inserts_write_what_was_given() {
    let one =
        call("insert", r#"{"table_name":"t","insert_body":{"a":1.10,"b":"é\"","c":null,"d":{"x":[1.0]}}}"#);
    let one = one.unwrap();
    assert_eq!(one.method, Method::Post);
    assert_eq!(one.target, "t?columns=a,b,c,d&select=*");
    assert_eq!(one.prefer, ["count=exact", "return=representation"]);
    assert_eq!(body(&one), r#"{"a":1.10,"b":"é\"","c":null,"d":{"x":[1.0]}}"#);
    let rows = r#""insert_body":[{"a":1},{"b":2},{}]"#;
    let nulls = call("insert", &format!(r#"{{"table_name":"t",{rows},"head":true}}"#)).unwrap();
    assert_eq!(body(&nulls), r#"[{"a":1,"b":null},{"a":null,"b":2},{"a":null,"b":null}]"#);
    assert_eq!(nulls.target, "t?columns=a,b");
    assert_eq!(nulls.prefer, ["count=exact", "return=minimal"]);
    let defaults = format!(r#"{{"table_name":"t",{rows},"default_to_null":false,"columns":"b"}}"#);
    let defaults = call("insert", &defaults).unwrap();
    assert_eq!(body(&defaults), r#"[{"a":1},{"b":2},{}]"#);
    assert_eq!(defaults.target, "t?columns=b,a&select=b");
    assert!(defaults.strict);
    assert_eq!(defaults.prefer[..2], ["handling=strict", "missing=default"]);
    let id = call("insert", r#"{"table_name":"t","insert_body":{"id":7},"columns":"x:a"}"#).unwrap();
    assert_eq!(id.target, "t?columns=id&select=x:a,athena_hidden:id");
}

#[test]
fn upserts_are_those_that_postgrest_has() {
    let check = |fields: &str, target: &str, resolution: &str| {
        let call = call("insert", &format!(r#"{{"table_name":"t",{fields}}}"#)).unwrap();
        assert_eq!(call.target, target, "{fields}");
        assert_eq!(call.prefer[0], format!("resolution={resolution}-duplicates"), "{fields}");
    };
    let row = r#""insert_body":{"id":1,"a":2}"#;
    check(&format!(r#"{row},"on_conflict":"id""#), "t?columns=id,a&on_conflict=id&select=*", "merge");
    check(&format!(r#"{row},"update_body":{{"id":1,"a":2}}"#), "t?columns=id,a&select=*", "merge");
    check(
        &format!(r#"{row},"on_conflict":["id"],"update_body":{{"a":2}}"#),
        "t?columns=id,a&on_conflict=id&select=*",
        "merge",
    );
    check(
        &format!(r#"{row},"on_conflict":"id","update_body":{{}},"head":true"#),
        "t?columns=id,a&on_conflict=id",
        "ignore",
    );
    check(
        r#""insert_body":{"id":1},"on_conflict":"id","update_body":{}"#,
        "t?columns=id&on_conflict=id&select=*",
        "merge",
    );
    for fields in [
        format!(r#"{row},"on_conflict":"id","update_body":{{"a":3}}"#),
        format!(r#"{row},"on_conflict":"id","update_body":{{"b":3}}"#),
        format!(r#"{row},"on_conflict":"id","update_body":{{"a":2,"b":3}}"#),
        format!(r#"{row},"on_conflict":"id","update_body":{{}}"#),
        r#""insert_body":[{"id":1,"a":2},{"id":2,"a":3}],"on_conflict":"id","update_body":{"a":2}"#
            .to_owned(),
        r#""insert_body":{"id":1,"a":2,"b":3},"on_conflict":"id","update_body":{"a":2}"#.to_owned(),
    ] {
        assert!(!refused("insert", &format!(r#"{{"table_name":"t",{fields}}}"#)).is_empty(), "{fields}");
    }
}

#[test]
fn changes_are_bounded_by_their_conditions() {
    let where_a = r#""conditions":[{"eq_column":"a","eq_value":1}]"#;
    let update = call("update", &format!(r#"{{"table_name":"t","set":{{"b":[1,"x"],"c":null}},{where_a}}}"#));
    let update = update.unwrap();
    assert_eq!(update.method, Method::Patch);
    assert_eq!(update.target, "t?and=(a.eq.%221%22)&select=*");
    assert_eq!(body(&update), r#"{"b":[1,"x"],"c":null}"#);
    let delete = call("delete", &format!(r#"{{"table_name":"t","head":true,"max_affected":5,{where_a}}}"#));
    let delete = delete.unwrap();
    assert_eq!((delete.method, delete.body), (Method::Delete, None));
    assert_eq!(delete.target, "t?and=(a.eq.%221%22)");
    assert_eq!(delete.prefer, ["handling=strict", "max-affected=5", "count=exact", "return=minimal"]);
    assert!(delete.strict);
    assert_eq!(target("delete", r#"{"table_name":"t","resource_id":"x"}"#), "t?and=(id.eq.\"x\")&select=*");
}
