//! Who is let in: contract 5.4 and 28.13, end to end.

mod matrix;

use std::time::Duration;

use athena_test_support::{TcpProxy, TestDatabase};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};

/// A gateway with a control database of its own, and keys in it.
pub struct Plane {
    pub gateway: Gateway,
    pub control: TestDatabase,
    pub data: TestDatabase,
}

impl Plane {
    /// A gateway whose keys have been read once.
    pub async fn start(sql: &str) -> Self {
        Self::configured(sql, "").await
    }

    /// The same with a control database that can be made to fail, and more configuration.
    pub async fn behind_a_proxy(sql: &str, yaml: &str) -> (Self, TcpProxy) {
        let control = TestDatabase::fresh().await;
        let proxy = control.proxied().await;
        let plane = Self::over(sql, control, proxy.uri(), yaml).await;
        (plane, proxy)
    }

    /// The same with more configuration.
    pub async fn configured(sql: &str, yaml: &str) -> Self {
        let control = TestDatabase::fresh().await;
        let uri = control.uri();
        Self::over(sql, control, &uri, yaml).await
    }

    async fn over(sql: &str, control: TestDatabase, control_uri: &str, yaml: &str) -> Self {
        let data = TestDatabase::with(sql).await;
        let gateway = Self::gateway(&data, control_uri, yaml).await;
        let plane = Self { gateway, control, data };
        plane.ready().await;
        plane
    }

    /// A gateway over these databases.
    pub async fn gateway(data: &TestDatabase, control_uri: &str, yaml: &str) -> Gateway {
        let data_uri = data.uri();
        let clients = [(CLIENT, data_uri.as_str()), ("athena_logging", control_uri)];
        let yaml =
            format!("gateway: {{logging_client: athena_logging, require_audit_headers: lenient}}\n{yaml}");
        Gateway::over(&clients, &yaml).await
    }

    /// Another gateway over the same databases.
    pub async fn sibling(&self, yaml: &str) -> Gateway {
        Self::gateway(&self.data, &self.control.uri(), yaml).await
    }

    async fn ready(&self) {
        for _ in 0..200 {
            if self.admin(Method::GET, "/admin/api-key-config", json!(null)).await.status == 200
                && self.fetch(None).await.status != 503
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the control plane does not come up");
    }

    /// A request of the administrator.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.gateway.bare(method, path).header("X-Athena-Key", ADMIN_KEY);
        let request = if body.is_null() { request } else { request.json(&body) };
        self.gateway.send(request).await
    }

    /// Makes a key; its credential and its id.
    pub async fn key(&self, body: Value) -> (String, String) {
        let made = self.admin(Method::POST, "/admin/api-keys", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let data = &made.json()["data"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&data["api_key"]), text(&data["record"]["id"]))
    }

    pub async fn policy(&self, mode: &str) {
        let set = self.admin(Method::PUT, "/admin/api-key-config", json!({ "mode": mode })).await;
        assert_eq!(set.ok()["data"]["global"]["mode"], mode);
    }

    /// Sends a body on a gateway route.
    pub async fn send(&self, route: &Route, client: &str, key: Option<&str>) -> Answer {
        self.gateway.send(self.request(route, client, key)).await
    }

    /// A request with a body for a gateway route.
    pub fn request(&self, route: &Route, client: &str, key: Option<&str>) -> RequestBuilder {
        let request = self.gateway.bare(route.method(), route.path).header("X-Athena-Client", client);
        let request = request.header("Content-Type", "application/json").body(route.body);
        match key {
            Some(key) => request.header("X-Athena-Key", key),
            None => request,
        }
    }

    async fn fetch(&self, key: Option<&str>) -> Answer {
        self.send(&ROUTES[0], CLIENT, key).await
    }
}

pub struct Route {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    right: &'static str,
}

impl Route {
    /// Whether it is the route of this path.
    pub fn is(&self, path: &str) -> bool {
        self.path == path
    }

    fn method(&self) -> Method {
        self.method.parse().expect("a method")
    }
}

