//! Writes that tell whether they were carried out.

use super::*;
use crate::access::{ApiKey, RightSet, Scope};

const ASKING: Asking<'static> = Asking { allow_filtering: false, database_order: false, authority: None };
const KEY: &str = "a eq 1; b eq 2; c eq 3; d eq 4; e eq 5";

fn update(
    asking: Asking<'_>,
    table: &str,
    set: &str,
    filter: &str,
    only_if: &str,
) -> Result<CqlUpdate, RequestError> {
    let (filter, only_if) = (conditions(filter), conditions(only_if));
    asking.update(&format!(r#"{{"table_name":"{table}","set":{set},"conditions":{filter},"if":{only_if}}}"#))
}

fn delete(filter: &str, only_if: &str) -> Result<CqlDelete, RequestError> {
    let (filter, only_if) = (conditions(filter), conditions(only_if));
    ASKING.delete(&format!(r#"{{"table_name":"events","conditions":{filter},"if":{only_if}}}"#))
}

#[test]
fn what_the_row_must_be_is_said_as_the_database_takes_it() {
    let check = |only_if: &str, expected: &str| {
        let update = update(ASKING, "events", r#"{"plain":1}"#, KEY, only_if)
            .unwrap_or_else(|e| panic!("{only_if}: {e:?}"));
        assert_eq!(
            (said(&update.relation, &update.condition).as_str(), update.told),
            (expected, true),
            "{only_if}"
        );
        assert_eq!(said(&update.relation, &update.rows[0]), "a=1 and b=2 and c=3 and d=4 and e=5");
        let delete = delete(KEY, only_if).unwrap();
        assert_eq!((delete.condition, delete.told), (update.condition, true));
    };
    // That it is there.
    check("", "");
    check("plain eq 7", "plain=7");
    check("plain gt 1; plain lte 9; word eq \"x\"", "plain>1 and plain<=9 and word='x'");
    check("plain in [1,2,3]", "plain in (1,2,3)");
    // Null is no different value.
    check("plain neq 7", "plain!=7 and plain!=null");
    check("flag neq true", "flag=false");
    check("plain is null; word eq \"x\"", "plain=null and word='x'");
    check("plain is \"not null\"", "plain!=null");
    check("plain eq null; flag is true", "plain=null and flag=true");
    // Beside what is in `conditions`.
    let both =
        update(ASKING, "events", r#"{"plain":1}"#, &format!("{KEY}; word eq \"y\""), "plain gt 3").unwrap();
    assert_eq!(said(&both.relation, &both.condition), "word='y' and plain>3");
    // Without `if` nothing is told.
    let plain = ASKING.update(&format!(
        r#"{{"table_name":"events","set":{{"plain":1}},"conditions":{}}}"#,
        conditions(KEY)
    ));
    assert!(!plain.unwrap().told);
}

#[test]
fn what_the_database_cannot_ask_of_a_row_is_refused() {
    for (only_if, field) in [
        ("or plain.eq.1,word.eq.x", "if"),
        ("not and(plain.eq.1,word.eq.x)", "if"),
        ("plain in [1,null]", "if"),
        ("plain in []", "if"),
        ("a eq 1", "a"),
        ("shared eq 1", "shared"),
        ("tags contains [\"x\"]", "tags"),
        ("items eq [1]", "items"),
        ("items neq [1]", "items"),
        ("word like \"x%\"", "word"),
        // It would make a row that is not there.
        ("plain is null", "plain"),
        ("plain is null; word is null", "plain"),
    ] {
        assert_eq!(refused(update(ASKING, "events", r#"{"plain":1}"#, KEY, only_if)), field, "{only_if}");
        assert_eq!(refused(delete(KEY, only_if)), field, "{only_if}");
    }
    let two = "a eq 1; b in [2,3]; c eq 3; d eq 4; e eq 5";
    assert_eq!(refused(update(ASKING, "events", r#"{"plain":1}"#, two, "plain eq 1")), "conditions");
    let nobody = update(ASKING, "users", r#"{"age":1}"#, "id eq 1; id eq 2", "age eq 1").unwrap();
    assert_eq!((nobody.rows.len(), nobody.told), (0, true));
    let error = update(ASKING, "users", r#"{"age":1}"#, "id eq 1", "nope eq 1").unwrap_err();
    assert_eq!(error.code, RequestCode::UndefinedColumn);
    let grouped = r#"{"table_name":"users","set":{"age":1},"conditions":[{"eq_column":"id","eq_value":1}],"if":[],"group_by":"age"}"#;
    assert_eq!(ASKING.update(grouped).unwrap_err().field.as_deref(), Some("group_by"));
}

#[test]
fn an_insert_may_find_its_row() {
    let insert =
        |rest: &str| ASKING.insert(&format!(r#"{{"table_name":"users","if_not_exists":true,{rest}}}"#));
    let one = insert(r#""insert_body":{"id":1,"name":"x","age":null}"#).unwrap();
    assert_eq!((one.existing, one.batch), (Existing::Told, Batch::Single));
    assert_eq!(one.rows[0][2], CqlValue::Unset);
    assert_eq!(insert(r#""insert_body":[{"id":1}]"#).unwrap().existing, Existing::Told);
    for (rest, field) in [
        (r#""insert_body":[{"id":1},{"id":2}]"#, "insert_body"),
        (r#""insert_body":{"id":1},"update_body":{}"#, "if_not_exists"),
        (r#""insert_body":{"id":1},"on_conflict":"id""#, "if_not_exists"),
    ] {
        let error = insert(rest).unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (RequestCode::InvalidField, Some(field)), "{rest}");
    }
    let not =
        ASKING.insert(r#"{"table_name":"users","if_not_exists":false,"insert_body":{"id":1}}"#).unwrap();
    assert_eq!(not.existing, Existing::Refuses);
}

fn key(scope: Scope, rights: &[&'static str]) -> ApiKey {
    ApiKey { rights: RightSet::new(rights.iter().copied()).into(), scope: scope.into(), ..ApiKey::new(1, "") }
}

#[test]
fn the_row_that_is_there_is_shown_only_to_those_who_may_see_it() {
    let filter = |column: &str| {
        Scope::from_parts(
            None,
            None,
            None,
            Some(&format!(r#"{{"users":[{{"eq_column":"{column}","eq_value":1}}]}}"#)),
        )
        .unwrap()
    };
    let insert = |key: &ApiKey, rest: &str| {
        let body = format!(
            r#"{{"table_name":"users","insert_body":{{"id":1,"age":1}},"if_not_exists":true{rest}}}"#
        );
        Asking { allow_filtering: false, database_order: false, authority: Some(Authority::of(key)) }
            .insert(&body)
    };
    let change = |key: &ApiKey| {
        update(
            Asking { allow_filtering: false, database_order: false, authority: Some(Authority::of(key)) },
            "users",
            r#"{"name":"x"}"#,
            "id eq 1",
            "name eq \"y\"",
        )
    };
    // By its key, a row is within the filter or not.
    let by_key = key(filter("id"), &["*"]);
    assert!(insert(&by_key, "").is_ok());
    assert!(change(&by_key).is_ok());
    // By another column, only the row itself tells.
    let by_value = key(filter("age"), &["*"]);
    assert_eq!(refused(insert(&by_value, "")), "if_not_exists");
    assert_eq!(refused(change(&by_value)), "if");
    assert!(insert(&by_value, r#","head":true"#).is_ok(), "nothing is shown");
    // Who may only write is shown nothing.
    let writer = key(Scope::default(), &["users.write"]);
    assert_eq!(insert(&writer, "").unwrap_err().code, RequestCode::Denied);
    assert_eq!(change(&writer).unwrap_err().code, RequestCode::Denied);
    assert!(insert(&writer, r#","head":true"#).is_ok());
    let operations =
        Scope::from_parts(Some(&["insert".to_owned(), "update".to_owned()]), None, None, None).unwrap();
    assert_eq!(insert(&key(operations, &["*"]), "").unwrap_err().code, RequestCode::Denied);
    // Columns that the key does not reach are neither shown nor asked for.
    let columns = Scope::from_parts(None, None, Some(r#"{"users":["id","name","age"]}"#), None).unwrap();
    let narrow = Scope::from_parts(None, None, Some(r#"{"users":["id","age"]}"#), None).unwrap();
    assert!(change(&key(columns, &["*"])).is_ok());
    let narrow = key(narrow, &["*"]);
    assert_eq!(change(&narrow).unwrap_err().code, RequestCode::Denied);
    let labels: Vec<_> = insert(&narrow, "")
        .unwrap()
        .returning
        .iter()
        .filter(|o| !o.hidden)
        .map(|o| o.label.to_string())
        .collect();
    assert_eq!(labels, ["id", "age"]);
}
