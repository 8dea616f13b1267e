//! What every client catalog must do alike. Checks are run on a catalog of their own, empty at first.

use std::sync::Arc;

use athena_domain::catalog::{ClientRecord, ConfigClient, Seed, Source, TargetTexts};

use crate::ports::{ClientStore, ClientStoreError, NewClient};

/// Runs every check, one after the other.
pub async fn client_store(store: Arc<dyn ClientStore>) {
    a_client_is_kept_as_it_was_made(&*store).await;
    names_meet_without_case_and_margins(&*store).await;
    a_deleted_client_stays_in_the_record(&*store).await;
    the_configuration_adds_what_is_new_and_no_more(&*store).await;
    the_configuration_refreshes_what_came_from_it(&*store).await;
    what_an_administrator_chose_stays(&*store).await;
    no_change_is_lost(store).await;
}

fn new(name: &str, uri: &str) -> NewClient {
    let target = TargetTexts { pg_uri: Some(uri.to_owned()), ..TargetTexts::default() };
    NewClient { name: name.to_owned(), target, is_active: true, description: None }
}

fn config(name: &str, template: &str) -> ConfigClient {
    let target = TargetTexts { config_uri_template: Some(template.to_owned()), ..TargetTexts::default() };
    ConfigClient { name: name.to_owned(), target, resolved: Ok(template.to_owned()) }
}

async fn rows(store: &dyn ClientStore, key: &str) -> Vec<ClientRecord> {
    let mut rows = store.load().await.expect("a reading");
    rows.retain(|row| row.key() == key);
    rows
}

