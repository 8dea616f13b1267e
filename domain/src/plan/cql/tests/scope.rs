//! What a key demands of rows is kept in every read and every write, or the request is refused.

use super::*;
use crate::access::{ApiKey, AuthReason, RightSet, Scope};

fn under<T>(filter: &str, run: impl FnOnce(Asking<'_>) -> T) -> T {
    let table = if filter.contains("\"a\"") || filter.contains("plain") || filter.contains("shared") {
        "events"
    } else {
        "users"
    };
    let filters = format!(r#"{{"{table}":[{filter}]}}"#);
    let scope = Scope::from_parts(None, None, None, Some(&filters)).unwrap();
    let key = ApiKey { rights: RightSet::new(["*"]).into(), scope: scope.into(), ..ApiKey::new(1, "") };
    run(Asking { allow_filtering: false, database_order: false, authority: Some(Authority::of(&key)) })
}

fn eq(column: &str, value: i32) -> String {
    format!(r#"{{"eq_column":"{column}","eq_value":{value}}}"#)
}

#[test]
fn reads_are_narrowed() {
    under(&eq("a", 1), |asking| {
        let said = |filter: &str| {
            let read = asking.read("events", &format!(r#","conditions":{}"#, conditions(filter)))?;
            Ok::<_, RequestError>(all_said(&read.relation, &read.reads))
        };
        assert_eq!(said("b eq 2").as_deref(), Ok("a=1 and b=2"));
        assert_eq!(said("a in [1,2]; b eq 2").as_deref(), Ok("a=1 and b=2"));
        assert_eq!(said("a eq 2; b eq 2").as_deref(), Ok(""));
        assert_eq!(said("or and(a.eq.2,b.eq.2),and(a.eq.1,b.eq.3)").as_deref(), Ok("a=1 and b=3"));
        assert_eq!(refused(said("")), "a");
    });
}

/// Checks what becomes of a write: done, denied or refused.
fn check<T: std::fmt::Debug>(outcome: Result<T, RequestError>, expected: &str, what: &str) {
    let found = match outcome {
        Ok(_) => "done",
        Err(error) => match (&error.denied, error.code) {
            (Some(denied), _) if denied.reason == AuthReason::RowOutOfScope => "denied",
            (None, RequestCode::NotSupportedByBackend) => "refused",
            _ => panic!("{what}: {error:?}"),
        },
    };
    assert_eq!(found, expected, "{what}");
}

#[test]
fn new_rows_are_held_against_the_filter() {
    let insert = |filter: &str, rows: &str, rest: &str, expected: &str| {
        let body = format!(r#"{{"table_name":"users","insert_body":{rows}{rest}}}"#);
        under(filter, |asking| check(asking.insert(&body), expected, &format!("{filter} {body}")));
    };
    let upsert = r#","on_conflict":"id""#;
    insert(&eq("id", 1), r#"{"id":1}"#, "", "done");
    insert(&eq("id", 1), r#"{"id":2}"#, "", "denied");
    insert(&eq("id", 1), r#"{"id":1}"#, upsert, "done");
    insert(&eq("id", 1), r#"{"id":2}"#, upsert, "denied");
    insert(&eq("age", 1), r#"{"id":1,"age":1}"#, "", "done");
    insert(&eq("age", 1), r#"{"id":1,"age":2}"#, "", "denied");
    insert(&eq("age", 1), r#"{"id":1}"#, "", "denied");
    insert(&eq("age", 1), r#"{"id":1,"age":null}"#, "", "denied");
    insert(r#"{"operator":"gt","column":"age","value":5}"#, r#"{"id":1,"age":6}"#, "", "done");
    insert(r#"{"operator":"gt","column":"age","value":5}"#, r#"{"id":1,"age":5}"#, "", "denied");
    insert(r#"{"operator":"is","column":"age","value":null}"#, r#"{"id":1}"#, "", "done");
    insert(r#"{"operator":"or","value":"id.eq.1,age.eq.2"}"#, r#"{"id":3,"age":2}"#, "", "done");
    insert(r#"{"operator":"or","value":"id.eq.1,age.eq.2"}"#, r#"{"id":3,"age":3}"#, "", "denied");
    // Of a row that is there nothing is known but its key.
    insert(&eq("age", 1), r#"{"id":1,"age":1}"#, upsert, "refused");
    insert(&eq("age", 1), r#"{"id":1,"age":1}"#, r#","update_body":{}"#, "refused");
    insert(r#"{"operator":"like","column":"name","value":"x%"}"#, r#"{"id":1,"name":"x"}"#, "", "refused");
    let events = |filter: &str, row: &str, expected: &str| {
        let body = format!(r#"{{"table_name":"events","insert_body":{row}}}"#);
        under(filter, |asking| check(asking.insert(&body), expected, &format!("{filter} {body}")));
    };
    events(&eq("shared", 1), r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"shared":1}"#, "refused");
    events(&eq("shared", 1), r#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#, "refused");
}

#[test]
fn changed_rows_stay_within_the_filter() {
    let update = |filter: &str, set: &str, expected: &str| {
        let conditions = conditions("id eq 1");
        let body = format!(r#"{{"table_name":"users","set":{set},"conditions":{conditions}}}"#);
        under(filter, |asking| check(asking.update(&body), expected, &format!("{filter} {set}")));
    };
    update(&eq("id", 1), r#"{"age":2}"#, "done");
    update(&eq("age", 1), r#"{"name":"x"}"#, "done");
    update(&eq("age", 1), r#"{"age":1}"#, "done");
    update(&eq("age", 1), r#"{"age":2}"#, "denied");
    update(&eq("age", 1), r#"{"age":null}"#, "denied");
    update(
        r#"{"operator":"or","value":"and(id.eq.1,age.eq.1),and(id.eq.1,name.eq.x)"}"#,
        r#"{"age":2}"#,
        "refused",
    );
    under(&eq("age", 1), |asking| {
        let body =
            r#"{"table_name":"users","set":{"name":"x"},"conditions":[{"eq_column":"id","eq_value":1}]}"#;
        let update = asking.update(body).unwrap();
        assert_eq!(said(&update.relation, &update.condition), "age=1");
        let delete = asking.delete(r#"{"table_name":"users","resource_id":1}"#).unwrap();
        assert_eq!(said(&delete.relation, &delete.condition), "age=1");
        // A row outside of the filter is as if it were not there.
        let outside = r#"{"table_name":"users","conditions":[{"eq_column":"id","eq_value":1},{"eq_column":"age","eq_value":2}]}"#;
        assert_eq!(asking.delete(outside).unwrap().rows, Vec::<Vec<Restriction>>::new());
    });
}

#[test]
fn a_refusal_names_no_column_that_the_key_does_not_reach() {
    let columns = r#"{"events":["b","plain"]}"#;
    let filters = format!(r#"{{"events":[{}]}}"#, eq("legacy", 1));
    let scope = Scope::from_parts(None, None, Some(columns), Some(&filters)).unwrap();
    let key = ApiKey { rights: RightSet::new(["*"]).into(), scope: scope.into(), ..ApiKey::new(1, "") };
    let asking =
        Asking { allow_filtering: false, database_order: false, authority: Some(Authority::of(&key)) };
    let error = asking.read("events", &format!(r#","conditions":{}"#, conditions("plain eq 1"))).unwrap_err();
    assert_eq!(error.code, RequestCode::NotSupportedByBackend);
    let told = format!("{} {} {}", error.message, error.hint.unwrap(), error.field.unwrap());
    assert!(!told.contains("legacy") && !told.contains('\''), "{told}");
    // What the filter of the key finds by itself is found.
    assert!(asking.read("events", "").is_ok());
}

#[test]
fn columns_of_the_key_are_not_named_to_those_who_must_not_see_them() {
    let columns = r#"{"events":["a","b","c","plain"]}"#;
    let scope = Scope::from_parts(None, None, Some(columns), None).unwrap();
    let key = ApiKey { rights: RightSet::new(["*"]).into(), scope: scope.into(), ..ApiKey::new(1, "") };
    let asking =
        Asking { allow_filtering: false, database_order: false, authority: Some(Authority::of(&key)) };
    let body = r#"{"table_name":"events","insert_body":{"a":1,"b":2,"c":3},"columns":"a"}"#;
    let error = asking.insert(body).unwrap_err();
    let texts = [Some(error.message), error.hint, error.field];
    for text in texts.into_iter().flatten() {
        assert!(!text.contains("'d'") && !text.contains("'e'") && text != "d", "{text}");
    }
}

#[test]
fn written_rows_are_shown_as_far_as_the_key_lets_them_through() {
    let visible = |filter: &str, body: &str| {
        under(filter, |asking| {
            let insert = asking.insert(body).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
            insert.visible.map(|all| all_said(&insert.relation, &all))
        })
    };
    let user = r#"{"table_name":"users","insert_body":{"id":1,"age":30}}"#;
    assert_eq!(visible(&eq("id", 1), user), None, "a key never changes");
    assert_eq!(visible(&eq("age", 30), user).as_deref(), Some("age=30"));
    let both = format!("{},{}", eq("id", 1), eq("age", 30));
    assert_eq!(visible(&both, user).as_deref(), Some("age=30"));
    let either = r#"{"operator":"in","column":"age","value":[30,31]}"#;
    assert_eq!(visible(either, user).as_deref(), Some("age=30 | age=31"));
    let body = r#"{"table_name":"users","set":{"name":"x"},"conditions":[{"eq_column":"id","eq_value":1}]}"#;
    under(&eq("age", 30), |asking| {
        let update = asking.update(body).unwrap();
        assert_eq!(update.visible.map(|all| all_said(&update.relation, &all)).as_deref(), Some("age=30"));
    });
    let body = r#"{"table_name":"users","conditions":[{"eq_column":"id","eq_value":1}]}"#;
    under(&eq("age", 30), |asking| {
        let delete = asking.delete(body).unwrap();
        assert_eq!(said(&delete.relation, delete.visible()), "age=30");
    });
}

#[test]
fn a_filter_by_an_order_that_sql_does_not_have_lets_nothing_through() {
    let range = r#"{"operator":"gt","column":"at","value":"50554d6e-29bb-11e5-b345-feff819cdc9f"}"#;
    let filters = format!(r#"{{"visits":[{range}]}}"#);
    let scope = Scope::from_parts(None, None, None, Some(&filters)).unwrap();
    let key = ApiKey { rights: RightSet::new(["*"]).into(), scope: scope.into(), ..ApiKey::new(1, "") };
    let asking = Asking { authority: Some(Authority::of(&key)), ..Asking::default() };
    let rest = format!(r#","conditions":{}"#, conditions("id eq 1"));
    assert_eq!(refused(asking.read("visits", &rest)), "at");
    let owner = Asking { database_order: true, ..asking };
    assert!(owner.read("visits", &rest).is_ok());
}
