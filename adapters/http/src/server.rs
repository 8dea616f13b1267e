//! Connections: accepted up to a bound, served as HTTP/1.1 or h2c, ended in good order.
//!
//! poem's own server sets no bound on connections and none on the time a request's head may take, so the
//! loop is written here over the same hyper.

mod patience;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::app::{App, MAX_HEAD_BYTES};
use crate::sighting;
use crate::tls::Tls;
use patience::Patience;

/// Time that dropping the last requests may take: each of them is told to the observer on the way.
pub const CUT_OFF: Duration = Duration::from_secs(1);

/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Finish what runs, take nothing new.
    Ending,
    /// Leave at once.
    Over,
}

/// A socket that accepts connections, and how they are spoken to.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
    most: Option<usize>,
}

impl Listener {
    /// Connections on `socket`, in clear.
    pub fn new(socket: TcpListener) -> Self {
        Self { socket, tls: None, most: None }
    }

    /// Connections under TLS, when there is a certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// At most this many connections at once, instead of what the settings say.
    #[must_use]
    pub fn with_max_connections(mut self, most: usize) -> Self {
        self.most = Some(most);
        self
    }
}

/// How connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionSettings {
    /// Time without a request.
    pub keep_alive: Duration,
    /// Time that an answer may be left unread.
    pub disconnect_timeout: Duration,
    /// Time until the kernel probes a silent peer.
    pub tcp_keep_alive: Duration,
    /// Connections at once.
    pub most: usize,
    /// Time between the wish to stop and the end of accepting.
    pub drain_delay: Duration,
    /// Time that running requests have after that.
    pub shutdown_timeout: Duration,
}

/// Serves `app` until `shutdown` is done; then waits for running requests, at most `shutdown_timeout`, and drops the
/// rest, for which [`CUT_OFF`] is left. Every connection is kept by the settings that it meets.
pub(crate) async fn run(listener: Listener, app: App, shutdown: impl Future<Output = ()>) {
    let Listener { socket: listener, tls, most } = listener;
    // A certificate that is renewed must not need a restart.
    let watching = tls.clone().map(|tls| tokio::spawn(tls.watch()));
    let endpoint = Arc::new(app.clone());
    let most = most.unwrap_or(app.connections().most);
    let most = most.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let places = Arc::new(Semaphore::new(most));
    let (phase, phases) = watch::channel(Phase::Serving);
    let local = listener.local_addr().ok();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let settings = app.connections();
                prepare(&stream, settings.tcp_keep_alive);
                let connection = Connection {
                    endpoint: endpoint.clone(),
                    local,
                    remote,
                    keep_alive: settings.keep_alive,
                    phases: phases.clone(),
                };
                let stream = Patience::new(stream, settings.disconnect_timeout);
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => connection.serve(stream, Scheme::HTTP).await,
                        Some(tls) => connection.serve_securely(stream, &tls).await,
                    }
                    drop(place);
                });
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if let Some(watching) = watching {
        watching.abort();
    }
    tracing::info!(open = most - places.available_permits(), "no further connections; finishing what runs");
    phase.send_replace(Phase::Ending);
    // Every connection holds one place, so all places are free when all connections are gone.
    let all_gone = || places.acquire_many(u32::try_from(most).unwrap_or(u32::MAX));
    if tokio::time::timeout(app.connections().shutdown_timeout, all_gone()).await.is_err() {
        tracing::warn!(open = most - places.available_permits(), "requests still run; dropping them");
        phase.send_replace(Phase::Over);
        drop(tokio::time::timeout(CUT_OFF, all_gone()).await);
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Sets socket options; a connection without them still works, so a failure is only told.
fn prepare(stream: &TcpStream, keep_alive: Duration) {
    use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
    let set = stream
        .set_nodelay(true)
        .and_then(|()| Ok(set_socket_keepalive(stream, true)?))
        .and_then(|()| Ok(set_tcp_keepidle(stream, keep_alive.max(Duration::from_secs(1)))?));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

struct Connection {
    endpoint: Arc<App>,
    local: Option<SocketAddr>,
    remote: SocketAddr,
    keep_alive: Duration,
    phases: watch::Receiver<Phase>,
}

impl Connection {
    /// Shakes hands, unless the server ends before that is done, and serves.
    async fn serve_securely(mut self, stream: Patience<TcpStream>, tls: &Tls) {
        let shaken = tokio::select! {
            shaken = tls.accept(stream) => shaken,
            _ = self.phases.changed() => return,
        };
        match shaken {
            Ok(stream) => self.serve(stream, Scheme::HTTPS).await,
            Err(error) => tracing::debug!(%error, remote = %self.remote, "a TLS handshake failed"),
        }
    }

    async fn serve<S>(self, stream: S, scheme: Scheme)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { endpoint, local, remote, keep_alive, mut phases } = self;
        let local = LocalAddr(local.map_or_else(|| Addr::custom("tcp", ""), Addr::from));
        let remote = RemoteAddr(Addr::from(remote));
        let heard = Arc::new(AtomicBool::new(false));
        let service = hyper::service::service_fn({
            let heard = heard.clone();
            move |request: hyper::Request<Incoming>| {
                heard.store(true, Ordering::Relaxed);
                let endpoint = endpoint.clone();
                let request: Request = (request, local.clone(), remote.clone(), scheme.clone()).into();
                async move {
                    let response = endpoint.answer(request).await;
                    Ok::<hyper::Response<BoxBody<bytes::Bytes, io::Error>>, Infallible>(sighting::release(
                        response,
                    ))
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // hyper runs this clock between requests too, so it is the keep-alive time as well.
        let most = 4 * MAX_HEAD_BYTES;
        builder.http1().timer(TokioTimer::new()).header_read_timeout(keep_alive).max_buf_size(most);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(200)
            .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(keep_alive.max(Duration::from_secs(1))))
            .keep_alive_timeout(keep_alive.max(Duration::from_secs(1)));
        let socket = TokioIo::new(stream);
        let mut connection = pin!(builder.serve_connection(socket, service));
        // Until the protocol is known hyper has no clock of its own.
        let silence = tokio::time::sleep(keep_alive);
        let mut silence = pin!(silence);
        let mut waiting = true;
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if let Err(error) = outcome {
                        tracing::trace!(%error, "a connection ended");
                    }
                    return;
                }
                () = silence.as_mut(), if waiting => {
                    if !heard.load(Ordering::Relaxed) {
                        return;
                    }
                    waiting = false;
                }
                changed = phases.changed() => {
                    let phase = *phases.borrow_and_update();
                    match (changed, phase) {
                        (Ok(()), Phase::Ending | Phase::Serving) => connection.as_mut().graceful_shutdown(),
                        (Ok(()), Phase::Over) | (Err(_), _) => return,
                    }
                }
            }
        }
    }
}
