//! What a key is limited to besides its rights (contract 29.4), where a database could tell more than it may know.

use reqwest::Method;
use serde_json::{Value, json};

use crate::enforcement::Plane;
use crate::harness::CLIENT;

const TENANTS: &str = "CREATE TABLE notes (id bigint PRIMARY KEY, tenant int NOT NULL, name text NOT NULL CHECK (length(name) < 9), \
    token text UNIQUE); INSERT INTO notes VALUES (1, 1, 'mine', 'hidden-one'), (2, 2, 'other', 'hidden-two'); \
    CREATE TABLE refs (token text REFERENCES notes (token)); INSERT INTO refs VALUES ('hidden-one'); \
    CREATE TABLE seals (id int PRIMARY KEY, hidden_seal text NOT NULL);";

#[tokio::test]
async fn what_the_database_says_of_a_row_tells_nothing_hidden() {
    let plane = Plane::start(TENANTS).await;
    plane.policy("enforce").await;
    let limits = json!({"name": "k", "rights": ["*"], "columns": {"notes": ["id", "tenant", "name"], "seals": ["id"]},
        "row_filters": {"notes": [{"eq_column": "tenant", "eq_value": 1}]}});
    let (key, _) = plane.key(limits).await;
    let send = async |method: Method, path: &str, body: Value| {
        let request =
            plane.gateway.bare(method, path).header("X-Athena-Client", CLIENT).header("apikey", &key);
        plane.gateway.send(request.json(&body)).await
    };
    let mine = json!([{"eq_column": "id", "eq_value": 1}]);
    let change = |set: Value| json!({"table_name": "notes", "update_body": set, "conditions": mine});
    for (method, path, body, code) in [
        (Method::POST, "/gateway/update", change(json!({"name": null})), "not_null_violation"),
        (
            Method::POST,
            "/gateway/update",
            change(json!({"name": "far too long"})),
            "check_constraint_violation",
        ),
        (
            Method::DELETE,
            "/gateway/delete",
            json!({"table_name": "notes", "resource_id": 1}),
            "foreign_key_violation",
        ),
        (
            Method::PUT,
            "/gateway/insert",
            json!({"table_name": "seals", "insert_body": {"id": 1}}),
            "not_null_violation",
        ),
    ] {
        let answer = send(method, path, body).await;
        assert!(answer.status >= 400 && answer.status < 500, "{}", answer.text);
        assert_eq!(answer.json()["code"], code, "{}", answer.text);
        assert!(!answer.text.contains("hidden") && !answer.text.contains("Failing row"), "{}", answer.text);
    }
    let seen = send(Method::POST, "/gateway/update", change(json!({"name": null}))).await.json();
    assert_eq!(seen["details"]["column"], "name", "{seen}");
    // Whether a pattern's end is reached would tell what a row holds that the key must not see.
    for pattern in ["other\\", "x\\", "\\\\\\"] {
        let body = json!({"table_name": "notes", "conditions": [{"operator": "like", "column": "name", "value": pattern}]});
        send(Method::POST, "/gateway/fetch", body).await.refused(400, "data_exception");
    }
    let escaped = json!([{"operator": "like", "column": "name", "value": "mine\\\\"}]);
    let body = json!({"table_name": "notes", "conditions": escaped});
    assert_eq!(send(Method::POST, "/gateway/fetch", body).await.rows(), json!([]));
}

/// A trigger that raises what it sees with the code that the row's name is, in every field that an error has; and a
/// view that cannot read what it shows.
const TALKATIVE: &str = "CREATE TABLE notes (id bigint PRIMARY KEY, name text, token text UNIQUE); \
    INSERT INTO notes VALUES (1, 'a', 'hidden-one'), (2, 'b', 'hidden-two'); \
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ \
      DECLARE seen text := coalesce((SELECT string_agg('\"' || token || '\"', ' ') FROM notes), ''); BEGIN \
      RAISE EXCEPTION USING ERRCODE = NEW.name, MESSAGE = seen, DETAIL = seen, HINT = seen, COLUMN = seen, \
        CONSTRAINT = seen, TABLE = seen, SCHEMA = seen, DATATYPE = seen; END $$; \
    CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON notes FOR EACH ROW WHEN (length(NEW.name) = 5) EXECUTE FUNCTION tell(); \
    CREATE VIEW numbers AS SELECT id, token::int AS number FROM notes;";

