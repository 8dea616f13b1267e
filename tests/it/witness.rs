//! Watches the whole suite for secrets: every line of the process's log, every line that gateways in processes of their
//! own write, every answer, and what gateways leave in their control databases. A secret that turns up fails the test that is next to look.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tracing_subscriber::EnvFilter;

use crate::harness::{ADMIN_KEY, DATABASE_PASSWORD};

/// What stands in for a secret wherever a test sends one of no use.
const MARKER: &str = "secret-marker";

/// What `athena_test_support::redis` asks for.
const REDIS_PASSWORD: &str = "redis-password-marker";

/// Everything is logged but what the test's own HTTP client has to say.
const LEVEL: &str = "debug,hyper_util=info,reqwest=info";

static WITNESS: Mutex<Witness> =
    Mutex::new(Witness { secrets: BTreeSet::new(), lines: Vec::new(), leaks: Vec::new() });

#[derive(Default)]
struct Witness {
    secrets: BTreeSet<String>,
    lines: Vec<String>,
    leaks: Vec<String>,
}

fn witness() -> MutexGuard<'static, Witness> {
    WITNESS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    fn hear(&mut self, line: String) {
        if self.secrets.iter().any(|secret| line.contains(secret)) {
            self.leaks.push(line.clone());
        }
        self.lines.push(line);
    }
}

/// One line of the log on its way to the witness.
#[derive(Default)]
struct Line(Vec<u8>);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            witness().hear(String::from_utf8_lossy(&self.0).into_owned());
        }
    }
}

/// Listens from now on; to be called before a gateway starts.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for secret in [ADMIN_KEY, DATABASE_PASSWORD, REDIS_PASSWORD, MARKER] {
            guard(secret);
        }
        let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(LEVEL)).with_ansi(false);
        lines.with_writer(Line::default).init();
    });
}

/// From now on this is a secret, and it always was.
pub fn guard(secret: &str) {
    let mut witness = witness();
    let said: Vec<String> = witness.lines.iter().filter(|line| line.contains(secret)).cloned().collect();
    witness.leaks.extend(said);
    witness.secrets.insert(secret.to_owned());
}

/// Takes note of a line that another process has written.
pub fn hear(line: String) {
    witness().hear(line);
}

/// Whether this would have been found out, had it been a secret.
pub fn would_leak(secret: &str) -> bool {
    let mut other = Witness::default();
    other.secrets.insert(secret.to_owned());
    lines(secret).into_iter().for_each(|line| other.hear(line));
    !other.leaks.is_empty()
}

/// Lines of the log that hold `text`.
pub fn lines(text: &str) -> Vec<String> {
    witness().lines.iter().filter(|line| line.contains(text)).cloned().collect()
}

/// Checks an answer, and that nothing has been logged meanwhile. The credential of a key that is made or rotated is
/// the one secret that an answer may hold; it is guarded from then on.
#[track_caller]
pub fn check(answer: &str) {
    let mut answer = std::borrow::Cow::Borrowed(answer);
    if let Some((_, rest)) = answer.split_once(r#""api_key":"ath_"#) {
        let credential = rest.split('"').next().unwrap_or_default();
        let secret = credential.split_once('.').expect("id and secret").1.to_owned();
        guard(&secret);
        answer = answer.replacen(&secret, "", 1).into();
    }
    let witness = witness();
    assert!(witness.leaks.is_empty(), "secrets in the log:\n{}", witness.leaks.join(""));
    for secret in &witness.secrets {
        assert!(!answer.contains(secret), "the answer holds the secret {secret:?}: {answer}");
    }
}

/// Checks every table but the catalog, which keeps URIs as they are.
pub fn check_tables(uris: &[String]) {
    // A runtime waits for nothing inside another, and this is called where values are dropped.
    let checked = std::thread::scope(|scope| {
        let check = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let all = join_all(uris.iter().map(|uri| leaks(uri)));
            runtime.expect("a runtime").block_on(all)
        };
        scope.spawn(check).join()
    });
    let leaks = checked.expect("a check of the tables").concat();
    assert!(leaks.is_empty(), "secrets in the control database:\n{}", leaks.join("\n"));
}

async fn leaks(uri: &str) -> Vec<String> {
    use sqlx::Connection as _;
    // A database that is gone or away has been tested for something else.
    let connecting = tokio::time::timeout(Duration::from_secs(2), sqlx::PgConnection::connect(uri));
    let Ok(Ok(mut connection)) = connecting.await else { return Vec::new() };
    let found = "SELECT to_regclass('gateway_request_log') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(found).fetch_one(&mut connection).await.expect("an answer") {
        return Vec::new();
    }
    let tables = "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') \
                  AND relnamespace = current_schema()::regnamespace AND relname <> 'athena_clients'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("tables");
    assert!(tables.len() > 8, "{tables:?}");
    let secrets: Vec<String> = witness().secrets.iter().cloned().collect();
    let mut leaks = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT '{table}: ' || t::text FROM {table} AS t, unnest($1::text[]) AS secret \
             WHERE position(secret IN t::text) > 0"
        );
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&secrets).fetch_all(&mut connection);
        leaks.extend(rows.await.unwrap_or_else(|error| vec![format!("{table}: {error}")]));
    }
    leaks
}

#[tokio::test]
async fn a_secret_in_a_table_or_a_line_is_noticed() {
    use sqlx::Executor as _;
    let plane = crate::enforcement::Plane::start("").await;
    let uri = plane.control.uri();
    assert!(leaks(&uri).await.is_empty());
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&uri).await.expect("a connection");
    // Bound, as the statement itself is logged.
    let leak =
        sqlx::query("INSERT INTO client_statistics (client_name) VALUES ($1)").bind(format!("a {MARKER} b"));
    leak.execute(&mut connection).await.expect("a row");
    assert_eq!(leaks(&uri).await.len(), 1);
    connection.execute("DELETE FROM client_statistics").await.expect("no row");
    let mut other = Witness::default();
    other.secrets.insert(MARKER.to_owned());
    other.hear("nothing".to_owned());
    other.hear(format!("a {MARKER} b"));
    assert_eq!(other.leaks.len(), 1);
}
