//! Administering keys, rights and policy, end to end (contract 5.6 and 29.4).

use reqwest::Method;
use serde_json::{Value, json};

use crate::enforcement::Plane;
use crate::harness::{ADMIN_KEY, Answer, Gateway};

const NOBODY: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";

/// Every route, with a body that would do where one is needed.
fn routes() -> Vec<(Method, String, Value)> {
    let key = format!("/admin/api-keys/{NOBODY}");
    let right = format!("/admin/api-key-rights/{NOBODY}");
    let text = str::to_owned;
    vec![
        (Method::GET, text("/admin/api-keys"), Value::Null),
        (Method::POST, text("/admin/api-keys"), json!({"name": "k"})),
        (Method::GET, key.clone(), Value::Null),
        (Method::PATCH, key.clone(), json!({"name": "k"})),
        (Method::DELETE, key.clone(), Value::Null),
        (Method::POST, format!("{key}/rotate"), json!({})),
        (Method::GET, format!("{key}/effective"), Value::Null),
        (Method::GET, text("/admin/api-key-rights"), Value::Null),
        (Method::POST, text("/admin/api-key-rights"), json!({"name": "a.b"})),
        (Method::PATCH, right.clone(), json!({"name": "a.c"})),
        (Method::DELETE, right, Value::Null),
        (Method::GET, text("/admin/api-key-config"), Value::Null),
        (Method::PUT, text("/admin/api-key-config"), json!({"enforce_api_keys": false})),
        (Method::GET, text("/admin/api-key-clients"), Value::Null),
        (Method::PUT, text("/admin/api-key-clients/demo"), json!({"enforce_api_keys": true})),
        (Method::DELETE, text("/admin/api-key-clients/demo"), Value::Null),
    ]
}

/// Checks a success's envelope and gives its data.
#[track_caller]
fn told(answer: &Answer, status: u16, message: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut body = answer.json();
    assert_eq!((&body["status"], &body["message"]), (&json!("success"), &json!(message)));
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(3), "{}", answer.text);
    body["data"].take()
}

async fn sent(gateway: &Gateway, method: Method, path: &str, body: &Value, key: Option<&str>) -> Answer {
    let request = gateway.bare(method, path);
    let request = if body.is_null() { request } else { request.json(body) };
    gateway
        .send(match key {
            Some(key) => request.header("X-Athena-Key", key),
            None => request,
        })
        .await
}

