//! The caller's own SQL (contract 10, 28.12).

use serde_json::{Value, json};

use crate::harness::{CLIENT, Gateway};

const THINGS: &str =
    "CREATE TABLE things (id int PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'a'), (2, 'b')";

#[tokio::test]
async fn statements_run_as_they_stand() {
    let gateway = Gateway::with(THINGS).await;
    for (sql, expected) in [
        ("SELECT id FROM things ORDER BY id;", json!([{"id":1},{"id":2}])),
        ("select id from things where id = 1 -- trailing comment", json!([{"id":1}])),
        ("/* leading */ VALUES (1, 'x')", json!([{"column1":1,"column2":"x"}])),
        ("WITH w AS (SELECT 1 AS n) SELECT n FROM w", json!([{"n":1}])),
        ("WITH w AS (INSERT INTO things VALUES (3, 'c') RETURNING id) SELECT id FROM w", json!([{"id":3}])),
        ("UPDATE things SET name = 'z' WHERE id = 3\nRETURNING name", json!([{"name":"z"}])),
        ("DELETE FROM things WHERE id = 3 RETURNING id", json!([{"id":3}])),
        ("TABLE things LIMIT 1", json!([{"id":1,"name":"a"}])),
        ("SHOW server_encoding", json!([{"server_encoding":"UTF8"}])),
        ("SELECT 1 AS a, 2 AS a", json!([{"a":1,"a_2":2}])),
        ("SELECT * FROM things WHERE false", json!([])),
        (
            "SELECT 1.10::numeric AS n, true AS b, NULL AS x, ARRAY[1,2] AS l",
            json!([{"n":1.10,"b":true,"x":null,"l":[1,2]}]),
        ),
    ] {
        let answer = gateway.query(sql).await.ok();
        assert_eq!(answer["data"], expected, "{sql}");
        assert_eq!(answer["message"], "Successfully executed query");
        assert_eq!(
            (&answer["meta"]["statement_count"], &answer["meta"]["rows_affected"]),
            (&json!(1), &json!(0)),
            "{sql}"
        );
        assert_eq!(answer["meta"]["returned_row_count"], expected.as_array().unwrap().len());
    }
    let command = gateway.query("INSERT INTO things VALUES (7, 'x'), (8, 'y')").await.ok();
    assert_eq!((&command["meta"]["rows_affected"], &command["data"]), (&json!(2), &json!([])));
    let script = gateway
        .query("CREATE TABLE made (a int); INSERT INTO made VALUES (1); INSERT INTO made VALUES (2)")
        .await
        .ok();
    assert_eq!(script["meta"]["statement_count"], 3);
    assert_eq!(
        gateway.fetch(r#"{"table_name":"made","sort_by":{"field":"a"}}"#).await.rows(),
        json!([{"a":1},{"a":2}])
    );
}

#[tokio::test]
async fn faults_are_placed() {
    let gateway = Gateway::with(THINGS).await;
    let syntax = gateway.query("SELEC 1").await.refused(400, "syntax_error");
    assert_eq!(syntax["details"]["position"], 1);
    for sql in ["", " ; ;", ";"] {
        let empty = gateway.query(sql).await;
        assert_eq!(
            (empty.status, &empty.json()["error"]),
            (400, &json!("Query cannot be empty or contain only semicolons."))
        );
    }
    gateway.query("SELECT * FROM nope").await.refused(400, "undefined_table");
    gateway.query("SELECT nope FROM things").await.refused(400, "undefined_column");
    for sql in [
        "SELECT 1/0",
        "SELECT 'x'::int",
        "SELECT 'nan'::int + things FROM things",
        "SELECT now() + 1",
        "COPY things TO STDOUT",
        "VACUUM; SELECT 1",
        "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$",
        "SELECT set_config('client_encoding', 'LATIN1', false), chr(233)",
        "LISTEN things; NOTIFY things",
    ] {
        let answer = gateway.query(sql).await;
        assert!((400..500).contains(&answer.status), "{sql}: {} {}", answer.status, answer.text);
    }
    for value in ["chr(233)", "ARRAY[chr(233)]", "to_jsonb(chr(233))"] {
        let latin = format!("SELECT set_config('client_encoding', 'LATIN1', false), {value}");
        let body = json!({"query": latin, "read_only": true});
        gateway.raw(&body.to_string()).await.refused(400, "not_supported_by_backend");
    }
    // All or nothing.
    gateway.query("INSERT INTO things VALUES (50, 'x'); SELECT 1/0").await.refused(400, "data_exception");
    assert_eq!(gateway.query("SELECT id FROM things WHERE id = 50").await.ok()["data"], json!([]));
    let open = gateway.query("BEGIN; INSERT INTO things VALUES (51, 'x')").await;
    assert_eq!(open.status, 400, "{}", open.text);
    assert_eq!(gateway.query("SELECT id FROM things WHERE id = 51").await.ok()["data"], json!([]));
    gateway.query("BEGIN; INSERT INTO things VALUES (52, 'x'); COMMIT").await.ok();
    assert_eq!(gateway.query("SELECT id FROM things WHERE id = 52").await.ok()["data"], json!([{"id":52}]));
}

#[tokio::test]
async fn parameters_are_bound_by_type() {
    let gateway = Gateway::with(THINGS).await;
    for (body, expected) in [
        (r#"{"query":"SELECT name FROM things WHERE id = $1","params":[2]}"#, json!([{"name":"b"}])),
        (r#"{"query":"SELECT name FROM things WHERE id = $1","params":["2"]}"#, json!([{"name":"b"}])),
        (
            r#"{"query":"SELECT $1::text AS t, '$1' AS q, $2::jsonb AS j","params":["x'; DROP TABLE things; --",{"a":[1]}]}"#,
            json!([{"t":"x'; DROP TABLE things; --","q":"$1","j":{"a":[1]}}]),
        ),
        (
            r#"{"query":"SELECT $1::timestamptz AS t, $2::int[] AS l, $3::numeric AS n","params":["2024-01-01T00:00:00Z",[1,2],1.50]}"#,
            json!([{"t":"2024-01-01T00:00:00+00:00","l":[1,2],"n":1.50}]),
        ),
        (
            r#"{"query":"SELECT $1::inet AS i, $2::money AS m","params":["10.0.0.1","$5.00"]}"#,
            json!([{"i":"10.0.0.1","m":"$5.00"}]),
        ),
        (
            r#"{"query":"INSERT INTO things VALUES ($1, $2) RETURNING id","params":[9,null]}"#,
            json!([{"id":9}]),
        ),
        (r#"{"query":"SELECT 1 AS one","params":[]}"#, json!([{"one":1}])),
    ] {
        assert_eq!(gateway.raw(body).await.ok()["data"], expected, "{body}");
    }
    for body in [
        r#"{"query":"SELECT $1::int","params":[]}"#,
        r#"{"query":"SELECT $1::int","params":["x"]}"#,
        r#"{"query":"SELECT 1; SELECT 2","params":[]}"#,
        r#"{"query":"SELECT 1","params":{}}"#,
        r#"{"query":"SELECT 1","param":[]}"#,
    ] {
        assert_eq!(gateway.raw(body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn read_only_is_kept_by_the_database() {
    let gateway = Gateway::with(THINGS).await;
    gateway.query("CREATE FUNCTION sneak() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO things VALUES (60) RETURNING id'").await.ok();
    for sql in [
        "INSERT INTO things VALUES (60)",
        "SELECT sneak()",
        "SELECT set_config('transaction_read_only', 'off', true), sneak()",
        "DROP TABLE things",
        "COMMIT; INSERT INTO things VALUES (60)",
    ] {
        let answer = gateway.raw(&json!({"query": sql, "read_only": true}).to_string()).await;
        assert_eq!(answer.status, 400, "{sql}: {}", answer.text);
    }
    let rows = gateway.raw(r#"{"query":"SELECT count(*) AS n FROM things","read_only":true}"#).await.ok();
    assert_eq!(rows["data"], json!([{"n":2}]));
}

#[tokio::test]
async fn what_only_reads_leaves_nothing_behind() {
    let gateway = Gateway::with(THINGS).await;
    let uri = gateway.database.as_ref().expect("a database").uri();
    let mut listener = sqlx::postgres::PgListener::connect(&uri).await.unwrap();
    listener.listen("things").await.unwrap();
    for sql in ["SELECT lo_create(4242)", "SELECT pg_notify('things', 'heard')", "NOTIFY things, 'heard'"] {
        // Versions differ in what of this they take for a read.
        let answer = gateway.raw(&json!({"query": sql, "read_only": true}).to_string()).await;
        assert!([200, 400].contains(&answer.status), "{sql}: {}", answer.text);
    }
    let params = r#"{"query":"SELECT pg_notify('things', $1)","params":["heard"],"read_only":true}"#;
    gateway.raw(params).await.ok();
    let objects = "SELECT count(*) AS n FROM pg_largeobject_metadata WHERE oid = 4242";
    assert_eq!(gateway.query(objects).await.ok()["data"], json!([{"n":0}]));
    // What comes first tells that nothing came before it.
    gateway.query("NOTIFY things, 'last'").await.ok();
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), listener.recv()).await;
    assert_eq!(told.expect("in time").unwrap().payload(), "last");
}

#[tokio::test]
async fn no_transaction_is_left_prepared() {
    let gateway = Gateway::with(THINGS).await;
    let script = "BEGIN; LOCK TABLE things; PREPARE TRANSACTION 'left'";
    let refused = gateway.query(script).await.refused(400, "not_supported_by_backend");
    assert!(
        refused["error"].as_str().is_some_and(|error| error.contains("PREPARE TRANSACTION")),
        "{refused}"
    );
    for body in [
        json!({"query": "PREPARE TRANSACTION 'left'", "read_only": true}),
        json!({"query": "PREPARE TRANSACTION 'left'", "params": []}),
    ] {
        gateway.raw(&body.to_string()).await.refused(400, "not_supported_by_backend");
    }
    let sql = json!({"db_name": CLIENT, "driver": "postgresql", "query": "PREPARE TRANSACTION 'left'"});
    let request = gateway.bare(reqwest::Method::POST, "/query/sql").body(sql.to_string());
    gateway.send(request).await.refused(400, "not_supported_by_backend");
    gateway.query("TRUNCATE things").await.ok();
}

#[tokio::test]
async fn a_script_that_lifts_its_own_limit_is_stopped_by_the_requests() {
    let limits =
        "limits: {statement_timeout_secs: 1, request_timeout_secs: 2}\npool: {acquire_timeout_secs: 1}";
    let gateway = Gateway::configured(THINGS, limits).await;
    let began = std::time::Instant::now();
    gateway.query("SET statement_timeout = 0; SELECT pg_sleep(29)").await.refused(504, "query_canceled");
    let took = began.elapsed().as_secs_f32();
    assert!((1.5..4.0).contains(&took), "{took} s");
    // It is gone from the database within a moment, and its setting with it.
    let sleepers = "SELECT count(*) AS n FROM pg_stat_activity \
                    WHERE wait_event = 'PgSleep' AND datname = current_database()";
    while gateway.query(sleepers).await.ok()["data"] != json!([{"n":0}]) {
        assert!(began.elapsed().as_secs() < 20, "it still runs");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    gateway.query("SET statement_timeout = 0; SELECT 1").await.ok();
    for _ in 0..20 {
        let shown = gateway.query("SHOW statement_timeout").await.ok();
        assert_eq!(shown["data"], json!([{"statement_timeout":"1s"}]));
    }
    gateway.query("SELECT pg_sleep(29)").await.refused(504, "query_canceled");
}

#[tokio::test]
async fn nothing_of_a_script_reaches_the_next_request() {
    // One raw connection, so that the next request surely gets the same one.
    let gateway = Gateway::with(THINGS).await;
    for sql in [
        "SET search_path = pg_catalog",
        "SET statement_timeout = 1",
        "SET ROLE pg_monitor",
        "CREATE TEMP TABLE things_tmp (a int)",
        "SELECT pg_advisory_lock(7)",
        "PREPARE p AS SELECT 1",
        "SET default_transaction_read_only = on",
        "DO $$ BEGIN EXECUTE 'LISTEN x'; END $$",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ] {
        gateway.query(sql).await.ok();
    }
    let settings = gateway.query("SELECT current_user = session_user AS me, current_setting('search_path') LIKE '%public%' AS path, current_setting('default_transaction_read_only') AS ro, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks, (SELECT count(*) FROM pg_prepared_statements WHERE from_sql) AS prepared, (SELECT count(*) FROM pg_cursors WHERE name = 'c') AS cursors").await.ok();
    let mut settings = settings["data"][0].clone();
    // Cleansing goes on after the answer; the last lock is gone within a moment.
    for _ in 0..50 {
        if settings["locks"] == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        settings["locks"] = gateway
            .query("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'")
            .await
            .ok()["data"][0]["n"]
            .clone();
    }
    assert_eq!(settings, json!({"me":true,"path":true,"ro":"off","locks":0,"prepared":0,"cursors":0}));
    assert_eq!(
        gateway
            .fetch(r#"{"table_name":"things","conditions":[{"eq_column":"id","eq_value":1}]}"#)
            .await
            .rows()[0]["name"],
        "a"
    );
}

#[tokio::test]
async fn large_results_are_refused_not_cut() {
    let gateway = Gateway::configured(THINGS, "limits: {max_rows: 100}").await;
    gateway.query("SELECT generate_series(1, 101) AS n").await.refused(400, "limit_exceeded");
    let some = gateway.query("SELECT generate_series(1, 100) AS n").await.ok();
    assert_eq!(some["data"].as_array().map(Vec::len), Some(100));
    gateway
        .raw(r#"{"query":"SELECT generate_series(1, 3)","max_rows":2}"#)
        .await
        .refused(400, "limit_exceeded");
    // A write that returns too much has not happened.
    let write =
        "INSERT INTO things SELECT n, repeat('x', 100) FROM generate_series(1000, 3000) n RETURNING id, name";
    gateway.query(write).await.refused(400, "limit_exceeded");
    let cte = format!("WITH w AS ({write}) SELECT * FROM w");
    gateway.query(&cte).await.refused(400, "limit_exceeded");
    assert_eq!(gateway.query("SELECT count(*) AS n FROM things").await.ok()["data"], json!([{"n":2}]));
    // The caller's own prepared names are the caller's affair.
    gateway.query("EXECUTE nothing_of_that_name").await.refused(400, "query_syntax");
    let after: Value = gateway.query("SELECT 1 AS one").await.ok();
    assert_eq!(after["data"], json!([{"one":1}]));
}
