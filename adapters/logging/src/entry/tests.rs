#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use super::*;

#[test]
fn json_texts_are_json() {
    let check = |value: &str| {
        let text = headers(&[("accept", value.into()), ("origin", "o".into())]);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["accept"], value.replace('\0', "\u{fffd}"), "{text}");
        assert_eq!(parsed["origin"], "o");
    };
    ["", "*/*", "a\"b\\c", "tab\tline\nbell\u{7}", "nul\0", "ü 🦀 \u{2028}"].into_iter().for_each(check);
    assert_eq!(&*array(["a.read", "*"].into_iter()), r#"["a.read","*"]"#);
    assert_eq!(&*array([].into_iter()), "[]");
    assert_eq!(&*failure(Some("x"), Some("no \"y\"")), r#"{"error_code":"x","message":"no \"y\""}"#);
}

#[test]
fn nul_characters_are_replaced() {
    assert_eq!(&*clean("a\0b"), "a\u{fffd}b");
    assert_eq!(&*clean("ab"), "ab");
}

#[test]
fn long_texts_are_cut_between_characters() {
    let whole = "a".repeat(MAX_TEXT_BYTES);
    assert_eq!(*clean(&whole), *whole);
    assert_eq!(*clean(&format!("{whole}b")), *whole);
    // The last character would be cut in two.
    let odd = format!("a{}", "ü".repeat(MAX_TEXT_BYTES));
    assert_eq!(*clean(&odd), odd[..MAX_TEXT_BYTES - 1]);
    assert_eq!(failure(None, Some(&whole.repeat(9))).len(), MAX_TEXT_BYTES + r#"{"message":""}"#.len());
}
