//! POST `/query/sql`: one statement for a named kind of database (contract 11, 29.1).

use reqwest::Method;
use serde_json::{Value, json};

use crate::enforcement::Plane;
use crate::harness::{Answer, CLIENT, Gateway};

const THINGS: &str =
    "CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'a'), (2, 'b')";

async fn sql(gateway: &Gateway, body: Value) -> Answer {
    gateway.send(gateway.request(Method::POST, "/query/sql").json(&body)).await
}

async fn run(gateway: &Gateway, query: &str) -> Answer {
    sql(gateway, json!({"query": query, "driver": "postgresql", "db_name": "shop"})).await
}

#[tokio::test]
async fn rows_come_with_the_names_of_their_columns() {
    let gateway = Gateway::with(THINGS).await;
    for (query, columns, rows) in [
        (
            "SELECT name, id FROM things ORDER BY id;",
            json!(["name", "id"]),
            json!([{"name":"a","id":1},{"name":"b","id":2}]),
        ),
        ("SELECT 1 AS a, 2 AS a", json!(["a", "a_2"]), json!([{"a":1,"a_2":2}])),
        ("SELECT 1 AS a, 2 AS a WHERE false", json!(["a", "a_2"]), json!([])),
        ("SELECT id, name, now() FROM things WHERE false", json!(["id", "name", "now"]), json!([])),
        ("UPDATE things SET name = name WHERE false RETURNING name", json!(["name"]), json!([])),
        (
            "WITH w AS (DELETE FROM things WHERE id = 7 RETURNING id) SELECT id FROM w",
            json!(["id"]),
            json!([]),
        ),
        ("SHOW server_encoding", json!(["server_encoding"]), json!([{"server_encoding":"UTF8"}])),
        (
            "SELECT 1.10::numeric AS n, '(1,2)'::point AS p",
            json!(["n", "p"]),
            json!([{"n":1.10,"p":"(1,2)"}]),
        ),
    ] {
        let answer = run(&gateway, query).await.ok();
        let data = &answer["data"];
        assert_eq!((&data["columns"], &data["rows"]), (&columns, &rows), "{query}");
        assert_eq!(answer["status"], "success");
        assert_eq!(answer["message"], "Successfully executed query");
        assert_eq!((&data["db_name"], &data["statement_count"]), (&json!("shop"), &json!(1)), "{query}");
        assert_eq!(data["returned_row_count"], rows.as_array().unwrap().len(), "{query}");
        assert!(data["duration_ms"].is_u64(), "{answer}");
    }
    let command = run(&gateway, "INSERT INTO things VALUES (7, 'x'), (8, 'y')").await.ok();
    let data = &command["data"];
    assert_eq!(
        (&data["rows"], &data["columns"], &data["rows_affected"]),
        (&json!([]), &json!([]), &json!(2))
    );
    run(&gateway, "CREATE TABLE made (a int)").await.ok();
    assert_eq!(gateway.fetch(r#"{"table_name":"made"}"#).await.rows(), json!([]));
    // Bound or read-only statements are described too.
    for (extra, columns) in
        [(json!({"params": [99]}), json!(["name"])), (json!({"read_only": true}), json!(["name"]))]
    {
        let query = if extra["params"].is_array() {
            "SELECT name FROM things WHERE id = $1"
        } else {
            "SELECT name FROM things WHERE false"
        };
        let mut body = json!({"query": query, "driver": "native", "db_name": "shop"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = sql(&gateway, body).await.ok();
        assert_eq!((&answer["data"]["columns"], &answer["data"]["rows"]), (&columns, &json!([])), "{extra}");
    }
}

#[tokio::test]
async fn one_statement_runs_within_its_bounds() {
    let gateway = Gateway::configured(THINGS, "limits: {max_rows: 100, statement_timeout_secs: 1}").await;
    let with = |query: &str, extra: Value| {
        let mut body = json!({"query": query, "driver": "postgres", "db_name": "shop"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let bound = sql(
        &gateway,
        with(
            "SELECT name FROM things WHERE id = $1 AND name <> $2",
            json!({"params": [2, "x'; DROP TABLE things; --"]}),
        ),
    )
    .await;
    assert_eq!(bound.ok()["data"]["rows"], json!([{"name":"b"}]));
    for script in ["SELECT 1; SELECT 2", "DELETE FROM things; SELECT 1", "BEGIN; DELETE FROM things; COMMIT"]
    {
        let refused = run(&gateway, script).await;
        let body = refused.refused(400, "invalid_field");
        assert_eq!(
            (&body["message"], &body["details"]["field"]),
            (&json!("Invalid query"), &json!("query")),
            "{script}"
        );
        assert!(body["hint"].as_str().unwrap().contains("/gateway/query"), "{body}");
    }
    let empty = run(&gateway, " ;; ").await.refused(400, "invalid_field");
    assert_eq!(empty["error"], "Query cannot be empty or contain only semicolons.");
    for write in ["DELETE FROM things", "WITH w AS (DELETE FROM things RETURNING id) SELECT * FROM w"] {
        let answer = sql(&gateway, with(write, json!({"read_only": true}))).await;
        assert_eq!(answer.status, 400, "{write}: {}", answer.text);
    }
    sql(&gateway, with("DELETE FROM things", json!({"read_only": true}))).await.refused(400, "read_only");
    run(&gateway, "SELECT generate_series(1, 101)").await.refused(400, "limit_exceeded");
    sql(&gateway, with("SELECT id FROM things", json!({"max_rows": 1}))).await.refused(400, "limit_exceeded");
    sql(&gateway, with("SELECT 1", json!({"max_rows": 101}))).await.refused(400, "limit_exceeded");
    run(&gateway, "DELETE FROM things RETURNING pg_sleep(9)").await.refused(504, "query_canceled");
    let fault = run(&gateway, "SELECT nope FROM things").await.refused(400, "undefined_column");
    assert_eq!(fault["details"]["context"], "shop");
    let syntax = run(&gateway, "SELEC 1").await.refused(400, "syntax_error");
    assert_eq!(syntax["details"]["position"], 1);
    assert_eq!(gateway.query("SELECT count(*) AS n FROM things").await.ok()["data"], json!([{"n":2}]));
}

#[tokio::test]
async fn the_driver_must_fit_the_database() {
    let gateway = Gateway::with(THINGS).await;
    let ask = async |driver: &str| {
        sql(&gateway, json!({"query": "SELECT 1 AS one", "driver": driver, "db_name": "shop"})).await
    };
    // A Supabase project is a PostgreSQL, which SQL reaches over its own protocol.
    for driver in ["native", "postgres", "postgresql", "neon", "PostgreSQL", "supabase", "postgrest"] {
        assert_eq!(ask(driver).await.ok()["data"]["rows"], json!([{"one":1}]), "{driver}");
    }
    for driver in ["scylla", "athena"] {
        let body = ask(driver).await.refused(400, "invalid_field");
        assert_eq!(body["message"], "Invalid driver specified");
        assert_eq!(
            body["error"],
            format!("Driver '{driver}' does not fit the client 'Main', whose database is postgresql.")
        );
    }
    let unknown = ask("mysql").await.refused(400, "invalid_field");
    assert_eq!(unknown["message"], "Invalid driver specified");
    assert_eq!(unknown["error"], "Driver 'mysql' is not supported. Use athena, postgresql, or supabase.");
    for body in [
        json!({"driver": "native", "db_name": "shop"}),
        json!({"query": "SELECT 1", "db_name": "shop"}),
        json!({"query": "SELECT 1", "driver": "native"}),
        json!({"query": "SELECT 1", "driver": "native", "db_name": "shop", "parameters": []}),
    ] {
        assert_eq!(sql(&gateway, body.clone()).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn the_header_names_the_client_and_else_db_name_does() {
    let gateway = Gateway::with(THINGS).await;
    let ask = async |client: Option<&str>, db_name: &str| {
        let mut request = gateway.bare(Method::POST, "/query/sql");
        if let Some(client) = client {
            request = request.header("X-Athena-Client", client);
        }
        let body =
            json!({"query": "SELECT count(*) AS n FROM things", "driver": "native", "db_name": db_name});
        gateway.send(request.json(&body)).await
    };
    for (client, db_name) in
        [(Some(CLIENT), "elsewhere"), (None, CLIENT), (None, " mAIN "), (Some(" "), CLIENT)]
    {
        let answer = ask(client, db_name).await.ok();
        assert_eq!(answer["data"]["rows"], json!([{"n":2}]), "{client:?} {db_name}");
        assert_eq!(answer["data"]["db_name"], db_name.trim());
    }
    let wins = ask(Some("elsewhere"), CLIENT).await.refused(400, "unknown_client");
    assert_eq!(wins["message"], "Postgres client not configured");
    assert_eq!(wins["error"], "Client 'elsewhere' is not available in the registry");
    let fallback = ask(None, "elsewhere").await.refused(400, "unknown_client");
    assert_eq!(fallback["error"], "Client 'elsewhere' is not available in the registry");
    for body in [r#"{"query":"SELECT 1","driver":"native"}"#, r#"{"db_name":""}"#, "{", ""] {
        let request = gateway.bare(Method::POST, "/query/sql").header("Content-Type", "application/json");
        let missing = gateway.send(request.body(body)).await.refused(400, "missing_client_header");
        assert_eq!(missing["message"], "Missing required header");
        assert_eq!(missing["error"], "X-Athena-Client header is required when using the postgresql driver");
    }
}

/// What the client of `db_name` demands holds where the header is left out, and the request leaves the same traces.
#[tokio::test]
async fn nobody_goes_round_keys_by_leaving_the_header_out() {
    let plane = Plane::start(THINGS).await;
    plane.policy("enforce").await;
    let (good, _) = plane.key(json!({"name": "good", "rights": ["gateway.query"]})).await;
    let (other, _) = plane.key(json!({"name": "other", "rights": ["*"], "clients": ["elsewhere"]})).await;
    let (scoped, _) = plane.key(json!({"name": "scoped", "rights": ["*"], "tables": ["things"]})).await;
    let (reader, _) = plane.key(json!({"name": "reader", "rights": ["gateway.read"]})).await;
    let (keeper, _) = plane
        .key(json!({"name": "keeper", "rights": ["gateway.query"], "clients": ["athena_logging"]}))
        .await;
    let ask = async |key: Option<&str>, db_name: &str, driver: &str| {
        let mut request = plane.gateway.bare(Method::POST, "/query/sql");
        if let Some(key) = key {
            request = request.header("apikey", key);
        }
        let body =
            json!({"query": "SELECT id FROM things ORDER BY id", "driver": driver, "db_name": db_name});
        plane.gateway.send(request.json(&body)).await
    };
    assert_eq!(ask(None, "main", "native").await.status, 401);
    ask(Some(&other), "main", "native").await.refused(403, "api_key_client_mismatch");
    ask(Some(&scoped), "main", "native").await.refused(403, "api_key_operation_out_of_scope");
    // Who may not query a client is not told what kind of database it is.
    for driver in ["native", "scylla"] {
        let denied = ask(Some(&reader), "main", driver).await.refused(403, "missing_api_key_rights");
        assert_eq!(denied["error"], "Missing required rights: gateway.query");
    }
    ask(Some(&good), "athena_logging", "native").await.refused(403, "control_database_shielded");
    let rows = ask(Some(&good), "main", "native").await.ok();
    assert_eq!(rows["data"]["rows"], json!([{"id":1},{"id":2}]));
    let metrics = plane.gateway.metrics().await.text;
    let counted = metrics
        .lines()
        .any(|line| line.contains("/query/sql") && line.contains("200") && line.ends_with(" 1"));
    assert!(counted, "{metrics}");
    let mut logged = json!([]);
    for _ in 0..100 {
        let log = "SELECT o.operation, o.client, o.status_code, r.path FROM gateway_operation_log o \
                   JOIN gateway_request_log r USING (request_id) WHERE r.path = '/query/sql' AND o.status_code = 200";
        let request = plane.gateway.bare(Method::POST, "/gateway/query").header("apikey", &keeper);
        let request = request.header("X-Athena-Client", "athena_logging").json(&json!({"query": log}));
        logged = plane.gateway.send(request).await.ok()["data"].clone();
        if logged.as_array().is_some_and(|rows| !rows.is_empty()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(logged, json!([{"operation":"query","client":"main","status_code":200,"path":"/query/sql"}]));
}
