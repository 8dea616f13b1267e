//! Databases of 2.9.0, and ones that lack something, come forward without losing a row.

use std::collections::BTreeSet;

use athena_postgres::control::{migrate, provision_script};

use crate::snapshot::{Control, same_catalog};

/// A database as 2.9.0 leaves it: the tables that its provisioning forgets are missing, and so are a few
/// columns and indexes.
const OLD_SHAPE: &str = include_str!("v2_9_0.sql");

/// Tables that 2.9.0 does not know, and whose columns are not added one by one.
const NEW: [&str; 4] = [
    "api_key_client_config_superseded",
    "athena_control_identity",
    "athena_control_version",
    "gateway_log_batches",
];

#[tokio::test]
async fn a_database_of_2_9_0_keeps_every_row() {
    let old = Control::with(OLD_SHAPE).await;
    let before = old.rows(false).await;
    assert!(before.values().all(|rows| !rows.is_empty()), "every old table has rows");
    migrate(&old.database).await.unwrap();
    let fresh = Control::migrated().await;
    same_catalog(&old.catalog().await, &fresh.catalog().await, "the old database");
    for (table, rows) in before {
        for row in rows {
            let place = match table.as_str() {
                // One of two rows for the same client has moved.
                "api_key_client_config" => "(SELECT to_jsonb(a) AS kept FROM api_key_client_config AS a \
                      UNION ALL SELECT to_jsonb(b) FROM api_key_client_config_superseded AS b) AS r"
                    .to_owned(),
                _ => format!("(SELECT to_jsonb(a) AS kept FROM {table} AS a) AS r"),
            };
            let ignored = match table.as_str() {
                "athena_clients" => "- 'is_active'",
                _ => "",
            };
            let found: i64 = old
                .value(&format!(
                    "SELECT count(*) FROM {place} WHERE kept @> ({}::jsonb {ignored})",
                    sqlx_quote(&row)
                ))
                .await;
            assert_eq!(found, 1, "{table}: {row}");
        }
    }
    // A second gateway finds nothing to do, and neither does an operator.
    assert_eq!(migrate(&old.database).await.unwrap().applied, 0);
    let rows = old.rows(true).await;
    old.run(&provision_script()).await;
    assert_eq!(old.rows(true).await, rows);
}

fn sqlx_quote(text: &str) -> String {
    format!("$row${text}$row$")
}

#[tokio::test]
async fn policy_of_2_9_0_stays_closed() {
    let old = Control::with(OLD_SHAPE).await;
    migrate(&old.database).await.unwrap();
    let global: String = old
        .value("SELECT mode FROM api_key_config WHERE api_key_config_id = '00000000-0000-0000-0000-000000000000'")
        .await;
    assert_eq!(global, "enforce");
    // `Demo` enforces, `demo` is newer and does not: nothing is opened, and the other row is kept aside.
    let policy: String = old
        .value("SELECT string_agg(client_name || ' ' || mode || ' ' || enforce_api_keys, ', ' ORDER BY client_name) FROM api_key_client_config")
        .await;
    assert_eq!(policy, "Demo enforce true, other off false");
    let aside: String =
        old.value("SELECT client_name || ' ' || mode FROM api_key_client_config_superseded").await;
    assert_eq!(aside, "demo off");
}

#[tokio::test]
async fn of_two_clients_with_one_name_the_newest_serves() {
    let old = Control::with(OLD_SHAPE).await;
    migrate(&old.database).await.unwrap();
    let clients: String = old
        .value(
            "SELECT string_agg(client_name || ' ' || is_active || ' ' || (deleted_at IS NULL), ', ' ORDER BY id) \
             FROM athena_clients",
        )
        .await;
    assert_eq!(clients, "reporting true true, Twice false false, twice true true");
}

#[tokio::test]
async fn request_ids_may_be_used_twice() {
    let old = Control::with(OLD_SHAPE).await;
    migrate(&old.database).await.unwrap();
    old.run(
        "INSERT INTO api_key_auth_log (request_id, api_key_public_id, method, path) \
             SELECT 'same', 'same', 'POST', '/' FROM generate_series(1, 3)",
    )
    .await;
}

/// Takes one column from every table, for each place that a column can have, and brings all back.
#[tokio::test]
async fn every_missing_column_comes_back() {
    let control = Control::migrated().await;
    let expected = control.catalog().await;
    let script = provision_script();
    let mut tables = Vec::new();
    for table in control.tables().await.into_iter().filter(|table| !NEW.contains(&table.as_str())) {
        let columns: Vec<String> = control
            .value(&format!(
                "SELECT array_agg(quote_ident(attname) ORDER BY attnum) FROM pg_attribute \
                 WHERE attrelid = '{table}'::regclass AND attnum > 0"
            ))
            .await;
        tables.push((table, columns));
    }
    let widest = tables.iter().map(|(_, columns)| columns.len()).max().unwrap();
    assert!(widest >= 26, "the request log alone has 26 columns");
    for place in 0..widest {
        let drop: String = tables
            .iter()
            .filter_map(|(table, columns)| Some((table, columns.get(place)?)))
            .map(|(table, column)| format!("ALTER TABLE {table} DROP COLUMN {column} CASCADE;"))
            .collect();
        control
            .run(&format!("DELETE FROM api_key_rights; DELETE FROM api_key_config; {drop} {script}"))
            .await;
        same_catalog(&control.catalog().await, &expected, &drop);
    }
}

#[tokio::test]
async fn every_missing_table_constraint_index_and_trigger_comes_back() {
    let control = Control::migrated().await;
    let expected = control.catalog().await;
    let script = provision_script();
    let drops = [
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) \
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'p'",
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) \
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = 'p' \
         AND conrelid::regclass::text NOT IN \
         ('api_key_client_config_superseded', 'athena_control_identity', 'athena_control_version', 'gateway_log_batches', '_sqlx_migrations')",
        "SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index \
         JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace \
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
        "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT format('DROP FUNCTION %s CASCADE', oid::regprocedure) FROM pg_proc \
         WHERE pronamespace = 'public'::regnamespace",
    ];
    for drop in drops {
        let dropped = control.value::<i64>(&format!("SELECT count(*) FROM ({drop}) AS drops")).await;
        assert!(dropped > 1, "{drop}");
        control
            .run(&format!(
                "DO $drop$ DECLARE drop text; BEGIN FOR drop IN {drop} LOOP EXECUTE drop; END LOOP; END $drop$"
            ))
            .await;
        let left: BTreeSet<String> = control.catalog().await;
        assert_ne!(left, expected, "{drop}");
        control.run(&script).await;
        same_catalog(&control.catalog().await, &expected, drop);
    }
    for table in control.tables().await {
        control.run(&format!("DROP TABLE {table} CASCADE")).await;
        control.run(&script).await;
        same_catalog(&control.catalog().await, &expected, &table);
    }
}
