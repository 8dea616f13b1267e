//! What a key's rights and scope make of a plan.

use proptest::prelude::*;

use super::*;
use crate::access::{ApiKey, AuthReason, RightSet, Scope};
use crate::query::RawRequest;

fn key(rights: &[&str], scope: Scope) -> ApiKey {
    ApiKey { rights: RightSet::new(rights.iter().copied()).into(), scope: scope.into(), ..ApiKey::new(1, "") }
}

fn scope(tables: Option<&str>, columns: Option<&str>, filters: Option<&str>) -> Scope {
    let tables = tables.map(|table| vec![table.to_owned()]);
    Scope::from_parts(None, tables.as_deref(), columns, filters).unwrap()
}

/// Plans a body on a route under a key.
fn plan(key: &ApiKey, route: &str, body: &str) -> Result<Operation, RequestError> {
    let (limits, options, schema) = (Limits::default(), PlanOptions::default(), schema());
    let authority = Some(Authority::of(key));
    let planner = Planner { schema: &schema, limits: &limits, options: &options, authority };
    let json = JsonText::parse(body.as_bytes())?;
    let decoding = Decoding::default();
    let plan = match route {
        "fetch" => planner.fetch(&FetchRequest::decode(json, &limits, decoding)?, RowFormat::Json)?.0,
        "insert" => planner.insert(&InsertRequest::decode(json, &limits, decoding)?)?,
        "update" => planner.update(&UpdateRequest::decode(json, &limits, decoding)?)?,
        "delete" => planner.delete(&DeleteRequest::decode(json, &limits, decoding)?)?,
        _ => planner.raw(&RawRequest::decode(json, decoding)?)?,
    };
    Ok(plan.operation)
}

fn denied(key: &ApiKey, route: &str, body: &str) -> Option<AuthReason> {
    match plan(key, route, body) {
        Ok(_) => None,
        Err(error) => match &error.denied {
            Some(denied) => Some(denied.reason),
            None => panic!("another refusal: {error:?}"),
        },
    }
}

