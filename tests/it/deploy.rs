//! The files an operator deploys with, held against the program they start. No container engine is needed: what
//! they name must exist, what they pass must be understood, and the very command of the image is run.

mod compose_file;
mod image;
mod kubernetes;
mod start;
mod unit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use athena_cli::{Invocation, ServerOptions};
use athena_rs::config::{BUNDLED, Config, Environment, KEYS};
use athena_rs::run::CLOSING;
use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Variables of the product description that stand in no key and in no file of the configuration.
const DESCRIBED: &[&str] = &[
    "ATHENA_KEY_12",
    "ATHENA_REDIS_URL",
    "ATHENA_REALTIME_REGISTRY_PURGE_INTERVAL_SECS",
    "ATHENA_REALTIME_REGISTRY_INACTIVE_AFTER_SECS",
];

/// A path of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[track_caller]
fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The only document of a YAML file; a key that stands twice is an error of the parser.
#[track_caller]
fn yaml(name: &str) -> Value {
    let mut documents = documents(&read(name));
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

#[track_caller]
fn documents(text: &str) -> Vec<Value> {
    YamlLoader::load_from_str(text).unwrap().iter().map(value).collect()
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Integer(number) => (*number).into(),
        Yaml::Real(text) | Yaml::String(text) => text.as_str().into(),
        Yaml::Boolean(truth) => (*truth).into(),
        Yaml::Array(items) => items.iter().map(value).collect(),
        Yaml::Hash(pairs) => {
            let key = |key: &Yaml| key.as_str().expect("a key that is text").to_owned();
            Value::Object(pairs.iter().map(|(name, item)| (key(name), value(item))).collect())
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
    }
}

#[track_caller]
fn map(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not a map: {value}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

#[track_caller]
fn words(value: &Value) -> Vec<String> {
    list(value).iter().map(|word| text(word).to_owned()).collect()
}

/// What a key is when nobody sets it.
#[track_caller]
fn default_of(section: &str, name: &str) -> u64 {
    let key = KEYS.iter().find(|key| (key.section, key.name) == (section, name)).expect(name);
    key.default.parse().expect("a number")
}

/// Every variable an operator may set.
fn known_variables() -> BTreeSet<String> {
    let keys = KEYS.iter().flat_map(|key| [Some(key.override_variable()), key.variable.map(str::to_owned)]);
    let referred = BUNDLED.split("${").skip(1).filter_map(|rest| {
        let end = rest.find(['}', ':'])?;
        Some(rest[..end].to_owned())
    });
    keys.flatten().chain(referred).chain(DESCRIBED.iter().map(|name| (*name).to_owned())).collect()
}

/// Every name of `variables` must mean something to the program, and the paper on deployment must have it.
#[track_caller]
fn check_variables<'a>(variables: impl IntoIterator<Item = &'a str>) {
    let known = known_variables();
    let paper = read("docs/deployment.md");
    for variable in variables {
        assert!(known.contains(variable), "{variable} means nothing to the program");
        assert!(paper.contains(&format!("`{variable}`")), "docs/deployment.md does not explain {variable}");
    }
}

/// What the program makes of a file with these variables.
#[track_caller]
fn configured(file: &str, variables: impl IntoIterator<Item = (String, String)>) -> Config {
    let environment: Environment = variables.into_iter().collect();
    Config::from_text(file, &read(file), &environment, None).unwrap_or_else(|e| panic!("{file}: {e}")).0
}

/// What waits for the control database must lie below the directory that is kept and can be written.
#[track_caller]
fn check_spool(config: &Config, state: &Path) {
    let spool = config.logging.spool_dir.as_deref().expect("what the memory does not hold is lost: no spool");
    assert!(spool.starts_with(state) && spool != state, "{} is not in {}", spool.display(), state.display());
}

/// What a supervisor waits before it kills must be longer than the longest stop.
#[track_caller]
fn check_grace(config: &Config, before: Duration, grace: Duration) {
    let longest = before + config.server.drain_delay + config.server.shutdown_timeout + CLOSING;
    assert!(grace >= longest + Duration::from_secs(5), "{grace:?} is too short for {longest:?}");
}

/// What the command line of a start means; it must be one that starts the server with a configuration.
#[track_caller]
fn server_options(arguments: &[String]) -> ServerOptions {
    match athena_cli::parse_from(arguments) {
        Ok(Invocation::Server(options)) => {
            assert!(options.config.is_some(), "a start without --config may write one: {arguments:?}");
            options
        }
        other => panic!("{arguments:?} does not start the server: {other:?}"),
    }
}

/// Whether a program is there and takes these arguments.
fn available(program: &str, arguments: &[&str]) -> bool {
    let command = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    command.is_ok_and(|status| status.success())
}

/// Seconds of `45s`, `1m` or `45`.
#[track_caller]
fn seconds(text: &str) -> u64 {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        other => panic!("{other} is no unit of time"),
    };
    digits.parse::<u64>().unwrap() * unit
}
