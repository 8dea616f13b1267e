#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::time::Duration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// An authority, and a directory for files.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn certificate_for(&self, names: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }

    fn verifier(&self, by_name: bool, hosts: &[&str]) -> Verifier {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let inner =
            WebPkiServerVerifier::builder_with_provider(roots.into(), ring::default_provider().into());
        let names = hosts.iter().map(|host| ServerName::try_from((*host).to_owned()).unwrap()).collect();
        Verifier { inner: inner.build().unwrap(), by_name, names }
    }
}

fn takes(verifier: &Verifier, certificate: &Certificate, address: &str) -> Result<(), Error> {
    let name = ServerName::try_from(address.to_owned()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = UnixTime::since_unix_epoch(now);
    verifier.verify_server_cert(certificate.der(), &[], &name, &[], now).map(drop)
}

#[test]
fn a_node_is_known_by_its_address_or_a_host_of_the_uri() {
    let authority = Authority::new();
    let check = |names: &[&str], hosts: &[&str], by_name: bool, expected: bool| {
        let (certificate, _) = authority.certificate_for(names);
        let outcome = takes(&authority.verifier(by_name, hosts), &certificate, "10.0.0.7");
        assert_eq!(outcome.is_ok(), expected, "{names:?} {hosts:?} {by_name}: {outcome:?}");
    };
    check(&["10.0.0.7"], &[], true, true);
    check(&["db.example"], &["db.example"], true, true);
    check(&["*.db.example"], &["other.test", "n1.db.example"], true, true);
    check(&["db.example"], &[], true, false);
    check(&["10.0.0.8"], &["db.example"], true, false);
    check(&["db.example"], &["db.example.evil"], true, false);
    check(&["db.example"], &[], false, true);
    // Of another authority, no name helps.
    let (foreign, _) = Authority::new().certificate_for(&["10.0.0.7", "db.example"]);
    for by_name in [true, false] {
        assert!(takes(&authority.verifier(by_name, &["db.example"]), &foreign, "10.0.0.7").is_err());
    }
}

#[test]
fn files_are_read_and_never_quoted() {
    let directory = std::env::temp_dir().join(format!("athena-cql-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let authority = Authority::new();
    let (certificate, key) = authority.certificate_for(&["gateway"]);
    let (_, other) = authority.certificate_for(&["gateway"]);
    let root = write("root.pem", &authority.certificate.pem());
    let (certificate, key) = (write("own.pem", &certificate.pem()), write("own.key", &key.serialize_pem()));
    let other = write("other.key", &other.serialize_pem());
    let text = write("text.pem", "a secret marker");
    let missing = directory.join("missing.pem");
    let check = |roots: Option<&PathBuf>, identity: Option<(&PathBuf, &PathBuf)>, expected: Option<&str>| {
        let settings = TlsSettings {
            by_name: true,
            roots: roots.cloned(),
            identity: identity.map(|(certificate, key)| (certificate.clone(), key.clone())),
        };
        let outcome =
            settings.config(["db.example"].into_iter()).map(drop).map_err(|error| error.to_string());
        match (&outcome, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                assert!(error.contains(expected) && !error.contains("marker"), "{error}");
            }
            _ => panic!("{outcome:?} {expected:?}"),
        }
    };
    check(None, None, None);
    check(Some(&root), None, None);
    check(Some(&root), Some((&certificate, &key)), None);
    check(Some(&missing), None, Some("missing.pem"));
    check(Some(&text), None, Some("holds no certificate"));
    check(Some(&root), Some((&text, &key)), Some("holds no certificate"));
    check(Some(&root), Some((&certificate, &text)), Some("holds no private key"));
    check(Some(&root), Some((&certificate, &other)), Some("not that of the certificate"));
    std::fs::remove_dir_all(&directory).unwrap();
}
