//! What the sections hold once read.

use super::*;
use crate::reload::difference;

#[test]
fn lists_and_maps_mean_the_same() {
    let list = "api:\n  - port: 5000\n  - keep_alive_secs: 7\n  - port: 6000\nlimits:\n  - max_rows: 5\n";
    let (list, warnings) = read(list, &[]).expect("a list");
    assert_eq!(warnings, [Warning::Repeated { origin: "test.yaml".into(), key: "api.port".into() }]);
    let map = quiet("api:\n  port: 5000\n  keep_alive_secs: 7\nlimits: {max_rows: 5}\n", &[]);
    assert_eq!(list, map);
    assert_eq!(
        (map.server.port, map.server.keep_alive, map.limits.max_rows),
        (5000, Duration::from_secs(7), 5)
    );
}

#[test]
fn empty_sections_and_null_values_are_defaults() {
    let bare = quiet("", &[]);
    for text in [
        "# nothing\n",
        "api:\n",
        "api: []\ngateway: {}\n",
        "api:\n  - port:\n",
        "gateway:\n  logging_client: ''\n",
    ] {
        assert_eq!(quiet(text, &[]), bare, "{text}");
    }
}

#[test]
fn scalars_of_any_kind_are_texts() {
    let config = quiet("api:\n  - port: '5000'\n  - cors_allow_any_origin: 'true'\n", &[]);
    assert_eq!((config.server.port, config.cors.allow_any_origin), (5000, true));
}

/// A value that is not the default.
fn other(key: &Key) -> &'static str {
    match key.default {
        "false" => "true",
        "true" => "false",
        "refuse" => "ignore",
        "strict" => "lenient",
        "envelope" => "flat",
        "info" => "debug",
        "0.0.0.0" => "127.0.0.1",
        "127.0.0.1" => "10.0.0.1",
        "67108864" | "16777216" => "9999999",
        "268435456" => "300000000",
        "134217728" => "200000000",
        "35" => "40",
        "30" => "20",
        _ => match key.name {
            "cors_allowed_origins" => "https://a.example",
            "trusted_proxies" => "10.0.0.0/8",
            "allowed_hosts" => "api.example.com",
            "docs_url" => "https://d.example",
            "logging_client" | "auth_client" => "shop",
            "format" => "json",
            "flush_interval_ms" => "50",
            "url" => "redis://r",
            "otlp_endpoint" => "http://c:4318",
            "otlp_headers" => "a=b",
            "cursor_secret" => "0123456789abcdef0123456789abcdef",
            "sample_ratio" => "0.5",
            "uri_variables" => "DB_PASSWORD",
            _ => "9",
        },
    }
}

#[test]
fn the_environment_overrides_every_key() {
    let uri = ("ATHENA_POSTGRES_CLIENTS__SHOP", "postgres://h/shop");
    let bare = quiet("", &[uri]);
    // Those that only go together have tests of their own.
    let alone = |key: &&Key| !key.name.starts_with("tls_") && key.name != "supabase_allow_insecure";
    for key in KEYS.iter().filter(|key| key.effective).filter(alone) {
        let variables = [Some(key.override_variable()), key.variable.map(str::to_owned)];
        for variable in variables.into_iter().flatten() {
            let config = quiet("", &[uri, (&variable, other(key))]);
            assert_ne!(config, bare, "{variable}");
            let file = quiet(&format!("{}:\n  {}: {}\n", key.section, key.name, other(key)), &[uri]);
            assert_eq!(config, file, "{variable}");
            let empty = quiet("", &[uri, (&variable, "")]);
            assert_eq!(empty, bare, "{variable}");
        }
    }
}

