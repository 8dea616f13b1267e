//! The client catalog over HTTP: contract 16.4 and 28.15.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_KEY, Answer, Gateway};
use crate::witness;

const YAML: &str = "gateway: {logging_client: athena_logging}";

struct Plane {
    gateway: Gateway,
}

impl Plane {
    async fn start(clients: &[(&str, &str)], control: &TestDatabase) -> Self {
        Self::within(&[], clients, control).await
    }

    async fn within(variables: &[(&str, &str)], clients: &[(&str, &str)], control: &TestDatabase) -> Self {
        Self::configured(YAML, variables, clients, control).await
    }

    async fn configured(
        yaml: &str,
        variables: &[(&str, &str)],
        clients: &[(&str, &str)],
        control: &TestDatabase,
    ) -> Self {
        let uri = control.uri();
        let clients: Vec<(&str, &str)> =
            clients.iter().copied().chain([("athena_logging", uri.as_str())]).collect();
        let plane = Self { gateway: Gateway::within(variables, &clients, yaml).await };
        plane
            .until("the catalog is there", async || {
                plane.admin(Method::GET, "/admin/clients", json!(null)).await.json()["message"]
                    == "Listed Athena clients"
                    && plane.admin(Method::GET, "/admin/api-key-config", json!(null)).await.status == 200
                    && plane.fetch("athena_logging", "gateway_request_log").await.status == 200
            })
            .await;
        plane
    }

    async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        for _ in 0..200 {
            if condition().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: not within 10 s");
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.gateway.bare(method, path).header("X-Athena-Key", ADMIN_KEY);
        let request = if body.is_null() { request } else { request.json(&body) };
        self.gateway.send(request).await
    }

    async fn fetch(&self, client: &str, table: &str) -> Answer {
        let request = self.gateway.bare(Method::POST, "/gateway/fetch").header("X-Athena-Client", client);
        self.gateway.send(request.json(&json!({ "table_name": table }))).await
    }

    async fn runtime(&self, name: &str) -> Option<Value> {
        let listed = self.admin(Method::GET, "/admin/clients", json!(null)).await.ok();
        let runtime = listed["data"]["runtime"].as_array().expect("an array").clone();
        runtime.into_iter().find(|client| client["client_name"] == name)
    }
}

/// A query of the caller's own.
async fn plane_query(plane: &Plane, client: &str, sql: &str) -> Answer {
    let request = plane.gateway.bare(Method::POST, "/gateway/query").header("X-Athena-Client", client);
    plane.gateway.send(request.json(&json!({ "query": sql }))).await
}

async fn place(name: &str) -> TestDatabase {
    TestDatabase::with(&format!("CREATE TABLE place (name text); INSERT INTO place VALUES ('{name}')")).await
}