#[tokio::test]
async fn a_scope_that_names_what_no_client_has_is_told() {
    let plane = Plane::start("CREATE TABLE users (id int PRIMARY KEY, email text)").await;
    let body = json!({
        "name": "k", "rights": ["gateway.read"], "clients": [crate::harness::CLIENT], "tables": ["usres", "users"],
        "columns": {"users": ["id", "emial"]}, "row_filters": {"users": [{"eq_column": "tenant", "eq_value": 1}]},
    });
    let made = plane.admin(Method::POST, "/admin/api-keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let data = made.json()["data"].clone();
    let fields = |warnings: &Value| -> Vec<(String, Value)> {
        let warnings = warnings.as_array().expect("warnings").iter();
        warnings
            .map(|one| (one["field"].as_str().expect("a field").to_owned(), one["nearest"].clone()))
            .collect()
    };
    let expected = [
        ("tables[0]".to_owned(), json!("users")),
        ("columns.users[1]".to_owned(), json!("email")),
        ("row_filters.users[0]".to_owned(), Value::Null),
    ];
    assert_eq!(fields(&data["warnings"]), expected);
    let id = data["record"]["id"].as_str().expect("an id");
    let path = format!("/admin/api-keys/{id}");
    let reach = plane.admin(Method::GET, &format!("{path}/effective"), json!(null)).await.ok();
    assert_eq!(fields(&reach["data"]["warnings"]), expected);
    let mended = json!({"tables": ["users"], "columns": {"users": ["id", "email"]}, "row_filters": null});
    let updated = plane.admin(Method::PATCH, &path, mended).await.ok();
    assert!(updated["data"].get("warnings").is_none(), "{updated}");
    let wrong = plane.admin(Method::PATCH, &path, json!({"tables": ["orders"]})).await.ok();
    assert_eq!(wrong["data"]["warnings"][0]["message"], "no table is meant by `orders`");
}

#[tokio::test]
async fn every_route_asks_for_the_admin_key_and_stands_in_the_specification() {
    let plane = Plane::start("").await;
    let (credential, _) = plane.key(json!({"name": "k", "rights": ["*"]})).await;
    let specification = plane.gateway.send(plane.gateway.bare(Method::GET, "/openapi.yaml")).await.text;
    for (method, path, body) in routes() {
        for key in [None, Some("wrong"), Some(credential.as_str())] {
            let answer = sent(&plane.gateway, method.clone(), &path, &body, key).await;
            let refusal = answer.refused(401, "invalid_admin_key");
            assert_eq!(refusal["error"], "Invalid or missing API key. Use X-Athena-Key.", "{method} {path}");
        }
        let documented = path.replace(NOBODY, "{id}").replace("/demo", "/{client_name}");
        assert!(specification.contains(&format!("{documented}:")), "{documented}");
    }
}

/// Contract 5.7: what a page, a script and an SDK each use.
#[tokio::test]
async fn the_admin_key_may_stand_at_five_places() {
    let plane = Plane::start("").await;
    let bearer = format!("Bearer {ADMIN_KEY}");
    let route = |query: &str| plane.gateway.bare(Method::GET, &format!("/admin/api-keys{query}"));
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("apikey", ADMIN_KEY),
        ("x-api-key", ADMIN_KEY),
        ("x-athena-key", ADMIN_KEY),
    ] {
        plane.gateway.send(route("").header(name, value)).await.ok();
        let wrong = plane.gateway.send(route("").header(name, format!("{value}x"))).await;
        wrong.refused(401, "invalid_admin_key");
    }
    plane.gateway.send(route(&format!("?api_key={ADMIN_KEY}"))).await.ok();
    plane.gateway.send(route(&format!("?api_key={ADMIN_KEY}x"))).await.refused(401, "invalid_admin_key");
    plane.gateway.send(route("").header("authorization", ADMIN_KEY)).await.refused(401, "invalid_admin_key");
}

