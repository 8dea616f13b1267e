//! Keys, rights and policy in a real control database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use athena_application::ports::{EnforcementStore as _, KeyFields, KeyStore, PortErrorKind};
use athena_application::{access_loader, contract};
use athena_domain::access::{Credential, KeyOperation, Keys, Mode, NewCredential, RANDOM_BYTES};
use athena_postgres::control::{ControlDatabase, PostgresKeyStore};

use crate::snapshot::Control;

fn store(control: &Control) -> PostgresKeyStore {
    PostgresKeyStore::new(control.database.clone())
}

async fn keys(control: &Control) -> Keys {
    access_loader::load(&store(control)).await.unwrap()
}

fn fits(keys: &Keys, text: &str) -> bool {
    let credential = Credential::parse(text).unwrap();
    let key = keys.find(credential.public_id);
    key.is_some_and(|key| key.fits(credential, std::time::SystemTime::now()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_of_key_stores() {
    let control = Control::migrated().await;
    contract::key_store(Arc::new(store(&control))).await;
}

/// Salt and hash as 2.9.0 wrote them: SHA-256 of `{salt}:{secret}`.
#[tokio::test]
async fn keys_of_2_9_0_verify() {
    let control = Control::migrated().await;
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash, client_name)
             SELECT 'old0', 'old', 'salt', encode(sha256(convert_to('salt:secret', 'UTF8')), 'hex'), ' DEMO ';
             INSERT INTO api_keys (public_id, name, key_salt, key_hash) VALUES ('torn', 'torn', 's', 'h');
             UPDATE api_key_config SET enforce_api_keys = true;
             INSERT INTO api_key_client_config (client_name, enforce_api_keys) VALUES (' Demo', false)",
        )
        .await;
    let hash: String = control.value("SELECT key_hash FROM api_keys WHERE public_id = 'old0'").await;
    assert_eq!(hash, "e0daae7ddca6117bae5f642d182bf4c456a16fe195e74ccb38714372c533f828");
    let keys = keys(&control).await;
    assert!(fits(&keys, "ath_old0.secret") && !fits(&keys, "ath_old0.Secret"));
    assert!(keys.find("old0").unwrap().is_for(Some("demo")) && !keys.find("old0").unwrap().is_for(Some("x")));
    assert!(!fits(&keys, "ath_torn.h"), "a hash that is none fits nothing");
    assert_eq!((keys.policy.mode(None), keys.policy.mode(Some("demo"))), (Mode::Enforce, Mode::Off));
}

/// Whether the key opens the table `public.users` of the client `shop` to its secret.
fn opens(keys: &Keys, new: &NewCredential) -> bool {
    let now = std::time::SystemTime::now();
    let key = keys.find(&new.public_id).expect("it stays known");
    fits(keys, new.reveal())
        && key.is_active
        && key.expires_at.is_none_or(|end| end > now)
        && key.is_for(Some("shop"))
        && key.scope.allows(KeyOperation::Fetch)
        && key.scope.allows_table("public", "users", "public")
}

#[tokio::test]
async fn what_somebody_wrote_by_hand_concerns_its_own_key_alone() {
    let control = Control::migrated().await;
    let store = store(&control);
    let fields = KeyFields { name: "k".to_owned(), is_active: true, ..KeyFields::default() };
    let other = NewCredential::new(&[200; RANDOM_BYTES]);
    store.create(&other, &fields, &["*".to_owned()]).await.unwrap();
    for (byte, set, expected) in [
        (1, "name = name", true),
        (2, "clients = '{NULL}'", false),
        (3, "clients = '{NULL,shop}'", true),
        (4, "clients = '{{shop},{x}}'", false),
        (5, "operations = '{NULL}'", false),
        (6, "tables = '{NULL}'", false),
        (7, "expires_at = 'infinity'", true),
        (8, "expires_at = '-infinity'", false),
        (9, "expires_at = '10001-01-01'", true),
        (10, "created_at = 'infinity', updated_at = '4713-01-01 BC', last_used_at = '-infinity'", true),
        (11, "previous_key_salt = 'a', previous_key_hash = 'b', previous_valid_until = 'infinity'", true),
    ] {
        let new = NewCredential::new(&[byte; RANDOM_BYTES]);
        store.create(&new, &fields, &["*".to_owned()]).await.unwrap();
        control.run(&format!("UPDATE api_keys SET {set} WHERE public_id = '{}'", new.public_id)).await;
        let keys = keys(&control).await;
        assert_eq!(opens(&keys, &new), expected, "{set}");
        assert!(opens(&keys, &other), "{set}");
        let listed = store.keys().await.unwrap();
        let id = &listed.iter().find(|record| record.public_id == new.public_id).expect(set).id;
        assert!(store.update(id, &|fields| fields.name = "mended".to_owned(), None).await.is_ok(), "{set}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_permits_nothing() {
    let control = Control::migrated().await;
    let store = store(&control);
    for (byte, set) in [
        (1, "row_filters = '{\"users\":[{\"eq_column\":\"id\"}]}'"),
        (2, "row_filters = '[]'"),
        (3, "operations = '{fetch,feed}'"),
        (4, "tables = '{a.b.c}'"),
        (5, "columns = '{\"users\":\"id\"}'"),
        (6, "budget = '{\"concurrent\":\"many\"}'"),
        (7, "budget = '7'"),
    ] {
        let new = NewCredential::new(&[byte; RANDOM_BYTES]);
        let fields = KeyFields { name: "k".to_owned(), is_active: true, ..KeyFields::default() };
        store.create(&new, &fields, &["*".to_owned()]).await.unwrap();
        control.run(&format!("UPDATE api_keys SET {set} WHERE public_id = '{}'", new.public_id)).await;
        let keys = keys(&control).await;
        let key = keys.find(&new.public_id).expect("it stays known");
        assert!(!key.scope.allows_table("public", "users", "public"), "{set}");
        assert_eq!(key.scope.operations.as_deref(), Some(&[][..]), "{set}");
        assert!(store.keys().await.unwrap().iter().any(|record| record.public_id == new.public_id), "{set}");
    }
}

#[tokio::test]
async fn an_absent_global_row_demands_nothing_and_can_be_set() {
    let control = Control::migrated().await;
    let store = store(&control);
    control.run("DELETE FROM api_key_config").await;
    assert_eq!(keys(&control).await.policy.mode(None), Mode::Off);
    assert_eq!(store.global().await.unwrap().mode, Mode::Off);
    assert_eq!(store.set_global(Mode::Warn).await.unwrap().mode, Mode::Warn);
    assert_eq!(keys(&control).await.policy.mode(None), Mode::Warn);
}

#[tokio::test]
async fn a_database_that_is_away_is_told_apart() {
    let database = ControlDatabase::open("postgres://nobody@127.0.0.1:1/none").unwrap();
    let Err(error) = PostgresKeyStore::new(database).load(&mut |_| {}).await else {
        panic!("nothing listens there")
    };
    assert!(matches!(error.kind, PortErrorKind::Unavailable), "{error:?}");
}

/// Ten thousand keys with three rights each; the time is printed, the bound is generous for a busy machine.
#[tokio::test]
async fn ten_thousand_keys_are_read_at_once() {
    let control = Control::migrated().await;
    control
        .run(
            "INSERT INTO api_keys (public_id, name, key_salt, key_hash, client_name, tables, row_filters)
             SELECT lpad(to_hex(n), 16, '0'), 'key ' || n, repeat('a', 64), repeat('b', 64), 'demo',
                    '{public.users}', '{\"public.users\":[{\"eq_column\":\"tenant\",\"eq_value\":1}]}'
             FROM generate_series(1, 10000) AS n;
             INSERT INTO api_key_right_grants (api_key_id, right_id)
             SELECT k.id, r.id FROM api_keys k, api_key_rights r
             WHERE r.name IN ('gateway.read', 'gateway.write', 'gateway.query');
             ANALYZE",
        )
        .await;
    let store = store(&control);
    store.load(&mut |_| {}).await.unwrap();
    let before = resident_kib();
    let began = Instant::now();
    let keys = access_loader::load(&store).await.unwrap();
    let took = began.elapsed();
    assert_eq!(keys.len(), 10_000);
    assert!(keys.iter().all(|key| key.rights.names().count() == 3));
    println!(
        "10,000 keys: ready after {took:?}; {} KiB more resident",
        resident_kib().saturating_sub(before)
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    let id = control.value::<String>("SELECT api_keys_id::text FROM api_keys WHERE name = 'key 9999'").await;
    let began = Instant::now();
    store.update(&id, &|fields| fields.is_active = false, None).await.unwrap().unwrap();
    println!("one change among them: {:?}", began.elapsed());
}

/// Memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
}
