//! What is refused, what is only mentioned, and that neither tells a secret.

use super::*;

#[track_caller]
fn check(text: &str, parts: &[&str]) {
    let error = read(text, &[("PW", "hunter2"), ("BAD", "nonsense")]).map(|_| ()).expect_err(text);
    let told = error.to_string();
    for part in parts {
        assert!(told.contains(part), "{text}: {part} is missing in {told}");
    }
    assert!(!format!("{told}{error:?}").contains("hunter2"), "{told}");
}

#[test]
fn wrong_values_are_named_with_their_key_and_the_fix() {
    for (text, parts) in [
        ("api: {port: abc}", &["test.yaml: api.port is \"abc\"", "a whole number from 0 to 65535"][..]),
        ("api: {port: 65536}", &["api.port is \"65536\""]),
        ("api: {port: -1}", &["api.port is \"-1\""]),
        ("api: {port: 4052.0}", &["api.port is \"4052.0\""]),
        ("api: {port: '+1'}", &["api.port is \"+1\""]),
        ("api: {port: 99999999999999999999999}", &["api.port is"]),
        ("api: {port: true}", &["api.port is \"true\""]),
        ("api: {port: [1, 2]}", &["api.port is a list; expected a whole number"]),
        ("api: {port: {a: 1}}", &["api.port is a map"]),
        ("api: {host: localhost}", &["api.host is \"localhost\"", "127.0.0.1"]),
        ("api: {keep_alive_secs: 0}", &["whole seconds from 1 to 86400"]),
        (
            "api: {cors_allow_any_origin: yes}",
            &["api.cors_allow_any_origin is \"yes\"; expected true or false"],
        ),
        ("api: {cors_allow_any_origin: 1}", &["expected true or false"]),
        ("api: {cors_allowed_origins: 'https://a/,x'}", &["\"https://a/\"", "without a path", "holds \"x\""]),
        (
            "api: {allowed_hosts: ['https://a.example', localhost]}",
            &["api.allowed_hosts holds \"https://a.example\"", "without scheme and port"],
        ),
        (
            "api: {trusted_proxies: [10.0.0.0/99]}",
            &["api.trusted_proxies holds \"10.0.0.0/99\"", "10.0.0.0/8"],
        ),
        ("api: {docs_url: 'ftp://x'}", &["https://"]),
        ("gateway: {response_shape: round}", &["\"round\"; expected envelope or flat"]),
        ("gateway: {unknown_fields: no}", &["refuse or ignore"]),
        ("gateway: {require_audit_headers: maybe}", &["strict or lenient"]),
        ("gateway: {cursor_secret: '${PW}'}", &["gateway.cursor_secret", "32 characters or more"]),
        ("gateway: {cursor_lifetime_secs: 0}", &["whole seconds from 1 to 604800"]),
        ("logging: {level: 'a=b=c'}", &["logging.level"]),
        ("logging: {format: xml}", &["pretty or json"]),
        ("redis: {url: 'redis://:${PW}@host:port'}", &["redis.url", "rediss://host:6379"]),
        ("traces: {otlp_endpoint: '${PW}'}", &["traces.otlp_endpoint", "http://otel-collector:4318"]),
        ("traces: {otlp_headers: '${PW}'}", &["traces.otlp_headers", "x-token=abc"]),
        ("traces: {sample_ratio: 1.5}", &["traces.sample_ratio is \"1.5\"; expected a number from 0 to 1"]),
        ("api: 4052", &["api is a single value"]),
        ("api:\n  - port", &["api[0] is not of the form `- key: value`"]),
        ("limits: {max_nesting: 65}", &["from 1 to 64"]),
    ] {
        check(text, parts);
    }
}