#[tokio::test]
async fn a_key_lives_from_creation_to_archive() {
    let plane = Plane::start("").await;
    let body = json!({
        "name": " dashboard ", "description": "d", "client_name": "Demo", "clients": ["other"],
        "expires_at": "2030-01-31T13:00:00+01:00", "rights": ["gateway.write", "gateway.read"],
        "operations": ["fetch"], "tables": ["public.users", "audit.*"], "columns": {"users": ["id"]},
        "row_filters": {"users": [{"eq_column": "id", "eq_value": 1}]}, "budget": {"requests_per_second": 5},
    });
    let data =
        told(&plane.admin(Method::POST, "/admin/api-keys", body.clone()).await, 201, "Created API key");
    let credential = data["api_key"].as_str().expect("a credential");
    let (public, secret) = credential.strip_prefix("ath_").and_then(|c| c.split_once('.')).expect("its form");
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    assert!(public.len() == 16 && secret.len() == 64 && hex(public) && hex(secret), "{credential}");
    let record = &data["record"];
    assert_eq!(record["public_id"], public);
    assert_eq!(record["name"], "dashboard");
    assert_eq!(record["rights"], json!(["gateway.read", "gateway.write"]));
    assert_eq!((&record["is_active"], &record["last_used_at"]), (&json!(true), &Value::Null));
    for field in
        ["description", "client_name", "clients", "operations", "tables", "columns", "row_filters", "budget"]
    {
        assert_eq!(record[field], body[field], "{field}");
    }
    assert!(record["expires_at"].as_str().is_some_and(|moment| moment.starts_with("2030-01-31T12:00:00")));
    let path = format!("/admin/api-keys/{}", record["id"].as_str().expect("an id"));

    let (_, second) = plane.key(json!({"name": "second"})).await;
    let listed = plane.admin(Method::GET, "/admin/api-keys", Value::Null).await;
    let keys = told(&listed, 200, "Listed API keys")["api_keys"].take();
    assert_eq!((&keys[0]["id"], &keys[1]), (&json!(second), record), "newest first");
    assert!(!listed.text.contains(secret) && !listed.text.contains("salt") && !listed.text.contains("hash"));

    let nothing = told(&plane.admin(Method::PATCH, &path, json!({})).await, 200, "Updated API key");
    let mut kept = nothing["record"].clone();
    kept["updated_at"] = record["updated_at"].clone();
    assert_eq!(&kept, record, "what is absent stays");
    let clear = json!({
        "name": "n", "is_active": false, "description": null, "client_name": null, "clients": null, "expires_at": null,
        "operations": null, "tables": null, "columns": null, "row_filters": null, "budget": null, "rights": [],
    });
    let cleared = told(&plane.admin(Method::PATCH, &path, clear.clone()).await, 200, "Updated API key");
    for (field, value) in clear.as_object().expect("an object") {
        assert_eq!(&cleared["record"][field], value, "{field}");
    }
    let found = told(
        &plane
            .admin(
                Method::GET,
                &path.to_uppercase().replace("/ADMIN/API-KEYS", "/admin/api-keys"),
                Value::Null,
            )
            .await,
        200,
        "Loaded API key",
    );
    assert_eq!(found["record"], cleared["record"], "ids meet without case");

    let gone = told(&plane.admin(Method::DELETE, &path, Value::Null).await, 200, "Deleted API key");
    assert_eq!(gone, json!({"id": record["id"]}));
    let error = format!("No API key exists for '{}'.", record["id"].as_str().expect("an id"));
    for (method, path, body) in [
        (Method::DELETE, path.clone(), Value::Null),
        (Method::GET, path.clone(), Value::Null),
        (Method::PATCH, path.clone(), json!({"is_active": true})),
        (Method::POST, format!("{path}/rotate"), Value::Null),
        (Method::GET, format!("{path}/effective"), Value::Null),
    ] {
        let refusal = plane.admin(method, &path, body).await.refused(404, "not_found");
        assert_eq!((&refusal["message"], &refusal["error"]), (&json!("API key not found"), &json!(error)));
    }
    let kept = plane.admin(Method::GET, "/admin/api-keys", Value::Null).await;
    assert_eq!(kept.ok()["data"]["api_keys"].as_array().map(Vec::len), Some(1));
    let kept = athena_kept(
        &plane,
        "SELECT count(*)::text FROM api_keys WHERE archived_at IS NOT NULL AND NOT is_active",
    )
    .await;
    assert_eq!(kept, "1", "the row stays");
}

