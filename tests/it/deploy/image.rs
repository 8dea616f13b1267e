//! `Dockerfile` and `.dockerignore`.

use std::path::{Component, Path, PathBuf};

use athena_cli::{HealthcheckOptions, Invocation};

use super::{check_spool, configured, default_of, path, read, seconds, server_options};

/// One instruction: its name and the rest of its line, continuation lines joined.
type Instruction = (String, String);

/// Every instruction, by stage.
fn stages() -> Vec<Vec<Instruction>> {
    let text = read("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap();
        if name == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().expect("FROM comes first").push((name.to_owned(), rest.trim().to_owned()));
    }
    stages
}

/// The rest of the only instruction of this name.
#[track_caller]
fn only(stage: &[Instruction], name: &str) -> String {
    let found: Vec<_> = stage.iter().filter(|(found, _)| found == name).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].1.clone()
}

#[track_caller]
fn array(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{text} is not the form without a shell: {e}"))
}

fn last_stage() -> Vec<Instruction> {
    stages().pop().expect("a stage")
}

/// `ENTRYPOINT` and `CMD`: what a container runs unless told otherwise.
pub(super) fn command() -> Vec<String> {
    let stage = last_stage();
    let mut command = array(&only(&stage, "ENTRYPOINT"));
    command.extend(array(&only(&stage, "CMD")));
    command
}

/// The variables of the image.
pub(super) fn environment() -> Vec<(String, String)> {
    let variables = last_stage().into_iter().filter(|(name, _)| name == "ENV");
    let pair = |(_, rest): (String, String)| {
        let (name, value) = rest.split_once('=').unwrap_or_else(|| panic!("ENV {rest}"));
        assert!(!value.contains(char::is_whitespace), "one variable a line: ENV {rest}");
        (name.to_owned(), value.to_owned())
    };
    variables.map(pair).collect()
}

/// The directory that the image's user may write.
pub(super) fn state() -> PathBuf {
    only(&last_stage(), "WORKDIR").into()
}

/// What the container's health check runs.
pub(super) fn health_command() -> Vec<String> {
    let line = only(&last_stage(), "HEALTHCHECK");
    array(line.split_once("CMD ").expect("a command").1)
}

/// Sources and target of each COPY that takes from the repository.
fn copies() -> Vec<(Vec<String>, String)> {
    let copy = |(name, rest): &Instruction| {
        let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let (target, sources) = words.split_last()?;
        let own = name == "COPY" && !rest.contains("--from=");
        own.then(|| (sources.iter().map(|s| (*s).to_owned()).collect(), (*target).to_owned()))
    };
    stages().concat().iter().filter_map(copy).collect()
}

/// Whether `.dockerignore` lets a path into the build; the last line that fits decides.
fn sent(name: &str) -> bool {
    let mut sent = true;
    let text = read(".dockerignore");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (pattern, lets_in) = match line.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (line, false),
        };
        let fits = match pattern.strip_prefix("**/") {
            Some(part) => name.split('/').any(|component| match part.strip_suffix('*') {
                Some(start) => component.starts_with(start),
                None => component == part,
            }),
            None if pattern == "*" => true,
            None => {
                assert!(!pattern.contains('*'), "this test does not know the pattern {pattern}");
                name == pattern || name.starts_with(&format!("{pattern}/"))
            }
        };
        if fits {
            sent = lets_in;
        }
    }
    sent
}

#[test]
fn the_build_gets_what_it_needs_and_no_secret() {
    for (sources, _) in copies() {
        for source in sources {
            assert!(path(&source).exists(), "{source} does not exist");
            let mut left = vec![source];
            while let Some(name) = left.pop() {
                assert!(sent(&name), "{name} is copied, but .dockerignore holds it back");
                let below = std::fs::read_dir(path(&name)).into_iter().flatten().map(Result::unwrap);
                let names = below.map(|entry| entry.file_name().into_string().unwrap());
                left.extend(
                    names.filter(|below| !below.starts_with(".env")).map(|below| format!("{name}/{below}")),
                );
            }
        }
    }
    for name in [
        ".env",
        ".env.local",
        "src/.env",
        "deploy/athena.env",
        "config/clients.json",
        ".git/config",
        "target/release/athena_rs",
        "adapters/http/target/x",
        "tests/clients/node_modules/x",
    ] {
        assert!(!sent(name), "{name} would be sent to the builder");
    }
}