const fn route(method: &'static str, path: &'static str, body: &'static str, right: &'static str) -> Route {
    Route { method, path, body, right }
}

/// Every gateway route, and the right that it needs.
pub const ROUTES: [Route; 8] = [
    route("POST", "/gateway/fetch", r#"{"table_name":"things"}"#, "things.read"),
    route("POST", "/gateway/data", r#"{"table_name":"public.things"}"#, "things.read"),
    route(
        "POST",
        "/gateway/update",
        r#"{"table_name":"things","set":{"name":"x"},"conditions":[{"eq_column":"id","eq_value":1}]}"#,
        "things.write",
    ),
    route("PUT", "/gateway/insert", r#"{"table_name":"things","insert_body":{"name":"y"}}"#, "things.write"),
    route("DELETE", "/gateway/delete", r#"{"table_name":"things","resource_id":"77"}"#, "things.delete"),
    route("POST", "/gateway/query", r#"{"query":"select 1 as one"}"#, "gateway.query"),
    route("POST", "/gateway/rpc", r#"{"function":"public.things_count"}"#, "gateway.query"),
    route(
        "POST",
        "/query/sql",
        r#"{"query":"select 1 as one","driver":"postgresql","db_name":"shop"}"#,
        "gateway.query",
    ),
];

const THINGS: &str = "CREATE TABLE things (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, \
                      owner text DEFAULT 'a'); INSERT INTO things (id, name) VALUES (1, 'one'), (2, 'two'), (77, 'z'); \
                      SELECT setval('things_id_seq', 1000); \
                      CREATE FUNCTION things_count() RETURNS bigint LANGUAGE sql STABLE \
                      AS 'SELECT count(*) FROM things';";

#[tokio::test]
async fn a_client_that_does_not_exist_is_told_to_those_who_may_know() {
    let plane = Plane::start(THINGS).await;
    let (bound, _) = plane.key(json!({"name": "k", "rights": ["*"], "clients": ["main"]})).await;
    let (free, _) = plane.key(json!({"name": "k", "rights": ["*"]})).await;
    plane.policy("enforce").await;
    let status = async |key: Option<&str>| plane.send(&ROUTES[0], "nobody", key).await.status;
    assert_eq!(status(None).await, 401);
    assert_eq!(status(Some(&bound)).await, 403);
    assert_eq!(status(Some(&free)).await, 400);
}

#[tokio::test]
async fn a_key_reaches_what_its_scope_names() {
    let plane =
        Plane::start(&format!("{THINGS} CREATE SCHEMA audit; CREATE TABLE audit.things (id bigint);")).await;
    plane.policy("enforce").await;
    let scope = json!({
        "name": "scoped", "rights": ["gateway.*"], "tables": ["public.things"], "operations": ["fetch", "insert", "update"],
        "columns": {"things": ["id", "name"]}, "row_filters": {"things": [{"lte_column": "id", "lte_value": 1}]},
    });
    let (key, id) = plane.key(scope).await;
    let send = async |method: Method, path: &str, body: Value| {
        let request =
            plane.gateway.bare(method, path).header("X-Athena-Client", CLIENT).header("apikey", &key);
        plane.gateway.send(request.json(&body)).await
    };
    let rows = send(Method::POST, "/gateway/fetch", json!({"table_name": "things"})).await.rows();
    assert_eq!(rows, json!([{"id": 1, "name": "one"}]));
    let refusals = [
        (Method::POST, "/gateway/fetch", json!({"table_name": "audit.things"}), "api_key_table_out_of_scope"),
        (Method::POST, "/gateway/fetch", json!({"table_name": "nowhere"}), "api_key_table_out_of_scope"),
        (
            Method::POST,
            "/gateway/fetch",
            json!({"table_name": "things", "columns": ["owner"]}),
            "api_key_column_out_of_scope",
        ),
        (
            Method::DELETE,
            "/gateway/delete",
            json!({"table_name": "things", "resource_id": 1}),
            "api_key_operation_out_of_scope",
        ),
        (
            Method::POST,
            "/gateway/query",
            json!({"query": "select * from things"}),
            "api_key_operation_out_of_scope",
        ),
        (
            Method::PUT,
            "/gateway/insert",
            json!({"table_name": "things", "insert_body": {"id": 5, "name": "n"}}),
            "api_key_row_out_of_scope",
        ),
    ];
    for (method, path, body, code) in refusals {
        let answer = send(method, path, body.clone()).await;
        assert_eq!(answer.refused(403, code)["message"], "Insufficient API key rights", "{body}");
    }
    let change = json!({"table_name": "things", "set": {"name": "mine"}, "conditions": [{"gte_column": "id", "gte_value": 0}]});
    let rows = send(Method::POST, "/gateway/update", change).await.rows();
    assert_eq!(rows, json!([{"id": 1, "name": "mine"}]));
    let reach = plane.admin(Method::GET, &format!("/admin/api-keys/{id}/effective"), json!(null)).await.ok();
    assert_eq!(reach["data"]["operations"], json!(["fetch", "insert", "update"]));
    assert_eq!(reach["data"]["tables"], json!(["public.things"]));
    // A widened scope is in force with the answer.
    plane.admin(Method::PATCH, &format!("/admin/api-keys/{id}"), json!({"row_filters": null})).await.ok();
    let rows = send(Method::POST, "/gateway/fetch", json!({"table_name": "things"})).await.rows();
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_until_the_overlap_ends() {
    let plane = Plane::start(THINGS).await;
    plane.policy("enforce").await;
    let (old, id) = plane.key(json!({"name": "k", "rights": ["*"]})).await;
    let path = format!("/admin/api-keys/{id}/rotate");
    let rotated = plane.admin(Method::POST, &path, json!({"overlap_secs": 2})).await.ok();
    let new = rotated["data"]["api_key"].as_str().expect("a credential").to_owned();
    assert!(rotated["data"]["previous_valid_until"].is_string());
    assert_ne!(old, new);
    assert_eq!(old.split_once('.').map(|p| p.0), new.split_once('.').map(|p| p.0), "the public id stays");
    assert_eq!(plane.fetch(Some(&old)).await.status, 200);
    assert_eq!(plane.fetch(Some(&new)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(plane.fetch(Some(&old)).await.status, 401);
    assert_eq!(plane.fetch(Some(&new)).await.status, 200);
    plane.admin(Method::POST, &path, json!({"overlap_secs": 0})).await.ok();
    assert_eq!(plane.fetch(Some(&new)).await.status, 401);
    plane.admin(Method::POST, &path, json!({"overlap_secs": 604_801})).await.refused(400, "invalid_field");
}

#[tokio::test]
async fn a_store_that_was_never_read_lets_nobody_in() {
    let data = TestDatabase::with(THINGS).await;
    let clients = [(CLIENT, data.uri()), ("athena_logging", "postgres://nobody@127.0.0.1:1/none".to_owned())];
    let clients: Vec<(&str, &str)> = clients.iter().map(|(name, uri)| (*name, uri.as_str())).collect();
    let gateway = Gateway::over(&clients, "gateway: {logging_client: athena_logging}").await;
    let send = async |client: &str| {
        let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", client);
        gateway.send(request.json(&json!({"table_name": "things"}))).await
    };
    let known = send(CLIENT).await;
    assert_eq!(known.refused(503, "api_key_policy_lookup_failed")["message"], "API key policy unavailable");
    assert!(known.header("retry-after").is_some());
    send("nobody").await.refused(400, "unknown_client");
    let admin = gateway.bare(Method::GET, "/admin/api-keys").header("X-Athena-Key", ADMIN_KEY);
    let admin = gateway.send(admin).await;
    assert_eq!(admin.refused(503, "auth_store_unavailable")["message"], "Auth store unavailable");
}

#[tokio::test]
async fn the_log_says_whether_keys_are_demanded() {
    let plane = Plane::start(THINGS).await;
    // Every gateway of the suite writes to one log.
    let said = |words: &str| crate::witness::lines(words).len();
    let (off, on) = ("API keys are not demanded (mode `off`)", "API keys are demanded");
    assert!(said(off) > 0);
    let before = said(on);
    plane.policy("enforce").await;
    assert!(said(on) > before);
}

#[tokio::test]
async fn a_logging_client_that_cannot_be_used_lets_nobody_past_what_it_may_have_stopped() {
    let (control, data) = (TestDatabase::fresh().await, TestDatabase::with(THINGS).await);
    for (name, unusable) in
        [("athena_logging", "postgres://h/d?pooler=transaction"), ("athena_logging", "${NOT_SET}")]
    {
        let (control_uri, data_uri) = (control.uri(), data.uri());
        let clients = [(CLIENT, data_uri.as_str()), ("keys", control_uri.as_str()), (name, unusable)];
        let yaml = "gateway: {logging_client: athena_logging, auth_client: keys}";
        let gateway = Gateway::over(&clients, yaml).await;
        let admin = async |path: &str| {
            gateway.send(gateway.bare(Method::GET, path).header("X-Athena-Key", ADMIN_KEY)).await
        };
        let fetch = async || {
            let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", CLIENT);
            gateway.send(request.json(&json!({"table_name": "things"}))).await
        };
        // The keys come from a database that can be used.
        let mut fetched = fetch().await;
        for _ in 0..200 {
            if fetched.json()["code"] != "api_key_policy_lookup_failed" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            fetched = fetch().await;
        }
        fetched.refused(503, "client_catalog_unavailable");
        for path in ["/admin/clients", "/admin/clients/statistics"] {
            let answer = admin(path).await.refused(503, "client_catalog_unavailable");
            assert_eq!(answer["error"], "Logging client 'athena_logging' is not connected.", "{path}");
        }
        // Why is known once the database has been asked.
        for round in 0.. {
            let ready = admin("/readyz").await.json();
            let told = ready["clients"].as_array().expect("clients").iter();
            let told: Vec<_> = told.filter(|client| client["client_name"] == name).collect();
            if told[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()) {
                break;
            }
            assert!(round < 200, "{ready}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn nobody_makes_itself_a_key_through_the_gateway() {
    let plane = Plane::start(THINGS).await;
    let (free, _) = plane.key(json!({"name": "free", "rights": ["*"]})).await;
    let (bound, _) =
        plane.key(json!({"name": "bound", "rights": ["*"], "clients": ["Athena_Logging"]})).await;
    let send = async |key: &str, path: &str, body: Value| {
        let method = if path.ends_with("insert") { Method::PUT } else { Method::POST };
        let request = plane
            .gateway
            .bare(method, path)
            .header("X-Athena-Client", "athena_logging")
            .header("apikey", key);
        plane.gateway.send(request.json(&body)).await
    };
    let right = json!({"table_name": "api_key_rights", "insert_body": {"name": "mine.read"}});
    for mode in ["off", "warn", "enforce"] {
        plane.policy(mode).await;
        for (path, body) in [
            ("/gateway/fetch", json!({"table_name": "api_keys"})),
            ("/gateway/fetch", json!({"table_name": "public.athena_clients", "columns": ["pg_uri"]})),
            ("/gateway/insert", right.clone()),
            ("/gateway/query", json!({"query": "select * from api_keys"})),
            ("/query/sql", json!({"query": "select * from api_keys", "driver": "native", "db_name": "x"})),
            (
                "/gateway/update",
                json!({"table_name": "api_key_auth_log", "update_body": {"client_name": "x"},
                       "conditions": [{"operator": "neq", "column": "id", "value": null}]}),
            ),
        ] {
            let answer = send(&free, path, body.clone()).await;
            answer.refused(403, "control_database_shielded");
            if mode != "enforce" {
                send(&bound, path, body).await.refused(403, "control_database_shielded");
            }
        }
        for table in ["query_history", "api_key_auth_log"] {
            assert_eq!(send(&free, "/gateway/fetch", json!({"table_name": table})).await.status, 200);
        }
    }
    assert_eq!(
        send(&bound, "/gateway/query", json!({"query": "select count(*) from api_keys"})).await.status,
        200
    );
}