#[test]
fn a_running_gateway_follows_every_key_or_names_it() {
    let uri = ("ATHENA_POSTGRES_CLIENTS__SHOP", "postgres://h/shop");
    let bare = quiet("", &[uri]);
    let mut followed = 0;
    for key in KEYS.iter().filter(|key| key.effective && key.name != "supabase_allow_insecure") {
        let text = match key.name {
            name if name.starts_with("tls_") => "api: {tls_cert: a.pem, tls_key: b.pem}\n".to_owned(),
            name => format!("{}:\n  {name}: {}\n", key.section, other(key)),
        };
        let mut config = quiet(&text, &[uri]);
        let held = difference::hold(&mut config, &bare);
        let changed = difference::changed(&config, &bare);
        assert_ne!(held.is_empty(), changed.is_empty(), "{}: {held:?} {changed:?}", key.path());
        assert_eq!(config == bare, changed.is_empty(), "{}", key.path());
        let names_it = |held: &String| {
            key.path().starts_with(&**held) || key.name.starts_with("tls_") || key.name == "logging_client"
        };
        assert!(held.iter().all(names_it), "{}: {held:?}", key.path());
        followed += changed.len();
    }
    assert!(followed > 30, "{followed}");
}

#[test]
fn insecure_hosts_are_those_that_are_listed() {
    let alone = quiet("gateway: {supabase_allow_insecure: true}\n", &[]);
    assert_eq!(alone, quiet("", &[]), "without a list it has no effect");
    let listed = "gateway: {supabase_allowed_hosts: 'localhost, 10.0.0.1'}\n";
    let variable = ("ATHENA_GATEWAY__SUPABASE_ALLOW_INSECURE", "true");
    assert_ne!(quiet(listed, &[variable]).gateway, quiet(listed, &[]).gateway);
}

#[test]
fn command_line_over_environment_over_file() {
    let text = "api:\n  - port: 5001\npool:\n  - max_connections: 1\n";
    let variables = [
        ("ATHENA_API__PORT", "5002"),
        ("ATHENA_PG_POOL_MAX_CONNECTIONS", "2"),
        ("ATHENA_POOL__MAX_CONNECTIONS", "3"),
    ];
    let config = quiet(text, &variables);
    assert_eq!((config.server.port, config.pool.max_connections), (5002, 3));
    assert_eq!(quiet(text, &variables[1..2]).pool.max_connections, 2);
    let environment = variables.into_iter().collect();
    let (config, _) = Config::from_text("t", text, &environment, Some(5003)).expect("a configuration");
    assert_eq!(config.server.port, 5003);
}

#[test]
fn references_reach_every_section() {
    let text = "api:\n  - port: ${PORT}\n  - cors_allowed_origins: ['https://${HOST_NAME}', 'http://localhost:${UI:-3000}']\n";
    let config = quiet(text, &[("PORT", "5000"), ("HOST_NAME", "a.example")]);
    assert_eq!(config.server.port, 5000);
    assert_eq!(config.cors.allowed_origins, ["https://a.example", "http://localhost:3000"]);
}

#[test]
fn lists_may_be_texts() {
    let text = "api:\n  - trusted_proxies: '10.0.0.0/8, ::1,'\n  - cors_allowed_origins: https://a.example,https://A.example:443\n";
    let config = quiet(text, &[]);
    let blocks: Vec<_> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(blocks, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.cors.allowed_origins, ["https://a.example"]);
}

#[test]
fn clients_of_every_kind() {
    let text = "postgres_clients:\n  - Shop: postgres://u:${PW}@h/shop\n  - logs: ${LOGS}\nclients:\n  extra: cql://h:9042/k\n  SHOP: postgres://other/shop\n";
    let variables =
        [("PW", "hunter2"), ("LOGS", "postgres://h/logs"), ("ATHENA_CLIENTS__NEW", "postgres://u:${x@h/new")];
    let (config, warnings) = read(text, &variables).expect("clients");
    assert_eq!(
        warnings,
        [Warning::Repeated { origin: "test.yaml".into(), key: "postgres_clients.SHOP".into() }]
    );
    let told: Vec<_> = config
        .clients
        .iter()
        .map(|client| {
            (client.name.to_string(), client.variable.clone(), client.target.clone().expect("a target"))
        })
        .map(|(name, variable, target)| (name, variable, target.expose().to_owned()))
        .collect();
    let row = |name: &str, variable: Option<&str>, target: &str| {
        (name.to_owned(), variable.map(str::to_owned), target.to_owned())
    };
    assert_eq!(
        told,
        [
            row("extra", None, "cql://h:9042/k"),
            row("logs", Some("LOGS"), "postgres://h/logs"),
            row("new", None, "postgres://u:${x@h/new"),
            row("Shop", None, "postgres://u:hunter2@h/shop"),
        ]
    );
    assert_eq!(config.clients[3].template.expose(), "postgres://u:${PW}@h/shop");
    // What overrides the file holds no reference, and is none where the catalog expands it again.
    assert_eq!(config.clients[2].template.expose(), "postgres://u:$${x@h/new");
}

