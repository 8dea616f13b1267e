//! The binary as an operator meets it: commands, configuration errors, draining.

use std::process::Stdio;
use std::time::{Duration, Instant};

use athena_rs::run::CLOSING;
use athena_test_support::{Mode, TestDatabase};
use serde_json::Value;

use crate::child::{Process, athena, output};
use crate::harness::{ADMIN_KEY, secretly};
use crate::witness;

#[test]
fn commands_without_a_configuration() {
    assert_eq!(output(athena().arg("version")), (true, "2.9.0\n".to_owned(), String::new()));
    assert_eq!(output(athena().arg("--version")).1, "athena_rs 2.9.0\n");
    let diag: Value = serde_json::from_str(&output(athena().arg("diag")).1).unwrap();
    assert!(diag["cpu_count"].as_u64().unwrap() > 0);
    let (ok, spec, _) = output(athena().arg("openapi"));
    assert!(ok && spec.contains("/gateway/fetch:"));
    let (ok, _, error) = output(&mut athena());
    assert!(!ok && error.contains("No command provided"), "{error}");
}

/// As in `athena_rs openapi | head -1`.
#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let mut child = athena().arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && error.is_empty(), "{:?} {error}", ended.status);
    // A disk that takes nothing is one.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = athena().arg("openapi").stdout(full).stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && error.contains("cannot be written"), "{error}");
}

#[test]
fn faults_of_the_configuration_are_named_without_a_secret() {
    let dir = tempdir();
    let missing = dir.join("missing.yaml");
    let (ok, _, error) = output(athena().arg("server").arg("--config").arg(&missing));
    assert!(!ok && error.contains("missing.yaml"), "{error}");
    let wrong = dir.join("wrong.yaml");
    std::fs::write(&wrong, "api: {port: many}\npostgres_clients: {a: 'postgres://u:secret-marker@h/d'}\n")
        .unwrap();
    let (ok, _, error) = output(athena().arg("server").arg("--config").arg(&wrong));
    assert!(
        !ok && error.contains("api.port") && error.contains("wrong.yaml") && !error.contains("secret-marker"),
        "{error}"
    );
}

/// A directory that goes with the test.
struct TempDir(std::path::PathBuf);

