//! TLS on the listener: handshakes, protocols, and certificates that change.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use athena_http::{HttpSettings, Listener, Tls, TlsFiles, serve_all};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};

use crate::fake::{lenient, server};

/// A certificate for `localhost` that vouches for itself.
struct Identity {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Identity {
        der: made.cert.der().clone(),
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// The two files, removed with the test.
struct Files(PathBuf);

impl Files {
    fn new(identity: &Identity) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("athena-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let files = Self(dir);
        files.write(&identity.certificate, &identity.key);
        files
    }

    fn paths(&self) -> TlsFiles {
        TlsFiles { certificate: self.0.join("tls.crt"), key: self.0.join("tls.key") }
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.paths().certificate, certificate).unwrap();
        std::fs::write(self.paths().key, key).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

struct Running {
    address: SocketAddr,
    tls: Tls,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start(files: &Files, settings: HttpSettings) -> Running {
    let tls = Tls::open(files.paths()).unwrap();
    let (app, _) = server(&settings);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener::new(socket).with_tls(Some(tls.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve_all(vec![(listener, app)], async move { drop(stopped.await) }).await;
    });
    Running { address, tls, stop, task }
}

/// A connection of a caller who trusts `identity` alone.
async fn connect(
    address: SocketAddr,
    identity: &Identity,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.der.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

const ANY: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

async fn plain(address: SocketAddr, identity: &Identity) -> io::Result<TlsStream<TcpStream>> {
    connect(address, identity, &[b"http/1.1"], &ANY).await
}

/// Asks for `/ping` and reads just that answer.
async fn ping(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\npong") {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut text)).await;
        assert!(read.expect("an answer").unwrap() > 0, "{}", String::from_utf8_lossy(&text));
    }
    assert!(text.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn both_protocols_are_spoken_under_tls() {
    let identity = identity();
    let files = Files::new(&identity);
    let running = start(&files, lenient()).await;
    let mut stream = plain(running.address, &identity).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    ping(&mut stream).await;
    ping(&mut stream).await;

    let mut old = connect(running.address, &identity, &[], &[&version::TLS12]).await.unwrap();
    assert_eq!(old.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    ping(&mut old).await;

    let stream = connect(running.address, &identity, &[b"h2", b"http/1.1"], &ANY).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    let request = hyper::Request::get("https://localhost/ping").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status(), response.version()), (hyper::StatusCode::OK, hyper::Version::HTTP_2));
}

#[tokio::test]
async fn nothing_is_served_in_clear_or_to_those_who_distrust() {
    let files = Files::new(&identity());
    let running = start(&files, lenient()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await;
    drop(read.expect("the server closes"));
    assert!(!String::from_utf8_lossy(&bytes).contains("pong"));
    assert!(plain(running.address, &identity()).await.is_err());
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let (before, after) = (identity(), identity());
    let files = Files::new(&before);
    let running = start(&files, HttpSettings { keep_alive: Duration::from_secs(60), ..lenient() }).await;
    let mut old = plain(running.address, &before).await.unwrap();
    ping(&mut old).await;
    files.write(&after.certificate, &after.key);
    // Nobody tells the server; it looks by itself.
    let began = Instant::now();
    let mut new = loop {
        match plain(running.address, &after).await {
            Ok(stream) => break stream,
            Err(_) => assert!(began.elapsed() < Duration::from_secs(20), "the change is not noticed"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    ping(&mut new).await;
    ping(&mut old).await;
    assert!(plain(running.address, &before).await.is_err());
}

#[tokio::test]
async fn a_broken_file_keeps_the_certificate_and_is_named_without_its_content() {
    let (before, after) = (identity(), identity());
    let files = Files::new(&before);
    let running = start(&files, lenient()).await;
    assert_eq!(running.tls.reload(), Ok(false));
    let half = &after.certificate[..after.certificate.len() / 2];
    let garbage = after.key.replace("PRIVATE KEY", "SECRET HUNTER2");
    for (certificate, key, named, word) in [
        (half, &*after.key, "tls.crt", "PEM"),
        ("", &*after.key, "tls.crt", "no certificate"),
        (&*after.key, &*after.key, "tls.crt", "no certificate"),
        (&*after.certificate, &*before.key, "tls.key", "not the key"),
        (&*after.certificate, &*garbage, "tls.key", "no private key"),
        (&*after.certificate, "hunter2", "tls.key", "no private key"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*after.key,
            "tls.crt",
            "cannot be read",
        ),
    ] {
        files.write(certificate, key);
        let told = running.tls.reload().unwrap_err().to_string();
        assert!(told.contains(named) && told.contains(word), "{told}");
        assert!(!told.to_lowercase().contains("hunter2") && told.len() < 300, "{told}");
        // Asked again, it says so again.
        assert!(running.tls.reload().is_err());
        ping(&mut plain(running.address, &before).await.unwrap()).await;
    }
    std::fs::remove_file(files.paths().key).unwrap();
    assert!(running.tls.reload().unwrap_err().to_string().contains("tls.key"));
    ping(&mut plain(running.address, &before).await.unwrap()).await;
    files.write(&after.certificate, &after.key);
    assert!(running.tls.reload().is_ok());
    ping(&mut plain(running.address, &after).await.unwrap()).await;
}

#[test]
fn a_server_without_its_certificate_does_not_start() {
    let missing = TlsFiles { certificate: "/nowhere/tls.crt".into(), key: "/nowhere/tls.key".into() };
    let told = Tls::open(missing).unwrap_err().to_string();
    assert!(told.starts_with("/nowhere/tls.crt: "), "{told}");
    let files = Files::new(&identity());
    std::fs::write(files.paths().key, identity().key).unwrap();
    let told = Tls::open(files.paths()).unwrap_err().to_string();
    assert!(told.contains("tls.key: is not the key of the certificate in"), "{told}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_does_not_hold_up_the_end() {
    let identity = identity();
    let files = Files::new(&identity);
    let running = start(&files, HttpSettings { shutdown_timeout: Duration::from_secs(8), ..lenient() }).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(&[0x16, 0x03]).await.unwrap();
    // Nor does it hold up others.
    let mut stream = plain(running.address, &identity).await.unwrap();
    ping(&mut stream).await;
    let began = Instant::now();
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4));
    let mut rest = Vec::new();
    drop(silent.read_to_end(&mut rest).await);
    assert_eq!(rest, b"");
}
