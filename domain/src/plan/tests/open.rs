//! Requests against a schema of which nothing is known.

use super::*;
use crate::access::{ApiKey, AuthReason, RightSet, Scope};
use crate::query::RawRequest;

fn plan_as(key: Option<&ApiKey>, camel: bool, route: &str, body: &str) -> Result<Plan, RequestError> {
    let (limits, decoding) = (Limits::default(), Decoding::default());
    let options = PlanOptions { camel_to_snake: camel, ..PlanOptions::default() };
    let schema = Schema::open("public");
    let planner =
        Planner { schema: &schema, limits: &limits, options: &options, authority: key.map(Authority::of) };
    let json = JsonText::parse(body.as_bytes())?;
    Ok(match route {
        "fetch" => planner.fetch(&FetchRequest::decode(json, &limits, decoding)?, RowFormat::Json)?.0,
        "insert" => planner.insert(&InsertRequest::decode(json, &limits, decoding)?)?,
        "update" => planner.update(&UpdateRequest::decode(json, &limits, decoding)?)?,
        "delete" => planner.delete(&DeleteRequest::decode(json, &limits, decoding)?)?,
        _ => planner.raw(&RawRequest::decode(json, decoding)?)?,
    })
}

fn plan(route: &str, body: &str) -> Result<Operation, RequestError> {
    plan_as(None, false, route, body).map(|plan| plan.operation)
}

fn key(columns: Option<&str>, filters: Option<&str>) -> ApiKey {
    let scope = Scope::from_parts(None, None, columns, filters).unwrap();
    ApiKey { rights: RightSet::new(["*"]).into(), scope: scope.into(), ..ApiKey::new(1, "") }
}

fn names(relation: &Relation, outputs: &[Output]) -> Vec<String> {
    let name = |output: &Output| format!("{}:{}", output.label, relation.columns[output.column].name);
    outputs.iter().map(name).collect()
}

#[test]
fn every_name_of_a_request_is_a_column() {
    let body = r#"{"table_name":"audit.t","columns":"a,x:b::text","sort_by":{"field":"c"},
        "conditions":[{"operator":"or","value":"d.eq.1,not.and(e.is.true,f.in.(1,2))"}]}"#;
    let Ok(Operation::Select(select)) = plan("fetch", body) else { panic!("a read") };
    let relation = &select.relation;
    assert!(relation.is_open());
    assert_eq!((&*relation.schema, &*relation.name), ("audit", "t"));
    let columns: Vec<&str> = relation.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(columns, ["*", "a", "b", "d", "e", "f", "c"]);
    assert_eq!(names(relation, &select.outputs), ["a:a", "x:b"]);
    assert_eq!(select.outputs[1].cast.as_ref().map(|ty| &*ty.sql), Some("text"));
    let Ok(Operation::Select(select)) = plan("fetch", r#"{"table_name":"t"}"#) else { panic!("a read") };
    assert_eq!(select.relation.schema.as_ref(), "public");
    assert_eq!(names(&select.relation, &select.outputs), ["*:*"]);
}

