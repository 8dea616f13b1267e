use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

mod errors;
mod values;

/// A directory of one test, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("athena-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn options(&self, path: Option<&str>, variables: &[(&str, &str)]) -> LoadOptions {
        LoadOptions {
            path: path.map(PathBuf::from),
            port: None,
            environment: variables.iter().copied().collect(),
            working_directory: self.0.clone(),
            platform: Platform::Other,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigError> {
    Config::from_text("test.yaml", text, &variables.iter().copied().collect(), None)
}

/// A configuration that must be read without a word.
#[track_caller]
fn quiet(text: &str, variables: &[(&str, &str)]) -> Config {
    let (config, warnings) = read(text, variables).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(warnings, [], "{text}");
    // What is read counts here, not what it was read from.
    Config { environment: Environment::default(), ..config }
}

#[test]
fn the_first_place_is_read_and_nothing_is_written() {
    let scratch = Scratch::new();
    scratch.write("home/.athena/config.yaml", "api:\n  - port: 5001\n");
    scratch.write("config.yaml", "api:\n  - port: 5002\n");
    let home = scratch.path().join("home").display().to_string();
    let (config, _) = Config::load(&scratch.options(None, &[("HOME", &home)])).expect("a configuration");
    assert_eq!(config.server.port, 5001);
    let path = scratch.path().join("home/.athena/config.yaml");
    assert_eq!(config.file, ConfigFile { path: Some(path), seeded: false });
    let (config, _) = Config::load(&scratch.options(None, &[])).expect("a configuration");
    assert_eq!(config.server.port, 5002);
}

#[test]
fn the_default_is_written_where_there_is_none() {
    let scratch = Scratch::new();
    let uri = ("POSTGRES_ATHENA_LOGGING_URI", "postgres://u:hunter2@h/athena_logging");
    let xdg = scratch.path().join("xdg").display().to_string();
    let options = scratch.options(None, &[("XDG_CONFIG_HOME", &xdg), uri]);
    let (config, warnings) = Config::load(&options).expect("the default");
    assert_eq!(warnings, []);
    let path = scratch.path().join("xdg/athena/config.yaml");
    assert_eq!(config.file, ConfigFile { path: Some(path.clone()), seeded: true });
    assert_eq!(std::fs::read_to_string(path).expect("the file"), BUNDLED);
    let (again, _) = Config::load(&options).expect("the file");
    assert!(!again.file.seeded);
    assert_eq!(Config { file: config.file.clone(), ..again }, config);
}

#[test]
fn the_default_is_used_as_it_is_where_nothing_can_be_written() {
    let scratch = Scratch::new();
    scratch.write("blocked", "");
    let mut options = scratch.options(None, &[]);
    options.working_directory = scratch.path().join("blocked/deep");
    let (config, warnings) = Config::load(&options).expect("the default");
    assert_eq!(config.file, ConfigFile { path: None, seeded: false });
    let told = warnings[0].to_string();
    assert!(told.contains("blocked/deep/config.yaml") && told.contains("cannot be written"), "{told}");
}

#[test]
fn the_named_file_is_the_only_one() {
    let scratch = Scratch::new();
    scratch.write("config.yaml", "api:\n  - port: 5002\n");
    scratch.write("own.yaml", "api:\n  port: 5003\n");
    scratch.write("broken.yaml", "api: [\n");
    let (config, _) = Config::load(&scratch.options(Some("own.yaml"), &[])).expect("the file");
    assert_eq!(config.server.port, 5003);
    for (name, part) in
        [("none.yaml", "does not exist"), ("broken.yaml", "is not valid"), (".", "cannot be read")]
    {
        let error = Config::load(&scratch.options(Some(name), &[])).expect_err(name);
        let file = scratch.path().join(name).display().to_string();
        let told = error.to_string();
        assert!(told.contains(part) && told.matches(&file).count() == 2, "{told}");
        assert_eq!(error.inspected.len(), 1);
    }
    assert!(!scratch.path().join("none.yaml").exists());
}

#[test]
fn an_error_lists_every_place() {
    let scratch = Scratch::new();
    scratch.write("config.yaml", "api:\n  - port: x\n");
    let home = scratch.path().join("home").display().to_string();
    let error = Config::load(&scratch.options(None, &[("HOME", &home)])).expect_err("a wrong port");
    let told = error.to_string();
    for part in [
        "home/.config/athena/config.yaml: not found",
        "home/.athena/config.yaml: not found",
        "/config.yaml: found",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn the_bundled_file_says_what_the_code_does() {
    let uri = [("POSTGRES_ATHENA_LOGGING_URI", "postgres://h/athena_logging")];
    let shipped = quiet(BUNDLED, &uri);
    let bare = quiet("", &[]);
    assert_eq!(shipped.server, bare.server);
    assert_eq!(shipped.limits, bare.limits);
    assert_eq!(shipped.pool, bare.pool);
    assert_eq!(shipped.gateway.logging_client.as_deref(), Some("athena_logging"));
    assert_eq!(shipped.gateway.auth_client.as_deref(), Some("athena_logging"));
    assert_eq!(shipped.cors.allowed_origins.len(), 6);
    // What is commented out must be right as well: it is there to be switched on.
    let sections = ["limits:", "pool:", "logging:", "retention:", "realtime:", "redis:", "traces:"];
    let lines = BUNDLED.lines().map(|line| {
        let bare = line.trim_start().strip_prefix("# ").unwrap_or("");
        match bare.trim_start().starts_with("- ") || sections.contains(&bare) {
            true => line.replacen("# ", "", 1),
            false => line.to_owned(),
        }
    });
    let all = lines.collect::<Vec<_>>().join("\n");
    let redis = ("ATHENA_REDIS_URL", "redis://redis:6379");
    let cursors = ("CURSOR_SECRET", "0123456789abcdef0123456789abcdef");
    let all = quiet(&all, &[uri[0], redis, ("SHOP_PASSWORD", "x"), ("OTLP_HEADERS", "x-token=abc"), cursors]);
    assert_eq!(all.clients.len(), 2);
    assert_eq!(all.limits, bare.limits);
    assert_eq!(all.pool, bare.pool);
    assert_eq!(all.server.http_workers, Some(8));
    assert!(all.gateway.cursor_secret.is_some());
    assert!(all.redis.is_some() && all.traces.endpoint.is_some() && all.retention.auth_log.is_some());
}

#[test]
fn every_default_is_the_one_that_is_listed() {
    let bare = quiet("", &[]);
    for key in KEYS.iter().filter(|key| key.effective && !key.default.is_empty()) {
        let written = quiet(&format!("{}:\n  {}: {}\n", key.section, key.name, key.default), &[]);
        assert_eq!(written, bare, "{}", key.path());
    }
}
