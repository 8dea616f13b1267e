//! Functions of the database, called over PostgreSQL's own protocol and through PostgREST: the same results.

use serde_json::{Value, json};

use super::*;

const FUNCTIONS: &str = r#"
    CREATE FUNCTION add(a int, b int DEFAULT 10) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
    CREATE FUNCTION digits() RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 12345678901234567890.10';
    CREATE FUNCTION greet(name text) RETURNS text LANGUAGE sql STABLE AS $$SELECT 'hi "' || name || '"'$$;
    CREATE FUNCTION nobody() RETURNS text LANGUAGE sql STABLE AS 'SELECT NULL::text';
    CREATE FUNCTION owned(wanted int) RETURNS SETOF secrets LANGUAGE sql STABLE
      AS 'SELECT * FROM secrets WHERE owner = wanted ORDER BY id';
    CREATE FUNCTION one(wanted int) RETURNS secrets LANGUAGE sql STABLE AS 'SELECT * FROM secrets WHERE id = wanted';
    CREATE FUNCTION numbers(most int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT generate_series(1, most)';
    CREATE FUNCTION pairs() RETURNS TABLE (k text, v timestamptz) LANGUAGE sql STABLE
      AS $$VALUES ('a', '2024-01-01T00:00:00Z'::timestamptz), ('b', NULL)$$;
    CREATE FUNCTION document(doc jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT doc';
    CREATE FUNCTION total(list int[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT sum(n) FROM unnest(list) n';
    CREATE FUNCTION yes(flag boolean) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT flag';
    CREATE FUNCTION note(told text) RETURNS void LANGUAGE sql VOLATILE
      AS 'INSERT INTO secrets SELECT max(id) + 1, 9, told FROM secrets';
    CREATE FUNCTION fail(code text) RETURNS void LANGUAGE plpgsql AS
      $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = code; END$$;
    CREATE SCHEMA hidden; CREATE FUNCTION hidden.seen() RETURNS int LANGUAGE sql AS 'SELECT 1';
"#;

/// What the server was asked for functions; whether it is a control database it is asked as well, once a minute.
fn calls(server: &Postgrest) -> Vec<athena_test_support::Request> {
    server.seen().into_iter().filter(|request| request.target.contains("rpc/")).collect()
}

async fn functions() -> Both {
    let both = Both::start().await;
    for statement in FUNCTIONS.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        both.gateway.send(raw(&both.gateway, statement)).await.ok();
    }
    both
}

fn raw(gateway: &Gateway, sql: &str) -> reqwest::RequestBuilder {
    let request = gateway.bare(Method::POST, "/gateway/query").header("X-Athena-Client", "sql");
    request.body(json!({ "query": sql }).to_string())
}

async fn call(gateway: &Gateway, client: &str, body: &str) -> Answer {
    let request = gateway.bare(Method::POST, "/gateway/rpc").header("X-Athena-Client", client);
    gateway.send(request.header("Content-Type", "application/json").body(body.to_owned())).await
}

#[tokio::test]
async fn a_function_gives_the_same_on_both_ways() {
    let both = functions().await;
    for (function, args, result) in [
        ("add", r#"{"a":1,"b":2}"#, "3"),
        ("add", r#"{"a":1}"#, "11"),
        ("public.add", r#"{"b":-1,"a":1}"#, "0"),
        ("digits", "{}", "12345678901234567890.10"),
        ("greet", r#"{"name":"é&=+#? \"x\""}"#, r#""hi \"é&=+#? \"x\"\"""#),
        ("greet", r#"{"name":"john.doe"}"#, r#""hi \"john.doe\"""#),
        ("nobody", "{}", "null"),
        ("owned", r#"{"wanted":7}"#, r#"[{"id":1,"owner":7,"body":"seven"}]"#),
        ("owned", r#"{"wanted":0}"#, "[]"),
        ("one", r#"{"wanted":2}"#, r#"{"id":2,"owner":8,"body":"eight"}"#),
        ("numbers", r#"{"most":3}"#, "[1,2,3]"),
        ("numbers", r#"{"most":1}"#, "[1]"),
        ("pairs", "{}", r#"[{"k":"a","v":"2024-01-01T00:00:00+00:00"},{"k":"b","v":null}]"#),
        ("document", r#"{"doc":{"a":[1,{"b":null}],"c":1.50}}"#, r#"{"a":[1,{"b":null}],"c":1.50}"#),
        ("yes", r#"{"flag":true}"#, "true"),
    ] {
        for read_only in ["", r#","read_only":true"#, r#","read_only":false"#] {
            let body = format!(r#"{{"function":"{function}","args":{args}{read_only}}}"#);
            for client in ["sql", "rest"] {
                let answer = call(&both.gateway, client, &body).await;
                assert_eq!(answer.status, 200, "{client} {body}: {}", answer.text);
                let digits =
                    answer.text.split_once(r#""result":"#).and_then(|(_, rest)| rest.strip_suffix("}}"));
                let spaceless = |text: &str| text.replace(": ", ":").replace(", ", ",");
                assert_eq!(digits.map(spaceless).as_deref(), Some(result), "{client} {body}");
            }
        }
    }
    let seen = calls(&both.server);
    let methods = |name: &str| seen.iter().filter(|request| request.method == name).count();
    assert_eq!((methods("GET"), methods("POST")), (15, 30), "a call that must not write is a GET");
    for (args, result) in [(r#"{"list":[1,2,39]}"#, json!(42)), (r#"{"list":null}"#, Value::Null)] {
        let body = format!(r#"{{"function":"total","args":{args}}}"#);
        for client in ["sql", "rest"] {
            assert_eq!(
                call(&both.gateway, client, &body).await.ok()["data"]["result"],
                result,
                "{client} {body}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_function_writes_is_written_unless_it_must_not() {
    let both = functions().await;
    let told = async || {
        let body = r#"{"table_name":"secrets","conditions":[{"eq_column":"owner","eq_value":9}],"count":"exact","head":true}"#;
        both.send("sql", "fetch", body).await.ok()["data"]["count"].clone()
    };
    for (place, client) in ["sql", "rest"].into_iter().enumerate() {
        let body = r#"{"function":"note","args":{"told":"x"},"read_only":true}"#;
        call(&both.gateway, client, body).await.refused(400, "read_only");
        assert_eq!(told().await, place, "{client}");
        let answer = call(&both.gateway, client, r#"{"function":"note","args":{"told":"x"}}"#).await.ok();
        let expected = json!({"status": "success", "message": "Successfully called the function", "data": {"result": null}});
        assert_eq!(answer, expected, "{client}");
        assert_eq!(told().await, place + 1, "{client}");
    }
}

#[tokio::test]
async fn calls_that_cannot_be_are_refused_alike() {
    let both = functions().await;
    for (body, status, code) in [
        (r#"{"function":"nope"}"#, 400, "undefined_function"),
        (r#"{"function":"add","args":{"a":1,"c":2}}"#, 400, "undefined_function"),
        (r#"{"function":"add","args":{"a":"x"}}"#, 400, "data_exception"),
        (r#"{"function":"fail","args":{"code":"23505"}}"#, 409, "unique_violation"),
        (r#"{"function":"add; drop","args":{"a":1}}"#, 400, "invalid_identifier"),
        (r#"{"function":"add","args":{"a b":1}}"#, 400, "invalid_identifier"),
        (r#"{"function":"add","arguments":{"a":1}}"#, 400, "unknown_field"),
        (r#"{"args":{}}"#, 400, "missing_field"),
        // One of the system's functions is none of the client's.
        (r#"{"function":"pg_backend_pid"}"#, 400, "undefined_function"),
    ] {
        for client in ["sql", "rest"] {
            call(&both.gateway, client, body).await.refused(status, code);
        }
    }
    for args in [r#"{"list":[1]}"#, r#"{"list":null}"#] {
        let body = format!(r#"{{"function":"total","args":{args},"read_only":true}}"#);
        let refused = call(&both.gateway, "rest", &body).await.refused(400, "not_supported_by_backend");
        assert!(refused["details"]["fix"].as_str().is_some_and(|fix| fix.contains("read_only")), "{refused}");
    }
    let text = r#"{"function":"greet","args":{"name":"eq.5"},"read_only":true}"#;
    call(&both.gateway, "rest", text).await.refused(400, "not_supported_by_backend");
    assert_eq!(call(&both.gateway, "sql", text).await.ok()["data"]["result"], "hi \"eq.5\"");
    // More than an answer may hold.
    let limited = Gateway::over(
        &[("sql", &both._database.uri()), ("rest", &rest_uri(both.server.address(), ""))],
        "limits: {max_rows: 5}",
    )
    .await;
    for client in ["sql", "rest"] {
        let most =
            |most: u32| format!(r#"{{"function":"numbers","args":{{"most":{most}}},"read_only":true}}"#);
        assert_eq!(
            call(&limited, client, &most(5)).await.ok()["data"]["result"].as_array().map(Vec::len),
            Some(5)
        );
        call(&limited, client, &most(6)).await.refused(400, "limit_exceeded");
    }
}

#[tokio::test]
async fn only_calls_that_must_not_write_are_sent_again() {
    use athena_test_support::{Fault, Reply};
    let both = functions().await;
    let away = || Fault::Answer(Reply::new(503, r#"{"code":"PGRST001","message":"away"}"#));
    let add = r#"{"function":"add","args":{"a":1},"read_only":true}"#;
    // The first call also asks whether this is a control database.
    call(&both.gateway, "rest", add).await.ok();
    both.server.next([away(), Fault::Cut(40)]);
    let read = call(&both.gateway, "rest", add).await;
    assert_eq!(read.ok()["data"]["result"], 11);
    assert_eq!(calls(&both.server).len(), 1 + 3);
    both.server.next([Fault::Cut(20)]);
    let write = call(&both.gateway, "rest", r#"{"function":"note","args":{"told":"x"}}"#).await;
    assert_eq!(write.status, 503, "{}", write.text);
    assert_eq!(calls(&both.server).len(), 1 + 4, "it may have been carried out");
}

#[tokio::test]
async fn keys_need_the_right_and_the_operation() {
    let plane = Plane::start("").await;
    let database = TestDatabase::with(&format!("{SQL}{FUNCTIONS}")).await;
    let client = json!({"client_name": "shop", "pg_uri": database.uri()});
    let made = plane.admin(Method::POST, "/admin/clients", client).await;
    assert!((200..300).contains(&made.status), "{}", made.text);
    let key = async |body: Value| plane.key(body).await.0;
    let may = key(json!({"name": "may", "rights": ["gateway.query"]})).await;
    let reads = key(json!({"name": "reads", "rights": ["gateway.read"]})).await;
    let limited = key(json!({"name": "limited", "rights": ["*"], "tables": ["public.things"]})).await;
    let named =
        key(json!({"name": "named", "rights": ["*"], "tables": ["public.things"], "operations": ["rpc"]}))
            .await;
    plane.policy("enforce").await;
    for (key, status) in [(may, 200), (reads, 403), (limited, 403), (named, 200)] {
        let request = plane.gateway.bare(Method::POST, "/gateway/rpc").header("X-Athena-Client", "shop");
        let request = request.header("X-Athena-Key", key).body(r#"{"function":"add","args":{"a":1}}"#);
        let answer = plane.gateway.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}

#[tokio::test]
async fn of_several_functions_the_one_is_called_whose_types_are_the_values_own() {
    let gateway = Gateway::with(
        "CREATE FUNCTION kind(v int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$;
         CREATE FUNCTION kind(v text) RETURNS text LANGUAGE sql AS $$SELECT 'text'$$;
         CREATE FUNCTION kind(v jsonb) RETURNS text LANGUAGE sql AS $$SELECT 'jsonb'$$;
         CREATE FUNCTION kind(v boolean, more int DEFAULT 1) RETURNS text LANGUAGE sql AS $$SELECT 'boolean'$$;
         CREATE FUNCTION lone(v text) RETURNS text LANGUAGE sql AS $$SELECT v$$;
         CREATE FUNCTION alike() RETURNS SETOF record LANGUAGE sql AS $$SELECT 1, 2, 'x'::text AS a$$;
         CREATE TABLE pairs (k text, n int);
         CREATE TABLE kept (id int PRIMARY KEY, pair pairs, list pairs[]);
         INSERT INTO kept VALUES (1, ('a', 1), ARRAY[('b', 2)::pairs]);
         CREATE FUNCTION sum_of(pair pairs) RETURNS int LANGUAGE sql AS $$SELECT length(pair.k) + pair.n$$;",
    )
    .await;
    for (body, result) in [
        (r#"{"function":"kind","args":{"v":5}}"#, json!("int")),
        (r#"{"function":"kind","args":{"v":"5"}}"#, json!("text")),
        (r#"{"function":"kind","args":{"v":{"a":1}}}"#, json!("jsonb")),
        (r#"{"function":"kind","args":{"v":true},"read_only":true}"#, json!("boolean")),
        (r#"{"function":"kind","args":{"v":true,"more":2}}"#, json!("boolean")),
        (r#"{"function":"lone","args":{"v":5}}"#, json!("5")),
        (r#"{"function":"alike"}"#, json!([{"?column?": 1, "?column?_2": 2, "a": "x"}])),
        (r#"{"function":"sum_of","args":{"pair":{"k":"abc","n":4}}}"#, json!(7)),
    ] {
        assert_eq!(call(&gateway, CLIENT, body).await.ok()["data"]["result"], result, "{body}");
    }
    let wrong = call(&gateway, CLIENT, r#"{"function":"sum_of","args":{"pair":{"k":"a","m":4}}}"#).await;
    assert!(wrong.status == 400 && wrong.text.contains("args.pair.m"), "{}", wrong.text);
    let unknown = call(&gateway, CLIENT, r#"{"function":"lone","args":{"w":5}}"#).await;
    let hint = unknown.refused(400, "undefined_function")["hint"].clone();
    assert!(!hint.as_str().expect("a hint").contains("cast"), "{hint}");
    // Columns of a table's row type are objects, both ways.
    let insert =
        r#"{"table_name":"kept","insert_body":{"id":2,"pair":{"k":"c","n":3},"list":[{"k":"d","n":4}]}}"#;
    gateway.insert(insert).await.ok();
    let rows = gateway.fetch(r#"{"table_name":"kept","sort_by":{"field":"id"}}"#).await.rows();
    let expected = json!([
        {"id": 1, "pair": {"k": "a", "n": 1}, "list": [{"k": "b", "n": 2}]},
        {"id": 2, "pair": {"k": "c", "n": 3}, "list": [{"k": "d", "n": 4}]},
    ]);
    assert_eq!(rows, expected);
}
