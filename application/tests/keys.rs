//! Administering keys over a store in memory: when changes are in force, and what keys reach.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use athena_domain::access::{AuthReason, Keys, Mode, Presented};
use athena_domain::query::JsonText;
use athena_memory::MemoryKeyStore;

use athena_application::Authenticator;
use athena_application::ports::{Entropy, KeyFields, PortError, PortErrorKind};
use athena_application::use_cases::keys::{AdminError, Effective, KeyBody, ManageKeys};

/// Counts instead of guessing; says no after `0` fillings.
struct Counting(std::sync::Mutex<u8>);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PortError> {
        let mut left = self.0.lock().expect("nobody panics here");
        *left = left.checked_sub(1).ok_or_else(|| PortError::new("entropy", PortErrorKind::Internal))?;
        bytes.fill(*left);
        Ok(())
    }
}

struct Desk {
    manage: ManageKeys,
    store: Arc<MemoryKeyStore>,
}

impl Desk {
    fn new(secrets: u8) -> Self {
        let store = Arc::new(MemoryKeyStore::default());
        let manage = ManageKeys {
            client: "control".to_owned(),
            keys: store.clone(),
            rights: store.clone(),
            policy: store.clone(),
            entropy: Arc::new(Counting(secrets.into())),
            authenticator: Arc::new(Authenticator::over(store.clone())),
        };
        Self { manage, store }
    }

    fn judge(&self, credential: &str, client: &str) -> AuthReason {
        self.manage.authenticator.judge(Presented::Text(credential), Some(client)).reason
    }

    async fn effective(&self, body: &str) -> Effective {
        let made = self.manage.create(&key(body)).await.expect("a key");
        self.manage.effective(&made.record.id).await.expect("its reach")
    }
}

fn key(body: &str) -> KeyBody {
    let read = JsonText::parse(body.as_bytes()).and_then(KeyBody::decode_new);
    read.unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn change(body: &str) -> KeyBody {
    JsonText::parse(body.as_bytes()).and_then(KeyBody::decode).expect("a body")
}

#[tokio::test]
async fn a_change_is_in_force_when_it_is_answered() {
    let desk = Desk::new(9);
    desk.manage.set_policy(Mode::Enforce).await.expect("a policy");
    let made = desk.manage.create(&key(r#"{"name":"k","client_name":"Demo","clients":["two"]}"#)).await;
    let made = made.expect("a key");
    let (old, id) = (made.credential.reveal(), made.record.id);
    assert_eq!(desk.judge(old, "demo"), AuthReason::Authenticated);
    assert_eq!(desk.judge(old, "two"), AuthReason::Authenticated, "both bindings hold");
    assert_eq!(desk.judge(old, "three"), AuthReason::ClientMismatch);
    desk.manage.update(&id, &change(r#"{"is_active":false}"#)).await.expect("a change");
    assert_eq!(desk.judge(old, "demo"), AuthReason::Inactive);
    desk.manage.update(&id, &change(r#"{"is_active":true}"#)).await.expect("a change");
    let rotated = desk.manage.rotate(&id, 0).await.expect("a rotation");
    let new = rotated.credential.reveal();
    assert_eq!(desk.judge(old, "demo"), AuthReason::InvalidSecret);
    assert_eq!(desk.judge(new, "demo"), AuthReason::Authenticated);
    desk.manage.archive(&id).await.expect("an archive");
    assert_eq!(desk.judge(new, "demo"), AuthReason::UnknownKey);
}

#[tokio::test]
async fn without_random_bytes_no_key_is_made_or_changed() {
    let desk = Desk::new(1);
    let made = desk.manage.create(&key(r#"{"name":"k"}"#)).await.expect("a key");
    let refused = desk.manage.create(&key(r#"{"name":"l"}"#)).await;
    assert!(matches!(refused, Err(AdminError::Port(_))));
    assert!(matches!(desk.manage.rotate(&made.record.id, 60).await, Err(AdminError::Port(_))));
    assert_eq!(desk.manage.list().await.expect("a list"), [made.record]);
    assert_eq!(desk.judge(made.credential.reveal(), "demo"), AuthReason::Authenticated);
}

#[tokio::test]
async fn a_store_that_is_away_fails_and_leaves_what_was_known() {
    let desk = Desk::new(9);
    let made = desk.manage.create(&key(r#"{"name":"k"}"#)).await.expect("a key");
    desk.store.set_reachable(false);
    assert!(matches!(desk.manage.archive(&made.record.id).await, Err(AdminError::Port(_))));
    assert!(matches!(desk.manage.list().await, Err(AdminError::Port(_))));
    assert_eq!(desk.judge(made.credential.reveal(), "demo"), AuthReason::Authenticated);
}

#[tokio::test]
async fn what_a_key_reaches_follows_from_rights_and_scope() {
    let desk = Desk::new(50);
    desk.manage.policy.set_client("Demo", Mode::Warn).await.expect("a policy");
    let check = async |body: &str, expected: &[&str]| {
        let reach = desk.effective(body).await;
        assert!(reach.readable);
        assert_eq!(reach.operations, expected, "{body}");
    };
    check(r#"{"name":"k"}"#, &[]).await;
    check(r#"{"name":"k","rights":["*"]}"#, &["fetch", "insert", "update", "delete", "query", "rpc"]).await;
    check(r#"{"name":"k","rights":["gateway.read"]}"#, &["fetch"]).await;
    check(r#"{"name":"k","rights":["management.*","gateway.query"]}"#, &["query", "rpc"]).await;
    check(r#"{"name":"k","rights":["*"],"tables":["a"]}"#, &["fetch", "insert", "update", "delete"]).await;
    check(r#"{"name":"k","rights":["gateway.write"],"operations":["fetch","insert"]}"#, &["insert"]).await;
    check(r#"{"name":"k","rights":["*"],"is_active":false}"#, &[]).await;
    check(r#"{"name":"k","rights":["*"],"expires_at":"2020-01-01T00:00:00Z"}"#, &[]).await;
    let reach = desk.effective(r#"{"name":"k","client_name":" Zoo ","clients":["Demo","ZOO"]}"#).await;
    assert_eq!(reach.clients, Some(vec!["demo".to_owned(), "zoo".to_owned()]));
    assert_eq!(reach.enforced.0, Mode::Off);
    assert_eq!(reach.enforced.1.into_iter().collect::<Vec<_>>(), [("Demo".to_owned(), Mode::Warn)]);
}

#[tokio::test]
async fn a_stored_key_that_cannot_be_read_is_known_and_opens_nothing() {
    let desk = Desk::new(9);
    let made = desk.manage.create(&key(r#"{"name":"k","rights":["*"]}"#)).await.expect("a key");
    let broken = |fields: &mut KeyFields| fields.row_filters = Some("[".to_owned());
    desk.manage.keys.update(&made.record.id, &broken, None).await.expect("a change");
    let keys: Keys = athena_application::access_loader::load(&*desk.manage.keys).await.expect("a reading");
    let known = keys.find(&made.record.public_id).expect("the key");
    assert_eq!(*known.scope, athena_domain::access::Scope::nothing());
    assert!(known.expires_at.is_none_or(|end| end > SystemTime::now() + Duration::from_secs(1)));
    let reach = desk.manage.effective(&made.record.id).await.expect("its reach");
    assert!(!reach.readable && reach.operations.is_empty());
}