#[tokio::test]
async fn a_client_lives_from_creation_to_deletion() {
    let (control, one, two) = (TestDatabase::fresh().await, place("one").await, place("two").await);
    let plane = Plane::start(&[], &control).await;
    assert_eq!(plane.fetch("Reporting", "place").await.refused(400, "unknown_client")["status_code"], 400);

    let body = json!({"client_name": " Reporting ", "pg_uri": one.uri(), "description": "d"});
    let created = plane.admin(Method::POST, "/admin/clients", body.clone()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let client = created.json()["data"]["client"].clone();
    assert_eq!(client["client_name"], "Reporting");
    assert_eq!(client["source"], "database");
    assert_eq!(client["metadata"], json!({"managed_by": "admin_api"}));
    assert_eq!(client["pool_connected"], true);
    assert_eq!(plane.fetch("reporting", "place").await.rows(), json!([{"name": "one"}]));
    let again = plane.admin(Method::POST, "/admin/clients", body).await;
    assert_eq!(again.refused(409, "unique_violation")["message"], "Athena client already exists");

    let renamed =
        plane.admin(Method::PATCH, "/admin/clients/reporting", json!({"client_name": "other"})).await;
    assert_eq!(renamed.refused(400, "invalid_field")["details"]["field"], "client_name");
    plane.admin(Method::PATCH, "/admin/clients/reporting", json!({"client_name": "Reporting"})).await.ok();

    // Another URI is another database at once.
    let path = "/admin/clients/REPORTING";
    plane.admin(Method::PATCH, path, json!({"pg_uri": two.uri()})).await.ok();
    assert_eq!(plane.fetch("reporting", "place").await.rows(), json!([{"name": "two"}]));

    // To callers a stopped client is an unknown one; the log knows better.
    let refused = async |client: &str, logged: &str| {
        let answer = plane.fetch(client, "place").await;
        let mut body = answer.refused(400, "unknown_client");
        let trace_id = body["trace_id"].take();
        let lines = witness::lines(trace_id.as_str().expect("a trace_id"));
        assert!(lines.iter().any(|line| line.contains(logged)), "{lines:?}");
        body["details"].take();
        body
    };
    let unknown = refused("nobody", "there is none of that name").await;
    plane.admin(Method::PUT, "/admin/clients/reporting/freeze", json!({"is_frozen": true})).await.ok();
    assert_eq!(refused("reporting", "it is frozen").await, unknown);
    let frozen = plane.runtime("Reporting").await.expect("listed");
    assert_eq!((&frozen["is_frozen"], &frozen["pool_connected"]), (&json!(true), &json!(false)));
    plane.admin(Method::PUT, "/admin/clients/reporting/freeze", json!({"is_frozen": false})).await.ok();
    assert_eq!(plane.fetch("reporting", "place").await.status, 200);
    plane.admin(Method::PATCH, path, json!({"is_active": false})).await.ok();
    assert_eq!(refused("reporting", "it is inactive").await, unknown);

    let deleted = plane.admin(Method::DELETE, path, json!(null)).await.ok();
    assert_eq!(deleted["data"]["client"]["is_active"], false);
    assert!(deleted["data"]["client"]["deleted_at"].is_string());
    assert_eq!(plane.runtime("Reporting").await, None);
    let gone = plane.admin(Method::DELETE, path, json!(null)).await;
    assert_eq!(gone.refused(404, "not_found")["error"], "No client exists for 'REPORTING'.");
}

#[tokio::test]
async fn passwords_stay_where_they_are() {
    let control = TestDatabase::fresh().await;
    let plane = Plane::start(&[], &control).await;
    let uri = "postgres://me:secret-marker@127.0.0.1:1/none?password=secret-marker";
    let created =
        plane.admin(Method::POST, "/admin/clients", json!({"client_name": "down", "uri": uri})).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(created.json()["data"]["warning"].as_str().is_some_and(|text| text.contains("keeps trying")));
    assert_eq!(created.json()["data"]["client"]["pool_connected"], false);
    let listed = plane.admin(Method::GET, "/admin/clients", json!(null)).await;
    for text in [&created.text, &listed.text] {
        assert!(text.contains("me:***@") && !text.contains("secret-marker"), "{text}");
    }
    plane.fetch("down", "x").await.refused(503, "connection_error");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let control = TestDatabase::fresh().await;
    let plane = Plane::start(&[], &control).await;
    let check = async |method: Method, path: &str, body: Value, status: u16, code: &str, message: &str| {
        let answer = plane.admin(method, path, body.clone()).await;
        assert_eq!(answer.refused(status, code)["message"], message, "{path} {body}");
    };
    check(Method::POST, "/admin/clients", json!({}), 400, "missing_field", "Missing client name").await;
    check(
        Method::POST,
        "/admin/clients",
        json!({"client_name": "a"}),
        400,
        "missing_field",
        "Missing connection details",
    )
    .await;
    let other = json!({"client_name": "a", "pg_uri": "mysql://h/d"});
    check(Method::POST, "/admin/clients", other, 400, "invalid_field", "Invalid connection details").await;
    let unset = json!({"client_name": "unset", "pg_uri_env_var": "NO_SUCH_VARIABLE"});
    let created = plane.admin(Method::POST, "/admin/clients", unset).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["data"]["warning"], "environment variable NO_SUCH_VARIABLE is not set");
    // A variable that only holds the key may come later just as well.
    let keyless = "postgrest+http://127.0.0.1:1?key_env=ATHENA_REST_KEY_LATER";
    let created = plane
        .admin(Method::POST, "/admin/clients", json!({"client_name": "keyless", "pg_uri": keyless}))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    let warning = "environment variable ATHENA_REST_KEY_LATER is not set";
    assert_eq!(created.json()["data"]["warning"], warning);
    let refused = plane.fetch("keyless", "x").await.refused(503, "client_unavailable");
    assert_eq!(refused["details"]["reason"], warning);
    let wrong = json!({"client_name": "b", "pg_uri": format!("{keyless}&max_rows=x")});
    check(Method::POST, "/admin/clients", wrong, 400, "invalid_field", "Invalid connection details").await;
    let foreign = json!({"client_name": "b", "pg_uri": "postgrest+http://127.0.0.1:1?key_env=AWS_SECRET"});
    check(Method::POST, "/admin/clients", foreign, 400, "invalid_field", "Invalid connection details").await;
    let empty = json!({"pg_uri_env_var": null});
    check(Method::PATCH, "/admin/clients/unset", empty, 400, "missing_field", "Missing connection details")
        .await;
    check(Method::PATCH, "/admin/clients/nobody", json!({}), 404, "not_found", "Athena client not found")
        .await;
    check(Method::PATCH, "/admin/clients/%20", json!({}), 400, "invalid_field", "Invalid client name").await;
    check(
        Method::PUT,
        "/admin/clients/unset/freeze",
        json!({}),
        400,
        "missing_field",
        "`is_frozen` (true or false) is required",
    )
    .await;
    for (method, path, body) in [
        (Method::PUT, "/admin/clients/Athena_Logging/freeze", json!({"is_frozen": true})),
        (Method::PATCH, "/admin/clients/athena_logging", json!({"is_active": false})),
        (Method::DELETE, "/admin/clients/athena_logging", json!(null)),
    ] {
        check(method, path, body, 409, "client_in_use", "Athena client is needed").await;
    }
    let bare = plane.gateway.send(plane.gateway.bare(Method::GET, "/admin/clients")).await;
    bare.refused(401, "invalid_admin_key");
}

