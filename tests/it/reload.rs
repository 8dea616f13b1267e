//! The binary with two listeners, and a configuration that changes under it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use athena_test_support::TestDatabase;
use serde_json::{Value, json};

struct Server {
    child: Child,
    data: String,
    admin: String,
    dir: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// The address is read from the log.
const LOGGING: &str = "logging: {format: json}";

fn write(path: &Path, more: &str, clients: &[(&str, &str)]) {
    let clients: serde_json::Map<String, Value> =
        clients.iter().map(|(name, uri)| ((*name).to_owned(), json!(uri))).collect();
    let text = format!(
        "api: {{host: 127.0.0.1, admin_port: 0}}\n{more}\npostgres_clients: {}\n",
        Value::Object(clients)
    );
    std::fs::write(path, text).unwrap();
}

impl Server {
    fn start(uri: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("athena-reload-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("config.yaml");
        write(&config, LOGGING, &[("first", uri)]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_athena_rs"))
            .env_clear()
            .env("ATHENA_KEY_12", "admin-key")
            .current_dir(&dir)
            .args(["--api-only", "--port", "0", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = |said: &str| loop {
            let line = lines.next().expect("the server runs").unwrap();
            if line.contains(said) {
                let event: Value = serde_json::from_str(&line).unwrap();
                let text = event["address"].as_str().unwrap();
                break format!("http://{}", text.trim_start_matches("Some(").trim_end_matches(')'));
            }
        };
        let (data, admin) = (address("athena is listening"), address("a listener of their own"));
        // Somebody has to read on, or the server's log would fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, data, admin, dir }
    }

    fn configure(&self, more: &str, clients: &[(&str, &str)]) {
        write(&self.dir.join("config.yaml"), more, clients);
    }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.header("X-Athena-Key", "admin-key").send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn two_listeners_and_a_file_that_changes() {
    let database = TestDatabase::with("CREATE TABLE things (id int)").await;
    let uri = database.uri();
    let started = uri.clone();
    let server = tokio::task::spawn_blocking(move || Server::start(&started)).await.unwrap();
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
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    for round in 0.. {
        if fetch(data, "second").await == 200 {
            break;
        }
        assert!(round < 100, "SIGHUP is not obeyed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reload = async || {
        let request = http.post(format!("{admin}/admin/reload")).header("X-Athena-Key", "admin-key");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    server.configure("logging: {format: json}\nlimits: {max_rows: 5}", &[("first", &uri)]);
    let (code, body) = reload().await;
    assert_eq!(
        (code, &body["data"]),
        (200, &json!({"applied": ["postgres_clients"], "restart_needed": ["limits"]}))
    );
    assert_eq!((fetch(data, "first").await, fetch(data, "second").await), (200, 400));

    let more = "logging: {format: json, level: warn, slow_query_ms: 7}\nretention: {auth_log_days: 7}";
    for applied in [json!(["logging.level"]), json!([])] {
        server.configure(more, &[("first", &uri)]);
        let (_, body) = reload().await;
        let expected = json!({"applied": applied, "restart_needed": ["logging", "retention"]});
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