impl TempDir {
    fn join(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn tempdir() -> TempDir {
    let dir = std::env::temp_dir().join(
        format!("athena-process-{}-{:?}", std::process::id(), std::thread::current().id())
            .replace(['(', ')'], ""),
    );
    std::fs::create_dir_all(&dir).unwrap();
    TempDir(dir)
}

struct Server {
    process: Process,
    base: String,
}

impl Server {
    fn start(uri: &str) -> Self {
        let uri = serde_json::to_string(&secretly(uri)).unwrap();
        // A section is a list of single keys, or a map.
        Self::configured(&format!(
            "api:\n    - host: 127.0.0.1\n    - port: 4052\nlogging: {{format: json}}\npostgres_clients:\n    - main: {uri}\n"
        ))
    }

    fn configured(text: &str) -> Self {
        let dir = tempdir();
        let config = dir.join("config.yaml");
        std::fs::write(&config, text).unwrap();
        let mut command = athena();
        command.env("ATHENA_KEY_12", ADMIN_KEY).args(["--api-only", "--port", "0", "--config"]).arg(&config);
        let process = Process::start(&mut command);
        let event: Value = serde_json::from_str(&process.line("listening")).unwrap();
        let base = format!("http://{}", event["address"].as_str().unwrap());
        Self { process, base }
    }

    /// Asks it to stop, and waits until it has, for this long at most.
    async fn stop(&mut self, within: Duration) {
        self.process.signal("-TERM");
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.ended() {
                break status;
            }
            assert!(start.elapsed() < within, "the server does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success());
        self.process.line("athena has stopped");
    }
}

#[tokio::test]
async fn a_stop_drains_what_runs() {
    let database = TestDatabase::with("CREATE TABLE t (id int)").await;
    let uri = database.uri();
    let mut server = tokio::task::spawn_blocking(move || Server::start(&uri)).await.unwrap();
    let base = server.base.clone();
    let slow = tokio::spawn(async move {
        let request = crate::harness::http()
            .build()
            .unwrap()
            .post(format!("{base}/gateway/query"))
            .header("X-Athena-Client", "main");
        request
            .body(r#"{"query":"SELECT pg_sleep(1.5), 7 AS n"}"#)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.stop(Duration::from_secs(10)).await;
    assert!(slow.await.unwrap().contains("\"n\":7"), "the running request is answered");
}

/// Sends a query for the client `main`; its answer, where there is one.
async fn ask(base: &str, id: &str, sql: &str) -> Option<u16> {
    let url = format!("{base}/gateway/query?api_key=secret-marker");
    let request = crate::harness::http().build().unwrap().post(url).bearer_auth("secret-marker");
    let request = request.header("X-Athena-Client", "main").header("X-Request-Id", id);
    let answer = request.body(serde_json::json!({ "query": sql }).to_string()).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_stop_ends_in_time_whoever_hangs_and_loses_no_record() {
    let (data, control) = (TestDatabase::with("").await, TestDatabase::fresh().await);
    let proxy = control.proxied().await;
    let dir = tempdir();
    let spool = dir.join("spool");
    let configuration = |drain: u64| {
        let clients = serde_json::json!({"main": secretly(&data.uri()), "control": secretly(proxy.uri())});
        format!(
            "api: {{host: 127.0.0.1, shutdown_timeout_secs: {drain}}}\ngateway: {{logging_client: control}}\n\
             logging: {{format: json, flush_interval_ms: 20, spool_dir: {}}}\npostgres_clients: {clients}\n",
            spool.display()
        )
    };
    let start = async |drain: u64| {
        let configuration = configuration(drain);
        let server = tokio::task::spawn_blocking(move || Server::configured(&configuration)).await.unwrap();
        while ask(&server.base, "ready", "select 1").await != Some(200) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    };
    // The control database says nothing any more: what it does not take within its time goes to the spool.
    let mut server = start(30).await;
    proxy.set(Mode::Blackhole).await;
    for number in 0..20 {
        assert_eq!(ask(&server.base, &format!("hanging-{number}"), "select 1").await, Some(200));
    }
    // Far from the 30 seconds that running requests would have had.
    server.stop(CLOSING + Duration::from_secs(5)).await;
    proxy.set(Mode::Pass).await;
    proxy.cut().await;
    // A request that does not end is cut off, and told.
    let mut server = start(0).await;
    let base = server.base.clone();
    let endless = tokio::spawn(async move { ask(&base, "cut-off", "select pg_sleep(3600)").await });
    let mut watch = <sqlx::PgConnection as sqlx::Connection>::connect(&data.uri()).await.unwrap();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'select pg_sleep(3600)%'";
    while sqlx::query_scalar::<_, i64>(running).fetch_one(&mut watch).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop(CLOSING + Duration::from_secs(5)).await;
    assert_eq!(endless.await.unwrap(), None);
    let sql = "SELECT count(*) FILTER (WHERE request_id LIKE 'hanging-%' AND status_code = 200), \
               count(*) FILTER (WHERE request_id = 'cut-off' AND status_code = 499 AND client = 'main') \
               FROM gateway_request_log";
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&control.uri()).await.unwrap();
    let kept: (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept, (20, 1), "what was spooled, and what was cut off");
    // What went through the spool, and what was written at the very end.
    witness::check_tables(&[control.uri()]);
}

#[tokio::test]
async fn old_records_are_deleted_on_demand() {
    let control = TestDatabase::fresh().await;
    let database = athena_postgres::control::ControlDatabase::open(&control.uri()).unwrap();
    athena_postgres::control::migrate(&database).await.unwrap();
    let fill = "INSERT INTO gateway_request_log (request_id, time, created_at) \
                SELECT n::text, 0, now() - n * interval '1 day' FROM generate_series(0, 9) n";
    sqlx::query(fill).execute(database.pool()).await.unwrap();
    let dir = tempdir();
    let config = dir.join("retention.yaml");
    let uri = serde_json::to_string(&secretly(&control.uri())).unwrap();
    let text = format!(
        "gateway: {{logging_client: control}}\nretention: {{request_log_days: 4}}\npostgres_clients: {{control: {uri}}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let run = async |more: &[&str]| {
        let mut command = athena();
        command.args(["retention", "run", "--config"]).arg(&config).args(more);
        tokio::task::spawn_blocking(move || output(&mut command)).await.unwrap()
    };
    let left = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM gateway_request_log");
        count.fetch_one(database.pool()).await.unwrap()
    };
    let (ok, told, error) = run(&["--dry-run"]).await;
    assert!(ok && told.contains("gateway_request_log: 6 rows would be deleted"), "{told}{error}");
    assert_eq!(left().await, 10);
    let (ok, told, error) = run(&[]).await;
    assert!(ok && told.contains("gateway_request_log: 6 rows deleted"), "{told}{error}");
    assert_eq!(left().await, 4);
}

#[tokio::test]
async fn it_listens_before_any_database_has_answered() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri =
        format!("postgres://u:p@{}/d?sslmode=disable&connect_timeout=200", silent.local_addr().unwrap());
    let text = format!(
        "api: {{host: 127.0.0.1}}\nlogging: {{format: json}}\ngateway: {{logging_client: control}}\n\
         limits: {{request_timeout_secs: 300}}\npool: {{acquire_timeout_secs: 200}}\n\
         postgres_clients: {{main: '{uri}', control: '{}'}}\n",
        uri.replace("/d?", "/c?")
    );
    let server = tokio::task::spawn_blocking(move || Server::configured(&text)).await.unwrap();
    let http = crate::harness::http().timeout(Duration::from_secs(30)).build().unwrap();
    let alive = http.get(format!("{}/livez", server.base)).send().await.unwrap();
    assert_eq!(alive.status(), 200);
}

#[test]
fn its_certificate_follows_its_files() {
    let dir = tempdir();
    let (certificate, key, config) = (dir.join("cert.pem"), dir.join("key.pem"), dir.join("config.yaml"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
    };
    renew();
    let text = format!(
        "api: {{host: 127.0.0.1, tls_cert: {}, tls_key: {}}}\nlogging: {{format: json}}\n",
        certificate.display(),
        key.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = athena();
    command.args(["--api-only", "--port", "0", "--config"]).arg(&config);
    let process = Process::start(&mut command);
    let event: Value = serde_json::from_str(&process.line("listening")).unwrap();
    let port = event["address"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    // It takes the certificate of the configuration alone.
    let is_shown = || output(athena().args(["healthcheck", "--port", &port, "--config"]).arg(&config)).0;
    assert!(is_shown());
    renew();
    process.signal("-HUP");
    let began = Instant::now();
    while !is_shown() {
        assert!(began.elapsed() < Duration::from_secs(30), "the new certificate is not shown");
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("http://127.0.0.1:{port}/readyz");
    assert!(!output(athena().args(["healthcheck", "--url", &url])).0, "nothing is served in clear");
}
