#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::HashMap;

mod authority;
mod open;

use super::*;
use crate::error::{RequestCode, RequestError};
use crate::query::{Decoding, DeleteRequest, FetchRequest, InsertRequest, JsonText, UpdateRequest};
use crate::rows::RowFormat;
use crate::schema::{Column, TypeKind, UniqueIndex};

fn schema() -> Schema {
    let column = |name: &str, sql: &str, kind: TypeKind| Column {
        name: name.into(),
        ty: ColumnType::new(sql, kind),
        nullable: name != "id",
        writable: name != "total",
    };
    let text_array = TypeKind::Array(ColumnType::new("text", TypeKind::Text).into());
    let users = Relation {
        schema: "public".into(),
        name: "users".into(),
        columns: vec![
            column("id", "bigint", TypeKind::Int(64)),
            column("user_name", "text", TypeKind::Text),
            column("Age", "integer", TypeKind::Int(32)),
            column("tags", "text[]", text_array),
            column("meta", "jsonb", TypeKind::Jsonb),
            column("total", "numeric", TypeKind::Numeric),
        ],
        primary_key: Box::new([0]),
        inherited: false,
        cql: None,
        unique: vec![
            UniqueIndex { name: "users_pkey".into(), columns: Box::new([0]), total: true, constraint: true },
            UniqueIndex {
                name: "users_name_key".into(),
                columns: Box::new([1]),
                total: true,
                constraint: true,
            },
        ],
    };
    let types = HashMap::from([("text".into(), ColumnType::new("text", TypeKind::Text))]);
    Schema::new(vec![users], types, vec!["public".into()])
}

