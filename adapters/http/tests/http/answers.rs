//! Shapes of successful answers (contract 6.9, 7.3, 8.4, 9.3, 10, 24.6).

use athena_http::{HttpSettings, ResponseShape};
use poem::http::{Method, StatusCode};
use serde_json::json;

use crate::fake::{Reply, fetch, lenient, request, send, server};

#[tokio::test]
async fn fetch_has_three_shapes() {
    let body = r#"{"table_name":"items","columns":["id","note"]}"#;
    let rows = json!([{"id":0,"note":null},{"id":1,"note":null}]);
    let stripped = json!([{"id":0},{"id":1}]);

    let reply = fetch(&[], body).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let envelope = json!({"status":"success","message":"Fetched 2 rows","data":{"rows":rows}});
    assert_eq!(reply.json(), envelope);

    assert_eq!(fetch(&[("X-Strip-Nulls", "true")], body).await.json(), stripped);
    assert_eq!(fetch(&[("X-Strip-Nulls", "false")], body).await.json(), rows);

    let by_body = r#"{"table_name":"items","columns":["id","note"],"strip_nulls":true}"#;
    assert_eq!(fetch(&[], by_body).await.json()["data"]["rows"], stripped);
    assert_eq!(fetch(&[("X-Strip-Nulls", "false")], by_body).await.json(), rows);

    let settings = HttpSettings { response_shape: ResponseShape::Flat, ..lenient() };
    let flat = send(&server(&settings).0, Method::POST, "/gateway/data", &[], body).await;
    assert_eq!(flat.json(), json!({ "data": rows }));
}

#[tokio::test]
async fn counts_stand_where_there_is_room() {
    let body = r#"{"table_name":"items","columns":"id","count":"exact"}"#;
    assert_eq!(fetch(&[], body).await.json()["data"]["count"], 7);
    let array = fetch(&[("X-Strip-Nulls", "true")], body).await;
    assert_eq!(array.header("x-athena-count"), Some("7"));
    let lines = fetch(&[("Accept", "application/x-ndjson")], body).await;
    assert_eq!(lines.header("x-athena-count"), Some("7"));
}