/// One text out of the control database.
async fn athena_kept(plane: &Plane, sql: &'static str) -> String {
    let database = athena_postgres::control::ControlDatabase::open(&plane.control.uri()).expect("a URI");
    sqlx::query_scalar(sql).fetch_one(database.pool()).await.expect("one text")
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let plane = Plane::start("").await;
    let (_, id) = plane.key(json!({"name": "k"})).await;
    let key = format!("/admin/api-keys/{id}");
    let timestamp = ("Invalid timestamp", "'expires_at' must be an RFC3339 timestamp.");
    let unknown = ("Unknown API key rights", "These rights do not exist: a.read, b.reed");
    let named = |path: &str, bodies: &[(Value, &'static str, (&'static str, &'static str))]| {
        let rows = bodies.iter().map(|(body, code, words)| (path.to_owned(), body.clone(), *code, *words));
        rows.collect::<Vec<_>>()
    };
    let shared = [
        (json!({"name": "n", "expires_at": "tomorrow"}), "invalid_field", timestamp),
        (json!({"name": "n", "expires_at": 5}), "invalid_field", timestamp),
        (json!({"name": "n", "rights": ["b.reed", "a.read", "*"]}), "unknown_rights", unknown),
        (json!({"name": "  "}), "invalid_field", ("", "")),
        (json!({"name": null}), "invalid_field", ("", "")),
        (json!({"nmae": "n"}), "unknown_field", ("", "")),
        (json!({"name": "n", "tables": ["a b"]}), "invalid_field", ("", "")),
        (json!({"name": "n", "columns": {"users": ["a b"]}}), "invalid_field", ("", "")),
        (json!({"name": "n", "operations": ["read"]}), "invalid_field", ("", "")),
        (json!({"name": "n", "clients": [" "]}), "invalid_field", ("", "")),
        (json!({"name": "n", "budget": {"requests": 5}}), "unknown_field", ("", "")),
        (json!({"name": "n", "budget": {"concurrent": 1_000_000_000_001_u64}}), "invalid_field", ("", "")),
        (json!([]), "invalid_field", ("", "")),
    ];
    let created = named("/admin/api-keys", &shared).into_iter().map(|row| (Method::POST, row));
    let changed = named(&key, &shared).into_iter().map(|row| (Method::PATCH, row));
    let one = |method, path: &str, body, code, words| (method, (path.to_owned(), body, code, words));
    let key_id = ("Invalid API key id", "The API key id must be a UUID.");
    let right_id = ("Invalid API key right id", "The right id must be a UUID.");
    let client = ("Invalid client name", "The client name must not be empty.");
    let single = [
        one(Method::POST, "/admin/api-keys", json!({"description": "d"}), "missing_field", ("", "")),
        one(Method::PATCH, "/admin/api-keys/5", json!({}), "invalid_field", key_id),
        one(
            Method::GET,
            "/admin/api-keys/ffffffffffff4fff8fffffffffffffff",
            Value::Null,
            "invalid_field",
            key_id,
        ),
        one(Method::DELETE, "/admin/api-keys/x", Value::Null, "invalid_field", key_id),
        one(Method::POST, "/admin/api-keys/x/rotate", json!({}), "invalid_field", key_id),
        one(Method::GET, "/admin/api-keys/x/effective", Value::Null, "invalid_field", key_id),
        one(
            Method::POST,
            &format!("{key}/rotate"),
            json!({"overlap_secs": 604_801}),
            "invalid_field",
            ("", ""),
        ),
        one(Method::POST, &format!("{key}/rotate"), json!({"overlap": 1}), "unknown_field", ("", "")),
        one(Method::POST, "/admin/api-key-rights", json!({"name": ""}), "invalid_field", ("", "")),
        one(Method::POST, "/admin/api-key-rights", json!({"name": "read"}), "invalid_field", ("", "")),
        one(Method::POST, "/admin/api-key-rights", json!({}), "missing_field", ("", "")),
        one(Method::PATCH, "/admin/api-key-rights/x", json!({"name": "a.b"}), "invalid_field", right_id),
        one(Method::DELETE, "/admin/api-key-rights/x", Value::Null, "invalid_field", right_id),
        one(Method::PUT, "/admin/api-key-config", json!({}), "missing_field", ("", "")),
        one(Method::PUT, "/admin/api-key-config", json!({"mode": "on"}), "invalid_field", ("", "")),
        one(Method::PUT, "/admin/api-key-clients/%20", json!({"mode": "off"}), "invalid_field", client),
        one(Method::PUT, "/admin/api-key-clients/demo", json!({"enforce": true}), "unknown_field", ("", "")),
    ];
    let state = async || {
        let keys = plane.admin(Method::GET, "/admin/api-keys", Value::Null).await.text;
        let rights = plane.admin(Method::GET, "/admin/api-key-rights", Value::Null).await.text;
        [keys, rights, plane.admin(Method::GET, "/admin/api-key-config", Value::Null).await.text]
    };
    let before = state().await;
    for (method, (path, body, code, (message, error))) in created.chain(changed).chain(single) {
        let answer = plane.admin(method.clone(), &path, body.clone()).await;
        assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.text);
        let refusal = answer.refused(400, code);
        if !message.is_empty() {
            assert_eq!(
                (&refusal["message"], &refusal["error"]),
                (&json!(message), &json!(error)),
                "{path} {body}"
            );
        }
    }
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn rights_come_and_go() {
    let plane = Plane::start("").await;
    let made =
        plane.admin(Method::POST, "/admin/api-key-rights", json!({"name": "users.read", "description": "d"}));
    let right = told(&made.await, 201, "Created API key right")["right"].take();
    assert_eq!((&right["name"], &right["description"]), (&json!("users.read"), &json!("d")));
    let twice = plane.admin(Method::POST, "/admin/api-key-rights", json!({"name": "users.read"})).await;
    twice.refused(409, "unique_violation");
    let (_, id) = plane.key(json!({"name": "k", "rights": ["users.read"]})).await;
    let path = format!("/admin/api-key-rights/{}", right["id"].as_str().expect("an id"));
    plane.admin(Method::PATCH, &path, json!({"name": "gateway.read"})).await.refused(409, "unique_violation");
    let renamed = plane.admin(Method::PATCH, &path, json!({"name": "people.read"})).await;
    let renamed = told(&renamed, 200, "Updated API key right")["right"].take();
    assert_eq!((&renamed["name"], &renamed["description"]), (&json!("people.read"), &Value::Null));
    let rights = async || {
        let found = plane.admin(Method::GET, &format!("/admin/api-keys/{id}"), Value::Null).await.ok();
        found["data"]["record"]["rights"].clone()
    };
    assert_eq!(rights().await, json!(["people.read"]));
    let listed = plane.admin(Method::GET, "/admin/api-key-rights", Value::Null).await;
    let listed = told(&listed, 200, "Listed API key rights")["rights"].take();
    let names: Vec<_> = listed.as_array().into_iter().flatten().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.is_sorted() && names.contains(&"people.read") && names.contains(&"*"), "{names:?}");
    told(&plane.admin(Method::DELETE, &path, Value::Null).await, 200, "Deleted API key right");
    assert_eq!(rights().await, json!([]));
    for (method, body) in [(Method::DELETE, Value::Null), (Method::PATCH, json!({"name": "x.y"}))] {
        let refusal = plane.admin(method, &path, body).await.refused(404, "not_found");
        assert_eq!(refusal["message"], "API key right not found");
        assert_eq!(
            refusal["error"],
            format!("No right exists for '{}'.", right["id"].as_str().expect("an id"))
        );
    }
}