#[tokio::test]
async fn what_an_administrator_did_outlives_a_restart() {
    let (control, data) = (TestDatabase::fresh().await, place("here").await);
    let uri = data.uri();
    let clients = [("kept", uri.as_str()), ("frozen", &uri), ("inactive", &uri), ("deleted", &uri)];
    let first = Plane::start(&clients, &control).await;
    first
        .until("the file's clients are in the catalog", async || {
            first
                .admin(Method::PUT, "/admin/clients/deleted/freeze", json!({"is_frozen": false}))
                .await
                .status
                == 200
        })
        .await;
    first.admin(Method::PUT, "/admin/clients/frozen/freeze", json!({"is_frozen": true})).await.ok();
    first.admin(Method::PATCH, "/admin/clients/inactive", json!({"is_active": false})).await.ok();
    first.admin(Method::DELETE, "/admin/clients/deleted", json!(null)).await.ok();
    drop(first);
    let second = Plane::start(&clients, &control).await;
    second
        .until("the catalog is obeyed", async || second.fetch("deleted", "place").await.status == 400)
        .await;
    assert_eq!(second.fetch("kept", "place").await.status, 200);
    for name in ["frozen", "inactive", "deleted"] {
        second.fetch(name, "place").await.refused(400, "unknown_client");
    }
}

