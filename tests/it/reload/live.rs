//! Settings that a running gateway follows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

/// What a request came to, and with which headers.
struct Told {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Server {
    async fn ask(&self, body: Value, headers: &[(&str, &str)]) -> Told {
        let http = crate::harness::http().build().unwrap();
        let request = http.post(format!("{}/gateway/fetch", self.data)).header("X-Athena-Client", "first");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.json(&body).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Told { status, headers, body: answer.json().await.unwrap() }
    }

    /// A number of `/metrics`.
    async fn metric(&self, line: &str) -> Option<f64> {
        let http = crate::harness::http().build().unwrap();
        let text = http.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|l| l.strip_prefix(line))?;
        Some(value.trim().parse().unwrap())
    }
}

/// Asks for ever and counts the answers; every failure.
fn under_load(
    server: &Arc<Server>,
    stop: &Arc<AtomicBool>,
    answers: &Arc<AtomicU32>,
) -> tokio::task::JoinHandle<Vec<String>> {
    let (server, stop, answers) = (server.clone(), stop.clone(), answers.clone());
    tokio::spawn(async move {
        let mut failures = Vec::new();
        let http = crate::harness::http().build().unwrap();
        while !stop.load(Ordering::Relaxed) {
            let request =
                http.post(format!("{}/gateway/fetch", server.data)).header("X-Athena-Client", "first");
            match request.json(&json!({"table_name": "things", "limit": 2})).send().await {
                Ok(answer) if answer.status() == 200 => drop(answers.fetch_add(1, Ordering::Relaxed)),
                other => failures.push(format!("{other:?}")),
            }
        }
        failures
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_follow_the_file_and_no_request_fails_meanwhile() {
    let database = TestDatabase::with(
        "CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things SELECT generate_series(1, 20)",
    )
    .await;
    let uri = database.uri();
    let clients = [("first", &*uri)];
    let server = tokio::task::block_in_place(|| Arc::new(Server::start(LOGGING, &clients)));
    let stop = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicU32::new(0));
    let load = [0, 1].map(|_| under_load(&server, &stop, &answers));
    let things = json!({"table_name": "things"});
    let page = json!({"table_name": "things", "page_size": 5, "cursor": ""});
    let unknown = json!({"table_name": "things", "nonsense": 1, "limit": 1});
    let of = [("Origin", "https://app.example.com")];
    let open = |told: &Told| told.headers.get("access-control-allow-origin").is_some();

    let before = server.ask(things.clone(), &of).await;
    assert_eq!((before.status, before.body["data"]["rows"].as_array().unwrap().len()), (200, 20));
    assert!(!open(&before));
    assert_eq!(server.ask(unknown.clone(), &[]).await.status, 400);
    assert_eq!(server.metric("athena_pool_max{client=\"first\"}").await, Some(50.0));
    assert_eq!(server.ask(things.clone(), &[("Host", "evil.example.com")]).await.status, 200);
    let first = server.ask(page.clone(), &[]).await;
    let cursor = first.body["data"]["next_cursor"].clone();
    assert!(cursor.is_string(), "{}", first.body);

    let before_any = answers.load(Ordering::Relaxed);
    let more = "logging: {format: json, slow_query_ms: 1}\n\
                api: {host: 127.0.0.1, admin_port: 0, cors_allowed_origins: \"https://app.example.com\", allowed_hosts: \"127.0.0.1\", http_backlog: 77}\n\
                gateway: {unknown_fields: ignore, response_shape: flat, cursor_lifetime_secs: 60}\n\
                limits: {max_rows: 7}\npool: {max_connections: 3}";
    server.configure(more, &clients);
    let told = server.reload().await;
    let expected = json!({
        "applied": ["api", "gateway", "limits", "pool", "logging.slow_query_ms"],
        "overruled": [],
        "restart_needed": ["api.http_backlog"],
    });
    assert_eq!(told, expected);
    let after = server.ask(things.clone(), &of).await;
    assert_eq!((after.status, after.body["data"].as_array().map(Vec::len)), (200, Some(7)), "{}", after.body);
    assert!(open(&after), "{:?}", after.headers);
    assert_eq!(server.ask(unknown.clone(), &[]).await.status, 200);
    let elsewhere = [("Host", "evil.example.com")];
    assert_eq!(server.ask(things.clone(), &elsewhere).await.status, 421);
    assert_eq!(server.metric("athena_pool_max{client=\"first\"}").await, Some(3.0));
    // A secret that was drawn at the start is no setting.
    let mut next = page;
    next["cursor"] = cursor;
    let second = server.ask(next, &[]).await;
    assert_eq!((second.status, &second.body["data"][0]["id"]), (200, &json!(6)), "{}", second.body);
    let slow = json!({"query": "SELECT pg_sleep(0.02)"});
    let http = crate::harness::http().build().unwrap();
    let request = http.post(format!("{}/gateway/query", server.data)).header("X-Athena-Client", "first");
    assert_eq!(request.json(&slow).send().await.unwrap().status(), 200);
    tokio::task::block_in_place(|| server.process.line("slow operation"));

    // And back.
    server.configure(LOGGING, &clients);
    let told = server.reload().await;
    assert_eq!(told["applied"], expected["applied"], "{told}");
    assert_eq!(told["restart_needed"], json!([]));
    let again = server.ask(things, &of).await;
    assert_eq!((again.status, again.body["data"]["rows"].as_array().unwrap().len()), (200, 20));
    assert!(!open(&again));
    assert_eq!(server.ask(unknown, &[]).await.status, 400);
    assert_eq!(server.metric("athena_pool_max{client=\"first\"}").await, Some(50.0));

    assert!(answers.load(Ordering::Relaxed) > before_any, "nobody asked while the settings changed");
    stop.store(true, Ordering::Relaxed);
    for load in load {
        let failures = load.await.unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_has_taken_off_stays_off_when_it_is_opened_anew() {
    let (one, two) = (place("one").await, place("two").await);
    let (one_uri, two_uri) = (one.uri(), two.uri());
    let server = tokio::task::block_in_place(|| Server::start(LOGGING, &[("first", &one_uri)]));
    let off =
        server.admin(Method::POST, "/admin/clients/first/offline", Some(json!({"for_secs": 600}))).await;
    assert_eq!(off.0, 200, "{}", off.1);
    let things = json!({"table_name": "place"});
    server.configure(&format!("{LOGGING}\npool: {{max_connections: 3}}"), &[("first", &one_uri)]);
    assert_eq!(server.reload().await["applied"], json!(["pool"]));
    let refused = server.ask(things.clone(), &[]).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("circuit_open")), "{}", refused.body);
    // Another database is another matter.
    server.configure(LOGGING, &[("first", &two_uri)]);
    assert_eq!(server.reload().await["applied"], json!(["pool", "postgres_clients"]));
    assert_eq!(server.place("first").await, "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_env_says_is_followed_and_checked_first() {
    let (one, two) = (place("one").await, place("two").await);
    let (one_uri, two_uri) = (secretly(&one.uri()), secretly(&two.uri()));
    let server = tokio::task::block_in_place(|| Server::start(LOGGING, &[("other", &one_uri)]));
    let env = |more: &str| {
        std::fs::write(server.dir.join(".env"), format!("ATHENA_KEY_12={ADMIN_KEY}\n{more}\n")).unwrap();
    };
    let configure = |client: &str| {
        let text = format!(
            "api: {{host: 127.0.0.1, admin_port: 0}}\n{LOGGING}\npostgres_clients: {{first: \"{client}\"}}\n"
        );
        std::fs::write(server.dir.join("config.yaml"), text).unwrap();
    };
    // A client and the variable that it needs, in one reading.
    configure("${FIRST_URI}");
    env(&format!("FIRST_URI={one_uri}"));
    assert_eq!(server.reload().await["applied"], json!(["environment", "postgres_clients"]));
    assert_eq!(server.place("first").await, "one");
    env(&format!("FIRST_URI={two_uri}"));
    assert_eq!(server.reload().await["applied"], json!(["environment", "postgres_clients"]));
    assert_eq!(server.place("first").await, "two");
    // One whose key is in a variable that is not there cannot be used, and changes nothing.
    configure("supabase+https://project.supabase.co?key_env=PROJECT_KEY");
    let (status, told) = server.admin(Method::POST, "/admin/reload", None).await;
    assert!(status == 400 && told["error"].as_str().unwrap().contains("PROJECT_KEY"), "{status} {told}");
    assert_eq!(server.place("first").await, "two");
    env("PROJECT_KEY=some-key-of-this-test");
    assert_eq!(server.reload().await["applied"], json!(["environment", "postgres_clients"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_key_can_be_changed_while_the_gateway_runs() {
    let database = place("one").await;
    let uri = database.uri();
    let server = tokio::task::block_in_place(|| Server::start(LOGGING, &[("first", &uri)]));
    let other = "another-admin-key-of-this-test";
    std::fs::write(server.dir.join(".env"), format!("ATHENA_KEY_12={other}\n")).unwrap();
    assert_eq!(server.reload().await["applied"], json!(["ATHENA_KEY_12", "environment"]));
    let http = crate::harness::http().build().unwrap();
    let asked = async |key: &str| {
        let request = http.get(format!("{}/admin/clients", server.admin)).header("X-Athena-Key", key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((asked(ADMIN_KEY).await, asked(other).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_stands_on_stays_and_is_named() {
    let (control, one) = (TestDatabase::fresh().await, place("one").await);
    let (control_uri, one_uri) = (control.uri(), one.uri());
    let clients = [("control", &*control_uri), ("first", &*one_uri)];
    let server = Server::with_catalog(&control, &[("first", &one_uri)]).await;
    for (more, expected) in [
        (
            "logging: {format: json}\ngateway: {logging_client: control, auto_migrate: false}",
            "gateway.auto_migrate",
        ),
        ("logging: {format: json}\ngateway: {logging_client: first}", "gateway.logging_client"),
        ("logging: {format: pretty}\ngateway: {logging_client: control}", "logging.format"),
        (
            "logging: {format: json, queue_entries: 9}\ngateway: {logging_client: control}",
            "logging.queue_entries",
        ),
    ] {
        server.configure(more, &clients);
        let told = server.reload().await;
        let named = told["restart_needed"].as_array().unwrap();
        assert!(named.iter().any(|name| name == expected), "{more}: {told}");
    }
    // A file that somebody is about to write is none to obey.
    std::fs::write(server.dir.join("config.yaml"), "").unwrap();
    let (status, told) = server.admin(Method::POST, "/admin/reload", None).await;
    assert!(status == 400 && told["error"].as_str().unwrap().contains("no client"), "{status} {told}");
    // What the gateway itself stands on stays where it is.
    server.configure(CATALOG, &[("control", &one_uri), ("first", &one_uri)]);
    assert_eq!(server.reload().await["restart_needed"], json!(["postgres_clients.control"]));
    for round in 0.. {
        if server.admin(Method::GET, "/readyz", None).await.0 == 200 {
            break;
        }
        assert!(round < 200, "the keys are not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.place("first").await, "one");
}
