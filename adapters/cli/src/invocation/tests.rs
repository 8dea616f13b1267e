use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Invocation, Stop> {
    parse_from(std::iter::once("athena_rs").chain(line.split_whitespace()))
}

fn options() -> ServerOptions {
    ServerOptions {
        config: None,
        pipelines: "config/pipelines.yaml".into(),
        port: None,
        demo: None,
        managed_postgres: None,
        // The variable may be set where the tests run.
        pg_bin: std::env::var_os("ATHENA_PG_BIN").map(PathBuf::from),
    }
}

#[track_caller]
fn check(line: &str, expected: ServerOptions) {
    assert_eq!(parse(line), Ok(Invocation::Server(expected)), "{line}");
}

#[track_caller]
fn check_stop(line: &str, code: u8, part: &str) {
    let stop = parse(line).expect_err(line);
    assert_eq!(stop.code, code, "{line}: {stop}");
    assert!(stop.text.contains(part), "{line}: {stop}");
}

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn server_and_api_only_are_the_same() {
    check("server", options());
    check("server --api-only", options());
    check("--api-only", ServerOptions { pg_bin: None, ..options() });
}

#[test]
fn global_flags_stand_anywhere_and_under_both_names() {
    let expected = ServerOptions {
        config: Some("a.yaml".into()),
        pipelines: "p.yaml".into(),
        port: Some(5000),
        ..options()
    };
    for line in [
        "--config a.yaml --pipelines p.yaml --port 5000 server",
        "server --config a.yaml --pipelines p.yaml --port 5000",
        "--config-path a.yaml server --pipelines-path p.yaml --port=5000",
        "--port 5000 server --config-path=a.yaml --pipelines=p.yaml",
    ] {
        check(line, expected.clone());
    }
    check(
        "--api-only --config a.yaml --pipelines p.yaml --port 5000",
        ServerOptions { pg_bin: None, ..expected },
    );
}

#[test]
fn the_demo_and_the_managed_cluster() {
    let demo = |dir: Option<&str>, reset| ServerOptions {
        demo: Some(Demo { dir: dir.map(PathBuf::from), reset }),
        ..options()
    };
    check("server --demo", demo(None, false));
    check("server --demo --reset", demo(None, true));
    check("server --demo --demo-dir d --reset", demo(Some("d"), true));
    check("server --managed-postgres d", ServerOptions { managed_postgres: Some("d".into()), ..options() });
    check("server --demo --pg-bin b", ServerOptions { pg_bin: Some("b".into()), ..demo(None, false) });
    check_stop("server --reset", 2, "--demo");
    check_stop("server --demo-dir d", 2, "--demo");
    check_stop("server --demo --managed-postgres d", 2, "--managed-postgres");
    check_stop("--api-only --demo", 2, "--demo");
}

#[test]
fn commands_without_a_server() {
    assert_eq!(parse("version"), Ok(Invocation::Version));
    assert_eq!(parse("diag"), Ok(Invocation::Diag));
    assert_eq!(parse("diag --config missing.yaml"), Ok(Invocation::Diag));
    assert_eq!(parse("openapi"), Ok(Invocation::OpenApi));
}

#[test]
fn the_health_check_knows_the_server_by_url_configuration_or_port() {
    let asks = |url: Option<&str>, config: Option<&str>, port| {
        Ok(Invocation::Healthcheck(HealthcheckOptions {
            url: url.map(str::to_owned),
            config: config.map(PathBuf::from),
            port,
        }))
    };
    assert_eq!(parse("healthcheck"), asks(None, None, None));
    assert_eq!(parse("healthcheck --url http://h:1/livez"), asks(Some("http://h:1/livez"), None, None));
    assert_eq!(parse("healthcheck --config c.yaml --port 5000"), asks(None, Some("c.yaml"), Some(5000)));
    check_stop("healthcheck --path /livez", 2, "--path");
}

#[test]
fn what_only_prints() {
    assert_eq!(parse("--version"), Err(Stop { text: "athena_rs 2.9.0".to_owned(), code: 0 }));
    assert_eq!(crate::VERSION, "2.9.0");
    check_stop("--help", 0, "--config <PATH>");
    check_stop("server --help", 0, "--demo");
}

#[test]
fn what_is_refused() {
    check_stop("", 2, "No command provided; pass --api-only to boot the API");
    check_stop("--port 5000", 2, "No command provided");
    check_stop("serve", 2, "server");
    check_stop("server --prot 1", 2, "--port");
    check_stop("server --port 70000", 2, "65535");
    check_stop("server --config a --config-path b", 2, "multiple times");
}
