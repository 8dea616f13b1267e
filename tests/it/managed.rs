//! `--managed-postgres`: a gateway and a private PostgreSQL in one command.

use std::path::PathBuf;

use athena_postgres::managed::{Durability, ManagedPostgres, ManagedSettings};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::child::{Process, athena};
use crate::harness::ADMIN_KEY;

/// A directory of a test's own, that the account can enter to which root steps down.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn query(base: &str, sql: &str) -> (u16, Value) {
    let request = crate::harness::http().build().unwrap().post(format!("{base}/gateway/query"));
    let request = request.header("X-Athena-Client", "local").json(&json!({ "query": sql }));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn callers_own_the_database_and_run_no_programs_also_where_they_once_could() {
    let dir = Directory(PathBuf::from(format!("/tmp/athena-it-managed-{}", std::process::id())));
    std::fs::create_dir_all(&dir.0).unwrap();
    let pg_bin = std::env::var_os("ATHENA_PG_BIN").map(PathBuf::from);
    // As an earlier release has left it: everything is the superuser's.
    let settings = ManagedSettings {
        durability: Durability::Tests,
        pg_bin: pg_bin.clone(),
        ..ManagedSettings::new(&dir.0)
    };
    let cluster = ManagedPostgres::start(settings).await.unwrap();
    cluster.ensure_database("local").await.unwrap();
    let mut connection = PgConnection::connect(&cluster.uri("local")).await.unwrap();
    connection
        .execute("CREATE TABLE kept AS SELECT 7 AS n; CREATE VIEW seen AS SELECT * FROM kept")
        .await
        .unwrap();
    drop(connection.close().await);
    cluster.stop().await;

    let config = Directory(PathBuf::from(format!("/tmp/athena-it-managed-{}-config", std::process::id())));
    std::fs::create_dir_all(&config.0).unwrap();
    let file = config.0.join("config.yaml");
    std::fs::write(&file, "api: {host: 127.0.0.1}").unwrap();
    for round in 0..2 {
        let mut command = athena();
        command.env("ATHENA_KEY_12", ADMIN_KEY);
        if round == 1 {
            command.arg("--config").arg(&file);
        }
        command.args(["server", "--port", "0", "--managed-postgres"]).arg(&dir.0);
        command.env("ATHENA_LOGGING__FORMAT", "json").envs(pg_bin.iter().map(|bin| ("ATHENA_PG_BIN", bin)));
        let server = tokio::task::spawn_blocking(move || {
            let process = Process::start(&mut command);
            let event: Value = serde_json::from_str(&process.line("athena is listening")).unwrap();
            process.line("Athena is ready");
            (process, format!("http://{}", event["address"].as_str().unwrap()))
        });
        let (mut process, base) = server.await.unwrap();
        let who = "SELECT current_user::text AS name, rolsuper FROM pg_roles WHERE rolname = current_user";
        let (status, who) = query(&base, who).await;
        assert_eq!((status, &who["data"]), (200, &json!([{"name": "local", "rolsuper": false}])));
        for beyond in
            ["CREATE TEMP TABLE o (t text); COPY o FROM PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')"]
        {
            let (status, refused) = query(&base, beyond).await;
            assert_eq!((status, &refused["code"]), (403, &json!("insufficient_privilege")), "{refused}");
        }
        let own = "ALTER TABLE kept ADD COLUMN IF NOT EXISTS t text; DROP VIEW IF EXISTS seen; CREATE SCHEMA IF NOT EXISTS mine";
        assert_eq!(query(&base, own).await.0, 200);
        let (_, kept) = query(&base, "SELECT n FROM kept").await;
        assert_eq!(kept["data"], json!([{"n": 7}]), "round {round}");
        // With a file beside, that can be read again; what the private database adds to it stays.
        let text = format!("api: {{host: 127.0.0.1}}\nlimits: {{max_rows: {}}}", 50 + round);
        std::fs::write(&file, text).unwrap();
        let request = crate::harness::http().build().unwrap().post(format!("{base}/admin/reload"));
        let answer = request.header("X-Athena-Key", ADMIN_KEY).send().await.unwrap();
        let (status, told) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        match round {
            0 => assert_eq!(status, 400, "{told}"),
            _ => {
                assert_eq!(
                    told["data"],
                    json!({"applied": ["limits"], "overruled": [], "restart_needed": []})
                );
                let (_, kept) = self::query(&base, "SELECT n FROM kept").await;
                assert_eq!(kept["data"], json!([{"n": 7}]));
            }
        }
        process.signal("-TERM");
        while process.ended().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
