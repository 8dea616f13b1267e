//! TLS on a listener, with a certificate that is read again when its files change.

mod files;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};
use tokio_rustls::server::TlsStream;

use files::Stamp;
pub use files::{TlsError, TlsFiles};

/// Time a peer has for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// TLS for listeners; clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
    provider: Arc<CryptoProvider>,
    /// The files as they were when they were last read, whatever came of it. Held while they are read, so that
    /// of two readings the later one stays.
    stamp: Arc<Mutex<Stamp>>,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the files. Blocks for as long as the file system does.
    ///
    /// # Errors
    /// When a file cannot be read, holds no certificate or key, or the two do not belong together; the text
    /// names the file and never what stands in it.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let stamp = Stamp::of(&files);
        let current = Arc::new(Current(ArcSwap::from_pointee(files.read(&provider)?)));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| TlsError::new(&files.certificate, error))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let stamp = Arc::new(Mutex::new(stamp));
        Ok(Self { files: Arc::new(files), current, acceptor, provider, stamp })
    }

    /// Reads the files again; tells whether new connections get another certificate. Blocks for as long as the
    /// file system does.
    ///
    /// # Errors
    /// As [`Tls::open`]; the certificate before stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.read(&mut self.stamp.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, if the files have changed: a fault is told once.
    fn look(&self) -> Result<bool, TlsError> {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if Stamp::of(&self.files) == *stamp {
            return Ok(false);
        }
        self.read(&mut stamp)
    }

    fn read(&self, stamp: &mut Stamp) -> Result<bool, TlsError> {
        // Taken before the reading: what is written meanwhile is noticed the next time.
        *stamp = Stamp::of(&self.files);
        let read = self.files.read(&self.provider)?;
        let same = read.cert == self.current.0.load().cert;
        self.current.0.store(Arc::new(read));
        Ok(!same)
    }

    /// Looks at the files for ever; what it finds is told to the log.
    pub(crate) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = self.clone();
            if let Ok(outcome) = tokio::task::spawn_blocking(move || tls.look()).await {
                self.tell(outcome);
            }
        }
    }

    fn tell(&self, outcome: Result<bool, TlsError>) {
        match outcome {
            Ok(true) => {
                let path = self.files.certificate.display();
                tracing::info!(%path, "a new certificate is served to new connections");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the certificate before stays in use"),
        }
    }

    /// Shakes hands with a peer.
    pub(crate) async fn accept<S>(&self, socket: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match tokio::time::timeout(HANDSHAKE, self.acceptor.accept(socket)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}
