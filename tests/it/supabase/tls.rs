//! A PostgREST over https: the authorities of the client's own file let it in, anything else is told, and no key leaves.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::client_tls::{Files, Log, authority};

const FETCH: &str = r#"{"table_name":"secrets","sort_by":{"field":"id"}}"#;

/// TLS before `server`, with this certificate. Gives where it listens.
async fn encrypted(server: SocketAddr, certificate: CertificateDer<'static>, key: &KeyPair) -> SocketAddr {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut behind = TcpStream::connect(server).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut inside, &mut behind).await);
            });
        }
    });
    address
}

#[tokio::test]
async fn an_upstreams_certificate_is_checked() {
    let (right, wrong) = (authority("the right one"), authority("another one"));
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &right).unwrap();
    let database = TestDatabase::with(SQL).await;
    let server = Postgrest::over(&database.uri(), SUPABASE_KEY).await;
    let address = encrypted(server.address(), certificate.der().clone(), &key).await;
    let port = address.port();
    let files = Files::new("upstream");
    let encode = |path: String| path.replace('/', "%2F");
    let root = encode(files.write("right.pem", &right.pem()));
    let wrong = encode(files.write("wrong.pem", &wrong.pem()));
    let both = encode(files.write("both.pem", &format!("{}{}", authority("a third one").pem(), right.pem())));
    let garbage = encode(files.write("garbage.pem", "no certificate"));
    let log = Log::default();
    let _listening = log.listen();
    let client = async |host: &str, options: &str| {
        let uri = format!("supabase+https://{host}:{port}?key_env={SUPABASE_KEY_ENV}{options}");
        let gateway = Gateway::over(&[("rest", &uri)], "").await;
        send(&gateway, "rest", "fetch", FETCH).await
    };
    for file in [&root, &both] {
        assert_eq!(client("localhost", &format!("&sslrootcert={file}")).await.rows()[1]["owner"], 8);
    }
    let asked = server.seen().len();
    assert_eq!(asked, 2);
    log.take();
    for (host, options, why) in [
        ("localhost", format!("&sslrootcert={wrong}"), "UnknownIssuer"),
        // The system's authorities know nothing of this one.
        ("localhost", String::new(), "UnknownIssuer"),
        ("127.0.0.1", format!("&sslrootcert={root}"), "not valid for name"),
    ] {
        let answer = client(host, &options).await;
        answer.refused(503, "connection_error");
        assert!(!answer.text.contains(why), "{}", answer.text);
        let log = log.take();
        assert!(log.contains(why), "{host} {options}: {log}");
        assert!(!log.contains(SUPABASE_KEY), "{log}");
    }
    for (file, why) in [(garbage, "certificate"), ("%2Fnowhere.pem".to_owned(), "cannot be read")] {
        let answer = client("localhost", &format!("&sslrootcert={file}")).await;
        let body = answer.refused(503, "client_unavailable");
        assert!(body["error"].as_str().is_some_and(|text| text.contains(why)), "{}", answer.text);
    }
    // In clear to a server that speaks TLS.
    let plain = Gateway::over(&[("rest", &rest_uri(address, ""))], "").await;
    send(&plain, "rest", "fetch", FETCH).await.refused(503, "connection_error");
    assert_eq!(server.seen().len(), asked, "no request, and so no key, has come through");
}
