//! One schema, whichever way and however often it is made.

use athena_postgres::control::{
    ControlDatabase, EXPECTED_TABLES, MigrateFailure, Migrated, check_schema, migrate, migration_status,
    provision_script,
};

use crate::snapshot::{Control, same_catalog};

pub const MIGRATIONS: usize = 9;

#[tokio::test]
async fn ten_gateways_start_at_once_on_an_empty_database() {
    let control = Control::empty().await;
    let mut gateways = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let uri = control.server.uri();
        gateways.spawn(async move {
            let database = ControlDatabase::open(&uri).unwrap();
            migrate(&database).await.unwrap()
        });
    }
    let done = gateways.join_all().await;
    assert_eq!(done.iter().map(|migrated| migrated.applied).sum::<usize>(), MIGRATIONS, "{done:?}");
    assert!(done.iter().all(|migrated| migrated.total == MIGRATIONS), "{done:?}");
    let tables = control.tables().await;
    for table in EXPECTED_TABLES {
        assert!(tables.iter().any(|found| found == table), "{table} is missing");
    }
    let again = migrate(&control.database).await.unwrap();
    assert_eq!(again, Migrated { applied: 0, total: MIGRATIONS });
}

/// A table that somebody adds is open or closed by a line in `domain/src/access/shield.rs`, not by an oversight.
#[tokio::test]
async fn it_is_settled_of_every_table_who_reaches_it_through_the_gateway() {
    let control = Control::migrated().await;
    let made: Vec<String> = control
        .value(
            "SELECT array_agg(relname::text) FROM pg_class WHERE relnamespace = 'public'::regnamespace \
             AND relkind IN ('r', 'v', 'm', 'f', 'p')",
        )
        .await;
    for table in &made {
        assert!(athena_domain::access::openness(table).is_some(), "{table}: a line for it is missing");
    }
    // Made where rows of 2.9.0 have to be kept aside, and there alone.
    let rare = "api_key_client_config_superseded";
    for table in athena_domain::access::control_tables() {
        assert!(table == rare || made.iter().any(|found| found == table), "{table}: there is no such table");
    }
}

#[tokio::test]
async fn the_status_tells_what_has_run() {
    let control = Control::empty().await;
    let before = migration_status(&control.database).await.unwrap();
    assert_eq!((before.applied.len(), before.pending.len(), before.unknown.len()), (0, MIGRATIONS, 0));
    assert!(matches!(check_schema(&control.database).await, Err(MigrateFailure::Pending(_))));
    assert!(control.tables().await.is_empty(), "a check changes nothing");
    migrate(&control.database).await.unwrap();
    assert_eq!(check_schema(&control.database).await.unwrap(), Migrated { applied: 0, total: MIGRATIONS });
    // A newer gateway was here. An older one still starts.
    control.run("INSERT INTO _sqlx_migrations VALUES (4711, 'of the future', now(), true, '\\x00', 0)").await;
    assert_eq!(migrate(&control.database).await.unwrap().applied, 0);
    let after = migration_status(&control.database).await.unwrap();
    assert_eq!((after.applied.len(), after.pending.len()), (MIGRATIONS + 1, 0));
    assert_eq!(after.unknown, [4711]);
}