/// The one row of that name.
async fn row(store: &dyn ClientStore, key: &str) -> ClientRecord {
    let mut rows = rows(store, key).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

async fn remove(store: &dyn ClientStore, key: &str) -> ClientRecord {
    let removed = store.update(key, &|fields| {
        fields.is_deleted = true;
        fields.is_active = false;
    });
    removed.await.expect("a change").expect("a client")
}

async fn a_client_is_kept_as_it_was_made(store: &dyn ClientStore) {
    let target = TargetTexts { pg_uri_env_var: Some("SHOP_URI".to_owned()), ..TargetTexts::default() };
    let client = NewClient {
        name: " Kept ".to_owned(),
        description: Some("d".to_owned()),
        target: target.clone(),
        is_active: false,
    };
    let made = store.create(&client).await.expect("a client");
    assert_eq!((&*made.name, made.description.as_deref(), &made.target), ("Kept", Some("d"), &target));
    assert_eq!((made.source, made.is_active, made.is_frozen), (Source::Database, false, false));
    assert_eq!(made.metadata, r#"{"managed_by": "admin_api"}"#);
    assert_eq!((made.deleted_at, made.last_seen_at, made.last_synced_from_config_at), (None, None, None));
    assert_eq!(row(store, "kept").await, made);
}

async fn names_meet_without_case_and_margins(store: &dyn ClientStore) {
    store.create(&new("Meets", "postgres://h/a")).await.expect("a client");
    let again = store.create(&new(" mEETS ", "postgres://h/b")).await;
    assert!(matches!(again, Err(ClientStoreError::Duplicate)), "{again:?}");
    let changed = store.update("meets", &|fields| fields.is_frozen = true).await.expect("a change");
    assert!(changed.is_some_and(|client| client.is_frozen && client.name == "Meets"));
    assert_eq!(store.update("nobody", &|fields| fields.is_frozen = true).await.expect("a change"), None);
}

async fn a_deleted_client_stays_in_the_record(store: &dyn ClientStore) {
    let first = store.create(&new("Gone", "postgres://h/a")).await.expect("a client");
    let removed = remove(store, "gone").await;
    assert_eq!((&removed.id, removed.is_active), (&first.id, false));
    assert!(removed.deleted_at.is_some());
    let after = store.update("gone", &|fields| fields.is_active = true).await.expect("a change");
    assert_eq!(after, None, "nothing brings it back");
    let second = store.create(&new("gone", "postgres://h/b")).await.expect("another client");
    assert_ne!(second.id, first.id);
    let rows = rows(store, "gone").await;
    assert_eq!(rows.iter().filter(|row| row.deleted_at.is_none()).count(), 1);
    assert_eq!(rows.len(), 2, "both are in the record");
}

async fn the_configuration_adds_what_is_new_and_no_more(store: &dyn ClientStore) {
    let mine = store.create(&new("mine", "postgres://h/mine")).await.expect("a client");
    store.create(&new("dropped", "postgres://h/dropped")).await.expect("a client");
    let dropped = remove(store, "dropped").await;
    let seeds = ["Seeded", "MINE", "Dropped"].map(|name| Seed::Insert(config(name, "postgres://h/file")));
    for _ in 0..2 {
        store.seed(&seeds).await.expect("a seeding");
        assert_eq!(row(store, "mine").await, mine);
        assert_eq!(row(store, "dropped").await, dropped);
        let seeded = row(store, "seeded").await;
        assert_eq!((seeded.source, seeded.is_active), (Source::Config, true));
        assert_eq!(seeded.target, config("", "postgres://h/file").target);
        assert!(seeded.last_synced_from_config_at.is_some());
    }
}

async fn the_configuration_refreshes_what_came_from_it(store: &dyn ClientStore) {
    store.seed(&[Seed::Insert(config("Follows", "postgres://h/old"))]).await.expect("a seeding");
    let before = row(store, "follows").await;
    let seeds = ["follows", "Mine", "nobody-yet"].map(|name| Seed::Refresh(config(name, "${NEW}")));
    let mine = row(store, "mine").await;
    store.seed(&seeds).await.expect("a seeding");
    let after = row(store, "follows").await;
    assert_eq!((after.target, after.source), (config("", "${NEW}").target, Source::Config));
    assert!(after.updated_at > before.updated_at);
    assert_eq!(row(store, "mine").await, mine, "it never came from the configuration");
    assert!(rows(store, "nobody-yet").await.is_empty());
}

async fn what_an_administrator_chose_stays(store: &dyn ClientStore) {
    store.seed(&[Seed::Insert(config("Chosen", "postgres://h/old"))]).await.expect("a seeding");
    let chosen = |fields: &mut crate::ports::ClientFields| {
        fields.target.pg_uri = Some("postgres://h/chosen".to_owned());
    };
    let changed = store.update("chosen", &chosen).await.expect("a change").expect("a client");
    assert_eq!(changed.source, Source::Merged);
    store.seed(&[Seed::Refresh(config("Chosen", "postgres://h/new"))]).await.expect("a seeding");
    let after = row(store, "chosen").await;
    assert_eq!(after.target.pg_uri.as_deref(), Some("postgres://h/chosen"));
    assert_eq!(after.target.config_uri_template.as_deref(), Some("postgres://h/new"));
    assert_eq!(after.source, Source::Merged);
    // What does not touch the target leaves the client the configuration's.
    store.seed(&[Seed::Insert(config("Described", "postgres://h/x"))]).await.expect("a seeding");
    let described = |fields: &mut crate::ports::ClientFields| fields.description = Some("d".to_owned());
    let changed = store.update("described", &described).await.expect("a change").expect("a client");
    assert_eq!((changed.source, changed.description.as_deref()), (Source::Config, Some("d")));
}

/// Two change one client at once, each another field, time and again.
async fn no_change_is_lost(store: Arc<dyn ClientStore>) {
    store.create(&new("Shared", "postgres://h/a")).await.expect("a client");
    for round in 0..10 {
        let (frozen, text) = (round % 2 == 0, round.to_string());
        let description = text.clone();
        let (one, other) = (store.clone(), store.clone());
        let freezing = async move { one.update("shared", &|fields| fields.is_frozen = frozen).await };
        let describing = async move {
            other.update("shared", &move |fields| fields.description = Some(description.clone())).await
        };
        let (freezing, describing) = (tokio::spawn(freezing), tokio::spawn(describing));
        for change in [freezing, describing] {
            change.await.expect("a task").expect("a change").expect("a client");
        }
        let now = row(&*store, "shared").await;
        assert_eq!((now.is_frozen, now.description), (frozen, Some(text)), "round {round}");
    }
}
