//! `athena_rs healthcheck`: one question to a running server, for supervisors that can only start a program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use athena_cli::HealthcheckOptions;

use crate::config::{Config, Environment, LoadOptions};

mod pinned;

use pinned::Pinned;

/// Time for the whole exchange. Supervisors wait longer than this before they give up on the program itself.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What is asked when the command line names no URL.
const PATH: &str = "/readyz";

/// More than any status line needs; what follows it is not read.
const MOST: usize = 256;

/// Succeeds when the server answers with a status from 200 to 299.
///
/// # Errors
/// When there is no such answer within three seconds; the text says what came instead.
pub fn run(options: &HealthcheckOptions) -> anyhow::Result<()> {
    let target = match &options.url {
        Some(url) => Target::parse(url)?,
        None => server(options)?,
    };
    let status = target.ask(TIMEOUT).with_context(|| format!("{target} does not answer"))?;
    match status {
        200..=299 => Ok(()),
        _ => Err(anyhow!("{target} answers {status}")),
    }
}

/// Where the server that is configured like this listens, and the certificate it shows. Looks for no configuration
/// that is not named: the search would write one.
fn server(options: &HealthcheckOptions) -> anyhow::Result<Target> {
    let (config, _) = match &options.config {
        Some(path) => Config::load(&LoadOptions::from_process(Some(path.clone()), options.port)?)?,
        None => Config::from_text("built-in defaults", "{}", &Environment::from_process(), options.port)?,
    };
    let host = match config.server.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    if config.server.port == 0 {
        bail!("the server takes any free port: name it with --port or --url");
    }
    let pinned = config.server.tls.as_ref().map(|tls| Pinned::read(&tls.certificate)).transpose()?;
    Ok(Target { pinned, ..Target::of(SocketAddr::new(host, config.server.port)) })
}

/// A URL, taken apart.
#[derive(Debug)]
struct Target {
    /// `host:port`, as a name to look up and as the header `Host`.
    authority: String,
    /// Path and query.
    path: String,
    /// The certificate that the server has to show; none without TLS.
    pinned: Option<Pinned>,
}

/// What is written to and read from: a connection, or TLS over one.
trait Exchange: Read + Write {}

impl<T: Read + Write> Exchange for T {}

impl Target {
    fn of(server: SocketAddr) -> Self {
        Self { authority: server.to_string(), path: PATH.to_owned(), pinned: None }
    }

    fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            anyhow!("--url must begin with http://; a server with TLS is asked by its --config")
        })?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if authority.is_empty() || authority.contains(['@', '?', '#']) || !plain(authority) || !plain(path) {
            bail!("--url must look like http://127.0.0.1:4052{PATH}");
        }
        let host_ends = authority.rfind(']').unwrap_or(0);
        let authority = match authority[host_ends..].contains(':') {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        Ok(Self { authority, path: path.to_owned(), pinned: None })
    }

    /// The status of the answer to one GET.
    fn ask(&self, timeout: Duration) -> anyhow::Result<u16> {
        let deadline = Instant::now() + timeout;
        let socket = self.connect(deadline)?;
        let Self { authority, path, pinned } = self;
        let mut stream: Box<dyn Exchange> = match pinned {
            None => Box::new(socket.try_clone()?),
            Some(pinned) => Box::new(pinned.over(socket.try_clone()?)?),
        };
        socket.set_write_timeout(Some(left(deadline)?))?;
        socket.set_read_timeout(Some(left(deadline)?))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: athena_rs-healthcheck\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::with_capacity(MOST);
        let mut part = [0; MOST];
        while !head.contains(&b'\n') && head.len() < MOST {
            // The deadline is of the whole exchange: a server that answers byte by byte does not move it.
            socket.set_read_timeout(Some(left(deadline)?))?;
            match stream.read(&mut part)? {
                0 => break,
                length => head.extend_from_slice(&part[..length]),
            }
        }
        status(&head).ok_or_else(|| anyhow!("what came is not HTTP/1.1"))
    }

    fn connect(&self, deadline: Instant) -> anyhow::Result<TcpStream> {
        let mut last = anyhow!("the name has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(deadline)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.pinned.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// What remains of the time; never zero, which would mean "for ever" to a socket.
fn left(deadline: Instant) -> anyhow::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| anyhow!("the time is up"))
}

/// The code of a whole status line.
fn status(head: &[u8]) -> Option<u16> {
    let end = head.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&head[..end]).ok()?;
    let code = line.strip_prefix("HTTP/1.")?.split_ascii_whitespace().nth(1)?;
    code.parse().ok().filter(|code| (100..=599).contains(code))
}

#[cfg(test)]
mod tests;
