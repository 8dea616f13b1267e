//! Clients over TLS: the right root certificate lets them in, anything else is told, and why is in the log.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use athena_test_support::PrivateCluster;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::harness::{CLIENT, Gateway};

/// A directory that goes away with the test.
pub struct Files(PathBuf);

impl Files {
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("athena-client-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Who vouches for certificates.
pub fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What the log says while it is held, on the thread that holds it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

#[tokio::test]
async fn a_clients_certificate_is_checked_as_its_uri_demands() {
    let (right, wrong) = (authority("the right one"), authority("another one"));
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &right).unwrap();
    let mut cluster = PrivateCluster::start().await;
    cluster.demand_tls(&server.pem(), &key.serialize_pem()).await;
    let files = Files::new("postgres");
    let root = files.write("right.pem", &right.pem());
    let wrong = files.write("wrong.pem", &wrong.pem());
    let nothing = files.0.join("nothing.pem").display().to_string();
    let log = Log::default();
    let _listening = log.listen();

    for (host, query) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={root}")),
        // The name is not looked at; who signed is.
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={root}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", String::new()),
    ] {
        let uri = cluster.uri_by(host, "postgres", &query);
        let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
        let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(gateway.query(encrypted).await.ok()["data"], json!([{"ssl":true}]), "{host} {query}");
    }
    let quiet = log.take();
    assert!(!quiet.contains("no connection"), "{quiet}");

    for (host, query, why) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={wrong}"), "UnknownIssuer"),
        ("localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}"), "not valid for name"),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={wrong}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={nothing}"), "No such file"),
        ("127.0.0.1", "sslmode=disable".to_owned(), "no encryption"),
    ] {
        let uri = cluster.uri_by(host, "postgres", &query);
        let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
        let answer = gateway.query("SELECT 1").await;
        answer.refused(503, "connection_error");
        assert!(!answer.text.contains(why) && !answer.text.contains("private-cluster"), "{}", answer.text);
        let log = log.take();
        assert!(log.contains(why), "{host} {query}: {log}");
        assert!(!log.contains("private-cluster"), "{log}");
    }

    // A URI that asks for a check which would not be made is no client at all, and says which option it is.
    let uri = cluster.uri_by("localhost", "postgres", &format!("sslmode=prefer&sslrootcert={root}"));
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    let answer = gateway.query("SELECT 1").await.refused(503, "client_unavailable");
    assert!(answer["error"].as_str().unwrap().contains("`sslmode`"), "{answer}");
}

#[tokio::test]
async fn tls_that_the_server_does_not_have_is_missed() {
    let cluster = PrivateCluster::start().await;
    let log = Log::default();
    let _listening = log.listen();
    let uri = cluster.uri_by("127.0.0.1", "postgres", "sslmode=require");
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    gateway.query("SELECT 1").await.refused(503, "connection_error");
    assert!(log.take().contains("does not support TLS"));
}
