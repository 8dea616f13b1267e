use super::*;

#[test]
fn origins_are_written_as_browsers_send_them() {
    for (text, expected) in [
        ("https://App.Example.com", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("tauri://localhost", "tauri://localhost"),
    ] {
        assert_eq!(origin(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_origin_is_explained() {
    for (text, part) in [
        ("*", "cors_allow_any_origin: true"),
        ("https://a.example/", "without a path"),
        ("https://a.example/x", "without a path"),
        ("a.example", "https://app.example.com"),
        ("https://", "https://app.example.com"),
        ("https://a b", "https://app.example.com"),
        ("https://u:hunter2@a", "https://app.example.com"),
        ("https://a:0", "https://app.example.com"),
        ("https://a:99999", "https://app.example.com"),
        ("https://*.a.example", "https://app.example.com"),
        ("null", "https://app.example.com"),
    ] {
        let reason = origin(text).expect_err(text);
        assert!(reason.contains(part) && !reason.contains("hunter2"), "{text}: {reason}");
    }
}
