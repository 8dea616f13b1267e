//! A TCP proxy that can be told to misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Carries it.
    Pass,
    /// Refuses new connections, as a server that is down does; open ones go on.
    Refuse,
    /// Takes new connections and bytes, and never says anything again.
    Blackhole,
    /// Carries what the server says a byte at a time, a pause behind each.
    Trickle(Duration),
}

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Politely: what was sent arrives.
    Close,
    /// With RST: whoever speaks TCP reads an error, and may lose what was on its way.
    Reset,
}

/// A proxy on a port of its own, in front of one database. It lives on the
/// runtime that started it and stops when dropped.
pub struct TcpProxy {
    shared: Arc<Shared>,
    mode: watch::Sender<Mode>,
    ends: watch::Sender<(u64, End)>,
    address: SocketAddr,
    uri: String,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: Upstream,
    mode: watch::Receiver<Mode>,
    ends: watch::Receiver<(u64, End)>,
    /// The mode the listener has brought about.
    listening: watch::Sender<bool>,
    /// How many connections are open, by how many times connections had been ended when they came.
    open: Mutex<BTreeMap<u64, usize>>,
    asked_bytes: AtomicU64,
}

enum Upstream {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl TcpProxy {
    /// Starts a proxy in front of any server, passing traffic.
    pub async fn before(server: SocketAddr) -> Self {
        Self::start(Upstream::Tcp(server.ip().to_string(), server.port()), |_| String::new()).await
    }

    /// Starts a proxy in front of the server that `uri` names, passing traffic.
    pub async fn in_front_of(uri: &str) -> Self {
        let options: PgConnectOptions = uri.parse().expect("the URI of a PostgreSQL");
        let upstream = match options.get_socket() {
            Some(dir) => Upstream::Unix(dir.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Upstream::Tcp(options.get_host().to_owned(), options.get_port()),
        };
        Self::start(upstream, |address| through(uri, address)).await
    }

    /// Starts a proxy in front of the keyspace's server, passing traffic. The driver believes that every node has the
    /// port of the one it was told of, so that all of its connections go through.
    pub(crate) async fn in_front_of_keyspace(contact: &str, keyspace: &str) -> Self {
        let (host, port) = contact.rsplit_once(':').expect("host and port");
        let upstream = Upstream::Tcp(host.to_owned(), port.parse().expect("a port"));
        Self::start(upstream, |address| format!("cql://{address}/{keyspace}")).await
    }

    async fn start(upstream: Upstream, uri: impl FnOnce(SocketAddr) -> String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let (mode, mode_seen) = watch::channel(Mode::Pass);
        let (ends, ends_seen) = watch::channel((0, End::Close));
        let shared = Arc::new(Shared {
            upstream,
            mode: mode_seen,
            ends: ends_seen,
            listening: watch::Sender::new(true),
            open: Mutex::default(),
            asked_bytes: AtomicU64::new(0),
        });
        Self {
            accepting: tokio::spawn(accept(Arc::clone(&shared), listener, address)),
            shared,
            mode,
            ends,
            address,
            uri: uri(address),
        }
    }

    /// The URI of the same database by way of the proxy; of no use before another kind of server.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Where the proxy listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to traffic; returns once it holds.
    pub async fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let mut listening = self.shared.listening.subscribe();
        let wanted = mode != Mode::Refuse;
        let _ = listening.wait_for(|listening| *listening == wanted).await;
    }

    /// Cuts every open connection; new ones are treated as before.
    pub async fn cut(&self) {
        self.end(End::Close).await;
    }

    /// Resets every open connection, on its server's side too where that speaks TCP; new ones are treated as before.
    pub async fn reset(&self) {
        self.end(End::Reset).await;
    }

    /// Resets every open connection as soon as somebody asks the server something.
    pub async fn reset_once_asked(&self) {
        let asked = self.asked_bytes();
        while self.asked_bytes() == asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.reset().await;
    }