#[tokio::test]
async fn a_client_taken_out_of_the_file_is_served_until_it_is_deleted() {
    let (control, data) = (TestDatabase::fresh().await, place("here").await);
    let template = data.uri().replacen("://postgres@", "://postgres:${SHOP_PASSWORD}@", 1);
    let template = template.replacen(&format!("/{}", data.name()), "/${SHOP_DATABASE:-nowhere}", 1);
    let variables = [("SHOP_PASSWORD", "secret-marker"), ("SHOP_DATABASE", data.name())];
    let first = Plane::within(&variables, &[("shop", &template)], &control).await;
    first
        .until("the client is in the catalog", async || {
            let listed = first.admin(Method::GET, "/admin/clients", json!(null)).await.ok();
            listed["data"]["clients"].to_string().contains("SHOP_DATABASE")
        })
        .await;
    assert_eq!(first.fetch("shop", "place").await.rows(), json!([{"name": "here"}]));
    drop(first);

    // From now on only the catalog says where the password goes.
    let withheld = Plane::within(&variables, &[], &control).await;
    let refused = withheld.fetch("shop", "place").await.refused(503, "client_unavailable");
    let reason = refused["details"]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("SHOP_PASSWORD may not") && reason.contains("gateway.uri_variables"), "{reason}");
    assert_eq!(withheld.runtime("shop").await.expect("listed")["warning"], reason);
    drop(withheld);

    let lent = "gateway: {logging_client: athena_logging, uri_variables: [SHOP_PASSWORD, SHOP_DATABASE]}";
    let without = Plane::configured(lent, &variables, &[], &control).await;
    assert_eq!(without.fetch("shop", "place").await.rows(), json!([{"name": "here"}]));
    drop(without);

    let unset = Plane::configured(lent, &variables[1..], &[], &control).await;
    let reason = "environment variable SHOP_PASSWORD is not set";
    let refused = unset.fetch("shop", "place").await.refused(503, "client_unavailable");
    assert_eq!(refused["details"]["reason"], reason);
    assert_eq!(unset.runtime("shop").await.expect("listed")["warning"], reason);
    let changed = unset.admin(Method::PATCH, "/admin/clients/shop", json!({"description": "d"})).await.ok();
    assert_eq!(changed["data"]["warning"], reason);
    let status = unset.admin(Method::GET, "/admin/provision/status?client_name=shop", json!(null)).await;
    assert_eq!(status.refused(503, "client_unavailable")["details"]["reason"], reason);
    let provision = unset.admin(Method::POST, "/admin/provision", json!({"client_name": "shop"})).await;
    assert_eq!(provision.refused(400, "invalid_field")["error"], reason);

    unset.admin(Method::DELETE, "/admin/clients/shop", json!(null)).await.ok();
    unset.fetch("shop", "place").await.refused(400, "unknown_client");
    drop(unset);
    let again = Plane::within(&variables, &[("shop", &template)], &control).await;
    again.fetch("shop", "place").await.refused(400, "unknown_client");
}

/// Refuses what the configuration says, and nothing else.
const UNSEEDABLE: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
    CREATE TRIGGER unseedable BEFORE INSERT ON public.athena_clients FOR EACH ROW
        WHEN (NEW.source = 'config') EXECUTE FUNCTION refuse();";

