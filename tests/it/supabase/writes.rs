//! Writes through PostgREST, seen again through PostgreSQL itself.

use athena_test_support::Preferences;
use serde_json::json;

use super::*;

#[tokio::test]
async fn writes_do_what_they_do_on_the_database_itself() {
    for (route, fields) in [
        (
            "insert",
            r#""insert_body":{"id":10,"name":"é\"\\","n":1.10,"big":9007199254740993,"tags":["a,b",null],"meta":{"x":[1.50]},"at":"2024-01-01T00:00:00Z","flag":true}"#,
        ),
        ("insert", r#""insert_body":{"id":10,"meta":"text"},"columns":"id,meta,order""#),
        (
            "insert",
            r#""insert_body":[{"id":10,"name":"x"},{"id":11,"n":2}],"columns":["key:id","name","n","order"]"#,
        ),
        ("insert", r#""insert_body":[{"id":10,"order":1},{"id":11}],"columns":"id,order""#),
        (
            "insert",
            r#""insert_body":[{"id":10,"order":1},{"id":11}],"columns":"id,order","default_to_null":false"#,
        ),
        ("insert", r#""insert_body":[{"id":10},{"id":11}],"head":true,"count":"exact""#),
        ("insert", r#""insert_body":{"id":1,"name":"new"},"on_conflict":"id","columns":"id,name,email""#),
        (
            "insert",
            r#""insert_body":{"id":12,"name":"new"},"update_body":{"id":12,"name":"new"},"columns":"id,name""#,
        ),
        (
            "insert",
            r#""insert_body":{"email":"a@example.com","name":"n","id":1},"on_conflict":["email"],"columns":"id,name""#,
        ),
        ("insert", r#""insert_body":{"id":1,"name":"kept"},"on_conflict":"id","update_body":{},"head":true"#),
        (
            "update",
            r#""set":{"name":null,"meta":[1,{"a":2.50}],"n":3.30},"conditions":[{"eq_column":"id","eq_value":1}]"#,
        ),
        (
            "update",
            r#""set":{"order":9},"conditions":[{"operator":"in","column":"id","value":[4]}],"columns":"id,order","count":"exact""#,
        ),
        (
            "update",
            r#""set":{"order":9},"conditions":[{"operator":"gt","column":"id","value":3}],"head":true,"count":"exact""#,
        ),
        ("update", r#""set":{"order":9},"conditions":[{"eq_column":"id","eq_value":99}]"#),
        ("update", r#""set":{"order":9},"conditions":[{"eq_column":"id","eq_value":4}],"max_affected":1"#),
        ("delete", r#""resource_id":5"#),
        ("delete", r#""resource_id":"99""#),
        ("delete", r#""conditions":[{"operator":"gte","column":"id","value":5}],"columns":"id""#),
        (
            "delete",
            r#""conditions":[{"operator":"gte","column":"id","value":5}],"head":true,"count":"exact","max_affected":1"#,
        ),
    ] {
        let (sql, rest) = (Both::start().await, Both::start().await);
        let body = format!(r#"{{"table_name":"things",{fields}}}"#);
        let expected = sql.send("sql", route, &body).await;
        let answer = rest.send("rest", route, &body).await;
        assert_eq!(expected.status, 200, "{body}: {}", expected.text);
        // Nothing of the row is asked for there, so that its id stays untold.
        let told = match body.contains(r#""head":true"#) {
            true => expected.text.replace(r#""resource_id":"1""#, r#""resource_id":null"#),
            false => expected.text,
        };
        assert_eq!(answer.text.replace("\"rest\"", "\"sql\""), told, "{body}");
        // What is there afterwards, as PostgreSQL itself says.
        let all = r#"{"table_name":"things","sort_by":{"field":"id"}}"#;
        let (expected, kept) = (sql.send("sql", "fetch", all).await, rest.send("sql", "fetch", all).await);
        assert_eq!(kept.text, expected.text, "{body}");
    }
}

#[tokio::test]
async fn a_bound_on_changes_holds_or_nothing_is_sent() {
    let update = r#"{"table_name":"things","set":{"order":0},"max_affected":2,"columns":"id",
        "conditions":[{"operator":"gt","column":"id","value":0}]}"#;
    let defaults =
        r#"{"table_name":"things","insert_body":[{"id":20,"order":1},{"id":21}],"default_to_null":false}"#;
    let all = r#"{"table_name":"things","columns":"id,order","sort_by":{"field":"id"}}"#;
    for (preferences, code) in [
        (Preferences::Known, "too_many_rows"),
        (Preferences::Strict, "not_supported_by_backend"),
        (Preferences::Skipped, "not_supported_by_backend"),
    ] {
        let both = Both::with(preferences, None, "").await;
        let before = both.send("sql", "fetch", all).await.text;
        both.send("rest", "update", update).await.refused(400, code);
        let inserted = both.send("rest", "insert", defaults).await;
        if preferences == Preferences::Known {
            assert_eq!(inserted.ok()["data"][1]["order"], 7);
        } else {
            inserted.refused(400, code);
            assert_eq!(both.send("sql", "fetch", all).await.text, before);
            assert!(both.server.seen().iter().all(|request| request.method == "GET"), "nothing was written");
        }
    }
    let both = Both::start().await;
    let rows = r#"{"table_name":"things","insert_body":[{"id":20},{"id":21}],"max_affected":1}"#;
    both.send("rest", "insert", rows).await.refused(400, "too_many_rows");
    assert!(both.server.seen().is_empty());
}

#[tokio::test]
async fn a_write_that_returns_too_much_says_that_it_was_carried_out() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let uri = rest_uri(server.address(), "");
    let gateway = Gateway::over(&[("rest", &uri)], "limits: {max_rows: 2}").await;
    let update = |head: &str| {
        format!(
            r#"{{"table_name":"things","set":{{"order":0}},{head}"conditions":[{{"operator":"gt","column":"id","value":0}}]}}"#
        )
    };
    let refused = send(&gateway, "rest", "update", &update("")).await.refused(400, "limit_exceeded");
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("carried out")), "{refused}");
    assert_eq!(send(&gateway, "rest", "update", &update(r#""head":true,"#)).await.rows(), json!([]));
}
