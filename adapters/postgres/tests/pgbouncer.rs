//! The backend behind a real PgBouncer in transaction mode, with so few server connections that requests
//! have to share them.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;
use std::time::Duration;

use athena_application::contract;
use athena_application::ports::{Backend as _, PortErrorKind, Reason, SchemaReader as _};
use athena_application::stopwatch::Stopwatch;
use athena_domain::Limits;
use athena_domain::plan::{Plan, PlanOptions, Planner};
use athena_domain::query::{JsonText, RawRequest};
use athena_postgres::{PostgresBackend, PostgresSchema, PostgresSettings};
use athena_test_support::{PgBouncer, TestDatabase};
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

/// A database, a pooler with so many connections to it, and a client behind it.
struct Behind {
    database: TestDatabase,
    pooler: PgBouncer,
    backend: Arc<PostgresBackend>,
    schema: Arc<PostgresSchema>,
}

impl Behind {
    /// `None` where the program is left out.
    async fn start(sql: &str, servers: u32, more: &str) -> Option<Self> {
        PgBouncer::program()?;
        let database = TestDatabase::with(sql).await;
        let pooler = PgBouncer::in_front_of(&database.uri(), servers, more).await;
        let mut settings = PostgresSettings::from_uri(pooler.uri()).unwrap();
        settings.max_connections = 30;
        let (backend, schema) = athena_postgres::open(&settings);
        Some(Self { database, pooler, backend, schema })
    }

    /// A connection that does not go through the pooler.
    async fn direct(&self) -> PgConnection {
        PgConnection::connect(&self.database.uri()).await.unwrap()
    }

    async fn raw_plan(&self, body: &str) -> Plan {
        let schema = match self.schema.loaded() {
            Some(schema) => schema,
            None => self.schema.refresh(None, soon()).await.unwrap(),
        };
        let body = JsonText::parse(body.as_bytes()).unwrap();
        let request = RawRequest::decode(body, Default::default()).unwrap();
        let (limits, options) = (Limits::default(), PlanOptions::default());
        let planner = Planner { schema: &schema, limits: &limits, options: &options, authority: None };
        planner.raw(&request).unwrap()
    }

    /// Runs a body of `/gateway/query`; its rows, or the kind of its failure.
    async fn raw(&self, body: &str) -> Result<Vec<String>, PortErrorKind> {
        let plan = self.raw_plan(body).await;
        let mut sink = contract::Recorder::default();
        let outcome = self.backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await;
        outcome.map(|_| sink.rows).map_err(|error| error.kind)
    }

    async fn sql(&self, sql: &str) -> Result<Vec<String>, PortErrorKind> {
        self.raw(&serde_json::json!({ "query": sql }).to_string()).await
    }

