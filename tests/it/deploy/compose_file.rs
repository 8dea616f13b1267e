//! `docker-compose.yml`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use compose_spec::Compose;
use serde_json::Value;

use super::image;
use super::{
    available, check_grace, check_spool, check_variables, configured, default_of, list, map, path, read,
    seconds, server_options, text, words, yaml,
};

const FILE: &str = "docker-compose.yml";

fn file() -> Value {
    yaml(FILE)
}

/// What compose makes of a value when no variable is set: `${NAME:-default}` becomes its default.
#[track_caller]
pub(super) fn expanded(value: &str) -> String {
    let mut expanded = String::new();
    let mut rest = value;
    while let Some((before, reference)) = rest.split_once("${") {
        let (inside, after) = reference.split_once('}').expect("a closed reference");
        let (name, default) = inside.split_once(":-").unwrap_or_else(|| panic!("{inside} has no default"));
        assert!(name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'), "{name}");
        expanded.push_str(before);
        expanded.push_str(default);
        rest = after;
    }
    expanded + rest
}

/// The variables that the gateway is started with, as far as they have a value: the image's and the file's.
pub(super) fn environment() -> Vec<(String, String)> {
    let file = file();
    let variables = map(&file["services"]["athena"]["environment"]);
    let set = variables.iter().filter(|(_, value)| !value.is_null());
    let set = set.map(|(name, value)| (name.clone(), expanded(text(value))));
    image::environment().into_iter().chain(set).collect()
}

/// Reads a file by the types of the Compose specification, which know no other keys and values.
fn specified(text: &str) -> Result<Compose, String> {
    let compose: Compose = Compose::options().from_yaml_str(text).map_err(|error| error.to_string())?;
    compose.validate_all().map_err(|error| error.to_string())?;
    Ok(compose)
}

#[test]
fn it_is_what_the_specification_says() {
    let file = expanded(&read(FILE));
    let compose = specified(&file).unwrap();
    assert_eq!(compose.services.len(), 3);
    for (good, bad) in [
        ("stop_grace_period: 45s", "stop_grace_periode: 45s"),
        ("stop_grace_period: 45s", "stop_grace_period: soon"),
        ("condition: service_healthy", "condition: service_helthy"),
        ("127.0.0.1:4052:4052", "127.0.0.1:4052:forty"),
        ("restart: unless-stopped", "restart: sometimes"),
        ("interval: 2s", "intervall: 2s"),
        ("volumes:\n  athena-state:", "volume:\n  athena-state:"),
    ] {
        assert!(file.contains(good), "{good}");
        assert!(specified(&file.replace(good, bad)).is_err(), "{bad} is taken");
    }
}

#[test]
fn every_service_comes_back_and_says_whether_it_is_healthy() {
    for (name, service) in map(&file()["services"]) {
        assert!(service["image"].is_string() || service["build"].is_string(), "{name} has no image");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let Some(healthcheck) = service.get("healthcheck") else { continue };
        let test = words(&healthcheck["test"]);
        assert!(["CMD", "CMD-SHELL"].contains(&test[0].as_str()) && test.len() > 1, "{name}: {test:?}");
    }
}

#[test]
fn what_it_names_exists() {
    let file = file();
    let services = map(&file["services"]);
    let mut mounted = Vec::new();
    for (name, service) in services {
        if let Some(targets) = service.get("depends_on") {
            for (target, rule) in map(targets) {
                let other = services.get(target).unwrap_or_else(|| panic!("{name} waits for {target}"));
                assert_eq!(rule["condition"], "service_healthy", "{name} → {target}");
                assert!(other["healthcheck"]["test"].is_array(), "{target} has no health check");
            }
        }
        if let Some(context) = service.get("build") {
            assert!(path(text(context)).join("Dockerfile").is_file());
        }
        for env_file in service.get("env_file").map_or(&[] as &[_], |files| list(files)) {
            assert!(path(text(env_file)).is_file(), "{env_file}");
        }
        for volume in service.get("volumes").map_or(&[] as &[_], |volumes| list(volumes)) {
            let source = text(volume).split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(directory) => assert!(path(directory).is_dir(), "{source} does not exist"),
                None => mounted.push(source.to_owned()),
            }
        }
    }
    let mut declared: Vec<String> = map(&file["volumes"]).keys().cloned().collect();
    mounted.sort_unstable();
    declared.sort_unstable();
    assert_eq!(mounted, declared, "volumes that are mounted, and those that are declared");
}