#[test]
fn values_keep_their_json() {
    let body = r#"{"table_name":"t","insert_body":{"a":1.10,"b":"x\"","c":[1,{"d":2.0}],"d":null,"e":true}}"#;
    let Ok(Operation::Insert(insert)) = plan("insert", body) else { panic!("an insert") };
    let InsertSource::Row(binds) = insert.source else { panic!("one row") };
    let texts: Vec<_> = binds.into_iter().map(|bind| bind.into_text()).collect();
    let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
    assert_eq!(texts, [Some("1.10"), Some(r#""x\"""#), Some(r#"[1,{"d":2.0}]"#), None, Some("true")]);
    assert_eq!(names(&insert.relation, &insert.returning), ["*:*", "id:id"]);
    assert!(insert.returning[1].hidden);
}

#[test]
fn a_key_that_is_limited_to_columns_gets_those() {
    let limited = key(Some(r#"{"t":["id","a"],"public.*":["a","id","b"]}"#), None);
    let fetch = |body: &str| plan_as(Some(&limited), false, "fetch", body).map(|plan| plan.operation);
    let Ok(Operation::Select(select)) = fetch(r#"{"table_name":"t"}"#) else { panic!("a read") };
    assert_eq!(names(&select.relation, &select.outputs), ["id:id", "a:a"]);
    for body in [
        r#"{"table_name":"t","columns":"b"}"#,
        r#"{"table_name":"t","conditions":[{"eq_column":"b","eq_value":1}]}"#,
        r#"{"table_name":"t","sort_by":{"field":"b"}}"#,
        r#"{"table_name":"t","conditions":[{"operator":"not","value":"b.eq.1"}]}"#,
        r#"{"table_name":"t","columns":"A"}"#,
    ] {
        let denied = fetch(body).unwrap_err().denied.map(|denied| denied.reason);
        assert_eq!(denied, Some(AuthReason::ColumnOutOfScope), "{body}");
    }
    let nothing = key(Some(r#"{"t":[]}"#), None);
    assert!(plan_as(Some(&nothing), false, "fetch", r#"{"table_name":"t"}"#).is_err());
}

#[test]
fn no_spelling_of_a_table_gets_round_what_a_key_demands() {
    let bounded = key(Some(r#"{"users":["id"]}"#), Some(r#"{"users":[{"eq_column":"owner","eq_value":7}]}"#));
    for name in ["users", "USERS", "public.users", "Public.users", "PUBLIC.Users"] {
        let fetch = |rest: &str| {
            plan_as(Some(&bounded), false, "fetch", &format!(r#"{{"table_name":"{name}"{rest}}}"#))
        };
        let Operation::Select(select) = fetch("").unwrap().operation else { panic!("a read") };
        assert_eq!(names(&select.relation, &select.outputs), ["id:id"], "{name}");
        assert_ne!(select.filter, Filter::And(Vec::new()), "{name}");
        let denied = fetch(r#","columns":"token""#).unwrap_err().denied.map(|denied| denied.reason);
        assert_eq!(denied, Some(AuthReason::ColumnOutOfScope), "{name}");
    }
    let elsewhere = plan_as(Some(&bounded), false, "fetch", r#"{"table_name":"audit.users"}"#).unwrap();
    let Operation::Select(select) = elsewhere.operation else { panic!("a read") };
    assert_eq!(select.filter, Filter::And(Vec::new()));
}

#[test]
fn rows_of_a_key_are_bounded_where_they_can_be() {
    let bounded = key(None, Some(r#"{"t":[{"eq_column":"owner","eq_value":7}]}"#));
    for (route, body) in [
        ("fetch", r#"{"table_name":"t"}"#),
        ("delete", r#"{"table_name":"t","conditions":[{"eq_column":"a","eq_value":1}]}"#),
    ] {
        let (relation, filter) = match plan_as(Some(&bounded), false, route, body).unwrap().operation {
            Operation::Select(select) => (select.relation, select.filter),
            Operation::Delete(delete) => (delete.relation, delete.filter),
            other => panic!("{other:?}"),
        };
        let Filter::And(all) = filter else { panic!("all of them") };
        let Some(Filter::And(demanded)) = all.last() else { panic!("the key's: {all:?}") };
        let [Filter::Compare { column, op: CompareOp::Eq, value, .. }] = &demanded[..] else {
            panic!("{demanded:?}")
        };
        assert_eq!(&*relation.columns[*column].name, "owner");
        assert_eq!(value.datum, Datum::Text("7".into()));
    }
    for (route, body) in [
        ("insert", r#"{"table_name":"t","insert_body":{"owner":7}}"#),
        ("update", r#"{"table_name":"t","set":{"a":1},"conditions":[{"eq_column":"a","eq_value":1}]}"#),
    ] {
        let error = plan_as(Some(&bounded), false, route, body).unwrap_err();
        assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{route}");
    }
}

#[test]
fn what_needs_more_is_refused_with_the_fix() {
    let condition = r#""conditions":[{"eq_column":"a","eq_value":1}]"#;
    for (route, body, field) in [
        ("raw", r#"{"query":"select 1"}"#.to_owned(), "query"),
        ("fetch", r#"{"table_name":"t","current_page":2}"#.to_owned(), "sort_by"),
        ("fetch", r#"{"table_name":"t","columns":"a::int4[]"}"#.to_owned(), "columns"),
        ("insert", r#"{"table_name":"t","insert_body":{"a":1},"dry_run":true}"#.to_owned(), "dry_run"),
        (
            "insert",
            r#"{"table_name":"t","insert_body":{"a":1},"on_conflict":{"constraint":"k"}}"#.to_owned(),
            "on_conflict",
        ),
        (
            "insert",
            r#"{"table_name":"t","insert_body":{"a":1},"on_conflict":{"columns":["a"],"where":[{"eq_column":"b","eq_value":1}]}}"#.to_owned(),
            "on_conflict",
        ),
        ("update", format!(r#"{{"table_name":"t","set":{{"b":1}},"dry_run":true,{condition}}}"#), "dry_run"),
        ("update", format!(r#"{{"table_name":"t","set":{{"b":1}},"group_by":"b",{condition}}}"#), "group_by"),
        ("delete", format!(r#"{{"table_name":"t","dry_run":true,{condition}}}"#), "dry_run"),
    ] {
        let error = plan(route, &body).unwrap_err();
        assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{body}");
        assert_eq!(error.field.as_deref(), Some(field), "{body}");
        assert!(error.hint.is_some(), "{body}");
    }
    let sorted = r#"{"table_name":"t","current_page":2,"sort_by":{"field":"id"}}"#;
    assert!(plan("fetch", sorted).is_ok());
    assert!(plan("fetch", r#"{"table_name":"t","current_page":1,"page_size":5}"#).is_ok());
}

#[test]
fn an_upsert_names_its_columns_or_means_the_key() {
    let conflict = |body: &str| match plan("insert", body) {
        Ok(Operation::Insert(insert)) => {
            let conflict = insert.conflict.unwrap();
            let Target::Columns(target, None) = conflict.target else { panic!("columns") };
            let name = |column: &usize| insert.relation.columns[*column].name.to_string();
            (target.iter().map(name).collect::<Vec<_>>(), conflict.set)
        }
        other => panic!("{other:?}"),
    };
    let (target, set) =
        conflict(r#"{"table_name":"t","insert_body":{"id":1,"a":2,"b":3},"on_conflict":"b,id"}"#);
    assert_eq!(target, ["id", "b"]);
    assert_eq!(set, [(2, SetValue::Excluded)]);
    let (target, set) = conflict(r#"{"table_name":"t","insert_body":{"id":1,"a":2},"update_body":{}}"#);
    assert!(target.is_empty());
    assert!(matches!(set[..], [(_, SetValue::Same)]));
}

#[test]
fn a_resource_id_is_the_column_id() {
    let filter = |body: &str| match plan("delete", body) {
        Ok(Operation::Delete(delete)) => match delete.filter {
            Filter::And(all) => all
                .iter()
                .map(|one| match one {
                    Filter::Compare { column, .. } => delete.relation.columns[*column].name.to_string(),
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(filter(r#"{"table_name":"t","resource_id":5}"#), ["id"]);
    // Nobody knows whether the table has a column of that name: the database will say.
    let named = r#"{"table_name":"t","conditions":[{"eq_column":"resource_id","eq_value":5}]}"#;
    assert_eq!(filter(named), ["resource_id"]);
}

#[test]
fn camel_case_is_rewritten_where_that_is_asked_for() {
    let body =
        r#"{"table_name":"t","columns":"userId","conditions":[{"eq_column":"createdAt","eq_value":1}]}"#;
    let plan = plan_as(None, true, "fetch", body).unwrap();
    assert!(plan.keys_to_snake);
    let Operation::Select(select) = plan.operation else { panic!("a read") };
    let columns: Vec<&str> = select.relation.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(columns, ["*", "user_id", "created_at"]);
    assert_eq!(names(&select.relation, &select.outputs), ["user_id:user_id"]);
}

#[test]
fn more_names_than_a_table_has_columns_are_refused_at_once() {
    let fields = |count: usize| (0..count).map(|n| format!("\"c{n}\":1")).collect::<Vec<_>>().join(",");
    let insert = |rows: &str| plan("insert", &format!(r#"{{"table_name":"t","insert_body":{rows}}}"#));
    assert!(insert(&format!("{{{}}}", fields(1500))).is_ok());
    let error = insert(&format!("{{{}}}", fields(1601))).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidPayload, Some("insert_body")));
    // Each row has few, all of them together do not.
    let rows: Vec<_> = (0..1601).map(|n| format!("{{\"c{n}\":1}}")).collect();
    let error = insert(&format!("[{}]", rows.join(","))).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidPayload, Some("table_name")));
    // Few names, and rows that leave nearly all of them out.
    let sparse = format!("[{{{}}}{}]", fields(1500), ",{}".repeat(3000));
    let error = insert(&sparse).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidPayload, Some("insert_body")));
    // Rows that hold nothing are three bytes each; what stands behind too many of them is not looked at.
    for rows in
        [format!("[{}{{}}]", "{},".repeat(10_000)), format!("[{{\"a\":1}},{}7]", "{},".repeat(10_001))]
    {
        let error = insert(&rows).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidPayload, Some("insert_body")));
        assert!(error.message.contains("10000 rows hold no value"), "{}", error.message);
    }
    let columns: Vec<_> = (0..1601).map(|n| format!("{{\"c{n}\":1}}")).collect();
    let update = format!(
        r#"{{"table_name":"t","columns":[{}],"conditions":[{{"eq_column":"a","eq_value":1}}]}}"#,
        columns.join(",")
    );
    let error = plan("update", &update).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidPayload, Some("columns")));
    // Who may not use the table is told that, not how many columns one has.
    let nothing = key(None, None);
    let other = ApiKey {
        scope: Scope::from_parts(None, Some(&["other".to_owned()]), None, None).unwrap().into(),
        ..nothing
    };
    let body = format!(r#"{{"table_name":"t","insert_body":[{}]}}"#, rows.join(","));
    assert!(plan_as(Some(&other), false, "insert", &body).unwrap_err().denied.is_some());
}
