//! The command of the image with the variables of each deployment, against a real database.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use athena_test_support::TestDatabase;

use super::{compose_file, image, path};
use crate::harness::Gateway;

const BINARY: &str = env!("CARGO_BIN_EXE_athena_rs");

/// A server that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
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
fn starts_is_healthy_and_stops(config: &str, mut environment: Vec<(String, String)>, database: &str) {
    let uri = environment.iter_mut().find(|(name, _)| name == "POSTGRES_ATHENA_LOGGING_URI");
    uri.expect("the control database").1 = database.to_owned();
    // No Redis here, and a port of the test's own.
    environment.retain(|(name, _)| name != "ATHENA_REDIS_URL");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    environment.push(("ATHENA_API__PORT".to_owned(), port.to_string()));
    let run = |arguments: &[String]| {
        let mut command = Command::new(BINARY);
        command.env_clear().envs(environment.iter().cloned()).current_dir(std::env::temp_dir());
        command.args(local(arguments, &path(config))).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let health = || run(&image::health_command()).status().unwrap().success();
    assert!(!health(), "nothing listens yet");
    let mut server = Running(run(&image::command()).spawn().unwrap());
    let asked = Instant::now();
    while !health() {
        assert!(server.0.try_wait().unwrap().is_none(), "the server with {config} has ended");
        assert!(asked.elapsed() < Duration::from_secs(20), "the server with {config} does not get healthy");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap().success());
    assert!(server.0.wait().unwrap().success(), "the server with {config} does not stop cleanly");
    assert!(!health(), "nothing listens any more");
}

#[tokio::test]
async fn the_image_starts_with_the_variables_of_each_deployment() {
    let database = TestDatabase::fresh().await;
    let uri = database.uri();
    let started = tokio::task::spawn_blocking(move || {
        starts_is_healthy_and_stops("config/config.yaml", compose_file::environment(), &uri);
        let secret = vec![("POSTGRES_ATHENA_LOGGING_URI".to_owned(), String::new())];
        starts_is_healthy_and_stops("deploy/kubernetes/config.yaml", secret, &uri);
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
