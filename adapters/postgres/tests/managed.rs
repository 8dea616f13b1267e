//! The promises of the private cluster, each against a real server.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use athena_postgres::managed::{Durability, ManagedError, ManagedPostgres, ManagedSettings};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// A directory of its own for a test, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, and open to the account root steps down to.
        let name = format!("/tmp/athena-managed-{}-{count}", std::process::id());
        let dir = PathBuf::from(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a scratch directory");
        Self(dir)
    }

    fn settings(&self) -> ManagedSettings {
        settings(&self.0)
    }

    async fn start(&self) -> ManagedPostgres {
        ManagedPostgres::start(self.settings()).await.expect("start")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(pid) = postmaster_pid(&self.0) {
            signal("-KILL", pid);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(dir: &Path) -> ManagedSettings {
    ManagedSettings {
        durability: Durability::Tests,
        pg_bin: env::var_os("ATHENA_PG_BIN").map(PathBuf::from),
        ..ManagedSettings::new(dir)
    }
}

fn postmaster_pid(dir: &Path) -> Option<i32> {
    let text = fs::read_to_string(dir.join("data/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok()
}

fn signal(signal: &str, pid: i32) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

async fn query(uri: &str, sql: &str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(uri).await?;
    let answer = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(answer)
}

async fn keep_a_row(uri: &str) {
    let mut connection = PgConnection::connect(uri).await.expect("connect");
    connection.execute("CREATE TABLE t AS SELECT 'kept' AS v").await.expect("execute");
    connection.close().await.expect("close");
}

async fn kept_row(uri: &str) -> String {
    query(uri, "SELECT v FROM t").await.expect("the row")
}

async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < give_up, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs [`gateway_like_process`] in a process of its own until it says it is up.
async fn spawn_gateway(dir: &Path) -> Child {
    let ready = dir.join("ready");
    let _ = fs::remove_file(&ready);
    let child = Command::new(env::current_exe().expect("own path"))
        .args(["--exact", "gateway_like_process", "--nocapture"])
        .env("ATHENA_MANAGED_TEST_DIR", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("spawn");
    eventually("the other process is up", async || ready.exists()).await;
    child
}

/// Not a test by itself: what other tests run and kill.
#[tokio::test]
async fn gateway_like_process() {
    let Some(dir) = env::var_os("ATHENA_MANAGED_TEST_DIR").map(PathBuf::from) else {
        return;
    };
    let _cluster = ManagedPostgres::start(settings(&dir)).await.expect("start");
    fs::write(dir.join("ready"), "").expect("say so");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

fn kill(mut gateway: Child) {
    gateway.kill().expect("kill -9");
    gateway.wait().expect("wait");
}

/// Kills a gateway and its watchdog, which leaves the server running.
async fn orphan(dir: &Path) -> i32 {
    let gateway = spawn_gateway(dir).await;
    let pid = postmaster_pid(dir).expect("a server");
    let listing = Command::new("ps").args(["-eww", "-o", "pid=,args="]).output().expect("ps");
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let data = dir.join("data").display().to_string();
    let watchdogs: Vec<i32> = listing
        .lines()
        .filter(|line| line.contains("athena-watchdog") && line.contains(&data))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    assert_eq!(watchdogs.len(), 1, "{listing}");
    signal("-KILL", watchdogs[0]);
    kill(gateway);
    pid
}

#[tokio::test]
async fn a_cluster_keeps_its_databases_from_one_run_to_the_next() {
    let scratch = Scratch::new();
    let name = "demo \"1\"";
    let cluster = scratch.start().await;
    assert!(cluster.ensure_database(name).await.expect("create"));
    assert!(!cluster.ensure_database(name).await.expect("look"));
    keep_a_row(&cluster.uri(name)).await;
    cluster.create_database_from("copy", name).await.expect("copy");
    let encoding = query(&cluster.uri("copy"), "SHOW server_encoding").await;
    assert_eq!(encoding.expect("query"), "UTF8");
    assert!(cluster.bin_dir().join("postgres").exists());
    cluster.stop().await;
    assert_eq!(postmaster_pid(&scratch.0), None);

    let cluster = scratch.start().await;
    assert_eq!(kept_row(&cluster.uri(name)).await, "kept");
    assert_eq!(kept_row(&cluster.uri("copy")).await, "kept");
    cluster.stop().await;

    let mut settings = scratch.settings();
    settings.reset = true;
    let cluster = ManagedPostgres::start(settings).await.expect("reset");
    assert!(cluster.ensure_database("copy").await.expect("create"));
    cluster.stop().await;
}

#[tokio::test]
async fn an_owner_has_its_database_and_nothing_beyond() {
    let scratch = Scratch::new();
    let cluster = scratch.start().await;
    cluster.ensure_database("shop").await.expect("create");
    // What an earlier release has left to the superuser.
    let left =
        "CREATE TYPE state AS ENUM ('a'); CREATE DOMAIN word AS text; CREATE TYPE pair AS (a int, b int);
                CREATE TABLE things (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, s state);
                CREATE VIEW seen AS SELECT * FROM things; CREATE SEQUENCE free;
                CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
                CREATE SCHEMA more; CREATE TABLE more.parts (id int) PARTITION BY RANGE (id);
                CREATE TABLE more.part PARTITION OF more.parts DEFAULT;
                CREATE ROLE \"o'wner \"\"1\"\"\" LOGIN SUPERUSER CREATEROLE";
    let mut connection = PgConnection::connect(&cluster.uri("shop")).await.expect("connect");
    connection.execute(left).await.expect("make");
    for _ in 0..2 {
        cluster.ensure_owner("shop", "o'wner \"1\"").await.expect("give");
    }

    let mut owner = PgConnection::connect(&cluster.uri_as("o'wner \"1\"", "shop")).await.expect("connect");
    let all = "ALTER TYPE state ADD VALUE 'b'; ALTER DOMAIN word SET NOT NULL; ALTER TYPE pair ADD ATTRIBUTE c int;
               ALTER TABLE things ADD COLUMN t text; INSERT INTO things DEFAULT VALUES; DROP VIEW seen;
               DROP SEQUENCE free; DROP FUNCTION one(); INSERT INTO more.parts VALUES (1); DROP TABLE more.part;
               COMMENT ON SCHEMA public IS 'mine'; CREATE SCHEMA third";
    owner.execute(all).await.expect("own");
    for beyond in [
        "CREATE TEMP TABLE o (t text); COPY o FROM PROGRAM 'id'",
        "SELECT pg_read_file('postgresql.conf')",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE ROLE other",
        "SELECT * FROM pg_authid",
    ] {
        let refused = owner.execute(beyond).await.expect_err(beyond);
        let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{beyond}: {refused}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn nothing_but_the_owner_gets_to_the_socket() {
    let scratch = Scratch::new();
    let cluster = scratch.start().await;
    let socket_dir = fs::metadata(scratch.0.join("socket")).expect("socket directory");
    assert_eq!(socket_dir.permissions().mode() & 0o777, 0o700);
    let listen = query(&cluster.uri("postgres"), "SHOW listen_addresses").await;
    assert_eq!(listen.expect("query"), "");

    let data = fs::metadata(scratch.0.join("data")).expect("data");
    assert_eq!(data.uid(), socket_dir.uid());
    if is_root() {
        assert_ne!(data.uid(), 0, "the server runs as root");
        let pid = cluster.pid().expect("a process");
        let process = fs::metadata(format!("/proc/{pid}")).expect("process");
        assert_eq!(process.uid(), data.uid());
    }
    cluster.stop().await;
}

#[tokio::test]
async fn two_gateways_never_share_a_directory() {
    let scratch = Scratch::new();
    let cluster = scratch.start().await;
    let error = ManagedPostgres::start(scratch.settings()).await.expect_err("it is in use");
    assert!(matches!(error, ManagedError::InUse { .. }), "{error}");
    // Dropping does not wait, but the next start does.
    drop(cluster);
    scratch.start().await.stop().await;
}

#[tokio::test]
async fn the_server_goes_when_the_gateway_is_killed() {
    let scratch = Scratch::new();
    let gateway = spawn_gateway(&scratch.0).await;
    assert!(postmaster_pid(&scratch.0).is_some());
    kill(gateway);
    eventually("the server shuts down", async || postmaster_pid(&scratch.0).is_none()).await;
    let log = fs::read_to_string(scratch.0.join("postgres.log")).expect("log");
    assert!(log.contains("database system is shut down"), "{log}");
}

#[tokio::test]
async fn a_gateway_may_start_again_while_the_watchdog_is_at_work() {
    let scratch = Scratch::new();
    for _ in 0..3 {
        kill(spawn_gateway(&scratch.0).await);
    }
    let cluster = scratch.start().await;
    eventually("it answers", async || query(&cluster.uri("postgres"), "SELECT 'up'").await.is_ok()).await;
    cluster.stop().await;
    assert_eq!(postmaster_pid(&scratch.0), None);
}

#[tokio::test]
async fn an_orphan_of_an_earlier_run_is_adopted_and_stopped() {
    let scratch = Scratch::new();
    let pid = orphan(&scratch.0).await;
    let cluster = scratch.start().await;
    assert_eq!(cluster.pid(), Some(pid));
    let answer = query(&cluster.uri("postgres"), "SELECT 'up'").await;
    assert_eq!(answer.expect("query"), "up");
    cluster.stop().await;
    assert_eq!(postmaster_pid(&scratch.0), None);
}

#[tokio::test]
async fn an_orphan_with_other_settings_is_replaced() {
    let scratch = Scratch::new();
    let pid = orphan(&scratch.0).await;
    let mut settings = scratch.settings();
    settings.durability = Durability::Safe;
    let cluster = ManagedPostgres::start(settings).await.expect("start");
    assert_ne!(cluster.pid(), Some(pid));
    let fsync = query(&cluster.uri("postgres"), "SHOW fsync").await;
    assert_eq!(fsync.expect("query"), "on");
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_started_again_with_its_data() {
    let scratch = Scratch::new();
    let mut settings = scratch.settings();
    settings.durability = Durability::Safe;
    let cluster = ManagedPostgres::start(settings).await.expect("start");
    keep_a_row(&cluster.uri("postgres")).await;
    for _ in 0..2 {
        let pid = cluster.pid().expect("a process");
        signal("-KILL", pid);
        eventually("another process", async || cluster.pid().is_some_and(|next| next != pid)).await;
        assert_eq!(kept_row(&cluster.uri("postgres")).await, "kept");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn stale_files_of_a_killed_server_are_no_obstacle() {
    let scratch = Scratch::new();
    let pid = orphan(&scratch.0).await;
    signal("-KILL", pid);
    assert!(postmaster_pid(&scratch.0).is_some());
    scratch.start().await.stop().await;

    // A process id that now belongs to another program of ours is no server.
    let pid_file = scratch.0.join("data/postmaster.pid");
    fs::write(&pid_file, format!("{}\n", std::process::id())).expect("write");
    scratch.start().await.stop().await;
}

#[tokio::test]
async fn a_half_finished_initdb_is_thrown_away() {
    let scratch = Scratch::new();
    let unfinished = scratch.0.join("data.init");
    fs::create_dir_all(unfinished.join("base")).expect("directory");
    fs::write(unfinished.join("PG_VERSION"), "15\n").expect("file");
    scratch.start().await.stop().await;
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn data_of_another_major_version_is_left_alone() {
    let scratch = Scratch::new();
    let data = scratch.0.join("data");
    fs::create_dir(&data).expect("directory");
    fs::write(data.join("PG_VERSION"), "12\n").expect("file");
    let error = ManagedPostgres::start(scratch.settings()).await.expect_err("nobody can read it");
    assert!(matches!(error, ManagedError::WrongMajor { .. }), "{error}");
    for remedy in ["PostgreSQL 12", "--pg-bin", "pg_upgrade", "--reset"] {
        assert!(error.to_string().contains(remedy), "{error}");
    }
    assert!(data.join("PG_VERSION").exists());
}

#[tokio::test]
async fn foreign_directories_are_refused_untouched() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.0.join("data")).expect("directory");
    fs::write(scratch.0.join("data/photo"), "").expect("file");
    let mut settings = scratch.settings();
    settings.reset = true;
    let error = ManagedPostgres::start(settings).await.expect_err("not ours");
    assert!(matches!(error, ManagedError::NotOurs { .. }), "{error}");
    assert!(scratch.0.join("data/photo").exists());

    let mut settings = scratch.settings();
    settings.dir = scratch.0.join("other");
    fs::create_dir(&settings.dir).expect("directory");
    fs::write(settings.dir.join("PG_VERSION"), "15\n").expect("file");
    let error = ManagedPostgres::start(settings).await.expect_err("not ours");
    assert!(matches!(error, ManagedError::NotOurs { .. }), "{error}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one() {
    let scratch = Scratch::new();
    let mut settings = scratch.settings();
    settings.dir = scratch.0.join("x".repeat(120));
    let cluster = ManagedPostgres::start(settings).await.expect("start");
    let dirs = query(&cluster.uri("postgres"), "SHOW unix_socket_directories").await.expect("query");
    let dir = PathBuf::from(dirs.trim_matches('"'));
    assert!(dir.starts_with("/tmp"), "{dirs}");
    let found = fs::metadata(&dir).expect("directory");
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    cluster.stop().await;
    fs::remove_dir(&dir).expect("nothing is left in it");
}

#[tokio::test]
async fn a_path_with_a_comma_and_a_blank_works() {
    let scratch = Scratch::new();
    let mut settings = scratch.settings();
    settings.dir = scratch.0.join("a, b");
    let cluster = ManagedPostgres::start(settings).await.expect("start");
    let answer = query(&cluster.uri("postgres"), "SELECT 'up'").await;
    assert_eq!(answer.expect("query"), "up");
    cluster.stop().await;
}

#[tokio::test]
async fn a_directory_root_cannot_share_is_named() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let mut settings = scratch.settings();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).expect("chmod");
    settings.dir = scratch.0.join("inner");
    let error = ManagedPostgres::start(settings).await.expect_err("shut");
    assert!(matches!(error, ManagedError::NotTraversable { .. }), "{error}");
    assert!(error.to_string().contains("/var/lib/athena"), "{error}");
}

#[tokio::test]
async fn a_failing_start_shows_the_log() {
    let scratch = Scratch::new();
    scratch.start().await.stop().await;
    let configuration = scratch.0.join("data/postgresql.conf");
    fs::write(configuration, "no_such_setting = 1\n").expect("write");
    let error = ManagedPostgres::start(scratch.settings()).await.expect_err("a broken configuration");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}
