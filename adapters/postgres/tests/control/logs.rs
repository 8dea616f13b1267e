//! Log batches, statistics and retention in a real control database.

use std::sync::Arc;
use std::time::Duration;

use athena_application::contract::{self, log_entry};
use athena_application::ports::{BatchId, LogBatch, LogEntry, LogStore, LoggedKey, StatisticsStore};
use athena_postgres::control::{
    ControlDatabase, PostgresLogStore, PostgresStatistics, Retained, RetentionWindows, TidySettings,
    keep_tidy, migrate, purge_realtime, retain,
};

use crate::snapshot::Control;

struct Logs {
    control: Control,
    store: PostgresLogStore,
    statistics: PostgresStatistics,
}

async fn logs() -> Logs {
    let control = Control::migrated().await;
    let store = PostgresLogStore::new(control.database.clone());
    let statistics = PostgresStatistics::new(control.database.clone());
    Logs { control, store, statistics }
}

#[tokio::test]
async fn the_log_keeps_its_contract() {
    let Logs { control: _control, store, statistics } = logs().await;
    contract::batches_are_written_once(&store, &statistics).await;
    contract::statistics_follow_the_batches(&store, &statistics).await;
    contract::stores_have_names_of_their_own(&store, &logs().await.store).await;
}

#[tokio::test]
async fn a_name_stays_with_the_data_and_is_missing_where_the_schema_is_older() {
    let Logs { control, store, .. } = logs().await;
    let name = store.identity().await.unwrap();
    control.run(&athena_postgres::control::provision_script()).await;
    assert_eq!(store.identity().await.unwrap(), name);
    let again = PostgresLogStore::new(ControlDatabase::open(&control.server.uri()).unwrap());
    assert_eq!(again.identity().await.unwrap(), name);
    let old = Control::empty().await;
    assert_eq!(PostgresLogStore::new(old.database.clone()).identity().await.unwrap(), None);
    let away = ControlDatabase::open("postgres://nobody@127.0.0.1:1/none").unwrap();
    assert!(PostgresLogStore::new(away).identity().await.is_err());
}

#[tokio::test]
async fn rows_hold_what_was_observed() {
    let Logs { control, store, .. } = logs().await;
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('aa', 'k', 's', 'h'); \
              INSERT INTO athena_clients (client_name, pg_uri) VALUES ('Shop', 'postgres://x/y')",
        )
        .await;
    let id: i64 = control.value("SELECT id FROM api_keys").await;
    let mut entries = vec![log_entry("shop", 1, 200, false), log_entry("shop", 2, 404, false)];
    let auth = entries[0].auth.as_mut().unwrap();
    (auth.authenticated, auth.authorized) = (true, true);
    auth.key = Some(LoggedKey { id, external_id: "ee".into(), public_id: "aa".into() });
    auth.granted = r#"["*"]"#.into();
    // A key that is gone.
    let gone = entries[1].auth.as_mut().unwrap();
    gone.key = Some(LoggedKey { id: 4711, external_id: "ff".into(), public_id: "bb".into() });
    store.write(&LogBatch { id: BatchId(7), entries: &entries }).await.unwrap();

    let check = async |sql: &str, expected: &str| {
        let found: Option<String> = control.value(&format!("SELECT ({sql})::text")).await;
        assert_eq!(found.as_deref(), Some(expected), "{sql}");
    };
    let first =
        |column: &str| format!("SELECT {column} FROM gateway_request_log WHERE request_id = 'request-1'");
    check(&first("time"), "1767225601.000001").await;
    check(&first("created_at"), "2026-01-01 00:00:01.000001+00").await;
    check(&first("headers->>'x-athena-client'"), "ü\\\"").await;
    check(&first("user_agent"), "a \"quoted\" agent, \\ and ü").await;
    check(&first("query_string || company_id"), "NOT_FOUNDNOT_FOUND").await;
    check(&first("presented_api_key_hash || presented_api_key_salt"), "[REDACTED][REDACTED]").await;
    check(&first("api_key_id"), "ee").await;
    check(&first("client || status_code || cached"), "shop200false").await;
    check("SELECT string_agg(coalesce(message, '-') || error || coalesce(details->>'error_code', '-'), ',' ORDER BY id) \
           FROM gateway_operation_log", "-false-,notruex").await;
    check("SELECT string_agg(coalesce(api_key_id = {id}, false) || api_key_public_id || client_name, ',' ORDER BY id) \
           FROM api_key_auth_log".replace("{id}", &id.to_string()).as_str(), "trueaaSHOP,falsebbSHOP").await;
    check(
        "SELECT granted_rights || required_rights FROM api_key_auth_log ORDER BY id LIMIT 1",
        r#"["*", "items.read"]"#,
    )
    .await;
    check("SELECT last_used_at FROM api_keys", "2026-01-01 00:00:01.000001+00").await;
    check("SELECT last_seen_at FROM athena_clients", "2026-01-01 00:00:02.000002+00").await;
    check(
        "SELECT string_agg(registry_key || total_hits, ',' ORDER BY registry_key COLLATE \"C\") \
           FROM gateway_connection_registry_realtime",
        "shop|192.0.2.7|https://athena.example|ANON1,shop|192.0.2.7|https://athena.example|aa1",
    )
    .await;
    // A key that is deleted by hand leaves its rows in the log, without the number.
    control.run("DELETE FROM api_keys").await;
    check(
        "SELECT string_agg(coalesce(api_key_id::text, '-') || api_key_public_id, ',' ORDER BY id) FROM api_key_auth_log",
        "-aa,-bb",
    )
    .await;
    // The registry is purged by age, and the keys' version was not touched by any of this.
    assert_eq!(purge_realtime(&control.database, Duration::from_secs(300)).await.unwrap(), 2);
}