#[test]
fn keys_that_contradict_each_other_are_named_both() {
    for (text, parts) in [
        (
            "limits: {statement_timeout_secs: 35}",
            &["limits.statement_timeout_secs is 35", "limits.request_timeout_secs (35, from default)"][..],
        ),
        (
            "limits: {request_timeout_secs: 20}",
            &["limits.statement_timeout_secs is 30", "(20, from test.yaml)"],
        ),
        ("limits: {max_body_bytes: 99999999}", &["limits.max_decompressed_bytes"]),
        ("pool: {min_connections: 51}", &["pool.min_connections is 51", "pool.max_connections (50)"]),
        (
            "pool: {acquire_timeout_secs: 35}",
            &["pool.acquire_timeout_secs is 35", "limits.request_timeout_secs (35)"],
        ),
    ] {
        check(text, parts);
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let error = read("api: {port: x, host: y}\nlimits: {max_rows: z}\n", &[]).expect_err("three problems");
    let ConfigErrorKind::Invalid { problems } = *error.kind else { panic!("{error}") };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn a_wrong_variable_is_named_instead_of_the_file() {
    let error = read("api: {port: 1}", &[("ATHENA_API__PORT", "x")]).expect_err("a wrong port");
    assert!(
        error.to_string().contains("environment variable ATHENA_API__PORT: api.port is \"x\""),
        "{error}"
    );
}

#[test]
fn unset_variables_are_named() {
    check("api: {port: '${UNSET}'}", &["api.port is \"${UNSET}\": environment variable UNSET is not set"]);
    check("api: {cors_allowed_origins: ['${UNSET}']}", &["environment variable UNSET is not set"]);
    check("api: {port: '${BAD}'}", &["api.port is \"${BAD}\"; expected"]);
}

#[test]
fn no_error_tells_a_secret() {
    let uri = "postgres://u:hunter2@h/db";
    for key in KEYS.iter().filter(|key| key.effective) {
        let Key { section, name, .. } = key;
        for value in [
            format!("'{uri}'"),
            format!("['{uri}']"),
            format!("{{a: '{uri}'}}"),
            "'${PW} !'".to_owned(),
            "['${PW} !']".to_owned(),
            "'${UNSET:-hunter2} !'".to_owned(),
            "'${hunter2'".to_owned(),
        ] {
            let text = format!("{section}:\n  {name}: {value}\n");
            match read(&text, &[("PW", "hunter2")]) {
                // A few keys take any text; they are names, not secrets, and warnings show them masked.
                Ok((_, warnings)) => {
                    let takes_any = matches!(*name, "logging_client" | "auth_client");
                    assert!(takes_any || !format!("{warnings:?}").contains("hunter2"), "{text}");
                }
                Err(_) => check(&text, &[name]),
            }
        }
    }
    for text in [
        format!("'{uri}': 1\n"),
        format!("api:\n  - '{uri}'\n"),
        format!("api:\n  '{uri}': 1\n"),
        format!("postgres_clients:\n  - '{uri}'\n"),
        format!("postgres_clients:\n  demo: ['{uri}']\n"),
        "postgres_clients:\n  demo: hunter2\n".to_owned(),
        "postgres_clients:\n  demo: hunter2://u:hunter2@h\n".to_owned(),
        "postgres_clients:\n  demo: ${UNSET:-hunter2}\n".to_owned(),
        "postgres_clients:\n  demo: ${PW\n".to_owned(),
        format!("postgres_clients:\n  - demo: {uri}\n  - demo: {uri}\n"),
        format!("postgres_clients: {uri}\n"),
        format!("postgres_clients:\n  {uri}\n"),
        format!("a: 1\n{uri}\n"),
        format!("{uri}\n"),
        format!("['{uri}']\n"),
        "{? [hunter2] : 1}\n".to_owned(),
        format!("a: '{uri}\n"),
        format!("? '{uri}'\n: 1\n? '{uri}'\n: 2\n"),
    ] {
        let told = match read(&text, &[("PW", "hunter2")]) {
            Ok((config, warnings)) => {
                let texts: Vec<_> = warnings.iter().map(Warning::to_string).collect();
                format!("{config:?} {warnings:?} {texts:?}")
            }
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!told.contains("hunter2"), "{text}: {told}");
    }
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    let text = "apy: {port: 1}\napi:\n  - prot: 1\n  - max_rows: 2\n  - zzzzzzzzzz: 3\n";
    let (config, warnings) = read(text, &[]).expect("warnings only");
    assert_eq!(config.server.port, 4052);
    let mut told: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "test.yaml: unknown key api.max_rows is ignored; did you mean limits.max_rows?",
            "test.yaml: unknown key api.prot is ignored; did you mean api.port?",
            "test.yaml: unknown key api.zzzzzzzzzz is ignored",
            "test.yaml: unknown key apy is ignored; did you mean api?",
        ]
    );
}

#[test]
fn keys_without_effect_are_told_together() {
    let text = "urls:\n  - athena: ${UNSET}\nauthenticator:\n  scylladb: {username: u, password: hunter2}\napi:\n  - cache_ttl: 240\n";
    let (_, warnings) = read(text, &[("ATHENA_GATEWAY__AUTO_MIGRATE", "true")]).expect("accepted");
    let keys = ["api.cache_ttl", "authenticator.scylladb", "urls.athena"];
    assert_eq!(warnings, [Warning::NoEffect { keys: keys.map(str::to_owned).to_vec() }]);
}

#[test]
fn every_origin_makes_the_list_pointless() {
    let text = "api: {cors_allow_any_origin: true, cors_allowed_origins: 'https://a'}";
    let (_, warnings) = read(text, &[]).expect("accepted");
    assert_eq!(warnings, [Warning::AnyOrigin]);
}
