//! One key at a time.

use std::collections::BTreeSet;

use athena_domain::access::{NewCredential, RANDOM_BYTES};
use time::{Duration, OffsetDateTime};

use super::{AccessStore, NOBODY, credential, named, words};
use crate::contract::canonical;
use crate::ports::{KeyFields, KeyStoreError, LoadedAccess, LoadedKey, StoredSecret};

async fn loaded(store: &impl AccessStore, public_id: &str) -> Option<LoadedKey> {
    let all = LoadedAccess::read(store).await.expect("a reading");
    all.keys.into_iter().find(|key| key.public_id == public_id)
}

fn is_of(secret: &StoredSecret, credential: &NewCredential) -> bool {
    (&secret.salt, &secret.hash) == (&credential.salt, &credential.hash)
}

fn plain(mut fields: KeyFields) -> KeyFields {
    for json in [&mut fields.columns, &mut fields.row_filters, &mut fields.budget] {
        *json = json.take().map(|text| canonical(&text));
    }
    fields
}

pub(super) async fn a_key_is_kept_as_it_was_made(store: &impl AccessStore) {
    let full = KeyFields {
        name: "Näme; -- '\"".to_owned(),
        description: Some(String::new()),
        client_name: Some("Demo".to_owned()),
        clients: Some(words(&["Other", "third"])),
        expires_at: Some(OffsetDateTime::UNIX_EPOCH + Duration::days(30_000)),
        is_active: false,
        operations: Some(words(&["fetch", "query"])),
        tables: Some(Vec::new()),
        columns: Some(r#"{"users": ["id", "e,m\"ail"]}"#.to_owned()),
        row_filters: Some(r#"{"users":[{"eq_column":"n","eq_value":12345678901234567890.1250}]}"#.to_owned()),
        budget: Some(r#"{"concurrent":2}"#.to_owned()),
    };
    let new = credential(1);
    let rights = words(&["gateway.write", "*", "gateway.read", "gateway.read"]);
    let made = store.create(&new, &full, &rights).await.expect("a key");
    assert_eq!(made.public_id, new.public_id);
    assert_eq!(plain(made.fields.clone()), plain(full));
    assert_eq!(made.rights, ["*", "gateway.read", "gateway.write"], "sorted, each once");
    assert_eq!((made.last_used_at, made.previous_valid_until), (None, None));
    assert_eq!(store.key(&made.id.to_uppercase()).await.expect("a reading"), Some(made.clone()));
    let key = loaded(store, &new.public_id).await.expect("the key");
    assert_eq!((key.internal_id, &key.id, &key.public_id), (made.internal_id, &made.id, &made.public_id));
    let judged = KeyFields { name: String::new(), description: None, ..made.fields.clone() };
    assert_eq!(key.fields, judged);
    assert_eq!(BTreeSet::from_iter(&key.rights), BTreeSet::from_iter(&made.rights));
    assert_eq!(key.rights.len(), made.rights.len());
    assert!(is_of(&key.secret, &new) && key.previous.is_none());

    let second = store.create(&credential(2), &named("second"), &[]).await.expect("a key");
    let listed = store.keys().await.expect("a list");
    assert_eq!(listed, [second.clone(), made], "newest first");
    assert_eq!(second.rights, [""; 0]);
    let again = store.create(&credential(2), &named("twin"), &[]).await;
    assert!(matches!(again, Err(KeyStoreError::Duplicate)), "{again:?}");
    assert_eq!(store.key(NOBODY).await.expect("a reading"), None);
}

pub(super) async fn unknown_rights_leave_nothing_behind(store: &impl AccessStore) {
    let before = store.keys().await.expect("a list");
    let wrong = words(&["users.reed", "gateway.read", "a.b", "a.b"]);
    let refused = store.create(&credential(3), &named("never"), &wrong).await;
    let unknown = |outcome: &KeyStoreError| match outcome {
        KeyStoreError::UnknownRights(names) => names.clone(),
        KeyStoreError::Duplicate | KeyStoreError::Port(_) => panic!("{outcome}"),
    };
    assert_eq!(unknown(&refused.expect_err("a refusal")), ["a.b", "users.reed"]);
    let key = before.last().expect("a key");
    let refused = store.update(&key.id, &|fields| fields.name = "changed".to_owned(), Some(&wrong)).await;
    assert_eq!(unknown(&refused.expect_err("a refusal")), ["a.b", "users.reed"]);
    assert_eq!(store.keys().await.expect("a list"), before);

    let changed = store.update(&key.id, &|fields| fields.description = None, Some(&words(&["*"]))).await;
    let changed = changed.expect("a change").expect("the key");
    assert_eq!((changed.fields.description, changed.rights), (None, words(&["*"])));
    assert!(changed.updated_at > key.updated_at && changed.created_at == key.created_at);
    let kept = store.update(&key.id, &|_| {}, None).await.expect("a change").expect("the key");
    assert_eq!(kept.rights, ["*"], "no rights given, none changed");
    let none = store.update(&key.id, &|_| {}, Some(&[])).await.expect("a change").expect("the key");
    assert_eq!(none.rights, [""; 0]);
    assert_eq!(store.update(NOBODY, &|_| {}, None).await.expect("a change"), None);
}

pub(super) async fn rotation_keeps_the_last_secret_alone(store: &impl AccessStore) {
    let first = credential(10);
    let key = store.create(&first, &named("rotated"), &words(&["*"])).await.expect("a key");
    let next = |byte| NewCredential::again(&key.public_id, &[byte; RANDOM_BYTES]);
    let (second, third, fourth) = (next(11), next(12), next(13));
    let began = OffsetDateTime::now_utc();
    let rotated = store.rotate(&key.id, &second, 600).await.expect("a rotation").expect("the key");
    let until = rotated.previous_valid_until.expect("an overlap") - began;
    assert!((until - Duration::seconds(600)).abs() < Duration::seconds(30), "{until}");
    assert_eq!((&rotated.public_id, &rotated.rights), (&key.public_id, &key.rights));
    let held = loaded(store, &key.public_id).await.expect("the key");
    assert_eq!(held.previous.as_ref().map(|(_, until)| *until), rotated.previous_valid_until);
    assert!(is_of(&held.secret, &second) && is_of(&held.previous.as_ref().expect("one").0, &first));

    store.rotate(&key.id, &third, 600).await.expect("a rotation").expect("the key");
    let held = loaded(store, &key.public_id).await.expect("the key");
    assert!(is_of(&held.secret, &third) && is_of(&held.previous.as_ref().expect("one").0, &second));

    let rotated = store.rotate(&key.id, &fourth, 0).await.expect("a rotation").expect("the key");
    let until = rotated.previous_valid_until.expect("a moment");
    assert!(until <= OffsetDateTime::now_utc() + Duration::seconds(5), "no overlap at all");
    assert!(store.rotate(NOBODY, &fourth, 0).await.expect("a rotation").is_none());
}

pub(super) async fn an_archived_key_is_gone(store: &impl AccessStore) {
    let key = store.create(&credential(20), &named("old"), &words(&["*"])).await.expect("a key");
    assert!(store.archive(&key.id.to_uppercase()).await.expect("an archive"));
    assert!(!store.archive(&key.id).await.expect("an archive"), "it is gone already");
    assert!(!store.archive(NOBODY).await.expect("an archive"));
    assert!(loaded(store, &key.public_id).await.is_none());
    assert!(store.keys().await.expect("a list").iter().all(|listed| listed.id != key.id));
    assert_eq!(store.key(&key.id).await.expect("a reading"), None);
    assert_eq!(store.update(&key.id, &|fields| fields.is_active = true, None).await.expect("a change"), None);
    assert!(store.rotate(&key.id, &credential(20), 60).await.expect("a rotation").is_none());
    let again = store.create(&credential(20), &named("heir"), &[]).await;
    assert!(matches!(again, Err(KeyStoreError::Duplicate)), "its public id stays taken: {again:?}");
}