/// The connection is cut at any moment of many batches; each is sent again until it is taken.
#[tokio::test]
async fn a_cut_connection_neither_loses_nor_doubles() {
    let Logs { control, statistics, .. } = logs().await;
    let proxy = Arc::new(control.server.proxied().await);
    let store = PostgresLogStore::new(ControlDatabase::open(proxy.uri()).unwrap());
    let cutter = {
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            // Three of four moments leave time for a batch to pass.
            for turn in 0_u64..400 {
                tokio::time::sleep(Duration::from_micros(5_000 + turn * 37_919 % 120_000)).await;
                // Whatever is opened meanwhile is cut at the next turn.
                let _ = tokio::time::timeout(Duration::from_millis(1), proxy.cut()).await;
            }
        })
    };
    let (mut broken, batches) = (0, 60_u32);
    for batch in 0..batches {
        let entries: Vec<_> = (0..25).map(|n| log_entry("cut", batch * 25 + n, 200, false)).collect();
        while store
            .write(&LogBatch { id: BatchId(u128::from(batch) << 64), entries: &entries })
            .await
            .is_err()
        {
            broken += 1;
        }
    }
    cutter.abort();
    assert!(broken > 10, "only {broken} writes were cut");
    let rows: i64 = control.value("SELECT count(*) FROM gateway_request_log").await;
    let distinct: i64 = control.value("SELECT count(DISTINCT request_id) FROM gateway_request_log").await;
    assert_eq!((rows, distinct), (i64::from(batches) * 25, i64::from(batches) * 25), "after {broken} cuts");
    let (of, _) = statistics.of_client("cut").await.unwrap().unwrap();
    assert_eq!((of.total_requests, of.total_operations), (rows, rows));
}

