use std::time::Duration;

use super::*;
use crate::access::Policy;
use crate::access::credential::{DIGESTS, KeySecret, NewCredential, RANDOM_BYTES};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn key(made: &NewCredential) -> ApiKey {
    let secret = KeySecret::stored(&made.salt, &made.hash);
    ApiKey { secret, ..ApiKey::new(1, made.public_id.as_str()) }
}

fn made(seed: u8) -> NewCredential {
    NewCredential::new(&[seed; RANDOM_BYTES])
}

fn loaded(keys: Vec<ApiKey>, mode: Mode) -> AccessState {
    let policy = Policy::new(mode, [("open", Mode::Off), ("closed", Mode::Enforce), ("watched", Mode::Warn)]);
    AccessState::Loaded(Arc::new(Keys::new(keys.into_iter().map(Arc::new), policy)))
}

#[test]
fn every_row_of_the_table() {
    let made = made(1);
    let good = made.reveal();
    let wrong = format!("ath_{}.{}", made.public_id, "0".repeat(64));
    let past = now() - Duration::from_secs(1);
    let check = |change: &dyn Fn(&mut ApiKey),
                 presented: Presented<'_>,
                 client: &str,
                 expected: AuthReason| {
        let mut key = key(&made);
        change(&mut key);
        for mode in [Mode::Off, Mode::Warn, Mode::Enforce] {
            let judgement = judge(&loaded(vec![key.clone()], mode), presented, Some(client), now());
            assert_eq!(judgement.reason, expected);
            let mode = match client {
                "open" => Mode::Off,
                "closed" => Mode::Enforce,
                "watched" => Mode::Warn,
                _ => mode,
            };
            assert_eq!(judgement.refuses(), mode.enforces() && !expected.is_good(), "{expected:?} {mode:?}");
        }
    };
    let as_it_is = |_: &mut ApiKey| {};
    for client in ["any", "open", "closed", "watched"] {
        check(&as_it_is, Presented::Nothing, client, AuthReason::MissingKey);
        check(&as_it_is, Presented::Text("secret"), client, AuthReason::InvalidFormat);
        check(&as_it_is, Presented::Text("ath_0000.00"), client, AuthReason::UnknownKey);
        check(&as_it_is, Presented::Text(&wrong), client, AuthReason::InvalidSecret);
        check(&as_it_is, Presented::Text(good), client, AuthReason::Authenticated);
        check(&|key| key.is_active = false, Presented::Text(good), client, AuthReason::Inactive);
        check(&|key| key.expires_at = Some(past), Presented::Text(good), client, AuthReason::Expired);
        check(&|key| key.expires_at = Some(now()), Presented::Text(good), client, AuthReason::Expired);
        check(
            &|key| key.clients = Some(["x".into()].into()),
            Presented::Text(good),
            client,
            AuthReason::ClientMismatch,
        );
        check(
            &|key| key.clients = Some([client.into()].into()),
            Presented::Text(good),
            client,
            AuthReason::Authenticated,
        );
        check(&|key| key.secret = None, Presented::Text(good), client, AuthReason::InvalidSecret);
    }
}

#[test]
fn a_store_that_was_never_read_refuses_everybody() {
    let made = made(1);
    for presented in [Presented::Nothing, Presented::Text(made.reveal())] {
        let judgement = judge(&AccessState::Unavailable, presented, Some("any"), now());
        assert!(judgement.refuses());
        assert_eq!(judgement.reason, AuthReason::PolicyUnavailable);
        assert!(!judge(&AccessState::NotConfigured, presented, Some("any"), now()).refuses());
    }
}

#[test]
fn both_secrets_work_until_the_overlap_ends() {
    let (old, new) = (made(1), NewCredential::again(&made(1).public_id, &[2; RANDOM_BYTES]));
    let mut key = key(&new);
    let until = now() + Duration::from_secs(10);
    key.previous = KeySecret::stored(&old.salt, &old.hash).map(|secret| Box::new((secret, until)));
    let state = loaded(vec![key], Mode::Enforce);
    let reason = |text: &str, at| judge(&state, Presented::Text(text), Some("c"), at).reason;
    assert_eq!(reason(old.reveal(), now()), AuthReason::Authenticated);
    assert_eq!(reason(new.reveal(), now()), AuthReason::Authenticated);
    assert_eq!(reason(old.reveal(), until), AuthReason::InvalidSecret);
    assert_eq!(reason(new.reveal(), until), AuthReason::Authenticated);
}

#[test]
fn a_refusal_costs_the_same_whatever_is_wrong() {
    let (old, new) = (made(1), NewCredential::again(&made(1).public_id, &[2; RANDOM_BYTES]));
    let secret = |made: &NewCredential| KeySecret::stored(&made.salt, &made.hash);
    let plain = key(&new);
    let rotated =
        |until| ApiKey { previous: secret(&old).map(|secret| Box::new((secret, until))), ..key(&new) };
    let without = ApiKey { secret: None, ..key(&new) };
    let wrong = format!("ath_{}.{}", new.public_id, "0".repeat(64));
    let unknown = format!("ath_{}.{}", "0".repeat(16), "0".repeat(64));
    let (later, over) = (now() + Duration::from_secs(10), now() - Duration::from_secs(10));
    let cost = |key: &ApiKey, text: &str| {
        let before = DIGESTS.get();
        let reason =
            judge(&loaded(vec![key.clone()], Mode::Enforce), Presented::Text(text), None, now()).reason;
        (DIGESTS.get() - before, reason)
    };
    for key in [plain, rotated(later), rotated(over), without] {
        assert_eq!(cost(&key, &wrong), (2, AuthReason::InvalidSecret), "{key:?}");
        assert_eq!(cost(&key, &unknown), (2, AuthReason::UnknownKey), "{key:?}");
    }
    // Neither does a good one tell which of the two secrets it is.
    assert_eq!(cost(&rotated(later), old.reveal()), (2, AuthReason::Authenticated));
    assert_eq!(cost(&rotated(later), new.reveal()), (2, AuthReason::Authenticated));
}

#[test]
fn reasons_are_named_as_the_log_knows_them() {
    let check = |reason: AuthReason, off, warn, enforce| {
        let logged = [Mode::Off, Mode::Warn, Mode::Enforce].map(|mode| reason.logged(mode));
        assert_eq!(logged, [off, warn, enforce]);
        assert_eq!(reason.name(), enforce);
    };
    let missing = ["api_key_not_enforced", "missing_api_key_unenforced", "missing_api_key"];
    check(AuthReason::MissingKey, missing[0], missing[1], missing[2]);
    let expired = "expired_api_key_unenforced";
    check(AuthReason::Expired, expired, expired, "expired_api_key");
    let good = "api_key_authenticated";
    check(AuthReason::Authenticated, good, good, good);
}
