//! A keyspace behind keys.

use reqwest::Method;
use serde_json::{Value, json};

use athena_test_support::TestDatabase;

use crate::harness::{ADMIN_KEY, Answer, CLIENT, Gateway};

/// A gateway over a keyspace, with keys in a control database of its own.
pub struct Plane {
    gateway: Gateway,
    _control: TestDatabase,
}

impl Plane {
    pub async fn over(uri: &str) -> Self {
        let control = TestDatabase::fresh().await;
        let yaml = "gateway: {logging_client: athena_logging, require_audit_headers: lenient}";
        let control_uri = control.uri();
        let gateway = Gateway::over(&[(CLIENT, uri), ("athena_logging", &control_uri)], yaml).await;
        let plane = Self { gateway, _control: control };
        for _ in 0..200 {
            if plane.admin(Method::GET, "/admin/api-key-config", json!(null)).await.status == 200 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let policy = plane.admin(Method::PUT, "/admin/api-key-config", json!({"mode": "enforce"})).await;
        assert_eq!(policy.ok()["data"]["global"]["mode"], "enforce");
        plane
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.gateway.bare(method, path).header("X-Athena-Key", ADMIN_KEY);
        self.gateway.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub async fn send(&self, method: Method, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.gateway.bare(method, path).header("X-Athena-Client", CLIENT);
        self.gateway.send(request.header("apikey", key).json(body)).await
    }

    pub async fn fetch(&self, key: &str, body: &Value) -> Answer {
        self.send(Method::POST, "/gateway/fetch", key, body).await
    }

    /// Makes a key; its credential and its id.
    pub async fn key(&self, body: Value) -> (String, String) {
        let made = self.admin(Method::POST, "/admin/api-keys", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let data = &made.json()["data"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&data["api_key"]), text(&data["record"]["id"]))
    }

    pub async fn patch(&self, id: &str, body: Value) {
        self.admin(Method::PATCH, &format!("/admin/api-keys/{id}"), body).await.ok();
    }
}
