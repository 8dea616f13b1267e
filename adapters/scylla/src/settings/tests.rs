#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use super::*;

#[test]
fn a_uri_names_nodes_and_keyspace() {
    let settings =
        ScyllaSettings::from_uri("cql://me:p%40ss@DB1:9043,db2,[::1],[2001:db8::1]:9044/shop").unwrap();
    assert_eq!(settings.nodes, ["DB1:9043", "db2:9042", "[::1]:9042", "[2001:db8::1]:9044"]);
    assert_eq!(settings.credentials, Some(("me".to_owned(), "p@ss".to_owned())));
    assert_eq!(settings.keyspace, "shop");
    assert_eq!(settings.place(), "cql [2001:db8::1]:9044,[::1]:9042,db1:9043,db2:9042/shop");
    assert_eq!(settings.consistency, Consistency::LocalQuorum);
    assert!(!settings.allow_filtering && !settings.database_order);
    for scheme in ["scylla", "cassandra", "CQL"] {
        assert!(ScyllaSettings::from_uri(&format!("{scheme}://h/k")).unwrap().credentials.is_none());
    }
}

#[test]
fn options_are_read() {
    let settings = ScyllaSettings::from_uri(
        "cql://h/k?consistency=ONE&datacenter=dc1&page_size=50&timeout_ms=1500&allow_filtering=true&database_order=true&tls=false\
         &max_concurrent=3&queue_length=0&queue_wait_ms=20&max_consistency=all",
    )
    .unwrap();
    assert_eq!(settings.consistency, Consistency::One);
    assert_eq!(
        (settings.max_consistency, settings.serial()),
        (Some(Consistency::All), SerialConsistency::LocalSerial)
    );
    assert_eq!(settings.datacenter.as_deref(), Some("dc1"));
    assert_eq!(settings.page_size, 50);
    assert_eq!(settings.timeout(), Duration::from_millis(1500));
    assert!(settings.allow_filtering && settings.database_order);
    assert_eq!((settings.max_concurrent, settings.queue_length), (Some(3), Some(0)));
    assert_eq!(settings.queue_wait, Some(Duration::from_millis(20)));
    let serial = |options: &str| ScyllaSettings::from_uri(&format!("cql://h/k?{options}")).unwrap().serial();
    assert_eq!(serial(""), SerialConsistency::LocalSerial);
    assert_eq!(serial("consistency=quorum"), SerialConsistency::Serial);
    assert_eq!(serial("consistency=quorum&serial_consistency=local_serial"), SerialConsistency::LocalSerial);
    // The gateway's own limit stays one.
    let long = ScyllaSettings::from_uri("cql://h/k?timeout_ms=900000").unwrap();
    assert_eq!(long.timeout(), long.statement_timeout);
}

#[test]
fn what_cannot_be_used_is_named_without_secrets() {
    let check = |uri: &str, expected: &str| {
        let error = ScyllaSettings::from_uri(uri).unwrap_err().to_string();
        assert!(error.contains(expected), "{uri}: {error}");
        assert!(!error.contains("hunter"), "{uri}: {error}");
    };
    check("cql://h", "names no keyspace");
    check("cql://h/", "names no keyspace");
    check("cql://h/a-b", "letters, digits and underscores");
    check("cql://me@h/k", "without a password");
    check("cql://me:hunter2?x@h/k", "cannot be read");
    check("cql://h:0/k", "cannot be read");
    check("cql://h,,i/k", "cannot be read");
    check("cql://[::1/k", "cannot be read");
    check("postgres://h/k", "cannot be read");
    check("cql://h/k?consistency=some", "local_quorum");
    check("cql://h/k?max_consistency=some", "local_quorum");
    check("cql://h/k?max_consistency=one", "no less than `consistency`");
    check("cql://h/k?serial_consistency=quorum", "`serial` or `local_serial`");
    check("cql://h/k?page_size=0", "from 1 to 10000");
    check("cql://h/k?sslmode=require", "whoever answers");
    check("cql://h/k?sslmode=some", "`verify-full`");
    check("cql://h/k?sslmode=verify-ca", "needs `sslrootcert`");
    check("cql://h/k?sslmode=verify-ca&sslrootcert=system", "needs `sslrootcert`");
    check("cql://h/k?tls=true&sslmode=disable", "once");
    check("cql://h/k?tls=true&tls=true", "once");
    check("cql://h/k?sslrootcert=/r.pem", "need `sslmode");
    check("cql://h/k?tls=false&sslcert=/c.pem&sslkey=/k.pem", "need `sslmode");
    check("cql://h/k?tls=true&sslcert=/c.pem", "go together");
    check("cql://h/k?tls=true&sslkey=", "the path of a PEM file");
    check("cql://h/k?tls=maybe", "`true` or `false`");
    check("cql://h/k?colour=red", "no option `colour`");
    check("cql://h/k?hunter2=1", "an unknown option");
    check("cql://h/k?datacenter=", "a name");
    check("cql://h/k?page_size=1&page_size=2", "`page_size` twice");
}

#[test]
fn settings_do_not_print_the_password() {
    let settings = ScyllaSettings::from_uri("cql://me:hunter2@h/k").unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn encryption_is_said_as_for_postgresql() {
    let tls = |options: &str| ScyllaSettings::from_uri(&format!("cql://h1:1,[::1]:2/k?{options}")).unwrap();
    assert_eq!((tls("").tls, tls("tls=false").tls, tls("sslmode=disable").tls), (None, None, None));
    let full = |roots: Option<&str>| {
        Some(TlsSettings { by_name: true, roots: roots.map(Into::into), identity: None })
    };
    assert_eq!(tls("tls=true").tls, full(None));
    assert_eq!(tls("sslmode=verify-full&sslrootcert=system").tls, full(None));
    assert_eq!(tls("sslrootcert=%2Fetc%2Froot.pem&tls=true").tls, full(Some("/etc/root.pem")));
    let authority = tls("sslmode=verify-ca&sslrootcert=/r.pem&sslcert=/c.pem&sslkey=/k.pem");
    let identity = Some(("/c.pem".into(), "/k.pem".into()));
    assert_eq!(authority.tls, Some(TlsSettings { by_name: false, roots: Some("/r.pem".into()), identity }));
    assert_eq!(authority.hosts().collect::<Vec<_>>(), ["h1", "::1"]);
}