#[tokio::test]
async fn a_migration_that_ran_with_another_text_is_found_out() {
    let control = Control::migrated().await;
    control.run("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    let error = migrate(&control.database).await.unwrap_err();
    assert!(matches!(error, MigrateFailure::Altered(2)), "{error:?}");
    // The lock is free again.
    control.run("UPDATE _sqlx_migrations SET success = true; DELETE FROM _sqlx_migrations").await;
    assert_eq!(migrate(&control.database).await.unwrap().applied, MIGRATIONS);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let control = Control::with("CREATE VIEW query_history AS SELECT 1 AS id").await;
    let error = migrate(&control.database).await.unwrap_err();
    assert!(matches!(error, MigrateFailure::Refused { version: 2, .. }), "{error:?}");
    let tables = control.tables().await;
    assert!(tables.contains(&"api_keys".to_owned()), "the one before it stays");
    assert!(!tables.contains(&"saved_queries".to_owned()), "nothing of it stays");
    control.run("DROP VIEW query_history").await;
    migrate(&control.database).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_unreachable() {
    let database = ControlDatabase::open("postgres://nobody:secret@127.0.0.1:1/none").unwrap();
    let error = migrate(&database).await.unwrap_err();
    assert!(matches!(error, MigrateFailure::Unreachable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn the_script_for_operators_is_made_of_the_migrations() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/provision.sql");
    if std::env::var_os("ATHENA_WRITE_PROVISION").is_some() {
        std::fs::write(path, provision_script()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == provision_script(), "sql/provision.sql is old; its head says how it is made");
}

#[tokio::test]
async fn the_script_and_the_migrations_make_the_same_schema() {
    let script = provision_script();
    let by_hand = Control::empty().await;
    by_hand.run(&script).await;
    let migrated = Control::migrated().await;
    same_catalog(&by_hand.catalog().await, &migrated.catalog().await, "by hand");

    let rows = by_hand.rows(true).await;
    by_hand.run(&script).await;
    same_catalog(&by_hand.catalog().await, &migrated.catalog().await, "by hand, twice");
    assert_eq!(by_hand.rows(true).await, rows, "the second run writes nothing");

    // Each accepts what the other made, also where nothing says that it was made.
    assert_eq!(migrate(&by_hand.database).await.unwrap().applied, 0);
    by_hand.run("DROP TABLE _sqlx_migrations").await;
    assert_eq!(migrate(&by_hand.database).await.unwrap().applied, MIGRATIONS);
    same_catalog(&by_hand.catalog().await, &migrated.catalog().await, "migrated after it was made by hand");
    assert_eq!(by_hand.rows(true).await, rows, "the migrations write nothing");
    let (before, rows) = (migrated.catalog().await, migrated.rows(true).await);
    migrated.run(&script).await;
    same_catalog(&migrated.catalog().await, &before, "by hand after it was migrated");
    assert_eq!(migrated.rows(true).await, rows, "the script writes nothing");
    assert_eq!(migrate(&migrated.database).await.unwrap().applied, 0);
}

#[tokio::test]
async fn everything_goes_to_public_whatever_the_search_path_is() {
    let control = Control::empty().await;
    let database = control.server.name();
    control
        .run(&format!(
            "CREATE SCHEMA elsewhere; ALTER DATABASE {database} SET search_path = elsewhere, public"
        ))
        .await;
    let other = ControlDatabase::open(&control.server.uri()).unwrap();
    migrate(&other).await.unwrap();
    let count: i64 =
        control.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'elsewhere'::regnamespace").await;
    assert_eq!(count, 0);
}

/// What an operator has set up serves a gateway whose role may not create anything.
#[tokio::test]
async fn a_role_that_only_reads_and_writes_can_start() {
    let control = Control::empty().await;
    control.run(&provision_script()).await;
    let role = format!("{}_gateway", control.server.name());
    control
        .run(&format!(
            "CREATE ROLE {role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
    let uri = control.server.uri();
    let mark = if uri.contains('?') { '&' } else { '?' };
    let restricted = ControlDatabase::open(&format!("{uri}{mark}options=-c%20role%3D{role}")).unwrap();
    let user: String =
        sqlx::query_scalar("SELECT current_user::text").fetch_one(restricted.pool()).await.unwrap();
    assert_eq!(user, role);
    let migrated = migrate(&restricted).await;
    let written = sqlx::raw_sql(
        "INSERT INTO gateway_request_log (request_id, \"time\") VALUES ('a', 1); \
         INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('a', 'a', 's', 'h')",
    )
    .execute(restricted.pool())
    .await;
    restricted.close().await;
    control.run("DROP TABLE _sqlx_migrations").await;
    let again = ControlDatabase::open(&format!("{uri}{mark}options=-c%20role%3D{role}")).unwrap();
    let refused = migrate(&again).await;
    let unchecked = check_schema(&again).await;
    again.close().await;
    control.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(migrated.unwrap().applied, 0);
    written.unwrap();
    let refused = refused.unwrap_err();
    assert!(matches!(refused, MigrateFailure::Forbidden(_)), "it answers, and says no: {refused:?}");
    let unchecked = unchecked.unwrap_err();
    assert!(matches!(&unchecked, MigrateFailure::Pending(all) if all.len() == MIGRATIONS), "{unchecked:?}");
}
