//! Over real connections: callers who leave, streams that break, servers that end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use athena_http::{HttpSettings, serve};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fake::{lenient, server, until};

struct Running {
    address: SocketAddr,
    dropped: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(settings: HttpSettings) -> Running {
    let (app, dropped) = server(&settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(listener, app, async move { drop(stopped.await) }).await;
    });
    Running { address, dropped, stop, task }
}

fn fetch(table: &str, extra: &str) -> String {
    let body = format!(r#"{{"table_name":"{table}","limit":20000}}"#);
    format!(
        "POST /gateway/fetch HTTP/1.1\r\nHost: h\r\nX-Athena-Client: demo\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn ask(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await;
    drop(read.expect("the server closes"));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_statement() {
    let running = start(lenient()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    ask(&mut stream, &fetch("slow", "")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!running.dropped.load(std::sync::atomic::Ordering::SeqCst));
    drop(stream);
    assert!(until(&running.dropped).await);
}

#[tokio::test]
async fn h2c_works_and_a_reset_stream_stops_the_statement() {
    let running = start(lenient()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |table: &str| {
        let body = format!(r#"{{"table_name":"{table}"}}"#);
        hyper::Request::post("http://h/gateway/fetch")
            .header("X-Athena-Client", "demo")
            .body(http_body_util::Full::new(bytes::Bytes::from(body)))
            .unwrap()
    };
    let response = sender.send_request(request("items")).await.unwrap();
    assert_eq!((response.status(), response.version()), (hyper::StatusCode::OK, hyper::Version::HTTP_2));
    let slow = sender.send_request(request("slow"));
    assert!(tokio::time::timeout(Duration::from_millis(200), slow).await.is_err());
    assert!(until(&running.dropped).await);
}

#[tokio::test]
async fn a_broken_stream_breaks_the_connection() {
    let running = start(lenient()).await;
    for (extra, complete) in [("", false), ("Accept: application/x-ndjson\r\n", true)] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        ask(&mut stream, &fetch("broken", &format!("{extra}Connection: close\r\n"))).await;
        let text = rest(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{}", &text[..60]);
        assert_eq!(text.ends_with("\r\n0\r\n\r\n"), complete, "{extra}");
    }
}

#[tokio::test]
async fn a_refusal_is_heard_by_a_caller_who_still_writes() {
    let running = start(lenient()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let body = " ".repeat(3 << 20);
    let head = format!(
        "POST /gateway/fetch HTTP/1.1\r\nHost: h\r\nX-Athena-Client: demo\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    ask(&mut stream, &head).await;
    ask(&mut stream, &body).await;
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("max_body_bytes"), "{text}");
}

#[tokio::test]
async fn silent_and_dribbling_connections_are_closed() {
    let running = start(HttpSettings { keep_alive: Duration::from_millis(300), ..lenient() }).await;
    for said in ["", "P", "GET / HT"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        ask(&mut stream, said).await;
        let text = rest(&mut stream).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{said:?}: {text}");
    }
    // One that has been served is closed when it has nothing more to say.
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    ask(&mut stream, "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(rest(&mut stream).await.contains("pong"));
}

#[tokio::test]
async fn a_slow_statement_outlives_the_keep_alive_time() {
    let running = start(HttpSettings { keep_alive: Duration::from_millis(100), ..lenient() }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    ask(&mut stream, &fetch("slow", "")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!running.dropped.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let running = start(HttpSettings { max_connections: 1, ..lenient() }).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    ask(&mut first, &fetch("slow", "")).await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    ask(&mut second, "GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut byte)).await;
    assert!(early.is_err());
    drop(first);
    assert!(rest(&mut second).await.ends_with("pong"));
}

#[tokio::test]
async fn a_caller_who_reads_nothing_is_given_up() {
    let settings = HttpSettings { client_disconnect_timeout: Duration::from_millis(300), ..lenient() };
    let running = start(HttpSettings { max_connections: 1, ..settings }).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // Enough answers to fill every buffer on the way.
    for _ in 0..40 {
        let asked = tokio::time::timeout(Duration::from_millis(50), async {
            stream.write_all(fetch("many", "").as_bytes()).await
        });
        drop(asked.await);
    }
    let mut next = TcpStream::connect(running.address).await.unwrap();
    ask(&mut next, "GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert!(rest(&mut next).await.ends_with("pong"));
}

#[tokio::test]
async fn ending_waits_for_what_runs_and_not_for_ever() {
    let running = start(HttpSettings { shutdown_timeout: Duration::from_millis(400), ..lenient() }).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    ask(&mut idle, "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    ask(&mut slow, &fetch("slow", "")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = std::time::Instant::now();
    running.stop.send(()).unwrap();
    assert!(rest(&mut idle).await.ends_with("pong"));
    assert!(!running.dropped.load(std::sync::atomic::Ordering::SeqCst));
    running.task.await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert!(until(&running.dropped).await);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn readiness_ends_before_accepting_does() {
    let running = start(HttpSettings { drain_delay: Duration::from_millis(400), ..lenient() }).await;
    running.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    ask(&mut stream, "GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("draining"), "{text}");
    running.task.await.unwrap();
}
