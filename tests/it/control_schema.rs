//! A control database that the gateway's role may not bring to the current schema.

use std::time::Duration;

use athena_postgres::control::{ControlDatabase, provision_script};
use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::harness::{ADMIN_KEY, Gateway};
use crate::witness;

const NAME: &str = "client-behind-a-schema";

/// A control database, as its owner sees it, and a role of its own that reads and writes and nothing else.
struct Control {
    server: TestDatabase,
    owner: ControlDatabase,
    role: String,
}

impl Control {
    async fn with(sql: &str) -> Self {
        let server = TestDatabase::with(sql).await;
        let owner = ControlDatabase::open(&server.uri()).expect("a database");
        let control = Self { role: format!("{}_gateway", server.name()), server, owner };
        control
            .run(&format!("CREATE ROLE {}; REVOKE CREATE ON SCHEMA public FROM PUBLIC", control.role))
            .await;
        control.grant().await;
        control
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.owner.pool()).await.expect("a statement");
    }

    async fn grant(&self) {
        let role = &self.role;
        let rights = "SELECT, INSERT, UPDATE, DELETE";
        self.run(&format!("GRANT {rights} ON ALL TABLES IN SCHEMA public TO {role}")).await;
        self.run(&format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")).await;
    }

    /// What `sql/provision.sql` does, run by the owner.
    async fn provision(&self) {
        self.run(&provision_script()).await;
        self.grant().await;
    }

    /// Where the gateway connects to, as the role.
    fn uri(&self) -> String {
        let uri = self.server.uri();
        let mark = if uri.contains('?') { '&' } else { '?' };
        format!("{uri}{mark}options=-c%20role%3D{}", self.role)
    }

    async fn gateway(&self, data: &TestDatabase, yaml: &str) -> Gateway {
        let (control, data) = (self.uri(), data.uri());
        let clients = [(NAME, data.as_str()), ("control", &control)];
        Gateway::over(&clients, &format!("gateway: {{logging_client: control{yaml}}}")).await
    }

    async fn drop_role(self) {
        self.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.role)).await;
        self.owner.close().await;
    }
}

async fn fetch(gateway: &Gateway) -> u16 {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", NAME);
    gateway.send(request.json(&json!({"table_name": "things"}))).await.status
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}

async fn data() -> TestDatabase {
    TestDatabase::with("CREATE TABLE things (id int)").await
}

#[tokio::test]
async fn a_schema_that_is_behind_and_can_be_read_is_served() {
    let (control, data) = (Control::with(&provision_script()).await, data().await);
    control
        .run("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .await;
    for yaml in ["", ", auto_migrate: false"] {
        let gateway = control.gateway(&data, yaml).await;
        until("requests are answered", async || fetch(&gateway).await == 200).await;
        let metrics = gateway.metrics().await.text;
        assert!(metrics.lines().any(|line| line == "athena_control_schema_current 0"), "{metrics}");
        // A change is seen, also one that is made by hand.
        control.run("UPDATE api_key_config SET enforce_api_keys = true").await;
        until("keys are demanded", async || fetch(&gateway).await == 401).await;
        control.run("UPDATE api_key_config SET enforce_api_keys = false").await;
        until("keys are not demanded", async || fetch(&gateway).await == 200).await;
    }
    let told = witness::lines("sql/provision.sql as its owner");
    for reason in ["permission denied", "have not run"] {
        assert!(told.iter().any(|line| line.contains("ERROR") && line.contains(reason)), "{told:?}");
    }
    let gateway = control.gateway(&data, "").await;
    until("the gateway looks", async || gateway.metrics().await.text.contains("schema_current 0")).await;
    control.provision().await;
    until("the schema is current", async || gateway.metrics().await.text.contains("schema_current 1")).await;
    drop(gateway);
    control.drop_role().await;
}

#[tokio::test]
async fn a_schema_that_cannot_be_read_is_said_to_need_the_script() {
    let (control, data) = (Control::with("").await, data().await);
    let gateway = control.gateway(&data, "").await;
    until("it is said what to run", async || {
        !witness::lines("requests are refused until sql/provision.sql has run there").is_empty()
    })
    .await;
    assert_eq!(fetch(&gateway).await, 503);
    let keys = gateway.bare(Method::GET, "/admin/api-keys").header("X-Athena-Key", ADMIN_KEY);
    assert_ne!(gateway.send(keys).await.status, 200);
    control.provision().await;
    until("requests are answered", async || fetch(&gateway).await == 200).await;
    drop(gateway);
    control.drop_role().await;
}
