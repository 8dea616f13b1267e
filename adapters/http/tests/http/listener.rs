//! Two listeners over one application: who shows what, and how they end together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use athena_http::{App, Face, HttpSettings, Listener, serve_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fake::{Reply, lenient, request, server, until};

struct Running {
    app: App,
    data: SocketAddr,
    admin: SocketAddr,
    dropped: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(settings: HttpSettings) -> Running {
    let (app, dropped) = server(&settings);
    let data = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = (data.local_addr().unwrap(), admin.local_addr().unwrap());
    let faces = vec![
        (Listener::new(data), app.with_face(Face::Data)),
        (Listener::new(admin), app.with_face(Face::Admin)),
    ];
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve_all(faces, async move { drop(stopped.await) }).await;
    });
    Running { app, data: addresses.0, admin: addresses.1, dropped, stop, task }
}

/// Status and text of the answer to `GET target`, sent as it stands.
async fn get(address: SocketAddr, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut text)).await;
    read.expect("the server closes").unwrap();
    (text[9..12].parse().unwrap(), text)
}

#[tokio::test]
async fn operating_the_server_is_not_found_among_the_data() {
    let running = start(lenient()).await;
    // Shut for want of a key, and there: the fake has none.
    assert_eq!(get(running.admin, "/admin/clients").await.0, 503);
    for target in [
        "/admin/clients",
        "//admin/clients",
        "/./admin/clients",
        "/gateway/../admin/clients",
        "/%61dmin/clients",
        "/%2561dmin/clients",
        "/admin%2fclients",
        "/ADMIN/clients",
        "/admin;x/clients",
        "http://h/admin/clients",
        "/metrics",
        "/%6detrics",
        "/Metrics/",
    ] {
        let (status, text) = get(running.data, target).await;
        assert!(status == 404 && text.contains("\"code\":\"not_found\""), "{target}: {text}");
    }
    for (target, data, admin) in [
        ("/livez", 200, 200),
        ("/readyz", 200, 200),
        ("/health", 200, 200),
        ("/ready", 200, 200),
        ("/", 200, 404),
        ("/ping", 200, 404),
        ("/openapi.yaml", 200, 404),
        ("/reference", 200, 404),
        ("/admin/../ping", 404, 404),
    ] {
        assert_eq!(get(running.data, target).await.0, data, "{target}");
        assert_eq!(get(running.admin, target).await.0, admin, "{target}");
    }
}

#[tokio::test]
async fn one_listener_shows_everything() {
    let (app, _) = server(&lenient());
    for (path, status) in [("/ping", 200), ("/admin/clients", 503), ("/livez", 200)] {
        let reply = Reply::of(app.answer(request(poem::http::Method::GET, path, &[], "")).await).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn both_listeners_drain_together() {
    let running = start(HttpSettings {
        drain_delay: Duration::from_millis(1500),
        shutdown_timeout: Duration::from_millis(500),
        ..lenient()
    })
    .await;
    let mut slow = TcpStream::connect(running.data).await.unwrap();
    let body = r#"{"table_name":"slow"}"#;
    let head = format!(
        "POST /gateway/fetch HTTP/1.1\r\nHost: h\r\nX-Athena-Client: demo\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    running.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for address in [running.data, running.admin] {
        let (status, text) = get(address, "/readyz").await;
        assert!(status == 503 && text.contains("draining"), "{text}");
        assert_eq!(get(address, "/livez").await.0, 200);
    }
    // Nothing turns a server back that is on its way out.
    running.app.ready();
    assert_eq!(get(running.admin, "/readyz").await.0, 503);
    assert!(began.elapsed() < Duration::from_millis(1450), "the machine is too slow for this test");
    tokio::time::sleep(Duration::from_millis(1700).saturating_sub(began.elapsed())).await;
    for address in [running.data, running.admin] {
        assert!(TcpStream::connect(address).await.is_err());
    }
    assert!(!running.dropped.load(Ordering::SeqCst), "what runs has its time");
    running.task.await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(until(&running.dropped).await);
}

#[tokio::test]
async fn requests_are_not_asked_for_before_the_server_is_ready() {
    let running = start(lenient()).await;
    running.app.starting();
    for address in [running.data, running.admin] {
        let (status, text) = get(address, "/readyz").await;
        assert!(status == 503 && text.contains("starting") && text.contains("retry-after"), "{text}");
        assert_eq!(get(address, "/livez").await.0, 200);
    }
    running.app.ready();
    assert_eq!(get(running.data, "/readyz").await.0, 200);
    assert_eq!(get(running.admin, "/ready").await.0, 200);
}
