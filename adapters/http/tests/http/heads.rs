//! What is refused of a request before any route sees it: a host that is not ours, a head without bound, a path that is
//! no text.

use std::net::SocketAddr;
use std::time::Duration;

use athena_http::{AllowedHost, App, Face, HttpSettings, Listener, serve_all};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fake::{lenient, server};

struct Running {
    data: SocketAddr,
    admin: SocketAddr,
    task: JoinHandle<()>,
    _app: App,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(allowed: &[&str]) -> Running {
    let allowed_hosts = allowed.iter().map(|text| AllowedHost::parse(text).unwrap()).collect();
    let settings = HttpSettings { allowed_hosts, ..lenient() };
    let (app, _) = server(&settings);
    let (data, admin) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addresses = (data.local_addr().unwrap(), admin.local_addr().unwrap());
    let faces = vec![(Listener::new(data), app.clone()), (Listener::new(admin), app.with_face(Face::Admin))];
    let task = tokio::spawn(async move { serve_all(faces, std::future::pending()).await });
    Running { data: addresses.0, admin: addresses.1, task, _app: app }
}

/// Status and body of the answer to a request with these lines after the first.
async fn ask(address: SocketAddr, first: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{first} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n");
    // A server that has seen enough answers before it has read everything.
    drop(stream.write_all(head.as_bytes()).await);
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await;
    drop(read.expect("the server closes"));
    let text = String::from_utf8(bytes).unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    (text[9..12].parse().unwrap(), body)
}

#[track_caller]
fn refused((status, body): (u16, String), expected: u16, code: &str) {
    assert_eq!(status, expected, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(
        (&body["status"], &body["code"], &body["status_code"]),
        (&"error".into(), &code.into(), &expected.into())
    );
    for field in ["message", "error", "trace_id"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
    }
}

#[tokio::test]
async fn only_listed_hosts_are_answered() {
    let running = start(&["api.example.com", ".internal", "127.0.0.1"]).await;
    for host in ["api.example.com", "API.Example.com:8080", "a.b.internal", "127.0.0.1:4052"] {
        assert_eq!(ask(running.data, "GET /", &format!("Host: {host}\r\n")).await.0, 200, "{host}");
    }
    for host in ["Host: evil.test\r\n", "Host: api.example.com.evil.test\r\n", "Host: localhost\r\n", ""] {
        refused(ask(running.data, "GET /", host).await, 421, "host_not_allowed");
        refused(ask(running.data, "POST /gateway/fetch", host).await, 421, "host_not_allowed");
    }
    // Nobody but a trusted proxy says which host was meant.
    let forwarded = "Host: evil.test\r\nX-Forwarded-Host: api.example.com\r\n";
    refused(ask(running.data, "GET /", forwarded).await, 421, "host_not_allowed");
    let preflight = "Host: evil.test\r\nOrigin: http://evil.test\r\nAccess-Control-Request-Method: POST\r\n";
    refused(ask(running.data, "OPTIONS /gateway/fetch", preflight).await, 421, "host_not_allowed");
    // Probes come by addresses; where they tell of databases they are no exception.
    for probe in ["GET /livez", "GET /readyz"] {
        assert_eq!(ask(running.data, probe, "Host: 10.1.2.3\r\n").await.0, 200);
        refused(ask(running.admin, probe, "Host: evil.test\r\n").await, 421, "host_not_allowed");
        assert_eq!(ask(running.admin, probe, "Host: api.example.com\r\n").await.0, 200);
    }
    let open = start(&[]).await;
    assert_eq!(ask(open.data, "GET /", "Host: evil.test\r\n").await.0, 200);
}

#[tokio::test]
async fn a_request_names_one_host() {
    for allowed in [&[][..], &["api.example.com", "evil.test"]] {
        let running = start(allowed).await;
        for twice in
            ["Host: api.example.com\r\nHost: evil.test\r\n", "Host: evil.test\r\nhost: evil.test\r\n"]
        {
            refused(ask(running.data, "GET /", twice).await, 400, "invalid_header");
            refused(ask(running.data, "POST /gateway/fetch", twice).await, 400, "invalid_header");
        }
    }
}

#[tokio::test]
async fn heads_have_a_bound() {
    let running = start(&[]).await;
    let header = |bytes: usize| format!("Host: h\r\nX-Long: {}\r\n", "a".repeat(bytes));
    assert_eq!(ask(running.data, "GET /livez", &header(40_000)).await.0, 200);
    refused(ask(running.data, "GET /livez", &header(70_000)).await, 431, "headers_too_large");
    refused(ask(running.data, "GET /livez", &header(200_000)).await, 431, "headers_too_large");
    let many: String = (0..60).map(|number| format!("X-{number}: {}\r\n", "a".repeat(2_000))).collect();
    refused(ask(running.data, "GET /livez", &format!("Host: h\r\n{many}")).await, 431, "headers_too_large");
    assert_eq!(ask(running.data, "GET /livez", &header(1_000_000)).await.0, 431, "the connection itself");
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_the_envelope() {
    let running = start(&[]).await;
    for path in ["/admin/clients/%ff", "/admin/clients/%ff/statistics", "/admin/api-keys/a%C3", "/%ff"] {
        refused(ask(running.data, &format!("GET {path}"), "Host: h\r\n").await, 400, "invalid_path");
    }
    assert_ne!(ask(running.data, "GET /admin/clients/%C3%BC/statistics", "Host: h\r\n").await.0, 400);
}
