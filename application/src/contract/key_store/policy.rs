//! Whether keys are demanded.

use athena_domain::access::Mode;

use super::AccessStore;
use crate::ports::LoadedAccess;

pub(super) async fn names_of_clients_meet(store: &impl AccessStore) {
    let first = store.set_client(" Demo ", Mode::Enforce).await.expect("a policy");
    assert_eq!(first.client_name.as_deref(), Some("Demo"), "as it was written, without margins");
    let second = store.set_client("dEMO", Mode::Warn).await.expect("a policy");
    assert_eq!((second.client_name.as_deref(), second.mode), (Some("Demo"), Mode::Warn));
    assert_eq!(second.created_at, first.created_at);
    assert!(second.updated_at > first.updated_at);
    store.set_client("alpha", Mode::Off).await.expect("a policy");
    let names: Vec<_> = store.clients().await.expect("a list").into_iter().map(|p| p.client_name).collect();
    assert_eq!(names, [Some("alpha".to_owned()), Some("Demo".to_owned())]);
    assert!(store.delete_client("DEMO ").await.expect("a removal"));
    assert!(!store.delete_client("demo").await.expect("a removal"));
    assert!(store.delete_client("alpha").await.expect("a removal"));
    assert!(store.clients().await.expect("a list").is_empty());
}

pub(super) async fn modes_are_kept(store: &impl AccessStore) {
    let global = async || store.global().await.expect("a policy").mode;
    assert_eq!(global().await, Mode::Off, "nothing is demanded at first");
    for mode in [Mode::Enforce, Mode::Warn, Mode::Off, Mode::Warn, Mode::Enforce, Mode::Off] {
        assert_eq!(store.set_global(mode).await.expect("a policy").mode, mode);
        assert_eq!(global().await, mode);
        assert_eq!(store.set_client("demo", mode).await.expect("a policy").mode, mode);
        let loaded = LoadedAccess::read(store).await.expect("a reading").policy;
        let of = |client: Option<&str>| {
            loaded.iter().find(|policy| policy.client_name.as_deref() == client).map(|policy| policy.mode)
        };
        assert_eq!((of(None), of(Some("demo"))), (Some(mode), Some(mode)));
    }
    assert!(store.delete_client("demo").await.expect("a removal"));
}
