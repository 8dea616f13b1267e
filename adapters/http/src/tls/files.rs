//! A certificate and its key as two PEM files.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Where the certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its root; PEM.
    pub certificate: PathBuf,
    /// Its private key; PEM, as PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. Names the file, and never quotes it: one of the two is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

impl TlsError {
    /// A fault of the file at `path`.
    pub(super) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for TlsError {}

impl TlsFiles {
    /// Reads both files and checks that they belong together.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let of_certificate = |reason: &dyn fmt::Display| TlsError::new(&self.certificate, reason);
        let of_key = |reason: &dyn fmt::Display| TlsError::new(&self.key, reason);
        let text = fs::read(&self.certificate).map_err(|error| of_certificate(&error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            // The parser's own words may quote the file.
            .map_err(|_| of_certificate(&"is not valid PEM"))?;
        if chain.is_empty() {
            return Err(of_certificate(&"holds no certificate in PEM"));
        }
        let text = fs::read(&self.key).map_err(|error| of_key(&error))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| of_key(&"holds no private key in PEM"))?;
        let signer = provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| of_key(&"holds a private key of a kind that is not supported"))?;
        let certified = CertifiedKey::new(chain, signer);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                let certificate = self.certificate.display();
                Err(of_key(&format_args!("is not the key of the certificate in {certificate}")))
            }
            Err(_) => Err(of_certificate(&"holds a certificate that cannot be read")),
        }
    }
}

/// What tells one state of the files from another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<File>; 2]);

#[derive(Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl Stamp {
    /// The state of the files now; links are followed, so that a link that moves on counts as a change.
    pub(super) fn of(files: &TlsFiles) -> Self {
        Self([&files.certificate, &files.key].map(|path| {
            let meta = fs::metadata(path).ok()?;
            Some(File {
                device: meta.dev(),
                inode: meta.ino(),
                bytes: meta.len(),
                changed: (meta.ctime(), meta.ctime_nsec()),
            })
        }))
    }
}
