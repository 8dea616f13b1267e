//! HTTP/1.1 on a socket: one request after the other.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::statement::answer;
use super::{Fault, Shared, locked};

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query, encoded.
    pub target: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Request {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Reply {
    /// An answer with a body and no further header.
    #[must_use]
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Serves one connection.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut stream, &mut buffer).await {
        // Somebody who only looks whether it lives is not what a test waits for.
        let is_look = request.method == "HEAD";
        let fault = {
            let mut faults = locked(&shared.faults);
            if is_look || faults.is_empty() { None } else { Some(faults.remove(0)) }
        };
        if !is_look {
            locked(&shared.seen).push(request.clone());
        }
        let right = answer(&shared, &request).await.unwrap_or_else(|wrong| {
            let said = format!("{} {}: {wrong}", request.method, request.target);
            locked(&shared.wrong).push(said);
            Reply::new(400, r#"{"code":"PGRST100","message":"not in the grammar"}"#)
        });
        let sent = match fault {
            None => stream.write_all(&bytes(&right, &request)).await,
            Some(Fault::Answer(reply)) => stream.write_all(&bytes(&reply, &request)).await,
            Some(Fault::Cut(length)) => {
                let bytes = bytes(&right, &request);
                let _ = stream.write_all(&bytes[..length.min(bytes.len())]).await;
                return;
            }
            Some(Fault::Slowly(size, pause)) => {
                for piece in bytes(&right, &request).chunks(size) {
                    if stream.write_all(piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn bytes(reply: &Reply, request: &Request) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} X\r\nserver: postgrest\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if reply.status != 204 {
        text.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    text.push_str("\r\n");
    if request.method != "HEAD" && reply.status != 204 {
        text.push_str(&reply.body);
    }
    text.into_bytes()
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        read(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    while buffer.len() < end + 4 + length {
        read(stream, buffer).await?;
    }
    let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).ok()?;
    buffer.drain(..end + 4 + length);
    Some(Request { method, target, headers, body })
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
    buffer.extend_from_slice(&piece[..length]);
    Some(())
}
