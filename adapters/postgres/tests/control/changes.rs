//! What counts as a change of keys or clients, and what does not.

use std::time::Duration;

use athena_application::ports::{ClientStore as _, KeyStore as _};
use athena_domain::access::{NewCredential, RANDOM_BYTES};
use athena_postgres::control::{PostgresClientStore, PostgresKeyStore};

use crate::snapshot::Control;

async fn versions(control: &Control) -> (i64, i64) {
    let area = async |name| {
        control.value(&format!("SELECT version FROM athena_control_version WHERE area = '{name}'")).await
    };
    (area("keys").await, area("clients").await)
}

#[tokio::test]
async fn every_change_counts_and_idle_writes_do_not() {
    let control = Control::migrated().await;
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('a', 'a', 's', 'h');
             INSERT INTO athena_clients (client_name, pg_uri) VALUES ('a', 'x');
             INSERT INTO api_key_client_config (client_name) VALUES ('a')",
        )
        .await;
    let check = async |sql: &str, keys: bool, clients: bool| {
        let before = versions(&control).await;
        control.run(sql).await;
        let after = versions(&control).await;
        assert_eq!((after.0 > before.0, after.1 > before.1), (keys, clients), "{sql}");
    };
    for sql in [
        "UPDATE api_keys SET name = 'b'",
        "UPDATE api_keys SET is_active = false, updated_at = now()",
        "UPDATE api_keys SET row_filters = '{}'",
        "UPDATE api_keys SET previous_valid_until = now()",
        "INSERT INTO api_key_right_grants (api_key_id, right_id) SELECT api_keys.id, api_key_rights.id FROM api_keys, api_key_rights",
        "DELETE FROM api_key_rights WHERE name = 'schema.read'",
        "UPDATE api_key_config SET enforce_api_keys = true",
        "UPDATE api_key_client_config SET mode = 'warn'",
        "DELETE FROM api_key_client_config",
        "TRUNCATE api_key_right_grants",
        "DELETE FROM api_keys",
        "TRUNCATE api_keys CASCADE",
    ] {
        check(sql, true, false).await;
    }
    for sql in [
        "UPDATE athena_clients SET is_frozen = true",
        "UPDATE athena_clients SET pg_uri = 'y', updated_at = now()",
        "UPDATE athena_clients SET deleted_at = now()",
        "DELETE FROM athena_clients",
        "TRUNCATE athena_clients",
    ] {
        check(sql, false, true).await;
    }
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('a', 'a', 's', 'h');
             INSERT INTO athena_clients (client_name, pg_uri) VALUES ('a', 'x');",
        )
        .await;
    for sql in [
        "UPDATE api_keys SET last_used_at = now()",
        "UPDATE api_keys SET last_used_at = now(), updated_at = now()",
        "UPDATE athena_clients SET last_seen_at = now(), updated_at = now()",
        "UPDATE api_key_config SET updated_at = now()",
        "BEGIN; UPDATE api_keys SET name = 'c'; ROLLBACK",
        "INSERT INTO api_key_auth_log (request_id, method, path) VALUES ('a', 'b', 'c')",
        "INSERT INTO client_statistics (client_name) VALUES ('a')",
    ] {
        check(sql, false, false).await;
    }
}

#[tokio::test]
async fn every_column_that_matters_counts() {
    let control = Control::migrated().await;
    let quiet = ["created_at", "updated_at", "last_used_at", "last_seen_at", "last_synced_from_config_at"];
    for table in [
        "api_keys",
        "api_key_rights",
        "api_key_right_grants",
        "api_key_config",
        "api_key_client_config",
        "athena_clients",
    ] {
        let columns: Vec<String> = control
            .value(&format!(
                "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = '{table}'::regclass \
                 AND attnum > 0 AND NOT attisdropped"
            ))
            .await;
        for column in columns.iter().filter(|column| !quiet.contains(&column.as_str())) {
            // Numbers of rows that nobody refers to may change unseen.
            if column == "id" || (column.ends_with("_id") && column.starts_with("api_key_")) {
                continue;
            }
            let before = versions(&control).await;
            control.run(&format!("UPDATE {table} SET {column} = {column} WHERE false")).await;
            assert_ne!(versions(&control).await, before, "{table}.{column}");
        }
    }
}

