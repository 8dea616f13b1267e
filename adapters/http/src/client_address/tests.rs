use poem::RequestParts;
use poem::web::{LocalAddr, RemoteAddr};

use super::*;

/// A request on a connection from `peer`, without TLS.
fn request(peer: Option<&str>, uri: &str, headers: &[(&str, &str)]) -> Request {
    let mut builder = hyper::Request::builder().uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (parts, ()) = builder.body(()).expect("a request").into_parts();
    let remote = match peer {
        Some(peer) => Addr::from(SocketAddr::new(peer.parse().expect(peer), 50_000)),
        None => Addr::custom("test", ""),
    };
    let local = LocalAddr(Addr::custom("tcp", ""));
    let parts = RequestParts::from((parts, local, RemoteAddr(remote), Scheme::HTTP));
    Request::from_parts(parts, poem::Body::empty())
}

/// What a server that trusts 10.0.0.0/8, fd00::/8 and ::1 makes of it.
fn seen(request: &Request) -> (String, Option<String>) {
    let trusted = ["10.0.0.0/8", "fd00::/8", "::1"].map(|block| AddressBlock::parse(block).expect(block));
    let address = ClientAddress::resolve(request, &trusted);
    let origin = address.host().map(|host| format!("{}://{host}", address.scheme));
    (address.ip.map(|ip| ip.to_string()).unwrap_or_default(), origin)
}

#[track_caller]
fn ip(peer: &str, headers: &[(&str, &str)], expected: &str) {
    assert_eq!(seen(&request(Some(peer), "/", headers)).0, expected, "{peer} {headers:?}");
}

#[test]
fn strangers_are_never_believed() {
    let lies = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Real-IP", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Host", "db.example.com:4052"),
    ];
    for peer in ["203.0.113.9", "2001:db8::9", "11.0.0.1"] {
        let (ip, origin) = seen(&request(Some(peer), "/", &lies));
        assert_eq!((ip.as_str(), origin.as_deref()), (peer, Some("http://db.example.com:4052")));
    }
    let (ip, origin) = seen(&request(None, "/", &lies));
    assert_eq!((ip.as_str(), origin.as_deref()), ("", Some("http://db.example.com:4052")));
}

#[test]
fn the_chain_is_followed_from_the_right() {
    let forwarded = |list: &'static str| [("X-Forwarded-For", list)];
    for (list, expected) in [
        ("198.51.100.7", "198.51.100.7"),
        // What stands left of the first stranger is the stranger's own word.
        ("1.2.3.4, 198.51.100.7, 10.2.2.2", "198.51.100.7"),
        ("1.2.3.4,198.51.100.7", "198.51.100.7"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("198.51.100.7:4711, 10.2.2.2:80", "198.51.100.7"),
        ("2001:db8::7, fd00::2", "2001:db8::7"),
        ("[2001:db8::7]:4711, [fd00::2], ::1", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        // What cannot be read ends the chain at the last proxy that vouched.
        ("1.2.3.4, unknown, 10.2.2.2", "10.2.2.2"),
        ("1.2.3.4, _hidden", "10.0.0.1"),
        ("1.2.3.4,", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("198.51.100.7, 010.2.2.2", "10.0.0.1"),
        ("198.51.100.7, fe80::1%eth0", "10.0.0.1"),
        ("198.51.100.7, 1.2.3.4.5", "10.0.0.1"),
    ] {
        ip("10.0.0.1", &forwarded(list), expected);
    }
    ip("::1", &forwarded("198.51.100.7"), "198.51.100.7");
    ip("::ffff:10.0.0.1", &forwarded("198.51.100.7"), "198.51.100.7");
    ip("::ffff:203.0.113.9", &forwarded("198.51.100.7"), "203.0.113.9");
}

#[test]
fn several_lines_are_one_list() {
    let lines = [
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-For", "198.51.100.7, 10.2.2.2"),
        ("X-Real-IP", "9.9.9.9"),
    ];
    ip("10.0.0.1", &lines, "198.51.100.7");
    ip("10.0.0.1", &[("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.2.2.2")], "198.51.100.7");
    ip("10.0.0.1", &[("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "caf\u{e9}")], "10.0.0.1");
}

#[test]
fn the_other_header_counts_where_there_is_no_chain() {
    ip("10.0.0.1", &[("X-Real-IP", " 198.51.100.7 ")], "198.51.100.7");
    ip("10.0.0.1", &[("X-Real-IP", "2001:db8::7")], "2001:db8::7");
    ip("10.0.0.1", &[("X-Real-IP", "nobody")], "10.0.0.1");
    ip("10.0.0.1", &[("X-Real-IP", "1.2.3.4"), ("X-Real-IP", "198.51.100.7")], "10.0.0.1");
    ip("10.0.0.1", &[], "10.0.0.1");
}

#[test]
fn scheme_and_host_are_those_the_caller_used() {
    let check = |headers: &[(&str, &str)], expected: Option<&str>| {
        let all: Vec<_> = [("Host", "inner:4052")].iter().chain(headers).copied().collect();
        assert_eq!(seen(&request(Some("10.0.0.1"), "/", &all)).1.as_deref(), expected, "{headers:?}");
    };
    check(&[], Some("http://inner:4052"));
    check(&[("X-Forwarded-Proto", "HTTPS")], Some("https://inner:4052"));
    check(&[("X-Forwarded-Proto", "wss")], Some("https://inner:4052"));
    check(&[("X-Forwarded-Proto", "gopher")], Some("http://inner:4052"));
    check(
        &[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "db.example.com")],
        Some("https://db.example.com"),
    );
    // Kept hop by hop, the member beside the caller's address counts; a single one is the nearest proxy's.
    let chain = ("X-Forwarded-For", "1.2.3.4, 198.51.100.7, 10.2.2.2");
    check(&[chain, ("X-Forwarded-Proto", "http, https, http")], Some("https://inner:4052"));
    check(&[chain, ("X-Forwarded-Proto", "http, https")], Some("https://inner:4052"));
    check(&[chain, ("X-Forwarded-Host", "evil, db.example.com, mid")], Some("http://db.example.com"));
    check(&[chain, ("X-Forwarded-Host", "evil, db.example.com")], Some("http://db.example.com"));
    for host in ["a/b", "u@h", "", "a b", "h?x", "<script>"] {
        check(&[("X-Forwarded-Host", host)], Some("http://inner:4052"));
    }
}

#[test]
fn a_host_is_optional_and_checked() {
    let origin = |uri: &str, headers: &[(&str, &str)]| seen(&request(Some("203.0.113.9"), uri, headers)).1;
    assert_eq!(origin("/", &[]), None);
    assert_eq!(origin("/", &[("Host", "a/../b")]), None);
    assert_eq!(origin("/", &[("Host", &"a".repeat(300))]), None);
    assert_eq!(origin("/", &[("Host", "[2001:db8::1]:4052")]).as_deref(), Some("http://[2001:db8::1]:4052"));
    // HTTP/2 has no header for it, and in HTTP/1.1 an absolute target wins.
    assert_eq!(
        origin("http://db.example.com/x", &[("Host", "other")]).as_deref(),
        Some("http://db.example.com")
    );
}
