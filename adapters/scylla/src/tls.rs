//! Encryption of a client's connections, by rustls with ring. Nothing is encrypted without knowing for whom.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// How a client's connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Whether the node must be one that the URI names, or have the address that is connected to; else any whose
    /// certificate the authorities have signed.
    pub by_name: bool,
    /// PEM file with the authorities; the public ones when absent.
    pub roots: Option<PathBuf>,
    /// PEM files with the certificate and key that the gateway shows.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why connections cannot be encrypted. Names the file, and never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsError(String);

impl TlsError {
    fn of(path: &Path, reason: impl Display) -> Self {
        Self(format!("{}: {reason}", path.display()))
    }
}

impl TlsSettings {
    /// Reads the files and makes the driver's configuration; `hosts` are those that the URI names.
    ///
    /// # Errors
    /// Files that cannot be read or hold something else.
    pub(crate) fn config<'h>(&self, hosts: impl Iterator<Item = &'h str>) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone());
        let verifier = Verifier {
            inner: inner.build().map_err(|error| TlsError(error.to_string()))?,
            by_name: self.by_name,
            names: hosts.filter_map(|host| ServerName::try_from(host.to_owned()).ok()).collect(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let Some((certificate, key)) = &self.identity else { return Ok(config.with_no_client_auth()) };
        let chain = certificates(certificate)?;
        let text = read(key)?;
        let secret = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| TlsError::of(key, "holds no private key in PEM"))?;
        config.with_client_auth_cert(chain, secret).map_err(|_| {
            TlsError::of(key, "is no key of a kind that is supported, or not that of the certificate")
        })
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let Some(path) = &self.roots else {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|_| TlsError::of(path, "holds a certificate that cannot be read"))?;
        }
        Ok(roots)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::of(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    // The parser's own words may quote the file.
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| TlsError::of(path, "is not valid PEM"))?;
    if found.is_empty() {
        return Err(TlsError::of(path, "holds no certificate in PEM"));
    }
    Ok(found)
}

/// Takes certificates that the authorities have signed. The driver knows nodes by their addresses only, which few
/// certificates name; one for a host that the URI names is as good, for that host is whom the owner wants to reach.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    by_name: bool,
    names: Vec<ServerName<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |name: &ServerName<'_>| {
            self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let mut outcome = verify(server_name);
        for name in &self.names {
            match &outcome {
                Err(error) if is_of_name(error) => outcome = verify(name),
                _ => break,
            }
        }
        match outcome {
            Err(error) if is_of_name(&error) && !self.by_name => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a certificate is good, but for its names: they are looked at last.
fn is_of_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

#[cfg(test)]
mod tests;
