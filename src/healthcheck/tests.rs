#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::net::TcpListener;
use std::thread;

use super::*;

fn options(url: Option<String>) -> HealthcheckOptions {
    HealthcheckOptions { url, config: None, port: None }
}

/// A server for one connection: writes `parts`, a moment apart, and gives back the head it was sent.
fn answering(parts: &'static [&'static str]) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/readyz?x=1", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut part = [0; 512];
        while !head.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "the request has no end");
            head.extend_from_slice(&part[..length]);
        }
        for part in parts {
            // The asker may have gone already.
            drop(stream.write_all(part.as_bytes()));
            thread::sleep(Duration::from_millis(20));
        }
        String::from_utf8(head).unwrap()
    });
    (url, served)
}

#[track_caller]
fn asked(parts: &'static [&'static str]) -> Result<(), String> {
    let (url, served) = answering(parts);
    let outcome = run(&options(Some(url))).map_err(|error| format!("{error:#}"));
    let head = served.join().unwrap();
    assert!(head.starts_with("GET /readyz?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
    outcome
}

#[test]
fn only_a_2xx_is_healthy() {
    assert_eq!(asked(&["HTTP/1.1 200 OK\r\n\r\n"]), Ok(()));
    assert_eq!(asked(&["HTTP/1.1 204 \r\n\r\n"]), Ok(()));
    assert_eq!(asked(&["HTT", "P/1.1 20", "0 OK\r", "\n"]), Ok(()), "in pieces");
    for (answer, part) in [
        (&["HTTP/1.1 503 Service Unavailable\r\n\r\n"] as &[_], "answers 503"),
        (&["HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"], "answers 302"),
        (&["HTTP/1.1 200"], "not HTTP/1.1"),
        (&["+PONG\r\n"], "not HTTP/1.1"),
        (&["HTTP/1.1 2000 OK\r\n"], "not HTTP/1.1"),
        (&[], "not HTTP/1.1"),
    ] {
        let error = asked(answer).expect_err(answer.first().unwrap_or(&""));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn silence_and_dribble_end_at_the_deadline() {
    // Connections of the silent one stay in its backlog.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dribbling = TcpListener::bind("127.0.0.1:0").unwrap();
    let targets = [&silent, &dribbling].map(|listener| Target::of(listener.local_addr().unwrap()));
    let dribble = thread::spawn(move || {
        let (mut stream, _) = dribbling.accept().unwrap();
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    for target in targets {
        let asked = Instant::now();
        assert!(target.ask(Duration::from_millis(300)).is_err());
        assert!(asked.elapsed() < Duration::from_secs(2), "{target}");
    }
    dribble.join().unwrap();
}

#[test]
fn a_closed_port_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(&options(Some(format!("http://{address}/readyz")))).unwrap_err();
    assert!(format!("{error:#}").contains(&format!("http://{address}/readyz does not answer")), "{error:#}");
}

#[test]
fn urls() {
    for (url, authority, path) in [
        ("http://h:1/livez", "h:1", "/livez"),
        ("http://h", "h:80", "/"),
        ("http://[::1]/readyz", "[::1]:80", "/readyz"),
        ("http://[::1]:4052/readyz", "[::1]:4052", "/readyz"),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path), "{url}");
    }
    for url in [
        "",
        "127.0.0.1:4052",
        "https://h/",
        "http://",
        "http:///x",
        "http://u@h/",
        "http://h?x",
        "http://h/a\r\nX: y",
        "http://h/ x",
    ] {
        assert!(Target::parse(url).is_err(), "{url}");
    }
}

#[test]
fn the_port_is_that_of_the_server() {
    let of = |config: Option<&std::path::Path>, port| {
        let config = config.map(std::path::Path::to_owned);
        let target = server(&HealthcheckOptions { url: None, config, port });
        target.map(|target| target.authority).map_err(|error| error.to_string())
    };
    assert_eq!(of(None, Some(5000)), Ok("127.0.0.1:5000".to_owned()));
    assert!(of(None, Some(0)).unwrap_err().contains("--url"));
    let file = std::env::temp_dir().join(format!("athena-healthcheck-{}.yaml", std::process::id()));
    std::fs::write(&file, "api: {host: '::', port: 4999}").unwrap();
    let (own, overridden) = (of(Some(&file), None), of(Some(&file), Some(5000)));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(own, Ok("[::1]:4999".to_owned()));
    assert_eq!(overridden, Ok("[::1]:5000".to_owned()));
    assert!(of(Some(&file), None).unwrap_err().contains("athena-healthcheck"), "a missing file is said");
}

/// A server for one connection over TLS, and a configuration that names `shown` as its certificate.
fn over_tls(own: &rcgen::CertifiedKey<rcgen::KeyPair>, shown: &str) -> Result<(), String> {
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream =
            StreamOwned::new(ServerConnection::new(std::sync::Arc::new(config)).unwrap(), socket);
        let mut head = [0; 512];
        // The asker leaves in the handshake when it is shown another certificate.
        if stream.read(&mut head).is_ok_and(|length| length > 0) {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
    });
    let dir = std::env::temp_dir().join(format!("athena-healthcheck-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, file) = (dir.join("tls.crt"), dir.join("config.yaml"));
    std::fs::write(&certificate, shown).unwrap();
    let text = format!(
        "api: {{host: 127.0.0.1, port: {port}, tls_cert: {certificate:?}, tls_key: {certificate:?}}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let outcome = run(&HealthcheckOptions { url: None, config: Some(file), port: None });
    served.join().unwrap();
    drop(std::fs::remove_dir_all(&dir));
    outcome.map_err(|error| format!("{error:#}"))
}

#[test]
fn a_server_with_tls_shows_the_certificate_of_its_configuration() {
    let make = || rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
    let (own, other) = (make(), make());
    assert_eq!(over_tls(&own, &own.cert.pem()), Ok(()));
    let error = over_tls(&own, &other.cert.pem()).expect_err("another certificate");
    assert!(error.contains("https://127.0.0.1:") && error.contains("does not answer"), "{error}");
}