/// Whoever may write keys need not have rights on the versions.
#[tokio::test]
async fn another_role_is_counted_as_well() {
    let control = Control::migrated().await;
    let role = format!("{}_operator", control.server.name());
    control.run(&format!("CREATE ROLE {role}; GRANT UPDATE, SELECT ON api_key_config TO {role}")).await;
    let before = versions(&control).await;
    control
        .run(&format!("BEGIN; SET LOCAL ROLE {role}; UPDATE api_key_config SET mode = 'warn'; COMMIT"))
        .await;
    let after = versions(&control).await;
    control.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(after.0, before.0 + 1);
}

/// Two changes wait for each other; neither is sacrificed.
#[tokio::test]
async fn changes_do_not_lock_each_other_out() {
    let control = Control::migrated().await;
    control
        .run("INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('a', 'a', 's', 'h'), ('b', 'b', 's', 'h')")
        .await;
    let before = versions(&control).await;
    let writer = async |first: &'static str, second: &'static str| {
        let mut transaction = control.pool().begin().await.unwrap();
        for key in [first, second] {
            sqlx::query("UPDATE api_keys SET name = name || '+' WHERE public_id = $1")
                .bind(key)
                .execute(&mut *transaction)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        transaction.commit().await.unwrap();
    };
    for _ in 0..5 {
        tokio::join!(writer("a", "b"), writer("b", "a"), writer("a", "b"));
    }
    assert_eq!(versions(&control).await.0, before.0 + 30);
    let names: String = control.value("SELECT string_agg(DISTINCT right(name, -1), ',') FROM api_keys").await;
    assert_eq!(names, "+".repeat(15));
}

/// Another gateway that has counted its change first gets the row that it wants next, whatever we want to change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_through_a_store_waits_before_it_locks_anything() {
    let control = Control::migrated().await;
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('a', 'a', 's', 'h');
             INSERT INTO athena_clients (client_name, pg_uri) VALUES ('a', 'x')",
        )
        .await;
    let id: String = control.value("SELECT api_keys_id::text FROM api_keys").await;
    let keys = PostgresKeyStore::new(control.database.clone());
    let clients = PostgresClientStore::new(control.database.clone());
    let credential = NewCredential::new(&[7; RANDOM_BYTES]);
    let other = async |table: &str, column: &str| {
        let mut transaction = control.pool().begin().await.unwrap();
        let counted = format!("UPDATE {table} SET {column} = {column} WHERE false");
        sqlx::raw_sql(sqlx::AssertSqlSafe(counted)).execute(&mut *transaction).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let changed = format!("UPDATE {table} SET {column} = {column} || '+'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(changed)).execute(&mut *transaction).await.expect("no deadlock");
        transaction.commit().await.unwrap();
    };
    let later = || tokio::time::sleep(Duration::from_millis(100));
    let ours = async {
        later().await;
        keys.update(&id, &|fields| fields.name.push('!'), Some(&[])).await.expect("no deadlock").unwrap()
    };
    let ((), record) = tokio::join!(other("api_keys", "name"), ours);
    assert_eq!(record.fields.name, "a+!", "the later change is made on what the earlier one left");
    let ours = async {
        later().await;
        keys.rotate(&id, &credential, 1).await.expect("no deadlock").unwrap()
    };
    let ((), record) = tokio::join!(other("api_keys", "name"), ours);
    assert_eq!(record.fields.name, "a+!+");
    let ours = async {
        later().await;
        let change = |fields: &mut athena_application::ports::ClientFields| fields.is_frozen = true;
        clients.update("a+", &change).await.expect("no deadlock")
    };
    let ((), record) = tokio::join!(other("athena_clients", "client_name"), ours);
    assert!(record.is_some_and(|record| record.is_frozen), "found under its new name");
}
