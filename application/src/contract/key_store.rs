//! What every store of keys, rights and policy must do alike.
//!
//! Checks are run on a store of their own that holds what every store begins with: the seeded rights, no key, and a
//! policy that demands nothing.

mod keys;
mod policy;
mod rights;
mod together;

use std::sync::Arc;

use athena_domain::access::{NewCredential, RANDOM_BYTES};

use crate::ports::{EnforcementStore, KeyFields, KeyStore, RightStore};

/// A store of all three.
pub trait AccessStore: KeyStore + RightStore + EnforcementStore {}

impl<T: KeyStore + RightStore + EnforcementStore> AccessStore for T {}

/// An id that nothing has.
const NOBODY: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";

/// Runs every check, one after the other.
pub async fn key_store<S: AccessStore>(store: Arc<S>) {
    keys::a_key_is_kept_as_it_was_made(&*store).await;
    keys::unknown_rights_leave_nothing_behind(&*store).await;
    keys::rotation_keeps_the_last_secret_alone(&*store).await;
    keys::an_archived_key_is_gone(&*store).await;
    rights::rights_are_named_once(&*store).await;
    rights::a_removed_right_is_taken_from_every_key(&*store).await;
    policy::names_of_clients_meet(&*store).await;
    policy::modes_are_kept(&*store).await;
    together::no_update_is_lost(store.clone()).await;
    together::rights_are_replaced_at_once(store.clone()).await;
    together::rotations_stand_in_line(store).await;
}

/// A credential of which every byte is `byte`.
fn credential(byte: u8) -> NewCredential {
    NewCredential::new(&[byte; RANDOM_BYTES])
}

fn named(name: &str) -> KeyFields {
    KeyFields { name: name.to_owned(), is_active: true, ..KeyFields::default() }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}
