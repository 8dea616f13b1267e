use std::collections::BTreeSet;

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

#[test]
fn no_key_stands_twice() {
    let paths: BTreeSet<_> = KEYS.iter().map(Key::path).collect();
    assert_eq!(paths.len(), KEYS.len());
}

#[test]
fn every_key_is_documented_with_its_variables_and_its_default() {
    for key in KEYS {
        let path = key.path();
        if !key.effective {
            assert!(DOCUMENT.contains(&format!("`{path}`")), "docs/configuration.md lacks {path}");
            continue;
        }
        let start = format!("| `{path}` |");
        let row = DOCUMENT.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md lacks {path}"));
        let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
        for part in [Some(key.override_variable()).as_deref(), key.variable].into_iter().flatten() {
            assert!(row.contains(&format!("`{part}`")), "{path}: {part} is missing in {row}");
        }
        assert_eq!(row.split('|').nth(3).map(str::trim), Some(default.as_str()), "{row}");
    }
    for section in sections() {
        assert!(DOCUMENT.contains(&format!("`{section}`")), "docs/configuration.md lacks section {section}");
    }
}

#[test]
fn nothing_is_documented_that_does_not_exist() {
    // Options of a client's URI are no keys.
    let keys = DOCUMENT.split("## Options of one client").next().expect("a beginning");
    for line in keys.lines().filter(|line| line.starts_with("| `")) {
        let path = line.split('`').nth(1).expect("a key");
        assert!(KEYS.iter().any(|key| key.path() == path), "{path} is documented and unknown");
    }
}

#[test]
fn the_nearest_key_is_named() {
    for (section, name, expected) in [
        ("api", "prot", Some("api.port")),
        ("api", "max_rows", Some("limits.max_rows")),
        ("gateway", "respnse_shape", Some("gateway.response_shape")),
        ("api", "completely_different", None),
    ] {
        assert_eq!(nearest_key(section, name).as_deref(), expected, "{section}.{name}");
    }
}

#[test]
fn stray_variables_are_named() {
    let environment = Environment::from_iter([
        ("ATHENA_API__PROT", "1"),
        ("ATHENA_API_PORT", "1"),
        ("ATHENA_GATEWY__RESPONSE_SHAPE", "1"),
        ("ATHENA_API__PORT", "1"),
        ("ATHENA_POSTGRES_CLIENTS__SHOP", "1"),
        ("ATHENA_PG_POOL_MAX_CONNECTIONS", "1"),
        ("ATHENA_KEY_12", "1"),
        ("PATH", "1"),
    ]);
    let told: Vec<_> = stray_variables(&environment).iter().map(Warning::to_string).collect();
    assert_eq!(
        told,
        [
            "environment: unknown key ATHENA_API_PORT is ignored; did you mean ATHENA_API__PORT?",
            "environment: unknown key ATHENA_API__PROT is ignored; did you mean ATHENA_API__PORT?",
            "environment: unknown key ATHENA_GATEWY__RESPONSE_SHAPE is ignored; did you mean ATHENA_GATEWAY__RESPONSE_SHAPE?",
        ]
    );
}
