//! An encrypted CQL database: who may answer, and whom it lets in.

use std::path::{Path, PathBuf};
use std::process::Command;

use athena_rs::{AthenaClient, BackendType};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::harness::{Answer, CLIENT, Gateway};

/// An authority.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn for_name(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A Cassandra that encrypts, started for this test from the artifacts of the other one. Dropped, it is gone.
struct Server {
    directory: PathBuf,
    port: String,
    authority: Authority,
}

impl Server {
    /// A server for `localhost` that demands certificates of its own authority; none where there is no Cassandra.
    fn start() -> Option<Self> {
        let home = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let home = home.join("cassandra");
        if !home.join("version").exists() {
            athena_test_support::cql_left_out("no Cassandra was installed by scripts/cassandra.sh");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("athena-cql-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let authority = Authority::new();
        let mut server = Self { directory, port: String::new(), authority };
        let (certificate, key) = server.authority.for_name("localhost");
        let own = server.write("server.pem", &format!("{key}{certificate}"));
        let root = server.write("root.pem", &server.authority.certificate.pem());
        let (certificate, key) = server.authority.for_name("gateway");
        server.write("client.pem", &certificate);
        server.write("client.key", &key);
        server.write("other.pem", &Authority::new().certificate.pem());
        let started = Command::new(root_script())
            .arg("start")
            .arg(server.directory.join("node"))
            .env("CASSANDRA_HOME", &home)
            .env("CASSANDRA_TLS", own)
            .env("CASSANDRA_TLS_CLIENTS", root)
            .env("CASSANDRA_HEAP", "256M")
            .output()
            .expect("scripts/cassandra.sh runs");
        let text = String::from_utf8(started.stdout).expect("a place");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        text.trim().rsplit_once(':').expect("host:port").1.clone_into(&mut server.port);
        Some(server)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    async fn ask(&self, host: &str, keyspace: &str, options: &str) -> Answer {
        let uri = format!("cql://{host}:{}/{keyspace}?{options}", self.port);
        let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
        gateway.raw(&json!({"query": "SELECT cluster_name FROM system.local"}).to_string()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let wiped = Command::new(root_script()).arg("wipe").arg(self.directory.join("node")).status();
        drop(wiped);
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn root_script() -> PathBuf {
    root().join("scripts/cassandra.sh")
}

#[tokio::test]
async fn the_right_server_is_asked_and_no_other() {
    let Some(server) = tokio::task::spawn_blocking(Server::start).await.expect("a start") else { return };
    let own = format!("sslcert={}&sslkey={}", server.path("client.pem"), server.path("client.key"));
    let right = format!("sslrootcert={}&{own}", server.path("root.pem"));
    let wrong = format!("sslrootcert={}&{own}", server.path("other.pem"));
    let ask = async |host: &str, options: &str| server.ask(host, "system", options).await;
    // The server has one name, by which the URI may call it or not.
    let full = ask("localhost", &format!("sslmode=verify-full&{right}")).await.ok();
    assert_eq!(full["data"], json!([{"cluster_name": "test"}]));
    ask("localhost", &format!("tls=true&{right}")).await.ok();
    ask("127.0.0.1", &format!("sslmode=verify-ca&{right}")).await.ok();
    for (what, host, options) in [
        ("another name", "127.0.0.1", format!("sslmode=verify-full&{right}")),
        ("another authority", "localhost", format!("sslmode=verify-full&{wrong}")),
        ("another authority", "localhost", format!("sslmode=verify-ca&{wrong}")),
        ("the public authorities", "localhost", format!("tls=true&{own}")),
        (
            "no certificate of our own",
            "localhost",
            format!("tls=true&sslrootcert={}", server.path("root.pem")),
        ),
        ("no encryption", "localhost", String::new()),
        (
            "a file that is not there",
            "localhost",
            format!("tls=true&sslrootcert={}", server.path("nothing.pem")),
        ),
    ] {
        let answer = ask(host, &options).await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.text);
        assert!(!answer.text.contains(&server.path("")), "{what}: {}", answer.text);
    }
    // Rows go both ways.
    let uri = format!("cql://localhost:{}/system?tls=true&{right}", server.port);
    let maker = Gateway::over(&[(CLIENT, &uri)], "").await;
    maker
        .query(
            "CREATE KEYSPACE sealed WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        )
        .await
        .ok();
    maker.query("CREATE TABLE sealed.notes (id int PRIMARY KEY, text text)").await.ok();
    let uri = format!("cql://localhost:{}/sealed?tls=true&{right}", server.port);
    let gateway = Gateway::over(&[(CLIENT, &uri)], "").await;
    gateway.insert(r#"{"table_name":"notes","insert_body":{"id":1,"text":"x"}}"#).await.ok();
    assert_eq!(gateway.fetch(r#"{"table_name":"notes"}"#).await.rows(), json!([{"id": 1, "text": "x"}]));
    // The library asks for encryption by a setting of its own.
    let builder = AthenaClient::builder().backend(BackendType::Scylla).ssl(true).database("sealed");
    let builder = builder.url(format!("localhost?{right}")).port(server.port.parse().expect("a port"));
    let athena = builder.build().await.expect("a client");
    let rows = athena.select("notes").execute().await.expect("rows").rows;
    assert_eq!(rows, [json!({"id": 1, "text": "x"})]);
}
