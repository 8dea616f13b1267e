//! Rights that can be granted.

use super::{AccessStore, NOBODY, credential, named, words};
use crate::ports::{KeyStoreError, LoadedAccess};

pub(super) async fn rights_are_named_once(store: &impl AccessStore) {
    let names = async || -> Vec<String> {
        store.rights().await.expect("a list").into_iter().map(|right| right.name).collect()
    };
    let before = names().await;
    assert!(before.is_sorted(), "{before:?}");
    for seeded in ["*", "gateway.*", "gateway.delete", "gateway.query", "gateway.read", "gateway.write"] {
        assert!(before.iter().any(|name| name == seeded), "{seeded} is there from the start");
    }
    let made = store.create_right("orders.read", Some("Orders")).await.expect("a right");
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("orders.read", Some("Orders")));
    let twice = store.create_right("orders.read", None).await;
    assert!(matches!(twice, Err(KeyStoreError::Duplicate)), "{twice:?}");
    let taken = store.update_right(&made.id, "gateway.read", None).await;
    assert!(matches!(taken, Err(KeyStoreError::Duplicate)), "{taken:?}");
    let same = store.update_right(&made.id.to_uppercase(), "orders.read", None).await;
    let same = same.expect("a change").expect("the right");
    assert_eq!((same.id, same.description), (made.id.clone(), None), "its own name is not taken");
    assert!(store.update_right(NOBODY, "a.b", None).await.expect("a change").is_none());
    assert!(store.delete_right(&made.id).await.expect("a removal"));
    assert!(!store.delete_right(&made.id).await.expect("a removal"));
    assert_eq!(names().await, before);
}

pub(super) async fn a_removed_right_is_taken_from_every_key(store: &impl AccessStore) {
    let right = store.create_right("bills.read", None).await.expect("a right");
    let granted = words(&["bills.read", "gateway.write"]);
    let key = store.create(&credential(30), &named("reader"), &granted).await.expect("a key");
    let rights = async || store.key(&key.id).await.expect("a reading").expect("the key").rights;
    store.update_right(&right.id, "invoices.read", None).await.expect("a change").expect("the right");
    assert_eq!(rights().await, ["gateway.write", "invoices.read"], "a new name for the same grant");
    assert!(store.delete_right(&right.id).await.expect("a removal"));
    assert_eq!(rights().await, ["gateway.write"]);
    let loaded = LoadedAccess::read(store).await.expect("a reading");
    let loaded = loaded.keys.iter().find(|loaded| loaded.id == key.id).expect("the key");
    assert_eq!(loaded.rights, ["gateway.write"]);
}