const ROUTES: [(&str, &str, &str); 4] = [
    ("fetch", "users.read", r#"{"table_name":"users"}"#),
    ("insert", "users.write", r#"{"table_name":"users","insert_body":{"id":1}}"#),
    (
        "update",
        "users.write",
        r#"{"table_name":"users","set":{"Age":1},"conditions":[{"eq_column":"id","eq_value":1}]}"#,
    ),
    ("delete", "users.delete", r#"{"table_name":"users","resource_id":1}"#),
];

#[test]
fn every_route_asks_for_its_own_right() {
    for (route, right, body) in ROUTES {
        for (_, granted, _) in ROUTES {
            let expected = (granted != right).then_some(AuthReason::MissingRights);
            assert_eq!(
                denied(&key(&[granted], Scope::default()), route, body),
                expected,
                "{granted} on {route}"
            );
        }
        let error = plan(&key(&[], Scope::default()), route, body).unwrap_err();
        assert_eq!(error.message, format!("Missing required rights: {right}"));
    }
    let sql = r#"{"query":"select 1"}"#;
    assert_eq!(denied(&key(&["gateway.query"], Scope::default()), "query", sql), None);
    assert_eq!(
        denied(&key(&["gateway.read"], Scope::default()), "query", sql),
        Some(AuthReason::MissingRights)
    );
    let limited = key(&["*"], scope(Some("users"), None, None));
    assert_eq!(denied(&limited, "query", sql), Some(AuthReason::OperationOutOfScope));
}

#[test]
fn a_write_that_changes_nothing_is_a_read() {
    let set = r#""set":{"Age":1},"conditions":[{"eq_column":"Age","eq_value":1}]"#;
    let insert = r#""insert_body":{"id":1,"Age":2},"on_conflict":"id""#;
    let cases = [
        ("update", format!(r#"{set},"dry_run":true"#)),
        ("update", format!(r#"{set},"dry_run":true,"head":true"#)),
        ("update", format!(r#"{set},"max_affected":0"#)),
        ("delete", r#""resource_id":1,"dry_run":true"#.to_owned()),
        ("delete", r#""resource_id":1,"max_affected":0"#.to_owned()),
        ("insert", format!(r#"{insert},"dry_run":true"#)),
        ("insert", format!(r#"{insert},"update_body":{{}}"#)),
        ("insert", format!(r#"{insert},"update_body":{{}},"head":true"#)),
        // Every value is one of the key: there is nothing that could change.
        ("insert", r#""insert_body":{"id":1},"on_conflict":"id""#.to_owned()),
    ];
    let operations = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Scope::from_parts(Some(&names), None, None, None).unwrap()
    };
    let writes = ["users.write", "users.delete"];
    let all = ["users.read", "users.write", "users.delete"];
    for (route, rest) in cases {
        let body = format!(r#"{{"table_name":"users",{rest}}}"#);
        let missing = denied(&key(&writes, Scope::default()), route, &body);
        assert_eq!(missing, Some(AuthReason::MissingRights), "{body}");
        let scoped = denied(&key(&all, operations(&["insert", "update", "delete"])), route, &body);
        assert_eq!(scoped, Some(AuthReason::OperationOutOfScope), "{body}");
        assert_eq!(denied(&key(&all, Scope::default()), route, &body), None, "{body}");
    }
    let own = r#"{"table_name":"users","insert_body":{"id":1},"dry_run":true}"#;
    assert_eq!(denied(&key(&writes, Scope::default()), "insert", own), None, "it shows what was sent");
}

#[test]
fn whether_a_table_exists_is_told_to_those_who_may_read_it() {
    let unknown = r#"{"table_name":"nowhere"}"#;
    assert_eq!(
        denied(&key(&["users.read"], Scope::default()), "fetch", unknown),
        Some(AuthReason::MissingRights)
    );
    let other = r#"{"table_name":"audit.users"}"#;
    assert_eq!(
        denied(&key(&["users.read"], Scope::default()), "fetch", other),
        Some(AuthReason::MissingRights)
    );
    let error = plan(&key(&["*"], Scope::default()), "fetch", unknown).unwrap_err();
    assert_eq!(error.code, RequestCode::UndefinedTable);
    let scoped = key(&["*"], scope(Some("public.users"), None, None));
    assert_eq!(denied(&scoped, "fetch", unknown), Some(AuthReason::TableOutOfScope));
    assert_eq!(denied(&scoped, "fetch", ROUTES[0].2), None);
}

#[test]
fn columns_out_of_scope_can_neither_be_seen_nor_named() {
    let key = key(&["*"], scope(None, Some(r#"{"users":["id","Age"]}"#), None));
    let Ok(Operation::Select(select)) = plan(&key, "fetch", r#"{"table_name":"users"}"#) else { panic!() };
    let seen: Vec<&str> = select.outputs.iter().map(|output| &*output.label).collect();
    assert_eq!(seen, ["id", "Age"]);
    assert!(!select.every, "`*` would return more");
    let reached = [
        ("fetch", r#"{"table_name":"users","columns":["id"],"sort_by":{"field":"Age"}}"#),
        ("insert", r#"{"table_name":"users","insert_body":{"id":1,"Age":2},"on_conflict":"id"}"#),
    ];
    for (route, body) in reached {
        assert_eq!(denied(&key, route, body), None, "{body}");
    }
    let beyond = [
        ("fetch", r#"{"table_name":"users","columns":["user_name"]}"#),
        ("fetch", r#"{"table_name":"users","columns":"*,user_name"}"#),
        ("fetch", r#"{"table_name":"users","columns":["id:USER_NAME"]}"#),
        ("fetch", r#"{"table_name":"users","columns":["a:userName"]}"#),
        ("fetch", r#"{"table_name":"users","columns":["nowhere"]}"#),
        ("fetch", r#"{"table_name":"users","sort_by":{"field":"user_name"}}"#),
        ("fetch", r#"{"table_name":"users","conditions":[{"eq_column":"user_name","eq_value":"x"}]}"#),
        (
            "fetch",
            r#"{"table_name":"users","conditions":[{"operator":"or","value":"(id.eq.1,not.and(user_name.is.null))"}]}"#,
        ),
        ("insert", r#"{"table_name":"users","insert_body":{"id":1,"user_name":"x"}}"#),
        ("insert", r#"{"table_name":"users","insert_body":{"id":1},"on_conflict":"user_name"}"#),
        (
            "insert",
            r#"{"table_name":"users","insert_body":{"id":1},"on_conflict":{"constraint":"users_name_key"}}"#,
        ),
        ("insert", r#"{"table_name":"users","insert_body":{"id":1},"update_body":{"user_name":"x"}}"#),
        ("insert", r#"{"table_name":"users","insert_body":{"id":1},"columns":["user_name"]}"#),
        (
            "update",
            r#"{"table_name":"users","set":{"user_name":"x"},"conditions":[{"eq_column":"id","eq_value":1}]}"#,
        ),
        ("delete", r#"{"table_name":"users","conditions":[{"eq_column":"user_name","eq_value":"x"}]}"#),
    ];
    for (route, body) in beyond {
        assert_eq!(denied(&key, route, body), Some(AuthReason::ColumnOutOfScope), "{body}");
    }
    let without_id = super::authority::key(&["*"], scope(None, Some(r#"{"users":["Age"]}"#), None));
    assert_eq!(denied(&without_id, "delete", ROUTES[3].2), Some(AuthReason::ColumnOutOfScope));
    let Ok(Operation::Insert(insert)) =
        plan(&without_id, "insert", r#"{"table_name":"users","insert_body":{"Age":1}}"#)
    else {
        panic!()
    };
    assert!(!insert.returning.iter().any(|output| output.hidden), "the id is not for this caller");
    let nothing = super::authority::key(&["*"], scope(None, Some(r#"{"users":[]}"#), None));
    assert_eq!(denied(&nothing, "fetch", ROUTES[0].2), Some(AuthReason::ColumnOutOfScope));
}

#[test]
fn row_filters_bind_every_statement() {
    let own = r#"{"users":[{"eq_column":"user_name","eq_value":"ada"}]}"#;
    let columns = r#"{"users":["id","Age"]}"#;
    let key = key(&["*"], scope(None, Some(columns), Some(own)));
    let demanded = |filter: &Filter| {
        let Filter::And(all) = filter else { panic!("{filter:?}") };
        assert!(
            matches!(all.last(), Some(Filter::And(own)) if matches!(own[..], [Filter::Compare { column: 1, .. }])),
            "{filter:?}"
        );
    };
    for (route, _, body) in ROUTES {
        match plan(&key, route, body).unwrap() {
            Operation::Select(select) => demanded(&select.filter),
            Operation::Update(update) => {
                demanded(&update.filter);
                assert!(update.guard.needs_transaction());
                demanded(&Filter::And(vec![update.check.expect("a check")]));
            }
            Operation::Delete(delete) => demanded(&delete.filter),
            Operation::Insert(insert) => {
                assert!(insert.guard.needs_transaction());
                demanded(&Filter::And(vec![insert.check.expect("a check")]));
            }
            other => panic!("{other:?}"),
        }
    }
    let (limits, options, schema) = (Limits::default(), PlanOptions::default(), schema());
    let planner =
        Planner { schema: &schema, limits: &limits, options: &options, authority: Some(Authority::of(&key)) };
    let body = JsonText::parse(br#"{"table_name":"users","count":"exact"}"#).unwrap();
    let request = FetchRequest::decode(body, &limits, Decoding::default()).unwrap();
    let Some(Plan { operation: Operation::Count(count), .. }) =
        planner.fetch(&request, RowFormat::Json).unwrap().1
    else {
        panic!()
    };
    demanded(&count.filter);
    let misfit = super::authority::key(
        &["*"],
        scope(None, None, Some(r#"{"*":[{"eq_column":"tenant","eq_value":1}]}"#)),
    );
    for (route, _, body) in ROUTES {
        assert_eq!(denied(&misfit, route, body), Some(AuthReason::RowOutOfScope), "{route}");
    }
}

proptest! {
    /// Whatever is asked for, no plan under a column rule gives or tests another column.
    #[test]
    fn no_plan_reaches_a_hidden_column(
        columns in proptest::collection::vec(proptest::sample::select(vec!["id", "user_name", "Age", "age", "userName", "tags", "x"]), 0..4),
        filter in proptest::sample::select(vec!["id", "user_name", "Age", "AGE", "total"]),
        sort in proptest::sample::select(vec!["id", "user_name", "Age", "meta"]),
    ) {
        let key = key(&["users.read"], scope(None, Some(r#"{"public.*":["id","Age"]}"#), None));
        let body = serde_json::json!({
            "table_name": "users", "columns": columns, "sort_by": {"field": sort},
            "conditions": [{"eq_column": filter, "eq_value": 1}],
        });
        if let Ok(Operation::Select(select)) = plan(&key, "fetch", &body.to_string()) {
            prop_assert!(select.outputs.iter().all(|output| [0, 2].contains(&output.column)));
            prop_assert!(select.order.iter().all(|order| [0, 2].contains(&order.column)));
            let tested = format!("{:?}", select.filter);
            prop_assert!(["column: 0", "column: 2"].iter().any(|column| tested.contains(column)), "{tested}");
        }
    }
}