#[tokio::test]
async fn what_cql_filters_and_refuses_is_told() {
    let ask = async |headers: &[(&str, &str)], rest: &str| {
        let mut all = vec![("X-Athena-Client", "cql"), ("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        let body = format!(r#"{{"table_name":"items"{rest}}}"#);
        let request = request(Method::POST, "/gateway/fetch", &all, body);
        Reply::of(server(&lenient()).0.answer(request).await).await
    };
    let by_key = r#","conditions":[{"eq_column":"id","eq_value":1}]"#;
    let by_name = r#","conditions":[{"eq_column":"name","eq_value":"x"}]"#;
    let reply = ask(&[], by_key).await;
    assert_eq!((reply.header("x-athena-filtered"), reply.json()["data"].get("filtered")), (None, None));
    let reply = ask(&[], by_name).await;
    assert_eq!(reply.header("x-athena-filtered"), Some("true"));
    assert_eq!(reply.json()["data"]["filtered"], true);
    let array = ask(&[("X-Strip-Nulls", "true")], by_name).await;
    assert_eq!((array.header("x-athena-filtered"), array.json().is_array()), (Some("true"), true));
    let grouped = ask(&[], &format!(r#"{by_name},"group_by":"name""#)).await;
    assert_eq!(grouped.header("x-athena-filtered"), Some("true"));
    assert_eq!(grouped.json()["data"]["filtered"], true);

    let refused = ask(&[], r#","sort_by":{"field":"name"}"#).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let body = refused.json();
    assert_eq!(
        (&body["code"], &body["details"]["field"]),
        (&json!("not_supported_by_backend"), &json!("sort_by"))
    );
    assert_eq!(body["details"]["reason"], body["message"]);
    assert!(body["details"]["fix"].as_str().unwrap().contains("sort the rows yourself"));
}

#[tokio::test]
async fn groups_keep_an_envelope_that_the_javascript_client_can_read() {
    let body =
        r#"{"table_name":"items","columns":["id","name"],"group_by":"name","aggregation_column":"id"}"#;
    let reply = fetch(&[("X-Strip-Nulls", "true")], body).await.json();
    assert_eq!(reply["error"], "");
    assert_eq!(reply["message"], "Fetched 2 rows");
    assert_eq!(reply["data"]["post_processing"]["grouped"][0]["aggregation"], 1);
    assert!(fetch(&[], body).await.json().get("error").is_none());
    let settings = HttpSettings { response_shape: ResponseShape::Flat, ..lenient() };
    let flat = send(&server(&settings).0, Method::POST, "/gateway/fetch", &[], body).await.json();
    assert!(flat["data"].is_array() && flat["post_processing"]["grouped"].is_array());
}

#[tokio::test]
async fn rows_leave_as_lines_and_as_csv() {
    let body = r#"{"table_name":"items","columns":["id","name"]}"#;
    let lines = fetch(&[("Accept", "application/x-ndjson")], body).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let expected = "{\"id\":0,\"name\":\"a \\\"name\\\"\"}\n{\"id\":1,\"name\":\"a \\\"name\\\"\"}\n";
    assert_eq!(lines.text(), expected);
    let csv = fetch(&[("Accept", "text/csv")], body).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(csv.text(), "id,name\r\n0,\"a \"\"name\"\"\"\r\n1,\"a \"\"name\"\"\"\r\n");
}

#[tokio::test]
async fn long_answers_are_whole() {
    // Below one chunk, a little more than one, more than may wait for a reader.
    for rows in [500, 2_000, 20_000] {
        let reply = fetch(&[], &format!(r#"{{"table_name":"many","limit":{rows}}}"#)).await.json();
        assert_eq!(reply["message"], format!("Fetched {rows} rows"));
        assert_eq!(reply["data"]["rows"].as_array().unwrap().len(), rows);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so() {
    let body = r#"{"table_name":"broken","limit":5000}"#;
    let lines = fetch(&[("Accept", "application/x-ndjson"), ("X-Request-Id", "r1")], body).await.text();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["status"], "error");
    assert_eq!(last["code"], "connection_error");
    assert_eq!(last["trace_id"], "r1");
    for form in ["text/csv", "application/json"] {
        assert!(fetch(&[("Accept", form)], body).await.body.is_err(), "{form}");
    }
}

#[tokio::test]
async fn updates_answer_like_fetches() {
    let (app, _) = server(&lenient());
    let body = r#"{"table_name":"items","set":{"name":"x"},"columns":"id","count":"exact",
        "conditions":[{"operator":"gt","column":"id","value":0}]}"#;
    let reply = send(&app, Method::POST, "/gateway/update", &[], body).await.json();
    let expected =
        json!({"status":"success","message":"Updated 2 rows","data":{"rows":[{"id":0}],"count":2}});
    assert_eq!(reply, expected);
    let array = send(&app, Method::POST, "/gateway/update", &[("X-Strip-Nulls", "true")], body).await;
    assert_eq!(array.json(), json!([{"id":0}]));
    assert_eq!(array.header("x-athena-count"), Some("2"));
}

#[tokio::test]
async fn inserts_answer_the_row_and_its_id() {
    let (app, _) = server(&lenient());
    let one = r#"{"table_name":"items","insert_body":{"name":"x"},"columns":"name,note"}"#;
    let reply = send(&app, Method::PUT, "/gateway/insert", &[], one).await.json();
    let expected = json!({
        "status":"success", "success":true, "message":"Data inserted successfully",
        "data":{"name":"a \"name\"","note":null}, "resource_id":"0", "table_name":"items",
    });
    assert_eq!(reply, expected);
    let array = send(&app, Method::PUT, "/gateway/insert", &[("X-Strip-Nulls", "true")], one).await;
    assert_eq!(array.json(), json!([{"name":"a \"name\""}]));
    assert_eq!(array.header("x-athena-resource-id"), Some("0"));

    let many = r#"{"table_name":"items","insert_body":[{"name":"x"}],"columns":"id","count":"exact"}"#;
    let reply = send(&app, Method::PUT, "/gateway/insert", &[], many).await.json();
    assert_eq!(reply["data"], json!([{"id":0}]));
    assert_eq!(reply["resource_ids"], json!(["0"]));
    assert_eq!(reply["resource_id"], json!(null));
    assert_eq!(reply["count"], 1);
}

#[tokio::test]
async fn deletes_answer_what_went() {
    let (app, _) = server(&lenient());
    let by_id = r#"{"table_name":"items","resource_id":5,"columns":"id"}"#;
    let reply = send(&app, Method::DELETE, "/gateway/delete", &[], by_id).await.json();
    let expected = json!({
        "status":"success", "success":true, "message":"Data deleted successfully", "data":{"id":0},
        "deleted_count":1, "table_name":"items", "resource_id":"5", "client":"demo",
    });
    assert_eq!(reply, expected);
    let by_filter = r#"{"table_name":"items","columns":"id","conditions":[{"operator":"eq","column":"name","value":"x"}]}"#;
    let reply = send(&app, Method::DELETE, "/gateway/delete", &[], by_filter).await.json();
    assert_eq!(reply["data"], json!([{"id":0}]));
    let array = send(&app, Method::DELETE, "/gateway/delete", &[("X-Strip-Nulls", "true")], by_id).await;
    assert_eq!(array.json(), json!([{"id":0}]));
    let none = r#"{"table_name":"empty","resource_id":5}"#;
    assert_eq!(send(&app, Method::DELETE, "/gateway/delete", &[], none).await.json()["data"], json!(null));
    let none = send(&app, Method::DELETE, "/gateway/delete", &[("X-Strip-Nulls", "true")], none).await;
    assert_eq!(none.json(), json!([]));
}

#[tokio::test]
async fn queries_answer_rows_and_counts() {
    let (app, _) = server(&lenient());
    let reply =
        send(&app, Method::POST, "/gateway/query", &[], r#"{"query":"create table t();"}"#).await.json();
    let expected = json!({
        "status":"success", "message":"Successfully executed query", "data":[],
        "meta":{"backend":"sqlx","statement_count":1,"rows_affected":3,"returned_row_count":0},
    });
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn statements_answer_rows_columns_and_whom_they_asked() {
    let (app, _) = server(&lenient());
    let ask = async |client: &str, driver: &str| {
        let body = format!(r#"{{"query":"create table t();","driver":"{driver}","db_name":"a \"name\""}}"#);
        let headers = [("X-Athena-Client", client), ("Content-Type", "application/json")];
        let asked = crate::fake::request(Method::POST, "/query/sql", &headers, body);
        let mut json = crate::fake::Reply::of(app.answer(asked).await).await.json();
        assert!(json["data"].as_object_mut().unwrap().remove("duration_ms").unwrap().is_u64());
        json
    };
    let answer = |rows: serde_json::Value| {
        json!({
            "status":"success", "message":"Successfully executed query",
            "data":{"returned_row_count":rows.as_array().unwrap().len(), "rows":rows, "columns":[],
                "db_name":"a \"name\"", "statement_count":1, "rows_affected":3},
        })
    };
    // CQL has a row that says that there is none (contract 11).
    let done = json!([{"status":"success", "message":"Query executed successfully"}]);
    for driver in ["scylla", "athena"] {
        assert_eq!(ask("wide", driver).await, answer(done.clone()));
    }
    let (app, _) = server(&lenient());
    let body = r#"{"query":"create table t();","driver":"native","db_name":"demo"}"#;
    let refused = send(&app, Method::POST, "/query/sql", &[], body).await;
    assert_eq!(refused.json()["details"]["field"], "driver", "the fake is no PostgreSQL");
}

#[tokio::test]
async fn a_page_says_how_to_go_on() {
    let (app, _) = server(&lenient());
    let ask = async |rest: &str, headers: &[(&str, &str)]| {
        let body = format!(r#"{{"table_name":"items","columns":"id","cursor":""{rest}}}"#);
        send(&app, Method::POST, "/gateway/fetch", headers, &body).await
    };
    // The fake has two rows, and says of each what its number is.
    let whole = ask("", &[]).await.json();
    assert_eq!(
        whole,
        json!({"status":"success","data":{"rows":[{"id":0},{"id":1}],"next_cursor":null},"message":"Fetched 2 rows"})
    );
    let first = ask(r#","page_size":1,"count":"exact""#, &[]).await.json();
    assert_eq!((&first["data"]["rows"], &first["message"]), (&json!([{"id":0}]), &json!("Fetched 1 rows")));
    assert_eq!(first["data"]["count"], 7);
    assert!(first["data"]["next_cursor"].as_str().is_some_and(|cursor| cursor.len() > 80), "{first}");
    let array = ask(r#","page_size":1"#, &[("X-Strip-Nulls", "true")]).await;
    assert_eq!(array.json(), json!([{"id":0}]));
    assert!(array.header("x-athena-next-cursor").is_some());
    assert!(ask("", &[("X-Strip-Nulls", "true")]).await.header("x-athena-next-cursor").is_none());
}