#[test]
fn ports_are_those_of_the_description_and_not_open_to_the_network() {
    let file = file();
    let expected =
        [("athena", 4052, default_of("api", "port")), ("postgres", 5433, 5432), ("redis", 6379, 6379)];
    assert_eq!(map(&file["services"]).len(), expected.len());
    for (service, published, inside) in expected {
        let ports = words(&file["services"][service]["ports"]);
        let ports: Vec<String> = ports.iter().map(|port| expanded(port)).collect();
        assert_eq!(ports, [format!("127.0.0.1:{published}:{inside}")], "{service}");
    }
}

#[test]
fn the_gateway_gets_its_variables_and_finds_its_databases() {
    let file = file();
    let services = map(&file["services"]);
    let variables = map(&services["athena"]["environment"]);
    check_variables(variables.keys().map(String::as_str));
    assert!(variables["ATHENA_KEY_12"].is_null(), "the key is the operator's");
    let environment = environment();
    let value = |name: &str| {
        &environment.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}")).1
    };
    let postgres = map(&services["postgres"]["environment"]);
    let uri = format!(
        "postgres://{}:{}@postgres:5432/{}",
        text(&postgres["POSTGRES_USER"]),
        expanded(text(&postgres["POSTGRES_PASSWORD"])),
        text(&postgres["POSTGRES_DB"])
    );
    assert_eq!(uri, "postgres://athena:athena@postgres:5432/athena_logging");
    assert_eq!(*value("POSTGRES_ATHENA_LOGGING_URI"), uri);
    assert_eq!(value("ATHENA_REDIS_URL"), "redis://redis:6379");
    assert_eq!(value("ATHENA_REALTIME_REGISTRY_PURGE_INTERVAL_SECS"), "30");
    assert_eq!(value("ATHENA_REALTIME_REGISTRY_INACTIVE_AFTER_SECS"), "300");
    let ready = words(&services["postgres"]["healthcheck"]["test"]);
    for flag in ["--username=athena", "--dbname=athena_logging"] {
        assert!(ready.iter().any(|word| word == flag), "{ready:?}");
    }
    let redis = words(&services["redis"]["command"]);
    for pair in [["--save", ""], ["--appendonly", "no"]] {
        assert!(redis.windows(2).any(|words| words == pair), "Redis keeps nothing: {redis:?}");
    }
}

#[test]
fn the_gateway_is_confined_and_has_time_to_drain() {
    let file = file();
    let athena = &file["services"]["athena"];
    assert_eq!(athena["read_only"], true);
    assert_eq!(words(&athena["cap_drop"]), ["ALL"]);
    assert_eq!(words(&athena["security_opt"]), ["no-new-privileges:true"]);
    assert_eq!(text(&athena["image"]), format!("athena:{}", env!("CARGO_PKG_VERSION")));
    assert!(athena.get("command").is_none(), "the command is the image's");
    // The mounted directory hides the image's own configuration, so it must hold one.
    let config = server_options(&image::command()).config.unwrap();
    let volumes = words(&athena["volumes"]);
    let mounted = volumes.iter().find_map(|volume| {
        let (source, target) = volume.strip_suffix(":ro")?.split_once(':')?;
        let inside = config.strip_prefix(target).ok()?;
        Some(Path::new(source.strip_prefix("./")?).join(inside))
    });
    let mounted = mounted.expect("the configuration is mounted, and cannot be written");
    let config = configured(mounted.to_str().unwrap(), environment());
    let grace = Duration::from_secs(seconds(text(&athena["stop_grace_period"])));
    check_grace(&config, Duration::ZERO, grace);
    // A volume that is mounted there for the first time takes over the owner, who is the image's user.
    assert!(athena.get("user").is_none(), "the user is the image's");
    let state = image::state();
    let named = |volume: &&String| volume.split_once(':').is_some_and(|(source, _)| !source.starts_with('.'));
    let kept: Vec<_> = volumes.iter().filter(named).map(|volume| volume.split_once(':').unwrap().1).collect();
    assert_eq!(kept, [state.to_str().unwrap()], "the state is on a volume that can be written");
    check_spool(&config, &state);
}

/// Where docker has the plugin, compose itself has the last word; it needs no engine for this.
#[test]
fn compose_accepts_the_file() {
    if !available("docker", &["compose", "version"]) {
        return;
    }
    let mut command = Command::new("docker");
    command.args(["compose", "--file"]).arg(path(FILE)).args(["config", "--quiet"]);
    let out = command.env("ATHENA_KEY_12", "k").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
