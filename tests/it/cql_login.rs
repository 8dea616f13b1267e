//! A CQL server that asks for a password: who has it is let in, and nobody else; no word of it comes out.

use std::time::Duration;

use athena_test_support::{PrivateCassandra, TestDatabase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Answer, Gateway};
use crate::witness;

const TABLE: &str = "CREATE TABLE place (name text PRIMARY KEY);
INSERT INTO place (name) VALUES ('here');
";

const YAML: &str = "gateway: {logging_client: athena_logging, require_audit_headers: lenient}";

const FORMER: &str = "first-password-of-reader";
const LATTER: &str = "second-password-of-reader";
const WRONG: &str = "wrong-password-of-reader";

async fn fetch(gateway: &Gateway, client: &str) -> Answer {
    let request = gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", client);
    gateway.send(request.json(&json!({"table_name": "place"}))).await
}

async fn admin(gateway: &Gateway, method: Method, path: &str, body: Value) -> Answer {
    gateway.send(gateway.bare(method, path).bearer_auth(ADMIN_KEY).json(&body)).await
}

async fn connected(gateway: &Gateway, client: &str) -> Value {
    let listed = admin(gateway, Method::GET, "/admin/clients", json!({})).await.ok();
    let runtime = listed["data"]["runtime"].as_array().expect("clients").clone();
    let found = runtime.into_iter().find(|known| known["client_name"] == client);
    found.expect("a client")["pool_connected"].take()
}

/// Waits until the client's rows can be read.
async fn reads(gateway: &Gateway, client: &str) {
    for _ in 0..200 {
        let answer = fetch(gateway, client).await;
        if answer.status == 200 {
            assert_eq!(answer.rows(), json!([{"name": "here"}]));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{client} cannot be read within 10 s");
}

/// Checks that the client is not let in, and what callers are told.
async fn refused(gateway: &Gateway, client: &str) {
    let answer = fetch(gateway, client).await;
    let body = answer.refused(503, "connection_error");
    assert!(!body.to_string().contains("reader"), "{body}");
    assert_eq!(connected(gateway, client).await, false);
}

#[tokio::test]
async fn a_password_is_asked_for_and_may_change() {
    for secret in [FORMER, LATTER, WRONG] {
        witness::guard(secret);
    }
    let Some(server) = PrivateCassandra::start(1, true).await else { return };
    let keyspace = server.keyspace(TABLE).await;
    keyspace.run(&format!("CREATE ROLE reader WITH PASSWORD = '{FORMER}' AND LOGIN = true")).await;
    keyspace.run(&format!("GRANT SELECT ON KEYSPACE {} TO reader", keyspace.name())).await;

    let control = TestDatabase::fresh().await;
    let (right, wrong) = (keyspace.uri_as("reader", FORMER), keyspace.uri_as("reader", WRONG));
    let nobody = format!("cql://nobody:{WRONG}@{}/{}", keyspace.contact(), keyspace.name());
    let clients =
        [("right", &right), ("wrong", &wrong), ("nobody", &nobody), ("athena_logging", &control.uri())];
    let clients = clients.map(|(name, uri)| (name, uri.as_str()));
    let gateway = Gateway::over(&clients, YAML).await;
    reads(&gateway, "right").await;
    assert_eq!(connected(&gateway, "right").await, true);
    for client in ["wrong", "nobody"] {
        refused(&gateway, client).await;
    }
    // The log tells the operator why.
    let told = witness::lines("no connection to the client's database");
    assert!(told.iter().any(|line| line.contains("client=wrong") && line.contains("password")), "{told:?}");
    // What the user may not do is not a matter of the connection.
    let write = gateway.bare(Method::PUT, "/gateway/insert").header("X-Athena-Client", "right");
    let body = json!({"table_name": "place", "insert_body": {"name": "there"}});
    gateway.send(write.json(&body)).await.refused(403, "insufficient_privilege");

    // A client with the password of before is not let in any more, and is with the new one.
    keyspace.run(&format!("ALTER ROLE reader WITH PASSWORD = '{LATTER}'")).await;
    let path = "/admin/clients/late";
    let late = json!({"client_name": "late", "uri": right});
    let created = admin(&gateway, Method::POST, "/admin/clients", late).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.json()["data"]["client"]["pool_connected"], false);
    refused(&gateway, "late").await;
    // Who is in stays in: the server asks when a connection is made.
    reads(&gateway, "right").await;
    let latter = json!({"uri": keyspace.uri_as("reader", LATTER)});
    let patched = admin(&gateway, Method::PATCH, path, latter).await.ok();
    assert_eq!(patched["data"]["client"]["pool_connected"], true, "{patched}");
    reads(&gateway, "late").await;
}