fn with<T>(camel: bool, run: impl FnOnce(Planner<'_>) -> T) -> T {
    let options = PlanOptions { camel_to_snake: camel, ..PlanOptions::default() };
    run(Planner { schema: &schema(), limits: &Limits::default(), options: &options, authority: None })
}

fn fetch(body: &str, format: RowFormat) -> Result<SelectPlan, RequestError> {
    let body = JsonText::parse(body.as_bytes())?;
    let request = FetchRequest::decode(body, &Limits::default(), Decoding::default())?;
    match with(false, |planner| planner.fetch(&request, format))?.0.operation {
        Operation::Select(select) => Ok(select),
        other => panic!("{other:?}"),
    }
}

fn insert(body: &str) -> Result<InsertPlan, RequestError> {
    let body = JsonText::parse(body.as_bytes())?;
    let request = InsertRequest::decode(body, &Limits::default(), Decoding::default())?;
    match with(false, |planner| planner.insert(&request))?.operation {
        Operation::Insert(insert) => Ok(insert),
        other => panic!("{other:?}"),
    }
}

#[test]
fn limits_are_said_not_silently_cut() {
    let limit = |body: &str, format| fetch(body, format).map(|plan| plan.limit).map_err(|e| e.code);
    assert_eq!(limit(r#"{"table_name":"users"}"#, RowFormat::Json), Ok(Some(100)));
    assert_eq!(limit(r#"{"table_name":"users"}"#, RowFormat::Ndjson), Ok(None));
    assert_eq!(
        limit(r#"{"table_name":"users","limit":10001}"#, RowFormat::Json),
        Err(RequestCode::LimitExceeded)
    );
    assert_eq!(limit(r#"{"table_name":"users","limit":10001}"#, RowFormat::Csv), Ok(Some(10_001)));
    assert_eq!(limit(r#"{"table_name":"users","page_size":20}"#, RowFormat::Json), Ok(Some(20)));
    assert_eq!(limit(r#"{"table_name":"users","head":true}"#, RowFormat::Json), Ok(Some(0)));
}

#[test]
fn names_are_found_exactly_or_not_at_all() {
    let label = |columns: &str| {
        fetch(&format!(r#"{{"table_name":"users","columns":{columns}}}"#), RowFormat::Json)
            .map(|plan| {
                plan.outputs.iter().map(|o| format!("{}:{}", o.column, o.label)).collect::<Vec<_>>().join(" ")
            })
            .map_err(|e| e.code)
    };
    assert_eq!(label(r#"["id","userName","AGE"]"#).as_deref(), Ok("0:id 1:userName 2:AGE"));
    assert_eq!(label(r#"["n:user_name","user_name::text"]"#).as_deref(), Ok("1:n 1:user_name"));
    assert_eq!(label(r#"["id","id"]"#).as_deref(), Ok("0:id"));
    assert_eq!(label(r#"["user"]"#), Err(RequestCode::UndefinedColumn));
    assert_eq!(label(r#"["id","id:user_name"]"#), Err(RequestCode::InvalidField));
    assert_eq!(label(r#"["id::nosuchtype"]"#), Err(RequestCode::UnsupportedSelect));
    // Beside all columns a name adds nothing, and has to be one all the same.
    let all = label(r#""*""#).unwrap();
    assert_eq!(label(r#""*,user_name""#), Ok(all));
    assert_eq!(label(r#""*,user""#), Err(RequestCode::UndefinedColumn));
    let code = |body: &str| fetch(body, RowFormat::Json).map(drop).map_err(|e| e.code);
    for (body, expected) in [
        (r#"{"table_name":"users","view_name":"users"}"#, Ok(())),
        (r#"{"table_name":"users","view_name":""}"#, Ok(())),
        (r#"{"table_name":"users","view_name":"others"}"#, Err(RequestCode::InvalidField)),
        (r#"{"table_name":"users","sort_by":{"field":"id"},"sortBy":{"field":"Age"}}"#, Ok(())),
        (
            r#"{"table_name":"users","sort_by":{"field":"id"},"sortBy":{"field":""}}"#,
            Err(RequestCode::InvalidIdentifier),
        ),
    ] {
        assert_eq!(code(body), expected, "{body}");
    }
}

#[test]
fn the_camel_switch_renames_keys_of_answers() {
    let body =
        JsonText::parse(br#"{"table_name":"users","columns":["userName"],"sort_by":{"field":"userName"}}"#)
            .unwrap();
    let request = FetchRequest::decode(body, &Limits::default(), Decoding::default()).unwrap();
    let plan = with(true, |planner| planner.fetch(&request, RowFormat::Json)).unwrap().0;
    let Operation::Select(select) = plan.operation else { panic!() };
    assert_eq!(&*select.outputs[0].label, "user_name");
    assert_eq!(select.order[0].column, 1);
}

#[test]
fn pages_end_with_the_key() {
    let order = |rest: &str| {
        let plan = fetch(&format!(r#"{{"table_name":"users"{rest}}}"#), RowFormat::Json).unwrap();
        plan.order.iter().map(|key| key.column).collect::<Vec<_>>()
    };
    assert_eq!(order(""), Vec::<usize>::new());
    assert_eq!(order(r#","offset":5"#), vec![0]);
    assert_eq!(order(r#","current_page":2,"sort_by":{"field":"age"}"#), vec![2, 0]);
    assert_eq!(order(r#","current_page":2,"sort_by":[{"field":"id","direction":"desc"}]"#), vec![0]);
}

fn page(body: &str, after: Option<&[KeyValue]>) -> Result<SelectPlan, RequestError> {
    let request =
        FetchRequest::decode(JsonText::parse(body.as_bytes())?, &Limits::default(), Decoding::default())?;
    match with(false, |planner| planner.page(&request, after.map(PageStart::Keys)))?.0.operation {
        Operation::Select(select) => Ok(select),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_looks_one_row_ahead_and_carries_its_place() {
    let body = r#"{"table_name":"users","columns":"user_name","sort_by":[{"field":"age","direction":"desc"},{"field":"AGE"}],"cursor":"","page_size":5}"#;
    let first = page(body, None).unwrap();
    assert_eq!((first.limit, first.offset, first.after.is_none()), (Some(6), 0, true));
    assert_eq!(first.order.iter().map(|key| key.column).collect::<Vec<_>>(), [2, 0]);
    let outputs: Vec<_> = first.outputs.iter().map(|o| (o.column, o.hidden, o.cast.is_some())).collect();
    assert_eq!(outputs, [(1, false, false), (2, true, true), (0, true, true)]);
    let key =
        |column: &str, value: Option<&str>| KeyValue { column: column.into(), value: value.map(Box::from) };
    let next = page(body, Some(&[key("Age", None), key("id", Some("7"))])).unwrap().after.unwrap();
    assert_eq!(next[0].datum, Datum::Null);
    assert_eq!((&next[1].datum, &*next[1].ty.sql), (&Datum::Text("7".into()), "bigint"));
    // The key of the table is another one now.
    for place in [vec![key("Age", None)], vec![key("Age", None), key("user_name", Some("a"))], vec![]] {
        assert_eq!(page(body, Some(&place)).unwrap_err().code, RequestCode::InvalidCursor, "{place:?}");
    }
    let limit = |body: &str| page(body, None).map(|plan| plan.limit).map_err(|error| error.code);
    assert_eq!(limit(r#"{"table_name":"users","cursor":""}"#), Ok(Some(101)));
    assert_eq!(limit(r#"{"table_name":"users","cursor":"","page_size":10000}"#), Ok(Some(10_001)));
    let beyond = r#"{"table_name":"users","cursor":"","page_size":10001}"#;
    assert_eq!(limit(beyond), Err(RequestCode::LimitExceeded));
    for bad in [r#""group_by":"age""#, r#""head":true"#, r#""current_page":1"#, r#""limit":5"#] {
        let body = format!(r#"{{"table_name":"users","cursor":"",{bad}}}"#);
        assert_eq!(limit(&body), Err(RequestCode::InvalidField), "{bad}");
    }
}

#[test]
fn rows_are_told_apart_by_a_key_or_a_unique_index_without_nulls() {
    let schema = schema();
    let users = schema.relations().find(|relation| &*relation.name == "users").unwrap();
    let identity = |change: &dyn Fn(&mut Relation)| {
        let mut relation = (**users).clone();
        change(&mut relation);
        relation.identity().map(<[usize]>::to_vec)
    };
    assert_eq!(identity(&|_| {}), Some(vec![0]));
    let keyless = |relation: &mut Relation| {
        relation.primary_key = Box::default();
        relation.unique.retain(|index| *index.columns == [1]);
    };
    assert_eq!(identity(&keyless), None, "nulls are not equal");
    let strict = |relation: &mut Relation| {
        keyless(relation);
        relation.columns[1].nullable = false;
    };
    assert_eq!(identity(&strict), Some(vec![1]));
    let partial = |relation: &mut Relation| {
        strict(relation);
        relation.unique[0].total = false;
    };
    assert_eq!(identity(&partial), None);
}

#[test]
fn upserts_find_their_target() {
    let target =
        |body: &str| insert(body).map(|plan| (plan.conflict.map(|c| c.target), plan.conflict_unknown));
    let columns = |list: &[usize]| Some(Target::Columns(list.to_vec(), None));
    let check = |rest: &str, expected: (Option<Target>, bool)| {
        let body = format!(r#"{{"table_name":"users","insert_body":{{"id":1,"user_name":"a"}}{rest}}}"#);
        assert_eq!(target(&body).unwrap(), expected, "{rest}");
    };
    check("", (None, false));
    check(r#","on_conflict":"user_name""#, (columns(&[1]), false));
    check(r#","update_body":{"age":1}"#, (columns(&[0]), false));
    check(
        r#","on_conflict":{"constraint":"users_name_key"}"#,
        (Some(Target::Constraint("users_name_key".into())), false),
    );
    let unknown =
        insert(r#"{"table_name":"users","insert_body":{"user_name":"a"},"update_body":{}}"#).unwrap();
    assert!(unknown.conflict_unknown);
    for bad in [
        r#""age""#,
        r#"["id","user_name"]"#,
        r#"{"constraint":"nope"}"#,
        r#"{"columns":["id"],"constraint":"users_pkey"}"#,
        r#""""#,
    ] {
        let body = format!(r#"{{"table_name":"users","insert_body":{{"id":1}},"on_conflict":{bad}}}"#);
        assert!(insert(&body).is_err(), "{bad}");
    }
}

#[test]
fn rows_become_columns() {
    let plan = insert(r#"{"table_name":"users","insert_body":[{"id":1,"user_name":"a"},{"id":2}]}"#).unwrap();
    assert_eq!(
        plan.source,
        InsertSource::Columns(vec![vec![Some("1".into()), Some("2".into())], vec![Some("a".into()), None]])
    );
    let body =
        r#"{"table_name":"users","default_to_null":false,"insert_body":[{"id":1,"user_name":"a"},{"id":2}]}"#;
    assert!(matches!(insert(body).unwrap().source, InsertSource::Rows(rows) if rows[1][1].is_none()));
    let generated = insert(r#"{"table_name":"users","insert_body":{"total":1}}"#).unwrap_err();
    assert_eq!(generated.code, RequestCode::InvalidPayload);
    let twice =
        insert(r#"{"table_name":"users","insert_body":{"user_name":"a","userName":"b"}}"#).unwrap_err();
    assert_eq!(twice.code, RequestCode::InvalidField);
}

#[test]
fn writes_that_can_hit_many_rows_can_be_undone() {
    let guard = |conditions: &str| {
        let body = format!(r#"{{"table_name":"users","set":{{"age":1}},"conditions":{conditions}}}"#);
        let body = JsonText::parse(body.as_bytes()).unwrap();
        let request = UpdateRequest::decode(body, &Limits::default(), Decoding::default()).unwrap();
        match with(false, |planner| planner.update(&request)).unwrap().operation {
            Operation::Update(update) => update.guard.needs_transaction(),
            other => panic!("{other:?}"),
        }
    };
    assert!(!guard(r#"[{"eq_column":"id","eq_value":1}]"#));
    assert!(!guard(r#"[{"eq_column":"user_name","eq_value":"a"},{"gt_column":"age","gt_value":1}]"#));
    assert!(guard(r#"[{"eq_column":"age","eq_value":1}]"#));
    assert!(guard(r#"[{"operator":"or","value":"id.eq.1,id.eq.2"}]"#));
    assert!(guard(r#"[{"operator":"not","value":"id.eq.1"}]"#));
}

#[test]
fn delete_knows_the_id() {
    let filter = |body: &str| {
        let body = JsonText::parse(body.as_bytes()).unwrap();
        let request = DeleteRequest::decode(body, &Limits::default(), Decoding::default()).unwrap();
        match with(false, |planner| planner.delete(&request)).unwrap().operation {
            Operation::Delete(delete) => match delete.filter {
                Filter::And(list) => list.len(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(filter(r#"{"table_name":"users","resource_id":"7"}"#), 1);
    assert_eq!(
        filter(
            r#"{"table_name":"users","resource_id":"7","conditions":[{"eq_column":"resource_id","eq_value":7}]}"#
        ),
        1
    );
    assert_eq!(
        filter(r#"{"table_name":"users","resource_id":"7","conditions":[{"eq_column":"age","eq_value":7}]}"#),
        2
    );
}

#[test]
fn writes_that_tell_of_the_row_are_of_cql() {
    let refused = |verb: &str, body: &str| {
        let body = JsonText::parse(body.as_bytes()).unwrap();
        let (limits, decoding) = (Limits::default(), Decoding::default());
        let error = match verb {
            "insert" => {
                InsertRequest::decode(body, &limits, decoding).and_then(|r| with(false, |p| p.insert(&r)))
            }
            "update" => {
                UpdateRequest::decode(body, &limits, decoding).and_then(|r| with(false, |p| p.update(&r)))
            }
            _ => DeleteRequest::decode(body, &limits, decoding).and_then(|r| with(false, |p| p.delete(&r))),
        }
        .unwrap_err();
        assert_eq!(error.code, RequestCode::NotSupportedByBackend, "{error:?}");
        assert!(error.hint.is_some());
        error.field.unwrap()
    };
    assert_eq!(
        refused("insert", r#"{"table_name":"users","insert_body":{"id":1},"if_not_exists":true}"#),
        "if_not_exists"
    );
    let change =
        r#"{"table_name":"users","set":{"age":1},"conditions":[{"eq_column":"id","eq_value":1}],"if":[]}"#;
    assert_eq!(refused("update", change), "if");
    assert_eq!(
        refused(
            "delete",
            r#"{"table_name":"users","resource_id":1,"if":[{"eq_column":"age","eq_value":1}]}"#
        ),
        "if"
    );
    for (rest, field) in [(r#","ttl":5"#, "ttl"), (r#","timestamp":5"#, "timestamp")] {
        let insert = format!(r#"{{"table_name":"users","insert_body":{{"id":1}}{rest}}}"#);
        assert_eq!(refused("insert", &insert), field);
        assert_eq!(refused("update", &change.replace(r#","if":[]"#, rest)), field);
    }
    assert_eq!(refused("delete", r#"{"table_name":"users","resource_id":1,"timestamp":5}"#), "timestamp");
    let sized = fetch(r#"{"table_name":"users","fetch_size":5}"#, RowFormat::Json).unwrap_err();
    assert_eq!(sized.field.as_deref(), Some("fetch_size"));
    assert_eq!(sized.code, RequestCode::NotSupportedByBackend);
    for (rest, field) in [(r#","consistency":"one""#, "consistency"), (r#","timeout_ms":5"#, "timeout_ms")] {
        let error = fetch(&format!(r#"{{"table_name":"users"{rest}}}"#), RowFormat::Json).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::NotSupportedByBackend, Some(field)));
        assert_eq!(refused("delete", &format!(r#"{{"table_name":"users","resource_id":1{rest}}}"#)), field);
    }
}