/// Ten gateways write and two refresh at once: no deadlock, and the counts are those of the logs.
#[tokio::test]
async fn gateways_write_side_by_side_while_statistics_are_refreshed() {
    let Logs { control, statistics, .. } = logs().await;
    migrate(&control.database).await.unwrap();
    let uri = control.server.uri();
    let gateways = (0..6_u32).map(|gateway| {
        let store = PostgresLogStore::new(ControlDatabase::open(&uri).unwrap());
        tokio::spawn(async move {
            for batch in 0..25_u32 {
                let number = gateway * 1_000 + batch * 10;
                // Each gateway meets the clients in another order.
                let entries: Vec<_> = (0..10)
                    .map(|n| {
                        log_entry(["a", "b", "c", "d"][((n + gateway) % 4) as usize], number + n, 200, n == 3)
                    })
                    .collect();
                store
                    .write(&LogBatch { id: BatchId(u128::from(number + 1) << 40), entries: &entries })
                    .await
                    .unwrap();
            }
        })
    });
    let gateways: Vec<_> = gateways.collect();
    for _ in 0..10 {
        statistics.refresh().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for gateway in gateways {
        gateway.await.unwrap();
    }
    let counted = statistics.list().await.unwrap();
    assert_eq!(counted.iter().map(|of| of.total_requests).sum::<i64>(), 6 * 25 * 10);
    assert_eq!(counted.iter().map(|of| of.total_cached_requests).sum::<i64>(), 6 * 25);
    statistics.refresh().await.unwrap();
    let numbers = |list: &[athena_application::ports::ClientStatistics]| {
        list.iter()
            .map(|of| (of.client_name.clone(), of.total_requests, of.total_operations, of.last_request_at))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&statistics.list().await.unwrap()), numbers(&counted));
}

#[tokio::test]
async fn clients_of_the_operation_log_alone_appear_after_a_refresh() {
    let Logs { control, statistics, .. } = logs().await;
    control
        .run("INSERT INTO gateway_operation_log (request_id, client, table_name, operation, status_code, \"time\") \
              VALUES ('r', 'Lonely', 't', 'fetch', 500, 0); \
              INSERT INTO client_statistics (client_name, total_requests) VALUES ('stale', 9)")
        .await;
    statistics.refresh().await.unwrap();
    let (of, tables) = statistics.of_client("Lonely").await.unwrap().unwrap();
    assert_eq!((of.total_requests, of.total_operations), (0, 1));
    assert_eq!((tables[0].total_operations, tables[0].error_operations), (1, 1));
    assert!(statistics.of_client("stale").await.unwrap().is_none());
}

#[tokio::test]
async fn old_rows_go_in_bites_and_by_one_gateway() {
    let Logs { control, .. } = logs().await;
    control
        .run("INSERT INTO gateway_request_log (request_id, \"time\", created_at) \
              SELECT n, 0, now() - (CASE WHEN n <= 12000 THEN 10 ELSE 1 END) * interval '1 day' \
              FROM generate_series(1, 12100) AS n; \
              INSERT INTO gateway_operation_log (request_id, \"time\", created_at) VALUES ('old', 0, '2001-01-01'); \
              INSERT INTO gateway_log_batches VALUES (gen_random_uuid(), now() - interval '170 hours'), \
              (gen_random_uuid(), now() - interval '6 days')")
        .await;
    let windows = RetentionWindows {
        request_log: Some(Duration::from_secs(7 * 86_400)),
        ..RetentionWindows::default()
    };
    let expected = [
        Retained { table: "gateway_request_log", rows: 12_000 },
        Retained { table: "gateway_log_batches", rows: 1 },
    ];
    assert_eq!(retain(&control.database, &windows, true).await.unwrap().unwrap(), expected);
    let left =
        "SELECT (SELECT count(*) FROM gateway_request_log) + (SELECT count(*) FROM gateway_operation_log)";
    assert_eq!(control.value::<i64>(left).await, 12_101);

    let mut holder = control.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(x'72657461696e'::int8)").execute(&mut *holder).await.unwrap();
    assert_eq!(retain(&control.database, &windows, false).await.unwrap(), None, "another one is at it");
    sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *holder).await.unwrap();

    assert_eq!(retain(&control.database, &windows, false).await.unwrap().unwrap(), expected);
    assert_eq!(control.value::<i64>(left).await, 101, "the operation log has no window");
    assert_eq!(retain(&control.database, &windows, true).await.unwrap().unwrap()[0].rows, 0);
}