#[tokio::test]
async fn the_policy_takes_both_words() {
    let plane = Plane::start("").await;
    let put = async |path: &str, body: Value| plane.admin(Method::PUT, path, body).await;
    for (body, enforced, mode) in [
        (json!({"enforce_api_keys": true}), true, "enforce"),
        (json!({"enforce_api_keys": true, "mode": "warn"}), false, "warn"),
        (json!({"mode": "enforce", "enforce_api_keys": false}), true, "enforce"),
        (json!({"enforce_api_keys": false}), false, "off"),
    ] {
        let global = told(&put("/admin/api-key-config", body.clone()).await, 200, "Updated API key config");
        assert_eq!(
            (&global["global"]["enforce_api_keys"], &global["global"]["mode"]),
            (&json!(enforced), &json!(mode))
        );
        let set = put("/admin/api-key-clients/Demo", body).await;
        let client = told(&set, 200, "Updated API key client config")["client"].take();
        assert_eq!((&client["client_name"], &client["mode"]), (&json!("Demo"), &json!(mode)));
    }
    put("/admin/api-key-clients/%20dEMO", json!({"mode": "warn"})).await.ok();
    let listed = plane.admin(Method::GET, "/admin/api-key-clients", Value::Null).await;
    let clients = told(&listed, 200, "Listed API key client config")["clients"].take();
    assert_eq!(clients.as_array().map(Vec::len), Some(1));
    let config = plane.admin(Method::GET, "/admin/api-key-config", Value::Null).await;
    let config = told(&config, 200, "Loaded API key config");
    assert_eq!((&config["global"]["mode"], &config["clients"]), (&json!("off"), &clients));
    let gone = plane.admin(Method::DELETE, "/admin/api-key-clients/DEMO", Value::Null).await;
    assert_eq!(told(&gone, 200, "Deleted API key client config"), json!({"client_name": "DEMO"}));
    let gone = plane.admin(Method::DELETE, "/admin/api-key-clients/DEMO", Value::Null).await;
    let refusal = gone.refused(404, "not_found");
    assert_eq!(refusal["message"], "API key client config not found");
    assert_eq!(refusal["error"], "No client config exists for 'DEMO'.");
}