    /// One value of one row.
    async fn value(&self, sql: &str) -> String {
        let rows = self.sql(&format!("SELECT ({sql}) AS v")).await.unwrap();
        rows[0].strip_prefix(r#"{"v":"#).and_then(|rest| rest.strip_suffix('}')).unwrap().to_owned()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn reason(kind: &PortErrorKind) -> Option<Reason> {
    match kind {
        PortErrorKind::Rejected(rejection) => Some(rejection.reason),
        _ => None,
    }
}

#[tokio::test]
async fn postgres_behind_a_transaction_pooler_keeps_the_contract() {
    for servers in [3, 1] {
        let Some(behind) = Behind::start(contract::FIXTURE_SQL, servers, "").await else { return };
        let start = Instant::now();
        contract::all(&*behind.backend, &*behind.schema).await;
        println!("kept over {servers} server connections in {:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_few_server_connections() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v text); \
               INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 40) n; CREATE TABLE log (n int)";
    let Some(behind) = Behind::start(sql, 3, "").await else { return };
    let behind = Arc::new(behind);
    let mut callers = Vec::new();
    for id in 1..=20 {
        let behind = behind.clone();
        callers.push(tokio::spawn(async move {
            for _ in 0..10 {
                let fetch =
                    format!(r#"{{"table_name":"t","conditions":[{{"eq_column":"id","eq_value":{id}}}]}}"#);
                let verb = contract::Verb::Fetch;
                let rows = contract::run(&*behind.backend, &*behind.schema, verb, &fetch).await.unwrap();
                assert_eq!(rows.sink.rows, [format!(r#"{{"id":{id},"v":"v{id}"}}"#)]);
                let insert = format!(r#"{{"table_name":"log","insert_body":{{"n":{id}}}}}"#);
                let verb = contract::Verb::Insert;
                contract::run(&*behind.backend, &*behind.schema, verb, &insert).await.unwrap();
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(behind.value("SELECT count(*) FROM log").await, "200");
    let servers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
    )
    .bind(behind.database.name())
    .fetch_one(&mut behind.direct().await)
    .await
    .unwrap();
    assert!((1..=3).contains(&servers), "{servers} server connections");
    assert!(behind.backend.status().open > 3, "{:?}", behind.backend.status());
}

#[tokio::test]
async fn a_script_leaves_nothing_in_a_shared_session() {
    let sql = "CREATE TABLE things (a int); CREATE SEQUENCE seq; CREATE TYPE mood AS ENUM ('a', 'b'); \
               CREATE TABLE parent (id int PRIMARY KEY); \
               CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)";
    // One server connection, so that everybody surely gets the same.
    let Some(behind) = Behind::start(sql, 1, "").await else { return };
    for script in [
        "SET search_path = pg_catalog",
        "SET statement_timeout = 1",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SELECT set_config('work_mem', '1MB', false)",
        "SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = 'postgres'; SET bytea_output = 'escape'",
        "SET ROLE pg_monitor",
        "CREATE TEMP TABLE things (a int); INSERT INTO things VALUES (1); CREATE TEMP TABLE other AS SELECT 1 AS x",
        "SELECT pg_advisory_lock(7)",
        "PREPARE p AS SELECT 1; EXECUTE p",
        "DO $$ BEGIN EXECUTE 'PREPARE q AS SELECT 2'; PERFORM set_config('search_path', 'nowhere', false); END $$",
        "DO $$ BEGIN EXECUTE 'LISTEN x'; END $$",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SELECT nextval('seq')",
        "SAVEPOINT s; SET work_mem = '2MB'; ROLLBACK TO s",
    ] {
        behind.sql(script).await.unwrap_or_else(|kind| panic!("{script}: {kind:?}"));
    }
    // What fails leaves as little.
    for script in [
        "SELECT pg_advisory_lock(8); SELECT 1/0",
        "PREPARE r AS SELECT 1; SET search_path = nowhere; SELECT 1/0",
        "SELECT pg_advisory_lock(9); PREPARE t AS SELECT 1; INSERT INTO child VALUES (1)",
    ] {
        let kind = behind.sql(script).await.unwrap_err();
        assert!(reason(&kind).is_some(), "{script}: {kind:?}");
    }
    // Types that the driver has to look up, with names of its own.
    for _ in 0..2 {
        let rows = behind.raw(r#"{"query":"SELECT $1::mood AS m, $2::int[] AS l","params":["b",[1]]}"#).await;
        assert_eq!(rows.unwrap(), [r#"{"l":[1],"m":"b"}"#]);
        let rows = behind.raw(r#"{"query":"SELECT count(*) AS n FROM things","read_only":true}"#).await;
        assert_eq!(rows.unwrap(), [r#"{"n":0}"#]);
        let kind =
            behind.raw(r#"{"query":"INSERT INTO things VALUES (1)","read_only":true}"#).await.unwrap_err();
        assert_eq!(reason(&kind), Some(Reason::ReadOnly));
        behind.raw(r#"{"query":"SELECT $1::int","params":[]}"#).await.unwrap_err();
    }
    // Another program behind the same pooler meets a clean session.
    let options: sqlx::postgres::PgConnectOptions = behind.pooler.plain_uri().parse().unwrap();
    let options = options.extra_float_digits(None::<i8>);
    let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let row: (i64, i64, i64, i64, String, String, String, bool, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), \
         (SELECT count(*) FROM pg_prepared_statements WHERE name <> ''), \
         (SELECT count(*) FROM pg_cursors WHERE is_holdable), \
         (SELECT count(*) FROM pg_class WHERE relpersistence = 't'), \
         current_setting('search_path'), current_setting('work_mem'), \
         current_setting('default_transaction_read_only'), current_user = session_user, \
         (SELECT count(*) FROM pg_listening_channels())",
    )
    .persistent(false)
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    transaction.rollback().await.unwrap();
    let wanted = (0, 0, 0, 0, "\"$user\", public".into(), "4MB".into(), "off".into(), true, 0);
    assert_eq!(row, wanted);
    assert_eq!(behind.value("current_setting('statement_timeout')").await, r#""30s""#);
}

#[tokio::test]
async fn transactions_of_a_scripts_own_are_refused_with_the_reason() {
    let Some(behind) = Behind::start("CREATE TABLE things (a int)", 2, "").await else { return };
    for script in [
        "BEGIN; INSERT INTO things VALUES (1); COMMIT",
        "INSERT INTO things VALUES (1); COMMIT; SET work_mem = '1MB'",
        "ROLLBACK",
        "VACUUM things",
        "CREATE DATABASE other_one",
        "DO $$ BEGIN INSERT INTO things VALUES (1); COMMIT; END $$",
        "SELECT E'a'\n'\\'' ; COMMIT; SELECT '",
    ] {
        let kind = behind.sql(script).await.unwrap_err();
        let PortErrorKind::Rejected(rejection) = kind else { panic!("{script}: {kind:?}") };
        assert_eq!(rejection.reason, Reason::Unsupported, "{script}: {}", rejection.message);
        assert!(rejection.message.contains("pooler in transaction mode"), "{}", rejection.message);
        assert!(rejection.hint.as_deref().is_some_and(|hint| hint.contains("pooler=session")), "{script}");
    }
    assert_eq!(behind.value("SELECT count(*) FROM things").await, "0");
    // One statement, several, with rows and with parameters: all or nothing.
    behind.sql("INSERT INTO things VALUES (1); INSERT INTO things VALUES (2)").await.unwrap();
    behind.sql("INSERT INTO things VALUES (3); SELECT 1/0").await.unwrap_err();
    assert_eq!(behind.sql("INSERT INTO things VALUES (4) RETURNING a").await.unwrap(), [r#"{"a":4}"#]);
    behind.raw(r#"{"query":"INSERT INTO things VALUES ($1)","params":[5]}"#).await.unwrap();
    assert_eq!(behind.value("SELECT sum(a) FROM things").await, "12");
}

#[tokio::test]
async fn values_have_their_text_forms_whatever_the_server_says() {
    let sql = "CREATE TABLE v (id int PRIMARY KEY, i interval, b bytea, f float8, t timestamptz, l interval[]); \
               INSERT INTO v VALUES (1, '1 day 02:00', '\\x00ff', 0.1, '2024-01-02 03:04:05+00', '{1 mon}'); \
               DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET IntervalStyle = postgres', current_database()); \
               EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(), 'Asia/Tokyo'); \
               EXECUTE format('ALTER DATABASE %I SET DateStyle = %L', current_database(), 'German'); \
               EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END $$";
    let Some(behind) = Behind::start("", 1, "").await else { return };
    let mut direct = behind.direct().await;
    sqlx::raw_sql(sql).execute(&mut direct).await.unwrap();
    let wanted =
        [r#"{"b":"\\x00ff","f":0.1,"i":"P1DT2H","id":1,"l":["P1M"],"t":"2024-01-02T03:04:05+00:00"}"#
            .to_owned()];
    for _ in 0..3 {
        let verb = contract::Verb::Fetch;
        let rows = contract::run(&*behind.backend, &*behind.schema, verb, r#"{"table_name":"v"}"#).await;
        assert_eq!(rows.unwrap().sink.rows, wanted);
        // A script's end resets what the pooler keeps track of; it must not show in what comes after it.
        assert_eq!(behind.sql("SELECT * FROM v").await.unwrap(), wanted);
        assert_eq!(behind.raw(r#"{"query":"SELECT * FROM v","params":[]}"#).await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn a_callers_statement_stops_when_the_caller_leaves() {
    let Some(behind) = Behind::start("", 3, "").await else { return };
    let plan = behind.raw_plan(r#"{"query":"SELECT pg_sleep(60), 'sleeper'"}"#).await;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND query LIKE '%sleeper%' \
                  AND state = 'active' AND pid <> pg_backend_pid()";
    let mut direct = behind.direct().await;
    // Once with servers to spare for stopping it, once with all of them asleep.
    for sleepers in [1, 3] {
        let mut work = Vec::new();
        for _ in 0..sleepers {
            let (backend, plan) = (behind.backend.clone(), plan.clone());
            work.push(tokio::spawn(async move {
                let mut sink = contract::Recorder::default();
                backend.execute(&plan, &mut sink, soon(), &Stopwatch::default()).await.map(drop)
            }));
        }
        let mut seen: i64 = 0;
        let start = Instant::now();
        while seen < sleepers {
            assert!(start.elapsed() < Duration::from_secs(10), "{seen} of {sleepers} are asleep");
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen =
                sqlx::query_scalar(asleep).bind(behind.database.name()).fetch_one(&mut direct).await.unwrap();
        }
        let left = Instant::now();
        work.iter().for_each(tokio::task::JoinHandle::abort);
        while seen > 0 {
            assert!(left.elapsed() < Duration::from_secs(5), "{seen} of {sleepers} still sleep");
            tokio::time::sleep(Duration::from_millis(10)).await;
            seen =
                sqlx::query_scalar(asleep).bind(behind.database.name()).fetch_one(&mut direct).await.unwrap();
        }
        println!("{sleepers} sleepers stopped after {:?}", left.elapsed());
        assert_eq!(behind.value("SELECT 1").await, "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_one_callers_statement_never_hits_anothers() {
    let Some(behind) = Behind::start("", 4, "").await else { return };
    let behind = Arc::new(behind);
    let sleep = behind.raw_plan(r#"{"query":"SELECT pg_sleep(0.02)"}"#).await;
    let (bystanders, leavers) = (6, 6);
    let until = Instant::now() + Duration::from_secs(6);
    let mut work = Vec::new();
    for number in 0..bystanders + leavers {
        let (backend, sleep) = (behind.backend.clone(), sleep.clone());
        work.push(tokio::spawn(async move {
            let mut runs = 0_u64;
            while Instant::now() < until {
                let mut sink = contract::Recorder::default();
                let waits = Stopwatch::default();
                let run = backend.execute(&sleep, &mut sink, soon(), &waits);
                if number < bystanders {
                    run.await.unwrap_or_else(|error| panic!("a bystander was hit: {error:?}"));
                } else {
                    // Leaves before, within and about the end of its statement.
                    let patience = Duration::from_millis(5 + runs * 7 % 45);
                    drop(tokio::time::timeout(patience, run).await);
                }
                runs += 1;
            }
            runs
        }));
    }
    let mut runs = 0;
    for one in work {
        runs += one.await.unwrap();
    }
    println!("{runs} statements beside each other");
    assert!(runs > 200, "{runs}");
}

#[tokio::test]
async fn a_caller_who_leaves_as_the_work_ends_does_not_stop_who_comes_next() {
    // The end of the transaction takes half a second.
    let sql = "CREATE TABLE slow (id int); \
               CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS \
               'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'; \
               CREATE CONSTRAINT TRIGGER nap AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW EXECUTE FUNCTION nap()";
    let Some(behind) = Behind::start(sql, 2, "").await else { return };
    // The only server connection so far, which the pooler lends again first.
    let process = behind.value("pg_backend_pid()").await;
    let plan = behind.raw_plan(r#"{"query":"INSERT INTO slow VALUES (1)"}"#).await;
    let mut sink = contract::Recorder::default();
    let waits = Stopwatch::default();
    let mut work = Box::pin(behind.backend.execute(&plan, &mut sink, soon(), &waits));
    assert!(tokio::time::timeout(Duration::from_millis(250), &mut work).await.is_err(), "it is ending");
    // Nobody looks at the work any more, but it ends, and the pooler takes its server back.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let options: sqlx::postgres::PgConnectOptions = behind.pooler.plain_uri().parse().unwrap();
    let mut other = sqlx::ConnectOptions::connect(&options.extra_float_digits(None::<i8>)).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let next: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(next.to_string(), process, "the server that did the work serves somebody else");
    let sleep = sqlx::raw_sql("SELECT pg_sleep(1)").execute(&mut *transaction);
    let leave = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(work);
    };
    let (slept, ()) = tokio::join!(sleep, leave);
    slept.expect("nobody stops it");
    transaction.rollback().await.unwrap();
    assert_eq!(behind.value("SELECT count(*) FROM slow").await, "1");
}

#[tokio::test]
async fn a_pooler_that_has_no_server_to_give_is_told_apart_from_one_that_is_gone() {
    let Some(mut behind) = Behind::start("", 1, "").await else { return };
    let mut settings = PostgresSettings::from_uri(behind.pooler.uri()).unwrap();
    settings.acquire_timeout = Duration::from_millis(400);
    (behind.backend, behind.schema) = athena_postgres::open(&settings);
    behind.backend.ping(soon()).await.unwrap();
    assert!(behind.backend.status().connected);
    // A transaction of another program takes the only server.
    let options: sqlx::postgres::PgConnectOptions = behind.pooler.plain_uri().parse().unwrap();
    let mut other = sqlx::ConnectOptions::connect(&options.extra_float_digits(None::<i8>)).await.unwrap();
    let held = other.begin().await.unwrap();
    assert_eq!(behind.backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Exhausted);
    held.rollback().await.unwrap();
    behind.backend.ping(soon()).await.unwrap();
    let uri = behind.pooler.uri().to_owned();
    drop(behind);
    let (backend, _schema) = athena_postgres::open(&PostgresSettings::from_uri(&uri).unwrap());
    assert_eq!(backend.ping(soon()).await.unwrap_err().kind, PortErrorKind::Unavailable);
    assert!(!backend.status().connected);
}

#[tokio::test]
async fn what_only_reads_leaves_nothing_behind() {
    let Some(behind) = Behind::start("CREATE TABLE things (id int)", 1, "").await else { return };
    let mut listener = sqlx::postgres::PgListener::connect(&behind.database.uri()).await.unwrap();
    listener.listen("things").await.unwrap();
    let read = r#"{"query":"SELECT pg_notify('things', 'heard')","read_only":true}"#;
    behind.raw(read).await.unwrap();
    drop(behind.raw(r#"{"query":"SELECT lo_create(4242)","read_only":true}"#).await);
    assert_eq!(behind.value("SELECT count(*) FROM pg_largeobject_metadata WHERE oid = 4242").await, "0");
    behind.sql("NOTIFY things, 'last'").await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
    assert_eq!(told.payload(), "last");
}
