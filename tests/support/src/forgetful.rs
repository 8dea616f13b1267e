//! A CQL server whose memory for prepared statements is full: what stands before it answers as such a server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Bytes of a frame's header, of which the last four tell how many follow.
const HEADER: usize = 9;
const ERROR: u8 = 0x00;
const EXECUTE: u8 = 0x0A;
const BATCH: u8 = 0x0D;
const UNPREPARED: i32 = 0x2500;

/// Carries frames to a CQL server, and answers as many executions of prepared statements as it is told with "not
/// prepared", of which the server hears nothing. It lives on the runtime that started it and stops when dropped.
pub struct Forgetful {
    uri: String,
    left: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Forgetful {
    /// The driver believes that every node has the port of the one it was told of, so that all of its connections go
    /// through.
    pub(crate) async fn before(contact: &str, keyspace: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let server: SocketAddr = contact.parse().expect("an address");
        let left = Arc::new(AtomicUsize::new(0));
        Self {
            uri: format!("cql://{address}/{keyspace}"),
            accepting: tokio::spawn(accept(listener, server, left.clone())),
            left,
        }
    }

    /// The URI of the keyspace by way of this.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Forgets the statements of so many executions to come.
    pub fn forget(&self, executions: usize) {
        self.left.store(executions, Ordering::SeqCst);
    }

    /// Executions that are still to be forgotten.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, left: Arc<AtomicUsize>) {
    // They end with the task that owns them.
    let mut carrying = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let left = left.clone();
        carrying.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let to_client = Mutex::new(to_client);
            tokio::select! {
                () = requests(from_client, to_server, &to_client, &left) => {}
                () = answers(from_server, &to_client) => {}
            }
        });
    }
}

async fn frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    from.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes(*frame.last_chunk().expect("a length"));
    frame.resize(HEADER + length as usize, 0);
    from.read_exact(&mut frame[HEADER..]).await.ok()?;
    Some(frame)
}

async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    back: &Mutex<OwnedWriteHalf>,
    left: &AtomicUsize,
) {
    while let Some(frame) = frame(&mut client).await {
        let forgotten = executed(&frame).filter(|_| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        });
        let sent = match forgotten {
            Some(id) => back.lock().await.write_all(&unprepared(&frame, id)).await,
            None => server.write_all(&frame).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn answers(mut server: OwnedReadHalf, client: &Mutex<OwnedWriteHalf>) {
    while let Some(frame) = frame(&mut server).await {
        if client.lock().await.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// The id of the first prepared statement that a request wants carried out, as it stands there with its length.
fn executed(frame: &[u8]) -> Option<&[u8]> {
    let at = match frame[4] {
        EXECUTE => HEADER,
        // The kind of batch, how many statements, and of the first one that it is prepared.
        BATCH if frame.get(HEADER + 3) == Some(&1) => HEADER + 4,
        _ => return None,
    };
    assert_eq!(frame[1], 0, "neither compressed nor with anything before the statement");
    let length = u16::from_be_bytes(*frame[at..].first_chunk()?);
    frame.get(at..at + 2 + usize::from(length))
}

fn unprepared(request: &[u8], id: &[u8]) -> Vec<u8> {
    const TEXT: &[u8] = b"Prepared query not found";
    let length = 4 + 2 + TEXT.len() + id.len();
    let mut frame = vec![request[0] | 0x80, 0, request[2], request[3], ERROR];
    frame.extend_from_slice(&(length as u32).to_be_bytes());
    frame.extend_from_slice(&UNPREPARED.to_be_bytes());
    frame.extend_from_slice(&(TEXT.len() as u16).to_be_bytes());
    frame.extend_from_slice(TEXT);
    frame.extend_from_slice(id);
    frame
}