#[tokio::test]
async fn administrators_at_once_lose_nothing() {
    let plane = Plane::start("").await;
    let (_, id) = plane.key(json!({"name": "k"})).await;
    let path = format!("/admin/api-keys/{id}");
    let changes = [
        json!({"description": "d"}),
        json!({"client_name": "demo"}),
        json!({"expires_at": "2040-01-01T00:00:00Z"}),
        json!({"is_active": false}),
        json!({"rights": ["*"]}),
        json!({"tables": ["users"]}),
        json!({"operations": ["fetch"]}),
        json!({"budget": {"concurrent": 3}}),
    ];
    let all = changes.iter().map(|change| plane.admin(Method::PATCH, &path, change.clone()));
    for answer in futures_util::future::join_all(all).await {
        answer.ok();
    }
    let found = plane.admin(Method::GET, &path, Value::Null).await.ok();
    for (field, value) in changes.iter().filter_map(Value::as_object).flatten() {
        if field != "expires_at" {
            assert_eq!(&found["data"]["record"][field], value, "{field}");
        }
    }
    assert!(found["data"]["record"]["expires_at"].is_string());
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_administer() {
    let check = async |yaml: &str, error: &str| {
        let gateway = Gateway::over(&[("Main", "postgres://nobody@127.0.0.1:1/none")], yaml).await;
        for (method, path, body) in routes() {
            let answer = sent(&gateway, method.clone(), &path, &body, Some(ADMIN_KEY)).await;
            let refusal = answer.refused(503, "auth_store_unavailable");
            assert_eq!(
                (&refusal["message"], &refusal["error"]),
                (&json!("Auth store unavailable"), &json!(error))
            );
            assert!(answer.header("retry-after").is_some(), "{method} {path}");
        }
    };
    check("", "No gateway auth client is configured.").await;
    check("gateway: {auth_client: missing}", "Gateway auth client 'missing' is not connected.").await;
}

#[tokio::test]
async fn a_store_that_is_away_is_said_to_be() {
    // Nothing listens there; reading bodies and ids comes first, so what is wrong with them is told.
    let clients = [("Main", "postgres://nobody@127.0.0.1:1/none?connect_timeout=1")];
    let gateway = Gateway::over(&clients, "gateway: {auth_client: Main}").await;
    let answer = sent(&gateway, Method::GET, "/admin/api-keys", &Value::Null, Some(ADMIN_KEY)).await;
    let refusal = answer.refused(503, "auth_store_unavailable");
    assert_eq!(refusal["error"], "Gateway auth client 'Main' is not connected.");
    assert!(answer.header("retry-after").is_some());
    let answer = sent(&gateway, Method::POST, "/admin/api-keys", &json!({}), Some(ADMIN_KEY)).await;
    answer.refused(400, "missing_field");
}

#[tokio::test]
async fn numbers_of_a_filter_keep_their_digits() {
    let plane = Plane::start("CREATE TABLE amounts (id bigint PRIMARY KEY, amount numeric)").await;
    let number = "12345678901234567890.123456789012345";
    let body = format!(
        r#"{{"name": "k", "rights": ["*"], "row_filters": {{"amounts": [{{"operator": "gte", "column": "amount", "value": {number}}}]}}}}"#
    );
    let request = plane.gateway.bare(Method::POST, "/admin/api-keys").header("X-Athena-Key", ADMIN_KEY);
    let made = plane.gateway.send(request.header("Content-Type", "application/json").body(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["data"]["record"]["id"].as_str().expect("an id").to_owned();
    let mut texts = vec![made.text];
    for path in [
        format!("/admin/api-keys/{id}"),
        format!("/admin/api-keys/{id}/effective"),
        "/admin/api-keys".to_owned(),
    ] {
        texts.push(plane.admin(Method::GET, &path, Value::Null).await.text);
    }
    for text in texts {
        assert!(text.contains(number), "{text}");
    }
}
