#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::Arc;
use std::time::Duration;

use athena_application::ports::{AuditIds, CallerAddress, OperationObservation, Stages};
use athena_domain::access::{ApiKey, Mode, RightSet};

use super::*;
use crate::record::{Extent, MAX_TEXT_BYTES};

fn made(make: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut text = Vec::new();
    make(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn json_texts_are_json() {
    let check = |value: &str| {
        let text = made(|text| failure(Some("code"), Some(value), text));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["message"], value.replace('\0', "\u{fffd}"), "{text}");
        assert_eq!(parsed["error_code"], "code");
    };
    ["", "*/*", "a\"b\\c", "tab\tline\nbell\u{7}", "nul\0", "ü 🦀 \u{2028}"].into_iter().for_each(check);
    let array = |names: &[&str]| made(|text| array(names.iter().copied(), text));
    assert_eq!(array(&["a.read", "*"]), r#"["a.read","*"]"#);
    assert_eq!(array(&[]), "[]");
    assert_eq!(made(|text| failure(None, None, text)), "{}");
    let long = "a".repeat(MAX_TEXT_BYTES * 9);
    let cut = made(|text| failure(None, Some(&long), text));
    assert_eq!(cut.len(), MAX_TEXT_BYTES + r#"{"message":""}"#.len());
}

#[test]
fn addresses_are_written_as_usual() {
    for ip in ["0.0.0.0", "127.0.0.1", "255.10.9.100", "::1", "2001:db8::8a2e:370:7334"] {
        assert_eq!(made(|text| address(ip.parse().unwrap(), text)), ip);
    }
}

/// What a request comes to once it was written behind another one and read.
fn read(seen: &Observation) -> LogEntry<'static> {
    let mut record = Record::default();
    encode(&crate::writer::tests::seen(1), &mut record);
    let start = record.extent();
    encode(seen, &mut record);
    let entry = decode(&mut record.read_from(start)).unwrap().into_owned();
    let mut both = record.read_from(Extent::default());
    decode(&mut both).unwrap();
    assert_eq!(decode(&mut both).as_ref(), Some(&entry), "one behind the other");
    assert!(decode(&mut both).is_none(), "nothing is left");
    entry
}

#[test]
fn everything_that_was_seen_is_read_again() {
    let mut seen = crate::writer::tests::seen(7);
    seen.client_known = false;
    let entry = read(&seen);
    assert_eq!((&*entry.request_id, &entry.client, entry.client_sent.as_deref()), ("7", &None, Some("Shop")));
    assert_eq!((entry.status, &entry.auth, &entry.operation, &entry.details), (200, &None, &None, &None));

    let key = ApiKey {
        external_id: "external".into(),
        rights: Arc::new(RightSet::new(["shop.read", "*.write"])),
        ..ApiKey::new(i64::MIN + 1, "public")
    };
    seen.began = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    (seen.client_known, seen.status, seen.code) = (true, 422, Some("invalid"));
    seen.message = Some("nul \0 and \"quotes\"".into());
    seen.query = Some("".into());
    seen.headers = r#"{"accept":"ü"}"#.into();
    seen.caller =
        CallerAddress { ip: "10.0.0.1".parse().ok(), user_agent: Some("curl".into()), ..Default::default() };
    seen.audit = AuditIds { company: Some("acme".into()), ..AuditIds::default() };
    seen.stages = Stages::default();
    seen.operation = Some(OperationObservation {
        name: "fetch",
        system: None,
        table: Some("täble".into()),
        rows: 0,
        affected: 0,
        duration: Duration::from_millis(u64::from(u32::MAX) + 5),
        offset: Duration::ZERO,
    });
    seen.auth = Some(AuthObservation {
        key: Some(Arc::new(key)),
        presented_public_id: Some("public".into()),
        authenticated: true,
        authorized: false,
        mode: Mode::Warn,
        reason: AuthReason::MissingRights,
        required: Some("shop.write".into()),
    });
    let entry = read(&seen);
    assert_eq!((entry.at, entry.status, entry.client.as_deref()), (1_700_000_000_123_456, 422, Some("shop")));
    assert_eq!((entry.query.as_deref(), &*entry.headers), (Some(""), r#"{"accept":"ü"}"#));
    assert_eq!((entry.address.as_deref(), entry.user_agent.as_deref()), (Some("10.0.0.1"), Some("curl")));
    assert_eq!((&entry.user, entry.company.as_deref(), &entry.host), (&None, Some("acme"), &None));
    assert_eq!(entry.message.as_deref(), Some("nul \u{fffd} and \"quotes\""));
    let details = "{\"error_code\":\"invalid\",\"message\":\"nul \u{fffd} and \\\"quotes\\\"\"}";
    assert_eq!(entry.details.as_deref(), Some(details));
    let operation = entry.operation.unwrap();
    assert_eq!((&*operation.name, operation.table.as_deref()), ("fetch", Some("täble")));
    assert_eq!(operation.duration_ms, 4_294_967_300);
    let auth = entry.auth.unwrap();
    assert_eq!((auth.authenticated, auth.authorized, auth.enforced, auth.logged), (true, false, false, true));
    assert_eq!((&*auth.required, &*auth.granted), (r#"["shop.write"]"#, r#"["*.write","shop.read"]"#));
    assert_eq!(
        (&*auth.reason, auth.presented_public_id.as_deref()),
        ("missing_api_key_rights_unenforced", Some("public"))
    );
    let key = auth.key.unwrap();
    assert_eq!((key.id, &*key.external_id, &*key.public_id), (i64::MIN + 1, "external", "public"));

    // What the cache answered has done nothing to a database, and a stranger's rights are not told.
    seen.cached = true;
    seen.auth.as_mut().unwrap().authenticated = false;
    let entry = read(&seen);
    assert_eq!((entry.cached, entry.operation, &*entry.auth.unwrap().granted), (true, None, "[]"));
}