    async fn end(&self, end: End) {
        self.ends.send_modify(|(times, how)| (*times, *how) = (*times + 1, end));
        let times = self.ends.borrow().0;
        // Callers who come again at once have new ones.
        while self.shared.open_before(times) > 0 && !self.accepting.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Behaves as a server that has gone down: cuts and refuses.
    pub async fn down(&self) {
        self.set(Mode::Refuse).await;
        self.cut().await;
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open_before(u64::MAX)
    }

    /// How many bytes went to the server so far.
    #[must_use]
    pub fn asked_bytes(&self) -> u64 {
        self.shared.asked_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.ends.send_modify(|(times, how)| (*times, *how) = (*times + 1, End::Close));
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are open that came before connections were ended for this time.
    fn open_before(&self, times: u64) -> usize {
        self.open().range(..times).map(|(_, open)| open).sum()
    }
}

async fn accept(shared: Arc<Shared>, first: TcpListener, address: SocketAddr) {
    let mut mode = shared.mode.clone();
    let mut listener = Some(first);
    loop {
        let refuse = *mode.borrow_and_update() == Mode::Refuse;
        if refuse {
            drop(listener.take());
            // Bound, so that nobody else gets the port, and not listening.
            let kept = bind(address).await;
            shared.listening.send_replace(false);
            if mode.wait_for(|mode| *mode != Mode::Refuse).await.is_err() {
                return;
            }
            listener = Some(kept.listen(128).expect("listen again"));
        }
        shared.listening.send_replace(true);
        let Some(listening) = &listener else { return };
        tokio::select! {
            accepted = listening.accept() => {
                if let Ok((client, _)) = accepted {
                    let mut ends = shared.ends.clone();
                    let (times, _) = *ends.borrow_and_update();
                    *shared.open().entry(times).or_default() += 1;
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        carry(&shared, client, ends).await;
                        shared.open().entry(times).and_modify(|open| *open -= 1);
                    });
                }
            }
            changed = mode.changed() => if changed.is_err() { return },
        }
    }
}

async fn bind(address: SocketAddr) -> TcpSocket {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option of a socket");
        if socket.bind(address).is_ok() {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Carries one connection until either side ends it or it is cut.
async fn carry(shared: &Shared, mut client: TcpStream, mut ends: watch::Receiver<(u64, End)>) {
    let mut reached = None;
    let carried = async {
        wait_to_pass(shared).await;
        match &shared.upstream {
            Upstream::Tcp(host, port) => {
                if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
                    both_ways(shared, &mut client, reached.insert(server)).await;
                }
            }
            Upstream::Unix(path) => {
                if let Ok(mut server) = UnixStream::connect(path).await {
                    both_ways(shared, &mut client, &mut server).await;
                }
            }
        }
    };
    tokio::select! {
        () = carried => return,
        _ = ends.changed() => {}
    }
    if ends.borrow().1 == End::Reset {
        for side in [Some(client), reached].into_iter().flatten() {
            side.set_zero_linger().expect("an option of a socket");
        }
    }
}

async fn both_ways<C, S>(shared: &Shared, client: &mut C, server: &mut S)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client_read, client_write) = tokio::io::split(client);
    let (server_read, server_write) = tokio::io::split(server);
    tokio::select! {
        () = one_way(shared, client_read, server_write, Some(&shared.asked_bytes)) => {}
        () = one_way(shared, server_read, client_write, None) => {}
    }
}

async fn one_way(
    shared: &Shared,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: Option<&AtomicU64>,
) {
    let mut mode = shared.mode.clone();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(count) = count {
            count.fetch_add(length as u64, Ordering::SeqCst);
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            wait_to_pass(shared).await;
            let trickle = match *mode.borrow_and_update() {
                Mode::Trickle(pause) if count.is_none() => Some(pause),
                _ => None,
            };
            let (now, later) = rest.split_at(trickle.map_or(rest.len(), |_| 1));
            if to.write_all(now).await.is_err() {
                return;
            }
            if let Some(pause) = trickle {
                let _ = tokio::time::timeout(pause, mode.changed()).await;
            }
            rest = later;
        }
    }
}

async fn wait_to_pass(shared: &Shared) {
    let mut mode = shared.mode.clone();
    let _ = mode.wait_for(|mode| *mode != Mode::Blackhole).await;
}

/// The URI with the proxy's address for its own, and without its parameters.
fn through(uri: &str, proxy: SocketAddr) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("postgres", uri));
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
    format!("{scheme}://{user}{proxy}/{database}?sslmode=disable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_led_through_the_proxy() {
        let proxy: SocketAddr = "127.0.0.1:7".parse().expect("an address");
        for (uri, expected) in [
            (
                "postgres://postgres@localhost:5432/a?host=%2Fs",
                "postgres://postgres@127.0.0.1:7/a?sslmode=disable",
            ),
            ("postgres://u:p@h/b", "postgres://u:p@127.0.0.1:7/b?sslmode=disable"),
            ("postgres://h", "postgres://127.0.0.1:7/?sslmode=disable"),
        ] {
            assert_eq!(through(uri, proxy), expected, "{uri}");
        }
    }
}
