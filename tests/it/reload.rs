//! The binary with two listeners, and a configuration that changes under it.

mod live;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use athena_test_support::TestDatabase;
use reqwest::Method;
use serde_json::{Value, json};

use crate::child::{Process, athena};
use crate::harness::{ADMIN_KEY, secretly};
use crate::witness;

struct Server {
    process: Process,
    data: String,
    admin: String,
    dir: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// The address is read from the log.
const LOGGING: &str = "logging: {format: json}";

const CATALOG: &str = "logging: {format: json}\ngateway: {logging_client: control}";

/// Writes a configuration; `more` has sections beside the clients, or `api` itself.
fn write(path: &Path, more: &str, clients: &[(&str, &str)]) {
    let clients: serde_json::Map<String, Value> =
        clients.iter().map(|(name, uri)| ((*name).to_owned(), json!(secretly(uri)))).collect();
    let api = if more.contains("api:") { "" } else { "api: {host: 127.0.0.1, admin_port: 0}\n" };
    let text = format!("{api}{more}\npostgres_clients: {}\n", Value::Object(clients));
    std::fs::write(path, text).unwrap();
}

impl Server {
    fn start(more: &str, clients: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("athena-reload-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("config.yaml");
        write(&config, more, clients);
        let mut command = athena();
        // In a file, so that it may change, too.
        std::fs::write(dir.join(".env"), format!("ATHENA_KEY_12={ADMIN_KEY}\n")).unwrap();
        command.env_remove("ATHENA_KEY_12").current_dir(&dir);
        command.args(["--api-only", "--port", "0", "--config"]).arg(&config);
        let process = Process::start(&mut command);
        let address = |said: &str| {
            let event: Value = serde_json::from_str(&process.line(said)).unwrap();
            let text = event["address"].as_str().unwrap();
            format!("http://{}", text.trim_start_matches("Some(").trim_end_matches(')'))
        };
        let (data, admin) = (address("athena is listening"), address("a listener of their own"));
        Self { process, data, admin, dir }
    }

    /// A server over a control database whose catalog has heard of every client.
    async fn with_catalog(control: &TestDatabase, clients: &[(&str, &str)]) -> Self {
        let uri = control.uri();
        let all: Vec<(&str, &str)> = clients.iter().copied().chain([("control", &*uri)]).collect();
        let server = tokio::task::block_in_place(|| Self::start(CATALOG, &all));
        for round in 0.. {
            let (_, listed) = server.admin(Method::GET, "/admin/clients", None).await;
            if listed["data"]["clients"].as_array().is_some_and(|rows| rows.len() == all.len()) {
                break;
            }
            assert!(round < 200, "the catalog is not filled: {listed}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let http = crate::harness::http().build().unwrap();
        let request = http.request(method, format!("{}{path}", self.admin)).header("X-Athena-Key", ADMIN_KEY);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        witness::check(&text);
        (status, serde_json::from_str(&text).unwrap())
    }

    /// The answer to a reload.
    async fn reload(&self) -> Value {
        let (status, mut body) = self.admin(Method::POST, "/admin/reload", None).await;
        assert_eq!(status, 200, "{body}");
        body["data"].take()
    }

    /// The name in the table `place` of the client's database.
    async fn place(&self, client: &str) -> Value {
        let http = crate::harness::http().build().unwrap();
        let request = http.post(format!("{}/gateway/fetch", self.data)).header("X-Athena-Client", client);
        let answer = request.json(&json!({"table_name": "place"})).send().await.unwrap();
        let mut body = answer.json::<Value>().await.unwrap();
        assert!(body["data"]["rows"].is_array(), "{body}");
        body["data"]["rows"][0]["name"].take()
    }

    fn configure(&self, more: &str, clients: &[(&str, &str)]) {
        write(&self.dir.join("config.yaml"), more, clients);
    }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.header("X-Athena-Key", ADMIN_KEY).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn two_listeners_and_a_file_that_changes() {
    let database = TestDatabase::with("CREATE TABLE things (id int)").await;
    let uri = database.uri();
    let started = uri.clone();
    let server =
        tokio::task::spawn_blocking(move || Server::start(LOGGING, &[("first", &started)])).await.unwrap();
    let http = crate::harness::http().build().unwrap();
    let (data, admin) = (server.data.as_str(), server.admin.as_str());
    for path in ["/metrics", "/admin/clients", "//admin/clients", "/%61dmin/clients"] {
        assert_eq!(status(http.get(format!("{data}{path}"))).await, 404, "{path}");
    }
    for (base, path) in
        [(data, "/livez"), (data, "/readyz"), (admin, "/livez"), (admin, "/readyz"), (admin, "/metrics")]
    {
        let open = http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(open.status(), 200, "{base}{path}");
    }
    assert_eq!(status(http.get(format!("{admin}/admin/clients"))).await, 200);
    let fetch = async |base: &str, client: &str| {
        let request = http.post(format!("{base}/gateway/fetch")).header("X-Athena-Client", client);
        status(request.json(&json!({"table_name": "things"}))).await
    };
    assert_eq!(fetch(admin, "first").await, 404);
    assert_eq!((fetch(data, "first").await, fetch(data, "second").await), (200, 400));

    server.configure(LOGGING, &[("first", &uri), ("second", &uri)]);
    server.process.signal("-HUP");
    for round in 0.. {
        if fetch(data, "second").await == 200 {
            break;
        }
        assert!(round < 100, "SIGHUP is not obeyed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reload = async || {
        let request = http.post(format!("{admin}/admin/reload")).header("X-Athena-Key", ADMIN_KEY);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    server.configure("logging: {format: json}\nlimits: {max_rows: 5}", &[("first", &uri)]);
    let (code, body) = reload().await;
    assert_eq!(
        (code, &body["data"]),
        (200, &json!({"applied": ["limits", "postgres_clients"], "overruled": [], "restart_needed": []}))
    );
    assert_eq!((fetch(data, "first").await, fetch(data, "second").await), (200, 400));

    let more = "logging: {format: json, level: warn, slow_query_ms: 7, batch_entries: 7}\nretention: {auth_log_days: 7}";
    for applied in [json!(["limits", "retention", "logging.level", "logging.slow_query_ms"]), json!([])] {
        server.configure(more, &[("first", &uri)]);
        let (_, body) = reload().await;
        let expected =
            json!({"applied": applied, "overruled": [], "restart_needed": ["logging.batch_entries"]});
        assert_eq!(body["data"], expected, "what needs a restart stays compared with what runs");
    }

    server.configure("limits: {max_rows: many}", &[]);
    let (code, body) = reload().await;
    assert_eq!((code, &body["code"]), (400, &json!("invalid_configuration")));
    assert!(body["error"].as_str().is_some_and(|error| error.contains("limits.max_rows")), "{body}");
    assert_eq!(fetch(data, "first").await, 200, "everything stays as it was");
    for (clients, named) in [
        (&[("first", "garbage")][..], "client first"),
        (&[("first", &uri), ("second", "postgres://h/d?no_such_option=1")], "client second"),
        (&[], "no client"),
    ] {
        server.configure(more, clients);
        let (code, body) = reload().await;
        assert_eq!((code, &body["code"]), (400, &json!("invalid_configuration")), "{body}");
        assert!(body["error"].as_str().is_some_and(|error| error.contains(named)), "{body}");
        assert_eq!(fetch(data, "first").await, 200, "everything stays as it was");
    }
    std::fs::write(server.dir.join("config.yaml"), "postgres_clients: {}\0{{{").unwrap();
    assert_eq!(reload().await.0, 400);
    assert_eq!(fetch(data, "first").await, 200, "everything stays as it was");
}

async fn place(name: &str) -> TestDatabase {
    TestDatabase::with(&format!("CREATE TABLE place (name text); INSERT INTO place VALUES ('{name}')")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_catalog_overrules_is_told() {
    let (control, one, two) = (TestDatabase::fresh().await, place("one").await, place("two").await);
    let (control_uri, one_uri, two_uri) = (control.uri(), one.uri(), two.uri());
    let before = ["follows", "frozen", "gone", "moved"].map(|name| (name, &*one_uri));
    let server = Server::with_catalog(&control, &before).await;
    let moved = server
        .admin(Method::PATCH, "/admin/clients/moved", Some(json!({"pg_uri": secretly(&one_uri)})))
        .await;
    let freeze = json!({"is_frozen": true});
    let frozen = server.admin(Method::PUT, "/admin/clients/frozen/freeze", Some(freeze)).await;
    assert_eq!((moved.0, frozen.0), (200, 200));

    let files = ["follows", "frozen", "moved"].map(|name| (name, &*two_uri));
    let files: Vec<_> = files.into_iter().chain([("control", &*control_uri)]).collect();
    server.configure(CATALOG, &files);
    let expected = json!({
        "applied": ["postgres_clients"],
        "overruled": [
            {"client": "frozen", "reason": "the catalog has it frozen"},
            {"client": "gone",
             "reason": "the catalog still has it, and serves it unless its URI holds variables that gateway.uri_variables does not list; DELETE /admin/clients/{client_name} removes it"},
            {"client": "moved", "reason": "the catalog has a URI of its own for it"},
        ],
        "restart_needed": [],
    });
    assert_eq!(server.reload().await, expected);
    for (client, place) in [("follows", "two"), ("moved", "one"), ("gone", "one")] {
        assert_eq!(server.place(client).await, place, "{client}");
    }

    // Nothing of the file is in force where all that has changed is overruled.
    let files: Vec<_> =
        files.into_iter().map(|(name, uri)| (name, if name == "moved" { &one_uri } else { uri })).collect();
    let files: Vec<_> = files.into_iter().filter(|(name, _)| *name != "frozen").collect();
    server.configure(CATALOG, &files);
    let told = server.reload().await;
    assert_eq!(told["overruled"][0]["client"], "frozen", "{told}");
    assert_eq!(
        told["applied"],
        json!(["postgres_clients"]),
        "the catalog says of `moved` what the file says: {told}"
    );
    server.configure(CATALOG, &files[..1]);
    let told = server.reload().await;
    let overruled = |told: &Value| -> Vec<String> {
        let all = told["overruled"].as_array().unwrap().iter();
        all.map(|client| client["client"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (&told["applied"], overruled(&told)),
        (&json!([]), ["frozen", "gone", "moved"].map(String::from).into()),
        "{told}"
    );

    // It is told for as long as it is so, whoever read the file last.
    let again = server.reload().await;
    assert_eq!((&again["applied"], overruled(&again)), (&json!([]), overruled(&told)), "{again}");
    server.process.signal("-HUP");
    let deleted = server.admin(Method::DELETE, "/admin/clients/gone", None).await;
    assert_eq!(deleted.0, 200);
    assert_eq!(overruled(&server.reload().await), ["frozen", "moved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_reloads_the_later_reading_wins() {
    use sqlx::Connection as _;
    let (control, one, two) = (TestDatabase::fresh().await, place("one").await, place("two").await);
    let (control_uri, one_uri, two_uri) = (control.uri(), one.uri(), two.uri());
    let server = std::sync::Arc::new(Server::with_catalog(&control, &[("first", &one_uri)]).await);
    let reload = || {
        let server = server.clone();
        tokio::spawn(async move { server.reload().await })
    };
    const LOCK: &str = "BEGIN; LOCK TABLE athena_clients IN ACCESS EXCLUSIVE MODE";
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                           AND wait_event_type = 'Lock' AND query LIKE 'SELECT athena_client_id%'";
    let mut holder = sqlx::PgConnection::connect(&control_uri).await.unwrap();
    // Asked elsewhere: a transaction goes on seeing the activity that it saw first.
    let pool = sqlx::PgPool::connect(&control_uri).await.unwrap();
    let waiting = async || sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&pool).await.unwrap() > 0;
    // The gateway may still read what it has just written into the catalog.
    loop {
        sqlx::raw_sql(LOCK).execute(&mut holder).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if !waiting().await {
            break;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    }
    // The first reload waits for the catalog after it has read the file.
    server.configure(CATALOG, &[("first", &two_uri), ("control", &control_uri)]);
    let early = reload();
    while !waiting().await {
        assert!(!early.is_finished());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Meanwhile the file says again what it said at first.
    server.configure(CATALOG, &[("first", &one_uri), ("control", &control_uri)]);
    let mut late = reload();
    // As long as that one would need to overtake.
    let overtaken = tokio::time::timeout(Duration::from_secs(1), &mut late).await;
    assert!(overtaken.is_err(), "the later reload did not wait: {overtaken:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    for reload in [early, late] {
        assert_eq!(reload.await.unwrap()["applied"], json!(["postgres_clients"]));
    }
    assert_eq!(server.place("first").await, "one");
}
