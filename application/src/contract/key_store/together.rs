//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use athena_domain::access::{NewCredential, RANDOM_BYTES};
use tokio::task::JoinSet;

use super::{AccessStore, credential, named, words};
use crate::ports::LoadedAccess;

pub(super) async fn no_update_is_lost<S: AccessStore>(store: Arc<S>) {
    const WRITERS: usize = 20;
    let key = store.create(&credential(40), &named(""), &[]).await.expect("a key");
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, id) = (store.clone(), key.id.clone());
        writers.spawn(async move {
            let done = store.update(&id, &|fields| fields.name.push('x'), None).await;
            done.expect("a change").expect("the key");
        });
    }
    while let Some(done) = writers.join_next().await {
        done.expect("a writer that does not panic");
    }
    let name = store.key(&key.id).await.expect("a reading").expect("the key").fields.name;
    assert_eq!(name.len(), WRITERS, "every update sees the one before");
}

pub(super) async fn rights_are_replaced_at_once<S: AccessStore>(store: Arc<S>) {
    let sets = [words(&["gateway.delete", "gateway.read"]), words(&["gateway.query", "gateway.write"])];
    let key = store.create(&credential(41), &named("torn"), &sets[0]).await.expect("a key");
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (store, id, sets, done) = (store.clone(), key.id.clone(), sets.clone(), done.clone());
        tasks.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let loaded = LoadedAccess::read(&*store).await.expect("a reading").keys;
                let seen = loaded.into_iter().find(|loaded| loaded.id == id).expect("the key");
                assert!(sets.contains(&seen.rights), "half a set: {:?}", seen.rights);
                tokio::task::yield_now().await;
            }
        });
    }
    let mut writers = JoinSet::new();
    for rights in &sets {
        let (store, id, rights) = (store.clone(), key.id.clone(), rights.clone());
        writers.spawn(async move {
            for _ in 0..25 {
                let changed = store.update(&id, &|_| {}, Some(&rights)).await;
                assert_eq!(changed.expect("a change").expect("the key").rights, rights);
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer that does not panic");
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a reader that saw whole sets");
    }
}

pub(super) async fn rotations_stand_in_line<S: AccessStore>(store: Arc<S>) {
    let first = credential(50);
    let key = store.create(&first, &named("contested"), &[]).await.expect("a key");
    let mut rotations = JoinSet::new();
    for byte in 51..61 {
        let (store, id, public_id) = (store.clone(), key.id.clone(), key.public_id.clone());
        rotations.spawn(async move {
            let new = NewCredential::again(&public_id, &[byte; RANDOM_BYTES]);
            store.rotate(&id, &new, 600).await.expect("a rotation").expect("the key");
            new.hash
        });
    }
    let mut made = Vec::new();
    while let Some(hash) = rotations.join_next().await {
        made.push(hash.expect("a rotation that does not panic"));
    }
    let loaded = LoadedAccess::read(&*store).await.expect("a reading").keys;
    let held = loaded.into_iter().find(|loaded| loaded.id == key.id).expect("the key");
    let previous = held.previous.expect("the secret before").0.hash;
    assert!(made.contains(&held.secret.hash) && made.contains(&previous), "two of the new ones");
    assert!(held.secret.hash != previous && previous != first.hash);
}