#[tokio::test]
async fn what_a_trigger_raises_tells_nothing_hidden_whatever_its_code() {
    let plane = Plane::start(TALKATIVE).await;
    plane.policy("enforce").await;
    let (limited, _) = plane
        .key(json!({"name": "l", "rights": ["*"], "columns": {"notes": ["id", "name"]}, "operations": ["fetch", "insert", "update", "query"]}))
        .await;
    let (free, _) = plane.key(json!({"name": "f", "rights": ["*"]})).await;
    let send = async |key: &str, method: Method, path: &str, body: &Value| {
        let request =
            plane.gateway.bare(method, path).header("X-Athena-Client", CLIENT).header("apikey", key);
        plane.gateway.send(request.json(body)).await
    };
    let mut told = 0;
    for code in [
        "P0001", "P0002", "22023", "22P02", "22001", "23505", "23503", "23514", "23502", "23P01", "23ABC",
        "42703", "42P01", "42601", "42501", "42883", "42804", "0A000", "2BP01", "55000", "55006", "25006",
        "26000", "21000", "38000", "44000", "40001", "57014", "53300", "08006", "28000", "AB123", "45000",
        "XX000", "72000",
    ] {
        let by_id = json!([{"eq_column": "id", "eq_value": 1}]);
        let requests = [
            (
                Method::POST,
                "/gateway/update",
                json!({"table_name": "notes", "set": {"name": code}, "conditions": by_id}),
            ),
            (
                Method::PUT,
                "/gateway/insert",
                json!({"table_name": "notes", "insert_body": {"id": 3, "name": code}}),
            ),
            (
                Method::POST,
                "/gateway/query",
                json!({"query": format!("UPDATE notes SET name = '{code}' WHERE id = 1")}),
            ),
        ];
        for (method, path, body) in requests {
            let answer = send(&limited, method.clone(), path, &body).await;
            assert!(answer.status >= 400, "{code} {path}: {}", answer.text);
            assert!(!answer.text.contains("hidden"), "{code} {path}: {}", answer.text);
            told += usize::from(send(&free, method, path, &body).await.text.contains("hidden-one"));
        }
    }
    assert!(told > 30, "keys without such limits are told, {told} times");

    // No trigger is needed: the server itself quotes what it cannot read.
    let body = json!({"table_name": "numbers"});
    let (bound, _) = plane.key(json!({"name": "t", "rights": ["*"], "tables": ["numbers"]})).await;
    for (key, visible) in [(&free, true), (&bound, false)] {
        let answer = send(key, Method::POST, "/gateway/fetch", &body).await;
        assert_eq!(answer.refused(400, "data_exception")["details"]["sql_state"], "22P02");
        assert_eq!(answer.text.contains("hidden-one"), visible, "{}", answer.text);
    }
    // What is the catalog's own is told.
    let twice = json!({"table_name": "notes", "insert_body": {"id": 1}});
    let refused =
        send(&limited, Method::PUT, "/gateway/insert", &twice).await.refused(409, "unique_violation");
    assert_eq!(refused["details"]["constraint"], "notes_pkey");
}

#[tokio::test]
async fn an_upsert_changes_or_shows_what_is_there_only_for_keys_that_may() {
    let plane = Plane::start(TENANTS).await;
    plane.policy("enforce").await;
    let upsert = async |operations: Value, more: Value| {
        let (key, _) = plane.key(json!({"name": "k", "rights": ["*"], "operations": operations})).await;
        let mut body = json!({"table_name": "notes", "insert_body": {"id": 1, "tenant": 1, "name": "new"}});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let request = plane.gateway.bare(Method::PUT, "/gateway/insert").header("X-Athena-Client", CLIENT);
        plane.gateway.send(request.header("apikey", key).json(&body)).await
    };
    let denied = "api_key_operation_out_of_scope";
    let change = json!({"on_conflict": "id", "update_body": {"name": "changed"}});
    upsert(json!(["insert"]), change.clone()).await.refused(403, denied);
    upsert(json!(["insert", "fetch"]), change.clone()).await.refused(403, denied);
    upsert(json!(["insert"]), json!({"on_conflict": "id"})).await.refused(403, denied);
    upsert(json!(["insert"]), json!({"update_body": {}})).await.refused(403, denied);
    upsert(json!(["insert"]), json!({})).await.refused(409, "unique_violation");
    upsert(json!(["insert", "fetch"]), json!({"update_body": {}})).await.ok();
    upsert(json!(["insert", "update"]), change).await.ok();
}