/// Whether a path of the repository is in the build stage.
fn copied(name: &Path) -> bool {
    copies().iter().flat_map(|(sources, _)| sources).any(|source| name.starts_with(source))
}

#[test]
fn every_member_and_every_embedded_file_is_copied() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        let file = match member.strip_suffix("/*").unwrap_or(member) {
            "." => PathBuf::from("Cargo.toml"),
            directory => Path::new(directory).join("Cargo.toml"),
        };
        assert!(copied(&file), "the member {member} is not copied");
    }
    let mut seen = 0;
    for directory in ["src", "domain", "application", "adapters"] {
        for file in sources(&path(directory)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let parts: Vec<&str> = text.split("include_str!(\"").collect();
            for pair in parts.windows(2) {
                // A guide whose examples are compiled as tests is no part of the program.
                let (before, rest) = (pair[0], pair[1]);
                if before.ends_with("#[cfg(doctest)]\n#[doc = ") {
                    continue;
                }
                let embedded = file.parent().unwrap().join(rest.split('"').next().unwrap());
                let embedded = normal(&embedded);
                let name = embedded.strip_prefix(path("")).unwrap();
                assert!(embedded.is_file(), "{} embeds {}", file.display(), name.display());
                assert!(copied(name), "{} embeds {}, which is not copied", file.display(), name.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "embedded files are not found any more");
}

/// Rust files below a directory that are part of the program.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn the_compiler_is_new_enough_and_the_c_library_the_same() {
    let bases: Vec<String> = stages().iter().map(|stage| only(stage, "FROM")).collect();
    let [build, runtime] = bases.as_slice() else { panic!("{bases:?}") };
    let version = build.strip_prefix("rust:").and_then(|rest| rest.split('-').next()).expect("a Rust image");
    let number =
        |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let oldest = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(number(version) >= number(oldest), "{version} is older than {oldest}");
    let release = |image: &str| {
        ["bookworm", "trixie", "forky"].into_iter().find(|release| image.contains(release)).map(str::to_owned)
    };
    assert!(release(build).is_some() && release(build) == release(runtime), "{bases:?}");
}

#[test]
fn the_image_starts_the_program_without_root() {
    let stage = last_stage();
    let user = only(&stage, "USER");
    for id in user.split(':') {
        assert!(id.parse::<u32>().is_ok_and(|id| id > 0), "USER {user}");
    }
    let owned = format!("--chown={user}");
    let state = only(&stage, "WORKDIR");
    assert!(
        stage.iter().any(|(name, rest)| name == "COPY" && rest.contains(&owned) && rest.ends_with(&state)),
        "the user cannot write {state}"
    );
    assert!(!stage.iter().any(|(name, _)| name == "RUN"), "the last stage needs no program of its base");
    assert_eq!(only(&stage, "EXPOSE").parse(), Ok(default_of("api", "port")));
    assert_eq!(only(&stage, "STOPSIGNAL"), "SIGTERM");
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(only(&stage, "LABEL").contains(&version));
    assert!(!stages().concat().iter().any(|(name, _)| name == "ARG"), "is it a secret?");
    let variables: Vec<String> = environment().into_iter().map(|(name, _)| name).collect();
    assert_eq!(variables, ["XDG_STATE_HOME"], "nothing else is known to be no secret");

    let command = command();
    let binary = Path::new(&command[0]).file_name().unwrap().to_str().unwrap();
    assert_eq!(Path::new(env!("CARGO_BIN_EXE_athena_rs")).file_stem().unwrap(), binary);
    let builds = stages().concat().into_iter().any(|(name, rest)| {
        name == "RUN" && rest.contains(&format!("cargo build --release --locked --bin {binary}"))
    });
    assert!(builds, "{binary} is not what is built");
    let installed = format!("/{binary} {}", command[0]);
    assert!(stage.iter().any(|(name, rest)| name == "COPY" && rest.ends_with(&installed)), "{installed}");
    check_spool(&configured("config/config.yaml", environment()), Path::new(&state));
    let config = server_options(&command).config.unwrap();
    assert!(copies().iter().any(|(_, target)| Path::new(target) == config), "{}", config.display());

    match athena_cli::parse_from(health_command()) {
        Ok(Invocation::Healthcheck(HealthcheckOptions { config: asked, .. })) => {
            assert_eq!(asked, Some(config))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(health_command()[0], command[0]);
    let flags = only(&stage, "HEALTHCHECK");
    let timeout = flags.split("--timeout=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(seconds(timeout) > 3, "the check itself may take three seconds");
}