#[test]
fn a_variable_replaces_a_client_whatever_its_case() {
    let text = "postgres_clients:\n  - Shop: ${UNSET}\n";
    let config = quiet(text, &[("ATHENA_POSTGRES_CLIENTS__SHOP", "postgres://h/x")]);
    assert_eq!(config.clients.len(), 1);
    assert_eq!(config.clients[0].name.as_str(), "Shop");
    assert_eq!(config.clients[0].target.as_ref().expect("a target").expose(), "postgres://h/x");
}

#[test]
fn a_client_that_cannot_be_reached_is_kept() {
    let text = "gateway:\n  - logging_client: Logs\npostgres_clients:\n  - logs: ${UNSET}\n  - odd: hunter2\n  - none:\n";
    let (config, warnings) = read(text, &[]).expect("a soft failure");
    let reasons: Vec<_> =
        config.clients.iter().map(|client| client.target.clone().expect_err("no target")).collect();
    assert_eq!(reasons[0], "environment variable UNSET is not set");
    assert_eq!(reasons[1], "the connection URI is empty");
    assert!(reasons[2].starts_with("not a connection URI"), "{reasons:?}");
    let severe: Vec<_> = warnings.iter().map(Warning::is_severe).collect();
    assert_eq!(severe, [true, false, false], "{warnings:?}");
}

#[test]
fn a_role_without_a_client_is_told_once() {
    let (_, warnings) = read("gateway:\n  logging_client: logs\n", &[]).expect("a soft failure");
    assert_eq!(warnings, [Warning::ClientUndefined { key: "gateway.logging_client", name: "logs".into() }]);
    let text = "gateway:\n  auth_client: keys\n";
    let (_, warnings) = read(text, &[]).expect("a soft failure");
    assert_eq!(warnings, [Warning::ClientUndefined { key: "gateway.auth_client", name: "keys".into() }]);
}

#[test]
fn the_log_suits_its_reader() {
    let bare = quiet("", &[]).logging;
    assert_eq!((bare.format(true), bare.format(false)), (LogFormat::Pretty, LogFormat::Json));
    assert_eq!((bare.colour(true), bare.colour(false)), (true, false));
    let json = quiet("logging:\n  format: JSON\n", &[("NO_COLOR", "1")]).logging;
    assert_eq!((json.format(true), json.colour(true)), (LogFormat::Json, false));
    let forced = quiet("", &[("NO_COLOR", "1"), ("ATHENA_ANSI", "yes")]).logging;
    assert!(forced.colour(false));
}

#[test]
fn a_certificate_needs_its_key() {
    let both = quiet("api: {tls_cert: /c.pem, tls_key: /k.pem}", &[]);
    let files = both.server.tls.expect("files");
    assert_eq!((files.certificate.to_str(), files.key.to_str()), (Some("/c.pem"), Some("/k.pem")));
    for (alone, missing) in [("tls_cert", "api.tls_key"), ("tls_key", "api.tls_cert")] {
        let error = read(&format!("api: {{{alone}: /x.pem}}"), &[]).expect_err("half of a pair").to_string();
        assert!(error.contains(missing), "{error}");
    }
}