#[tokio::test]
async fn a_catalog_that_cannot_be_written_is_not_called_unreadable() {
    let provisioned = format!("{};{UNSEEDABLE}", athena_postgres::control::provision_script());
    let (control, data) = (TestDatabase::with(&provisioned).await, place("here").await);
    let (plane, uri) = (Plane::start(&[("never-noted", &data.uri())], &control).await, data.uri());
    assert_eq!(plane.fetch("never-noted", "place").await.rows(), json!([{"name": "here"}]));
    let body = json!({"client_name": "noted", "pg_uri": uri});
    let created = plane.admin(Method::POST, "/admin/clients", body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(
        (&created.json()["data"]["warning"], plane.fetch("noted", "place").await.status),
        (&Value::Null, 200)
    );
    let lines = witness::lines("never-noted");
    let told: Vec<_> = lines.iter().filter(|line| line.contains("cannot be written")).collect();
    assert!(matches!(told[..], [line] if line.contains("not here")), "{lines:?}");

    let database = athena_postgres::control::ControlDatabase::open(&control.uri()).expect("a database");
    let dropped = sqlx::raw_sql("DROP TRIGGER unseedable ON athena_clients").execute(database.pool()).await;
    dropped.expect("no trigger");
    database.close().await;
    plane
        .until("the catalog has taken the client", async || {
            let listed = plane.admin(Method::GET, "/admin/clients", json!(null)).await.ok();
            listed["data"]["clients"].as_array().is_some_and(|rows| rows.len() == 3)
        })
        .await;
}

#[tokio::test]
async fn the_names_of_clients_that_answer_are_listed() {
    let (control, data) = (TestDatabase::fresh().await, place("a").await);
    let uri = data.uri();
    let plane =
        Plane::start(&[("zoo", uri.as_str()), ("Bar", &uri), ("frozen", &uri), ("idle", &uri)], &control)
            .await;
    for name in ["zoo", "Bar", "frozen"] {
        plane.until(name, async || plane.fetch(name, "place").await.status == 200).await;
    }
    plane.admin(Method::PUT, "/admin/clients/frozen/freeze", json!({"is_frozen": true})).await.ok();
    plane.admin(Method::PATCH, "/admin/clients/idle", json!({"is_active": false})).await.ok();
    for path in ["/schema/clients", "/clients"] {
        plane.gateway.send(plane.gateway.bare(Method::GET, path)).await.refused(401, "invalid_admin_key");
        plane
            .until(path, async || {
                let listed = plane.admin(Method::GET, path, json!(null)).await.ok();
                listed == json!({"clients": ["athena_logging", "Bar", "zoo"]})
            })
            .await;
    }
}

#[tokio::test]
async fn another_gateway_obeys_within_a_second_and_nobody_else_notices() {
    let (control, data, other) = (TestDatabase::fresh().await, place("a").await, place("b").await);
    let uri = data.uri();
    let clients = [("steady", uri.as_str()), ("moved", &uri)];
    let (one, two) =
        (Plane::start(&clients, &control).await, Arc::new(Plane::start(&clients, &control).await));
    one.until("the catalog is seeded", async || {
        one.admin(Method::PUT, "/admin/clients/moved/freeze", json!({"is_frozen": false})).await.status == 200
    })
    .await;
    let (stop, failures, requests) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // At first only URIs change, which the callers of that client must not notice either.
    let stopped = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (two, stop, failures, requests, stopped) =
                (two.clone(), stop.clone(), failures.clone(), requests.clone(), stopped.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let fine = two.fetch("steady", "place").await.status == 200;
                    let moved = two.fetch("moved", "place").await.status;
                    let expected: &[u16] = if stopped.load(Ordering::SeqCst) { &[200, 400] } else { &[200] };
                    requests.fetch_add(2, Ordering::Relaxed);
                    failures.fetch_add(
                        u64::from(!fine) + u64::from(!expected.contains(&moved)),
                        Ordering::Relaxed,
                    );
                }
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for round in 0..20 {
        let (uri, expected) = if round % 2 == 0 { (other.uri(), "b") } else { (data.uri(), "a") };
        one.admin(Method::PATCH, "/admin/clients/moved", json!({ "pg_uri": uri })).await.ok();
        let changed = Instant::now();
        while two.fetch("moved", "place").await.rows() != json!([{ "name": expected }]) {
            assert!(changed.elapsed() < Duration::from_secs(1), "round {round}");
        }
        longest = longest.max(changed.elapsed());
        if round < 10 {
            continue;
        }
        stopped.store(true, Ordering::SeqCst);
        one.admin(Method::PUT, "/admin/clients/moved/freeze", json!({"is_frozen": true})).await.ok();
        let changed = Instant::now();
        while two.fetch("moved", "place").await.status != 400 {
            assert!(changed.elapsed() < Duration::from_secs(1), "round {round}");
        }
        longest = longest.max(changed.elapsed());
        one.admin(Method::PUT, "/admin/clients/moved/freeze", json!({"is_frozen": false})).await.ok();
        let changed = Instant::now();
        while two.fetch("moved", "place").await.status != 200 {
            assert!(changed.elapsed() < Duration::from_secs(1), "round {round}");
        }
        longest = longest.max(changed.elapsed());
    }
    // A request that is under way when its client's URI changes is answered by the database that it began with.
    let long = plane_query(&two, "moved", "SELECT name FROM place, pg_sleep(1.5)");
    let swap = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        one.admin(Method::PATCH, "/admin/clients/moved", json!({ "pg_uri": other.uri() })).await.ok();
        while two.fetch("moved", "place").await.rows() != json!([{ "name": "b" }]) {}
        Instant::now()
    };
    let ((answer, ended), swapped) = tokio::join!(async { (long.await, Instant::now()) }, swap);
    assert_eq!(answer.ok()["data"], json!([{ "name": "a" }]));
    assert!(swapped < ended, "it was under way");

    let body = json!({"client_name": "passing", "pg_uri": data.uri()});
    assert_eq!(one.admin(Method::POST, "/admin/clients", body).await.status, 201);
    let changed = Instant::now();
    while two.fetch("passing", "place").await.status != 200 {
        assert!(changed.elapsed() < Duration::from_secs(1), "created");
    }
    longest = longest.max(changed.elapsed());
    one.admin(Method::DELETE, "/admin/clients/passing", json!(null)).await.ok();
    let changed = Instant::now();
    while two.fetch("passing", "place").await.status != 400 {
        assert!(changed.elapsed() < Duration::from_secs(1), "deleted");
    }
    longest = longest.max(changed.elapsed());
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller");
    }
    println!("longest until obeyed: {longest:?}, {} requests meanwhile", requests.load(Ordering::Relaxed));
    assert_eq!(failures.load(Ordering::Relaxed), 0);
    assert!(requests.load(Ordering::Relaxed) > 50);
}
