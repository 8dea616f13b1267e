//! What a URI may say, and what is told when it may not.

use super::*;

fn read(query: &str) -> PostgresSettings {
    let uri = format!("postgres://user:hunter2@db.example.com:6543/shop?{query}");
    PostgresSettings::from_uri(&uri).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn refused(uri: &str) -> String {
    PostgresSettings::from_uri(uri).map(|_| ()).expect_err(uri).to_string()
}

#[test]
fn the_uris_options_win_over_the_configured_values() {
    let mut settings = read(
        "max_connections=3&min_connections=2&statement_timeout_secs=10&acquire_timeout_secs=1&pooler=transaction\
         &max_concurrent=7&queue_length=0&queue_wait_ms=250&connect_timeout=2&sslmode=require\
         &circuit_breaker_threshold=2&circuit_breaker_timeout_secs=7&circuit_breaker_check_interval_secs=3",
    );
    settings.max_connections = 100;
    settings.max_raw_connections = 25;
    settings.acquire_timeout = Duration::from_secs(60);
    let resolved = settings.resolved();
    assert_eq!((resolved.max_connections, resolved.min_connections, resolved.max_raw_connections), (3, 2, 3));
    assert_eq!(resolved.statement_timeout, Duration::from_secs(10));
    assert_eq!(resolved.acquire_timeout, Duration::from_secs(1));
    assert_eq!(resolved.connect_timeout, Duration::from_secs(2));
    assert_eq!(resolved.pooler, Pooler::Transaction);
    assert_eq!((resolved.max_concurrent, resolved.queue_length), (Some(7), Some(0)));
    assert_eq!(resolved.queue_wait, Some(Duration::from_millis(250)));
    let breaker = athena_domain::breaker::BreakerOverrides {
        threshold: Some(2),
        timeout: Some(Duration::from_secs(7)),
        check_interval: Some(Duration::from_secs(3)),
    };
    assert_eq!(resolved.breaker, breaker);
    // The configured limit holds.
    settings.statement_timeout = Duration::from_secs(5);
    assert_eq!(settings.resolved().statement_timeout, Duration::from_secs(5));
    // Without options the configured values stand.
    let mut plain = read("");
    plain.max_connections = 9;
    assert_eq!(plain.resolved().max_connections, 9);
    assert_eq!((plain.pooler, plain.max_concurrent), (Pooler::Session, None));
    assert_eq!(plain.breaker, athena_domain::breaker::BreakerOverrides::default());
}

#[test]
fn the_rest_of_the_uri_reaches_the_driver() {
    let settings = read("application_name=my%20app&max_connections=3&options=-c%20search_path%3Da,b");
    let options = settings.options(4);
    assert_eq!((options.get_host(), options.get_port()), ("db.example.com", 6543));
    assert_eq!((options.get_username(), options.get_database()), ("user", Some("shop")));
    assert_eq!(options.get_application_name(), Some("my app"));
    let session = options.get_options().expect("session settings");
    assert!(session.starts_with("-c search_path=a,b "), "{session}");
    assert!(session.contains("IntervalStyle=iso_8601"), "{session}");
}

#[test]
fn a_transaction_pooler_gets_no_session_settings() {
    let settings =
        read("pooler=transaction&options=-c%20search_path%3Da,b%20--work-mem%3D1MB&options[x.y]=it's");
    assert_eq!(settings.options(4).get_options(), None);
    let parameters = settings.parameters();
    assert_eq!(parameters[..3], [("search_path", "a,b"), ("work_mem", "1MB"), ("x.y", "it's")]);
    assert!(parameters.contains(&("bytea_output", "hex")));
}

#[test]
fn a_root_certificate_is_never_only_for_show() {
    let mode = |query: &str| format!("{:?}", read(query).options(0).get_ssl_mode());
    assert_eq!(mode("sslmode=require&sslrootcert=/r.pem"), "VerifyCa");
    assert_eq!(mode("sslrootcert=/r.pem&sslmode=verify-full"), "VerifyFull");
    assert_eq!(mode("sslmode=verify-full&sslrootcert=system"), "VerifyFull");
    assert_eq!(mode("sslmode=require"), "Require");
    assert_eq!(mode(""), "Prefer");
    for query in
        ["sslrootcert=/r.pem", "sslmode=prefer&sslrootcert=/r.pem", "sslmode=disable&sslrootcert=system"]
    {
        let text = refused(&format!("postgres://h/db?{query}"));
        assert!(text.contains("`sslmode`") && text.contains("verify-full"), "{text}");
    }
}

#[test]
fn a_refusal_names_the_option_and_what_it_takes() {
    for (query, words) in [
        ("pooler=statement", &["`pooler`", "`transaction`", "`session`"][..]),
        ("pooler", &["`pooler`"]),
        ("max_connections=0", &["`max_connections`", "1 to 10000"]),
        ("max_connections=+5", &["`max_connections`"]),
        ("min_connections=x", &["`min_connections`", "0 to 10000"]),
        ("min_connections=5&max_connections=4", &["`min_connections`", "`max_connections`"]),
        ("statement_timeout_secs=1.5", &["`statement_timeout_secs`", "1 to 86400"]),
        ("acquire_timeout_secs=", &["`acquire_timeout_secs`"]),
        ("max_concurrent=0", &["`max_concurrent`"]),
        ("queue_length=-1", &["`queue_length`"]),
        ("queue_wait_ms=9999999999", &["`queue_wait_ms`", "3600000"]),
        ("sslmode=full", &["`sslmode`", "verify-full"]),
        ("options=--", &["`options`", "-c name=value"]),
        ("options=-c%20a%3Bb%3D1", &["`options`"]),
        ("poolr=transaction", &["`poolr`", "pooler", "sslmode", "max_concurrent"]),
        ("pgbouncer=true", &["pooler=transaction"]),
        ("channel_binding=require", &["`channel_binding`"]),
        ("options[a b]=1", &["unknown option"]),
        ("hostaddr=nowhere", &["`hostaddr`"]),
        ("port=70000", &["`port`"]),
    ] {
        let text = refused(&format!("postgres://user:hunter2@h/db?{query}"));
        for word in words {
            assert!(text.contains(word), "{query}: {text}");
        }
        assert!(!text.contains("hunter2") && !text.contains("statement`"), "{query}: {text}");
    }
}

#[test]
fn nothing_of_a_password_is_told() {
    for uri in [
        "postgres://user:hun?ter2=marker@h/db",
        "postgres://user:hun?marker@h/db",
        "postgres://user:x@h/db?password=marker&Marker=1",
        "postgres://user:x@h/db?max_connections=marker",
        "postgres://user:x@h/db?marker%zz=1",
        "postgres://[marker",
        "marker",
    ] {
        assert!(!refused(uri).to_ascii_lowercase().contains("marker"), "{uri}: {}", refused(uri));
    }
    let settings = read("password=marker");
    assert!(!format!("{settings:?}").contains("marker"));
}

#[test]
fn ways_to_one_database_are_one_place() {
    let place = |uri: &str| PostgresSettings::from_uri(uri).expect("a URI").place();
    let one = place("postgres://u:p@localhost:5433/control");
    for same in [
        "postgres://other@127.0.0.1:5433/control?sslmode=disable",
        "postgresql://[::1]:5433/control",
        "postgres://x@LOCALHOST:5433/control",
        "postgres://u@localhost:5433/control?host=%2Fvar%2Frun",
    ] {
        assert_eq!(place(same), one, "{same}");
    }
    for another in
        ["postgres://localhost:5432/control", "postgres://localhost:5433/data", "postgres://h:5433/control"]
    {
        assert_ne!(place(another), one, "{another}");
    }
}

#[test]
fn an_ipv6_address_is_one() {
    let settings = PostgresSettings::from_uri("postgres://user@[2001:db8::7]:6543/shop").expect("a URI");
    assert_eq!(settings.options(4).get_host(), "2001:db8::7");
    assert_eq!(settings.place(), "postgres 2001:db8::7:6543/shop");
}

#[test]
fn this_machine_has_one_name() {
    let place = |host: &str| {
        let settings = PostgresSettings::from_uri(&format!("postgres://user@{host}:6543/shop")).expect(host);
        settings.place()
    };
    for host in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0::1]",
        "[::ffff:127.0.0.1]",
    ] {
        assert_eq!(place(host), "postgres here:6543/shop", "{host}");
    }
    assert_eq!(place("db.example.com"), "postgres db.example.com:6543/shop");
    assert_eq!(place("db.example.com."), place("DB.example.com"));
}
