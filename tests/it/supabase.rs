//! Clients behind PostgREST: the same requests as on PostgreSQL itself, with the same answers or a reason.

mod breaker;
mod contract;
mod direct;
mod faults;
mod hosts;
mod rpc;
mod tls;
mod writes;

use athena_test_support::{Postgrest, Preferences, TestDatabase};
use reqwest::Method;
use serde_json::json;

use crate::enforcement::Plane;
use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway, SUPABASE_KEY, SUPABASE_KEY_ENV};

const SQL: &str = r#"
    CREATE TABLE things (
        id int PRIMARY KEY, name text, n numeric CHECK (n < 1000000), big bigint, tags text[], meta jsonb,
        "at" timestamptz, "on" date, flag boolean, "order" int DEFAULT 7, email text UNIQUE,
        parent int REFERENCES things (id)
    );
    INSERT INTO things (id, name, n, big, tags, meta, "at", "on", flag, "order", email, parent) VALUES
        (1, 'a,b', 1.10, 9007199254740993, '{x,"y,z"}', '{"k": [1, 2.50], "s": "t"}', '2024-01-01T00:00:00Z',
         '2024-01-01', true, 3, 'a@example.com', NULL),
        (2, '(x)"\', 2.5, -1, '{}', '[1, {"a": null}]', '2024-06-01T12:30:00.25Z', NULL, false, 2, NULL, 1),
        (3, '100%', NULL, 0, NULL, NULL, NULL, '1999-12-31', NULL, 1, 'c@example.com', 1),
        (4, 'null', 30, 5, '{x}', '"text"', '2023-01-01T00:00:00Z', NULL, true, NULL, '', NULL),
        (5, NULL, 0.000000000000000000001, 6, '{NULL}', 'true', NULL, NULL, false, 5, 'é&=+#?', 2);
    CREATE TABLE secrets (id int PRIMARY KEY, owner int, body text);
    INSERT INTO secrets VALUES (1, 7, 'seven'), (2, 8, 'eight');
"#;

/// A gateway with two ways to one database: PostgreSQL itself, and PostgREST before it.
struct Both {
    gateway: Gateway,
    server: Postgrest,
    _database: TestDatabase,
}

fn rest_uri(address: impl std::fmt::Display, options: &str) -> String {
    format!("supabase+http://{address}?key_env={SUPABASE_KEY_ENV}{options}")
}

impl Both {
    async fn start() -> Self {
        Self::with(Preferences::Known, None, "").await
    }

    async fn with(preferences: Preferences, max_rows: Option<u64>, options: &str) -> Self {
        let database = TestDatabase::with(SQL).await;
        let server = Postgrest::with(&database.uri(), SUPABASE_KEY, preferences, max_rows).await;
        let uri = rest_uri(server.address(), options);
        let gateway = Gateway::over(&[("sql", &database.uri()), ("rest", &uri)], "").await;
        Self { gateway, server, _database: database }
    }

    async fn send(&self, client: &str, route: &str, body: &str) -> Answer {
        send(&self.gateway, client, route, body).await
    }
}

async fn send(gateway: &Gateway, client: &str, route: &str, body: &str) -> Answer {
    let method = match route {
        "insert" => Method::PUT,
        "delete" => Method::DELETE,
        _ => Method::POST,
    };
    let request = gateway
        .bare(method, &format!("/gateway/{route}"))
        .header("X-Athena-Client", client)
        .header("X-Company-Id", "c1")
        .header("X-Organization-Id", "o1")
        .header("Content-Type", "application/json")
        .body(body.to_owned());
    gateway.send(request).await
}

/// One that is no project of Supabase's, below a path of its own.
#[tokio::test]
async fn any_postgrest_is_a_client() {
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await.by_itself();
    let uri = format!("postgrest+http://{}/rest/v1/?key_env={SUPABASE_KEY_ENV}", server.address());
    let gateway = Gateway::over(&[("rest", &uri)], "").await;
    let steps = [
        ("insert", r#"{"table_name":"secrets","insert_body":{"id":3,"owner":9,"body":"nine"}}"#),
        (
            "update",
            r#"{"table_name":"secrets","conditions":[{"eq_column":"id","eq_value":3}],"update_body":{"body":"9"}}"#,
        ),
        ("delete", r#"{"table_name":"secrets","conditions":[{"eq_column":"id","eq_value":1}]}"#),
    ];
    for (route, body) in steps {
        send(&gateway, "rest", route, body).await.ok();
    }
    let rows = r#"{"table_name":"secrets","columns":["id","body"],"sort_by":{"field":"id"}}"#;
    let rows = send(&gateway, "rest", "fetch", rows).await.rows();
    assert_eq!(rows, json!([{"id": 2, "body": "eight"}, {"id": 3, "body": "9"}]));
}

#[tokio::test]
async fn reads_are_answered_as_by_the_database_itself() {
    let both = Both::start().await;
    for request in [
        r#""sort_by":{"field":"id"}"#,
        r#""columns":"id,n,big,meta,flag","sort_by":{"field":"id"}"#,
        r#""columns":["key:id","text:n::text","name"],"sort_by":{"field":"id","direction":"desc"}"#,
        r#""columns":"id","sort_by":[{"field":"order","nulls":"first"},{"field":"id"}]"#,
        r#""columns":"id","sort_by":[{"field":"n","direction":"desc","nulls":"last"},{"field":"id"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"limit":2,"offset":1"#,
        r#""columns":"id","sort_by":{"field":"id"},"page_size":2,"current_page":2,"count":"exact""#,
        r#""columns":"id","limit":0,"count":"exact""#,
        r#""head":true,"count":"exact","conditions":[{"operator":"gt","column":"id","value":2}]"#,
        r#""columns":"id","conditions":[{"eq_column":"name","eq_value":"a,b"}]"#,
        r#""columns":"id","conditions":[{"eq_column":"name","eq_value":"(x)\"\\"}]"#,
        r#""columns":"id","conditions":[{"eq_column":"name","eq_value":"null"}]"#,
        r#""columns":"id","conditions":[{"eq_column":"name","eq_value":null}]"#,
        r#""columns":"id","conditions":[{"eq_column":"email","eq_value":""}]"#,
        r#""columns":"id","conditions":[{"eq_column":"email","eq_value":"é&=+#?"}]"#,
        r#""columns":"id","conditions":[{"eq_column":"order","eq_value":3}]"#,
        r#""columns":"id","conditions":[{"eq_column":"big","eq_value":9007199254740993}]"#,
        r#""columns":"id","conditions":[{"eq_column":"n","eq_value":1.1}]"#,
        r#""columns":"id","conditions":[{"eq_column":"at","eq_value":"2024-01-01T01:00:00+01:00"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"neq","column":"flag","value":true}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"gte","column":"n","value":2.5}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"lt","column":"on","value":"2000-01-01"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"lte","column":"id","value":2}]"#,
        r#""columns":"id","conditions":[{"operator":"like","column":"name","value":"%\\%"}]"#,
        r#""columns":"id","conditions":[{"operator":"like","column":"name","value":"A%"}]"#,
        r#""columns":"id","conditions":[{"operator":"ilike","column":"name","value":"A_B"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"is","column":"flag","value":"unknown"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"is","column":"flag","value":"not null"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"in","column":"name","value":["a,b","(x)\"\\",null]}]"#,
        r#""columns":"id","conditions":[{"operator":"in","column":"email","value":[""]}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"in","column":"email","value":["","é&=+#?"]}]"#,
        r#""columns":"id","conditions":[{"operator":"in","column":"id","value":[]}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"not","value":"id.in.(1,2)"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"contains","column":"tags","value":["x"]}]"#,
        r#""columns":"id","conditions":[{"operator":"contains","column":"tags","value":["y,z"]}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"containedBy","column":"tags","value":["x","w"]}]"#,
        r#""columns":"id","conditions":[{"operator":"contains","column":"meta","value":{"k":[2.5]}}]"#,
        r#""columns":"id","conditions":[{"operator":"contains","column":"meta","value":[{"a":null}]}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"or","value":"and(id.gt.1,not.name.like.1%),or(order.eq.3,flag.is.null)"}]"#,
        r#""columns":"id","sort_by":{"field":"id"},"conditions":[{"operator":"not","value":"or(id.eq.1,n.is.null)"}]"#,
        r#""columns":"n,at","group_by":"at","time_granularity":"day","aggregation_column":"n","aggregation_strategy":"cumulative_sum","conditions":[{"operator":"is","column":"at","value":"not null"}],"sort_by":{"field":"at"}"#,
        r#""strip_nulls":true,"sort_by":{"field":"id"}"#,
    ] {
        let body = format!(r#"{{"table_name":"things",{request}}}"#);
        let sql = both.send("sql", "fetch", &body).await;
        let rest = both.send("rest", "fetch", &body).await;
        assert_eq!(sql.status, 200, "{body}: {}", sql.text);
        assert_eq!(rest.text, sql.text, "{body}");
    }
}

#[tokio::test]
async fn refusals_are_those_of_the_database_itself() {
    let both = Both::start().await;
    for (route, fields, status, code) in [
        ("fetch", r#""columns":"nope""#, 400, "undefined_column"),
        ("fetch", r#""conditions":[{"eq_column":"nope","eq_value":1}]"#, 400, "undefined_column"),
        ("insert", r#""insert_body":{"id":1}"#, 409, "unique_violation"),
        ("insert", r#""insert_body":{"id":9,"parent":99}"#, 422, "foreign_key_violation"),
        ("insert", r#""insert_body":{"name":"x"}"#, 400, "not_null_violation"),
        ("insert", r#""insert_body":{"id":9,"n":1000000}"#, 400, "check_constraint_violation"),
        ("insert", r#""insert_body":{"id":"x"}"#, 400, "data_exception"),
        (
            "update",
            r#""set":{"on":"x"},"conditions":[{"eq_column":"id","eq_value":1}]"#,
            400,
            "data_exception",
        ),
    ] {
        let body = format!(r#"{{"table_name":"things",{fields}}}"#);
        let sql = both.send("sql", route, &body).await.refused(status, code);
        let rest = both.send("rest", route, &body).await.refused(status, code);
        assert_eq!(rest["details"]["constraint"], sql["details"]["constraint"], "{body}");
    }
    let unknown = both.send("rest", "fetch", r#"{"table_name":"nope"}"#).await;
    unknown.refused(400, "undefined_table");
    // A value for which only the type knows whether it fits: the database says so.
    let wrong = r#"{"table_name":"things","conditions":[{"eq_column":"id","eq_value":"x"}]}"#;
    both.send("rest", "fetch", wrong).await.refused(400, "data_exception");
    for (route, fields) in [
        ("fetch", r#""offset":1"#),
        ("fetch", r#""conditions":[{"operator":"like","column":"name","value":"a*"}]"#),
        ("fetch", r#""limit":5000"#),
        ("insert", r#""insert_body":{"id":9},"dry_run":true"#),
        ("insert", r#""insert_body":{"id":1,"name":"x"},"on_conflict":"id","update_body":{"name":"y"}"#),
    ] {
        let refused = both.send("rest", route, &format!(r#"{{"table_name":"things",{fields}}}"#)).await;
        let body = refused.refused(400, "not_supported_by_backend");
        for field in ["reason", "fix"] {
            assert!(body["details"][field].as_str().is_some_and(|text| !text.is_empty()), "{}", refused.text);
        }
    }
    both.send("rest", "query", r#"{"query":"select 1"}"#).await.refused(400, "not_supported_by_backend");
    for driver in ["supabase", "postgres", "scylla"] {
        let body = json!({"query": "select 1", "driver": driver, "db_name": "rest"});
        let request = both.gateway.bare(Method::POST, "/query/sql").json(&body);
        let refused = both.gateway.send(request).await;
        assert_eq!(refused.status, 400, "{driver}: {}", refused.text);
        println!("{driver}: {}", refused.text);
    }
}

#[tokio::test]
async fn every_row_leaves_as_ndjson_or_the_answer_says_that_it_is_cut() {
    let both = Both::with(Preferences::Known, Some(5), "&max_rows=6").await;
    let ndjson = |client: &'static str| {
        let request = both.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", client);
        let request = request.header("Accept", "application/x-ndjson");
        both.gateway.send(request.body(r#"{"table_name":"things","sort_by":{"field":"id"}}"#))
    };
    let rest = ndjson("rest").await;
    assert_eq!(rest.text, ndjson("sql").await.text);
    assert_eq!(rest.text.lines().count(), 5);
    // A server that gives no more than that may have more.
    let uri = rest_uri(both.server.address(), "&max_rows=5");
    let cut = Gateway::over(&[("rest", &uri)], "").await;
    let request = cut.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "rest");
    let request = request.header("Accept", "application/x-ndjson").body(r#"{"table_name":"things"}"#);
    cut.send(request).await.refused(400, "limit_exceeded");
}

#[tokio::test]
async fn big_numbers_are_text_where_a_reader_would_round() {
    let both = Both::start().await;
    let request = both.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", "rest");
    let request = request.header("X-Athena-Big-Numbers", "string");
    let body =
        r#"{"table_name":"things","columns":"id,big,n","conditions":[{"eq_column":"id","eq_value":1}]}"#;
    let rows = both.gateway.send(request.body(body)).await.rows();
    assert_eq!(rows, json!([{"id": 1, "big": "9007199254740993", "n": 1.1}]));
}

#[tokio::test]
async fn keys_are_held_to_their_scope() {
    let plane = Plane::start("").await;
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let client = json!({"client_name": "rest", "pg_uri": rest_uri(server.address(), "")});
    let made = plane.admin(Method::POST, "/admin/clients", client).await;
    assert!((200..300).contains(&made.status), "{}", made.text);
    let (key, _) = plane
        .key(json!({
            "name": "limited", "rights": ["*"],
            "tables": ["public.secrets"], "columns": {"secrets": ["id", "owner"]},
            "row_filters": {"secrets": [{"eq_column": "owner", "eq_value": 7}]},
        }))
        .await;
    plane.policy("enforce").await;
    let send = |route: &'static str, body: &'static str| {
        let method = if route == "delete" { Method::DELETE } else { Method::POST };
        let request = plane.gateway.bare(method, &format!("/gateway/{route}"));
        plane.gateway.send(request.header("X-Athena-Client", "rest").header("X-Athena-Key", &key).body(body))
    };
    assert_eq!(send("fetch", r#"{"table_name":"secrets"}"#).await.rows(), json!([{"id": 1, "owner": 7}]));
    let asked = server.seen();
    let asked = &asked.last().expect("a request").target;
    assert!(asked.contains("select=id,owner&"), "{asked}");
    for body in [
        r#"{"table_name":"secrets","columns":"body"}"#,
        r#"{"table_name":"secrets","conditions":[{"operator":"like","column":"body","value":"s%"}]}"#,
        r#"{"table_name":"things"}"#,
        r#"{"table_name":"secrets","table_schema":"other"}"#,
    ] {
        assert_eq!(send("fetch", body).await.status, 403, "{body}");
    }
    let update =
        r#"{"table_name":"secrets","set":{"owner":8},"conditions":[{"eq_column":"id","eq_value":1}]}"#;
    send("update", update).await.refused(400, "not_supported_by_backend");
    let others = send(
        "delete",
        r#"{"table_name":"secrets","conditions":[{"operator":"gt","column":"id","value":0}]}"#,
    );
    assert_eq!(others.await.ok()["deleted_count"], 1);
    assert_eq!(server.seen().len(), asked_after(&server), "what was denied was not asked");
}

/// Requests for the one table that the key reaches.
fn asked_after(server: &Postgrest) -> usize {
    server.seen().iter().filter(|request| request.target.starts_with("/rest/v1/secrets?")).count()
}
