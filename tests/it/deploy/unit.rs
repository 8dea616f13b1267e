//! `deploy/athena.service` and its file of variables.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{
    available, check_grace, check_spool, check_variables, configured, default_of, read, seconds,
    server_options,
};

const UNIT: &str = "deploy/athena.service";

/// What systemd puts for `%S`.
const STATE: &str = "/var/lib";

/// The variables of the unit itself.
pub(super) fn environment() -> Vec<(String, String)> {
    let pair = |line: String| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.replace("%S", STATE))
    };
    settings("Environment").into_iter().map(pair).collect()
}

/// The values of a setting, in order.
fn settings(name: &str) -> Vec<String> {
    let text = read(UNIT);
    let line = |line: &str| {
        let (found, value) = line.split_once('=')?;
        (found == name).then(|| value.to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

#[track_caller]
fn setting(name: &str) -> String {
    let found = settings(name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

#[test]
fn it_starts_reloads_and_stops_the_program() {
    let command: Vec<String> = setting("ExecStart").split_whitespace().map(str::to_owned).collect();
    let binary = Path::new(&command[0]).file_name();
    assert_eq!(binary, Path::new(env!("CARGO_BIN_EXE_athena_rs")).file_stem());
    let config = server_options(&command).config.unwrap();
    let directory = format!("/etc/{}", setting("ConfigurationDirectory"));
    assert_eq!(config.parent(), Some(Path::new(&directory)));
    assert_eq!(setting("ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(setting("KillSignal"), "SIGTERM");
    assert_eq!(setting("Restart"), "on-failure");
    let grace = Duration::from_secs(seconds(&setting("TimeoutStopSec")));
    check_grace(&configured("config/config.yaml", environment()), Duration::ZERO, grace);
    let files: u64 = setting("LimitNOFILE").parse().unwrap();
    assert!(files > 2 * default_of("api", "http_max_connections"), "a caller and a database take one each");
}

#[test]
fn it_is_confined() {
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateTmp", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
    ] {
        assert_eq!(setting(name), value, "{name}");
    }
    // The only place it may write is also where it works, and where records wait.
    let state = format!("%S/{}", setting("StateDirectory"));
    assert_eq!(setting("WorkingDirectory"), state);
    let state = state.replace("%S", STATE);
    check_spool(&configured("config/config.yaml", environment()), Path::new(&state));
}

#[test]
fn the_example_of_its_variables_is_understood() {
    let example = read("deploy/athena.env.example");
    let mut names = Vec::new();
    for line in example.lines() {
        // Prose has a blank after the sign, a variable that is left out has none.
        let line = line.strip_prefix('#').unwrap_or(line);
        let Some((name, _)) = line.split_once('=').filter(|(name, _)| !name.contains(' ')) else { continue };
        names.push(name);
    }
    assert!(names.len() >= 5, "{names:?}");
    check_variables(names);
    assert!(!example.contains("\nATHENA_KEY_12="), "the key is the operator's");
    let installed = setting("EnvironmentFile");
    assert!(read(UNIT).contains(&format!("deploy/athena.env.example {installed}")), "{installed}");
}

/// Where systemd is, it reads the unit itself.
#[test]
fn systemd_accepts_the_unit() {
    if !available("systemd-analyze", &["--version"]) {
        return;
    }
    let name = format!("athena-{}.service", std::process::id());
    let file = std::env::temp_dir().join(&name);
    let installed = setting("ExecStart").split(' ').next().unwrap().to_owned();
    std::fs::write(&file, read(UNIT).replace(&installed, env!("CARGO_BIN_EXE_athena_rs"))).unwrap();
    let out = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8(out.unwrap().stderr).unwrap();
    // It complains about other units of the machine as well.
    assert!(!said.contains(&name), "{said}");
}
