//! The command of the image with the variables of each deployment, against a real database.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use athena_test_support::TestDatabase;

use super::{compose_file, image, read, unit};
use crate::child::Process;
use crate::harness::{Gateway, secretly};

const BINARY: &str = env!("CARGO_BIN_EXE_athena_rs");

/// A directory that stands for `/var/lib` of a deployment.
struct Lib(PathBuf);

impl Lib {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("athena-lib-{}-{number}", std::process::id())))
    }

    /// The text with this directory where the deployment's was.
    fn local(&self, text: &str) -> String {
        text.replace("/var/lib", self.0.to_str().unwrap())
    }
}

impl Drop for Lib {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// `arguments` with the files of the image replaced by those of the repository that stand for them.
fn local(arguments: &[String], config: &Path) -> Vec<String> {
    let installed = "/etc/athena/config.yaml";
    assert!(arguments.iter().any(|argument| argument == installed), "{arguments:?}");
    let file = |argument: &String| match argument == installed {
        true => config.display().to_string(),
        false => argument.clone(),
    };
    arguments[1..].iter().map(file).collect()
}

#[track_caller]
fn starts_is_healthy_and_stops(file: &str, mut environment: Vec<(String, String)>, database: &str) {
    let lib = Lib::new();
    let state = lib.0.join(image::state().strip_prefix("/var/lib").unwrap());
    std::fs::create_dir_all(&state).unwrap();
    environment.iter_mut().for_each(|(_, value)| *value = lib.local(value));
    let config = &lib.0.join("config.yaml");
    std::fs::write(config, lib.local(&read(file))).unwrap();
    let uri = environment.iter_mut().find(|(name, _)| name == "POSTGRES_ATHENA_LOGGING_URI");
    uri.expect("the control database").1 = secretly(database);
    // No Redis here, and a port of the test's own.
    environment.retain(|(name, _)| name != "ATHENA_REDIS_URL");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    environment.push(("ATHENA_API__PORT".to_owned(), port.to_string()));
    let run = |arguments: &[String]| {
        let mut command = Command::new(BINARY);
        command.env_clear().envs(environment.iter().cloned()).current_dir(std::env::temp_dir());
        command.args(local(arguments, config));
        command
    };
    let health = || {
        let mut command = run(&image::health_command());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(!health(), "nothing listens yet");
    let mut server = Process::start(&mut run(&image::command()));
    let asked = Instant::now();
    // Once the process has taken its spool, it can write there.
    let spool = state.join("spool");
    let taken = || {
        let roots = std::fs::read_dir(&spool).into_iter().flatten().flatten();
        roots.into_iter().any(|root| root.path().join("000/lock").is_file())
    };
    while !health() || !taken() {
        assert!(server.ended().is_none(), "the server with {file} has ended");
        assert!(
            asked.elapsed() < Duration::from_secs(20),
            "the server with {file} is not healthy, or has no {spool:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    server.signal("-TERM");
    let status = loop {
        match server.ended() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "the server with {file} does not stop cleanly");
    assert!(!health(), "nothing listens any more");
}

#[tokio::test]
async fn the_image_starts_with_the_variables_of_each_deployment() {
    let database = TestDatabase::fresh().await;
    let uri = database.uri();
    let started = tokio::task::spawn_blocking(move || {
        starts_is_healthy_and_stops("config/config.yaml", compose_file::environment(), &uri);
        let secret = || ("POSTGRES_ATHENA_LOGGING_URI".to_owned(), String::new());
        let pod = image::environment().into_iter().chain([secret()]).collect();
        starts_is_healthy_and_stops("deploy/kubernetes/config.yaml", pod, &uri);
        let unit = unit::environment().into_iter().chain([secret()]).collect();
        starts_is_healthy_and_stops("config/config.yaml", unit, &uri);
    });
    started.await.unwrap();
}

fn asked(url: &str) -> Output {
    Command::new(BINARY).env_clear().args(["healthcheck", "--url", url]).output().unwrap()
}

#[tokio::test]
async fn the_health_check_tells_the_answers_of_a_gateway_apart() {
    let gateway = Gateway::over(&[], "").await;
    let base = gateway.base.clone();
    tokio::task::spawn_blocking(move || {
        for route in ["/readyz", "/livez"] {
            let out = asked(&format!("{base}{route}"));
            assert!(out.status.success() && out.stdout.is_empty() && out.stderr.is_empty(), "{out:?}");
        }
        for (url, part) in [
            (format!("{base}/nothing"), "answers 404"),
            ("https://127.0.0.1/readyz".to_owned(), "http://"),
            ("http://127.0.0.1:1/readyz".to_owned(), "does not answer"),
        ] {
            let out = asked(&url);
            let said = String::from_utf8(out.stderr).unwrap();
            assert!(out.status.code() == Some(1) && said.contains(part), "{url}: {said}");
        }
    })
    .await
    .unwrap();
}
