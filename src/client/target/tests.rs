#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
use super::super::AthenaClientBuilder;
use super::super::BackendType::{Native, Neon, Postgrest, Scylla, Supabase};
use super::*;

fn check(builder: AthenaClientBuilder, expected: &str) {
    assert_eq!(uri(&builder.build_config().unwrap()).unwrap(), expected);
}

fn of(backend: BackendType, url: &str) -> AthenaClientBuilder {
    AthenaClientBuilder::default().backend(backend).url(url)
}

#[test]
fn what_the_url_leaves_open_is_filled_in() {
    check(of(Native, "postgres://u:p@host/db"), "postgres://u:p@host/db");
    check(
        of(Native, "postgres://host").port(6000).user("a b").database("shop/1"),
        "postgres://a%20b@host:6000/shop%2F1",
    );
    check(of(Native, "postgres://u:p,w@host").database("shop"), "postgres://u:p,w@host/shop");
    // The URL's own words win.
    check(of(Native, "postgres://u@host:1/db").port(2).user("v").database("other"), "postgres://u@host:1/db");
    check(of(Native, "postgres://host/db").ssl(false), "postgres://host/db?sslmode=disable");
    check(
        of(Native, "postgres://host/db?sslmode=verify-full").ssl(false),
        "postgres://host/db?sslmode=verify-full",
    );
    check(
        of(Neon, "postgres://u:p@ep.neon.tech/db").ssl(false),
        "postgres://u:p@ep.neon.tech/db?sslmode=require",
    );
    check(
        of(Scylla, "host:9042").user("u").key("p/w").database("ks"),
        "cql://u:p%2Fw@host:9042/ks?max_concurrent=50",
    );
    check(of(Scylla, "host/ks?max_concurrent=7"), "cql://host/ks?max_concurrent=7");
}

#[test]
fn several_hosts_share_what_is_filled_in() {
    let of = |url: &str| of(Scylla, url).max_connections(7);
    check(of("cql://u:p@h1:9042,h2/ks").database("other"), "cql://u:p@h1:9042,h2/ks?max_concurrent=7");
    check(
        of("h1,h2:9043,[::1],[::2]:9044").port(9999).user("u").key("p@/").database("ks"),
        "cql://u:p%40%2F@h1:9999,h2:9043,[::1]:9999,[::2]:9044/ks?max_concurrent=7",
    );
    check(
        of("cql://u@h1,h2/ks?consistency=one").key("p").ssl(true),
        "cql://u:p@h1,h2/ks?consistency=one&tls=true&max_concurrent=7",
    );
    check(of("h1,h2/ks?max_concurrent=3").ssl(true), "cql://h1,h2/ks?max_concurrent=3&tls=true");
}

#[test]
fn a_cql_database_is_encrypted_when_that_is_demanded() {
    let of = |url: &str| of(Scylla, url).max_connections(7);
    check(of("h/ks"), "cql://h/ks?max_concurrent=7");
    check(of("h/ks").ssl(false), "cql://h/ks?max_concurrent=7");
    check(of("h/ks").ssl(true), "cql://h/ks?tls=true&max_concurrent=7");
    for own in ["sslmode=verify-ca&sslrootcert=%2Fr.pem", "tls=false"] {
        check(of(&format!("h/ks?{own}")).ssl(true), &format!("cql://h/ks?{own}&max_concurrent=7"));
    }
}

#[test]
fn keys_of_rest_interfaces_stay_out_of_the_uri() {
    check(
        of(Supabase, "https://x.supabase.co").key("secret"),
        "supabase+https://x.supabase.co?key_env=ATHENA_EMBEDDED_KEY",
    );
    check(of(Postgrest, "http://localhost:3000/api"), "postgrest+http://localhost:3000/api");
    check(of(Postgrest, "postgres://u:p@host/db"), "postgres://u:p@host/db");
}

#[test]
fn what_cannot_be_is_told_without_the_url() {
    let fail = |builder: AthenaClientBuilder| uri(&builder.build_config().unwrap()).unwrap_err().message;
    assert_eq!(fail(of(Native, "not a url secret")), "the connection URL cannot be read");
    assert!(fail(of(Supabase, "postgres://u:secret@h/d").key("k")).contains("https://"));
    let missing = |builder: AthenaClientBuilder| builder.build_config().unwrap_err().message;
    assert_eq!(missing(AthenaClientBuilder::default()), "backend type was not specified");
    assert_eq!(missing(AthenaClientBuilder::default().backend(Native)), "connection URL is required");
    assert_eq!(missing(of(Supabase, "https://x.supabase.co")), "Supabase key is required");
    assert_eq!(fail(of(Native, "postgres://a,b/d")), "the connection URL of a PostgreSQL names one host");
    assert!(fail(of(Scylla, "host/ks").key("secret")).contains("name its user"));
    assert!(fail(of(Scylla, "cql://u:p?x@host/ks")).contains("cannot be read"));
    assert!(!of(Scylla, "host/ks").build_config().unwrap().connection.ssl);
}
