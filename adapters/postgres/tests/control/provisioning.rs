//! Provisioning any database through the port.

use athena_application::ports::{ProvisionFailure, Provisioner};
use athena_postgres::control::{EXPECTED_TABLES, PostgresProvisioner, migrate};
use athena_test_support::PgBouncer;

use crate::snapshot::{Control, same_catalog};

#[tokio::test]
async fn an_empty_database_is_provisioned_and_may_be_again() {
    let control = Control::empty().await;
    let uri = control.server.uri();
    let before = PostgresProvisioner.status(&uri).await.unwrap();
    assert_eq!((before.present.len(), before.missing.len()), (0, 25));
    assert!(!before.is_complete());
    assert_eq!(before.missing, EXPECTED_TABLES);

    let first = PostgresProvisioner.provision(&uri).await.unwrap();
    assert!(first.statements > 80, "{first:?}");
    assert_eq!(first.tables, control.tables().await);
    let status = PostgresProvisioner.status(&uri).await.unwrap();
    assert!(status.is_complete(), "{status:?}");
    assert_eq!(status.present, EXPECTED_TABLES);

    let rows = control.rows(true).await;
    assert_eq!(PostgresProvisioner.provision(&uri).await.unwrap(), first);
    assert_eq!(control.rows(true).await, rows);
    same_catalog(&control.catalog().await, &Control::migrated().await.catalog().await, "provisioned");
    assert_eq!(migrate(&control.database).await.unwrap().applied, 0);

    control.run("DROP TABLE feedback, backup_schedules").await;
    let status = PostgresProvisioner.status(&uri).await.unwrap();
    assert_eq!(status.missing, ["feedback", "backup_schedules"]);
}

#[tokio::test]
async fn several_gateways_may_provision_and_migrate_at_once() {
    let control = Control::empty().await;
    let uri = control.server.uri();
    let (a, b, c, d) = tokio::join!(
        PostgresProvisioner.provision(&uri),
        migrate(&control.database),
        PostgresProvisioner.provision(&uri),
        PostgresProvisioner.provision(&uri),
    );
    assert_eq!(a.unwrap(), c.unwrap());
    // Whoever was first has made everything.
    assert!([0, crate::migrations::MIGRATIONS].contains(&b.unwrap().applied));
    d.unwrap();
}

#[tokio::test]
async fn a_refused_statement_is_named_and_nothing_stays() {
    let control = Control::with("CREATE VIEW feedback AS SELECT 1 AS id").await;
    let error = PostgresProvisioner.provision(&control.server.uri()).await.unwrap_err();
    let ProvisionFailure::Statement { number, total, .. } = &error else { panic!("{error:?}") };
    assert!(1 < *number && number < total, "{error}");
    assert!(error.to_string().starts_with(&format!("statement {number}/{total} failed: ")), "{error}");
    assert!(error.to_string().contains("\"feedback\""), "{error}");
    assert!(control.tables().await.is_empty());
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_without_its_address() {
    let check = async |uri: &str, expected: &str| {
        for error in [
            PostgresProvisioner.provision(uri).await.unwrap_err(),
            PostgresProvisioner.status(uri).await.unwrap_err(),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    };
    check(
        "postgres://someone:hunter2@127.0.0.1:1/none",
        "failed to connect to Postgres: the server cannot be reached",
    )
    .await;
    let control = Control::empty().await;
    let absent = control.server.uri().replace(control.server.name(), "absent_database");
    check(&absent, "failed to connect to Postgres: the server has no such database").await;
    let invalid = PostgresProvisioner.provision("hunter2 is no URI").await.unwrap_err();
    assert!(matches!(invalid, ProvisionFailure::InvalidTarget(_)), "{invalid:?}");
    assert!(!format!("{invalid} {invalid:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_transaction_pooler_may_stand_in_between() {
    if PgBouncer::program().is_none() {
        return;
    }
    let control = Control::empty().await;
    let pooler = PgBouncer::in_front_of(&control.server.uri(), 2, "").await;
    for _ in 0..2 {
        let (a, b) = tokio::join!(
            PostgresProvisioner.provision(pooler.uri()),
            PostgresProvisioner.provision(pooler.uri())
        );
        assert_eq!(a.unwrap(), b.unwrap());
    }
    assert!(PostgresProvisioner.status(pooler.uri()).await.unwrap().is_complete());
}
