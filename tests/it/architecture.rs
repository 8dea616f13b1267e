//! The direction of dependencies, read off the manifests: what a reviewer would have to notice, fails here.

use std::collections::BTreeSet;
use std::path::Path;

/// Crate, where it lives, the workspace crates it may know.
const ALLOWED: &[(&str, &str, &[&str])] = &[
    ("athena-domain", "domain", &[]),
    ("athena-application", "application", &["athena-domain"]),
    ("athena-http", "adapters/http", &["athena-domain", "athena-application"]),
    ("athena-cli", "adapters/cli", &[]),
    ("athena-postgres", "adapters/postgres", &["athena-domain", "athena-application"]),
    ("athena-logging", "adapters/logging", &["athena-domain", "athena-application"]),
    ("athena-metrics", "adapters/metrics", &["athena-domain", "athena-application"]),
    ("athena-redis", "adapters/redis", &["athena-domain", "athena-application"]),
    ("athena-scylla", "adapters/scylla", &["athena-domain", "athena-application"]),
    ("athena-supabase", "adapters/supabase", &["athena-domain", "athena-application"]),
    ("athena-traces", "adapters/traces", &["athena-application"]),
    ("athena-memory", "adapters/memory", &["athena-domain", "athena-application"]),
];

/// Libraries that stand in one manifest only, besides the root's tests.
const OWNED: &[(&str, &[&str])] = &[
    ("sqlx", &["adapters/postgres", "tests/support"]),
    ("deadpool", &["adapters/postgres"]),
    ("scylla", &["adapters/scylla", "tests/support"]),
    ("poem", &["adapters/http"]),
    ("poem-openapi", &["adapters/http"]),
    ("deadpool-redis", &["adapters/redis"]),
    ("opentelemetry", &["adapters/traces"]),
    ("reqwest", &[".", "adapters/supabase", "adapters/traces", "tests/support"]),
    ("clap", &["adapters/cli"]),
    ("config", &["."]),
    ("anyhow", &[".", "tests/support"]),
];

/// Libraries the domain must never see.
const IMPURE: &[&str] = &["tokio", "sqlx", "poem", "reqwest", "tracing", "rustix", "config"];

fn manifest(dir: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir).join("Cargo.toml");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).parse().unwrap()
}

fn names(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    manifest
        .get(section)
        .and_then(toml::Value::as_table)
        .map(|t| t.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn crates_know_only_what_is_below_them() {
    for (name, dir, allowed) in ALLOWED {
        let manifest = manifest(dir);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name));
        for dependency in names(&manifest, "dependencies").iter().filter(|name| name.starts_with("athena")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
        for dependency in
            names(&manifest, "dev-dependencies").iter().filter(|name| name.starts_with("athena"))
        {
            let known = allowed.contains(&dependency.as_str())
                || ["athena-memory", "athena-test-support"].contains(&dependency.as_str());
            assert!(known, "the tests of {name} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_crate_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let adapters = std::fs::read_dir(root.join("adapters")).unwrap();
    for entry in adapters {
        let dir = format!("adapters/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(ALLOWED.iter().any(|(_, listed, _)| *listed == dir), "{dir} is not in this test's list");
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    let dirs: Vec<&str> = ALLOWED.iter().map(|(_, dir, _)| *dir).chain([".", "tests/support"]).collect();
    for (library, owners) in OWNED {
        for dir in &dirs {
            let used = names(&manifest(dir), "dependencies").contains(*library);
            assert!(!used || owners.contains(dir), "{dir} must not depend on {library}");
        }
    }
    let domain = names(&manifest("domain"), "dependencies");
    assert!(IMPURE.iter().all(|library| !domain.contains(*library)), "the domain is pure");
}

/// Two of rustls' providers are built, so that it has none of its own choice: who takes its default panics.
#[test]
fn every_tls_configuration_names_its_provider() {
    fn sources(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["src", "adapters", "application", "domain", "tests", "examples"] {
        sources(&root.join(directory), &mut found);
    }
    assert!(found.len() > 100);
    // Split, so that this file is not one that does it.
    let taken: Vec<String> = ["Client", "Server"].map(|side| format!("{side}Config::{}", "builder()")).into();
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let takes = |taken: &String| text.contains(taken.as_str());
        assert!(!taken.iter().any(takes), "{} lets rustls choose", path.display());
    }
}
