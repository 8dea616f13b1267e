use super::*;

fn keys(text: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    value.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn the_answer_has_its_seven_fields() {
    let text = diagnosis(&Surroundings { hostname: Some("box".into()), locale: None });
    let mut keys = keys(&text);
    keys.sort();
    assert_eq!(keys, ["arch", "cpu_count", "family", "hostname", "locale", "os", "rust_version"]);
    assert!(text.contains("\n  \"hostname\": \"box\""), "{text}");
    assert!(text.contains("\"locale\": null"), "{text}");
}

#[test]
fn the_compiler_is_named_and_not_the_product() {
    let text = diagnosis(&Surroundings::default());
    assert!(text.contains("\"rust_version\": \"rustc 1."), "{text}");
    assert!(!text.contains(&format!("\"rust_version\": \"{}\"", crate::VERSION)), "{text}");
}

#[test]
fn the_session_names_machine_and_language() {
    let read = Surroundings::read(|name| match name {
        "HOSTNAME" => Some(" box \n".to_owned()),
        "LANG" => Some("de_DE.UTF-8".to_owned()),
        _ => None,
    });
    assert_eq!(read, Surroundings { hostname: Some("box".into()), locale: Some("de_DE.UTF-8".into()) });
    assert_eq!(Surroundings::read(|_| Some(" ".to_owned())).locale, None);
}