#[tokio::test]
async fn a_dry_run_may_count_for_as_long_as_it_takes() {
    let Logs { control, .. } = logs().await;
    // A table so large that it has rows only for a statement without a bound.
    control
        .run(
            "ALTER TABLE client_alert_queries RENAME TO alerts; \
             CREATE VIEW client_alert_queries AS SELECT n AS id, now() - interval '2 days' AS created_at \
             FROM generate_series(1, 3) n WHERE current_setting('statement_timeout') = '0'",
        )
        .await;
    let windows =
        RetentionWindows { alerts: Some(Duration::from_secs(86_400)), ..RetentionWindows::default() };
    let counted = retain(&control.database, &windows, true).await.unwrap().unwrap();
    assert_eq!(counted[0], Retained { table: "client_alert_queries", rows: 3 });
    let bound: String = control.value("SHOW statement_timeout").await;
    assert_eq!(bound, "30s", "nobody else's statements lose their bound");
}

#[tokio::test]
async fn a_slow_retention_does_not_keep_the_purge_waiting() {
    let Logs { control, .. } = logs().await;
    let old = "INSERT INTO gateway_connection_registry_realtime (registry_key, client_name, ipv4, athena_url, last_seen_at) \
               VALUES ('k', 'c', 'i', 'u', now() - interval '1 hour')";
    let left =
        async || control.value::<i64>("SELECT count(*) FROM gateway_connection_registry_realtime").await == 1;
    let mut holder = sqlx::PgPool::connect(&control.server.uri()).await.unwrap().begin().await.unwrap();
    let rows = "INSERT INTO gateway_request_log (request_id, \"time\", created_at) \
                VALUES ('old', 0, now() - interval '1 minute'), ('new', 0, now() + interval '1 hour')";
    control.run(rows).await;
    sqlx::raw_sql("LOCK TABLE gateway_request_log").execute(&mut *holder).await.unwrap();
    let windows =
        RetentionWindows { request_log: Some(Duration::from_secs(1)), ..RetentionWindows::default() };
    let settings = TidySettings {
        windows,
        first: Duration::from_millis(1),
        every: Duration::from_secs(3600),
        inactive: Duration::from_secs(60),
        purge_every: Duration::from_millis(50),
    };
    let tidying = tokio::spawn(keep_tidy(control.database.clone(), settings));
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND query LIKE 'DELETE FROM gateway_request_log%')";
    while !control.value::<bool>(waiting).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    control.run(old).await;
    let purged = tokio::time::timeout(Duration::from_secs(10), async {
        while left().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    purged.await.expect("the purge goes on while retention waits");
    assert!(control.value::<bool>(waiting).await, "retention still waits");
    holder.rollback().await.unwrap();
    let old_log = "SELECT count(*) FROM gateway_request_log";
    let retained = tokio::time::timeout(Duration::from_secs(10), async {
        while control.value::<i64>(old_log).await != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    retained.await.expect("what is old has gone by itself");
    tidying.abort();
}

#[tokio::test]
async fn made_up_hosts_do_not_fill_the_registry_of_live_connections() {
    let Logs { control, store, .. } = logs().await;
    let entries: Vec<_> = (0..500)
        .map(|number| LogEntry {
            origin: Some(format!("http://made-up-{number}").into()),
            ..log_entry("shop", number, 200, false)
        })
        .collect();
    for (batch, entries) in entries.chunks(50).enumerate() {
        store.write(&LogBatch { id: BatchId(batch as u128 + 1), entries }).await.unwrap();
    }
    let rows: i64 = control.value("SELECT count(*) FROM gateway_connection_registry_realtime").await;
    assert_eq!(rows, 65, "64 by their names, and one for all others");
    let others: i64 = control
        .value("SELECT total_hits FROM gateway_connection_registry_realtime WHERE athena_url = 'OTHER'")
        .await;
    assert_eq!(others, 500 - 64);
}

#[tokio::test]
async fn every_age_by_which_rows_are_thrown_away_has_an_index() {
    let Logs { control, .. } = logs().await;
    for (table, column) in [
        ("gateway_request_log", "created_at"),
        ("gateway_operation_log", "created_at"),
        ("api_key_auth_log", "time"),
        ("client_connections", "recorded_at"),
        ("gateway_log_batches", "written_at"),
        ("gateway_connection_registry_realtime", "last_seen_at"),
    ] {
        let first: bool = control
            .value(&format!(
                "SELECT EXISTS (SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
                 WHERE indrelid = '{table}'::regclass AND attname = '{column}')"
            ))
            .await;
        assert!(first, "{table}.{column}");
    }
}
