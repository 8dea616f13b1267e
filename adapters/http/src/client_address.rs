//! Who a request comes from, when proxies may stand in between.
//!
//! Anybody can write a forwarding header. It is believed only when the connection itself comes from a proxy
//! that the operator named; and of a chain of addresses only the part that such proxies wrote.

mod block;

use std::net::{IpAddr, SocketAddr};

use poem::http::uri::{Authority, Scheme};
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Addr, Request};

pub use block::AddressBlock;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Longest host that is kept, in bytes: a name of 253, brackets or a port.
const MAX_HOST_BYTES: usize = 262;

/// Who a request comes from, and by which address the caller knows this server. An extension of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// The caller; an IPv4 address in its IPv6 form is the IPv4 address. Nothing when the connection has none.
    pub ip: Option<IpAddr>,
    /// `https` or `http`, as the caller speaks it to the outermost trusted proxy.
    pub scheme: &'static str,
    host: Option<Host>,
}

/// Where the host's text lies; both share the request's bytes, so keeping it copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Header(HeaderValue),
    Authority(Authority),
}

impl Host {
    fn as_str(&self) -> &str {
        match self {
            // Checked when it was taken.
            Self::Header(value) => value.to_str().unwrap_or_default(),
            Self::Authority(authority) => authority.as_str(),
        }
    }
}

impl ClientAddress {
    /// The host and port the caller asked for; nothing when it is absent or no host.
    pub fn host(&self) -> Option<&str> {
        self.host.as_ref().map(Host::as_str)
    }

    /// Finds out where `request` comes from; forwarding headers count only from `trusted` addresses.
    pub(crate) fn resolve(request: &Request, trusted: &[AddressBlock]) -> Self {
        let peer = match &request.remote_addr().0 {
            Addr::SocketAddr(address) => Some(address.ip().to_canonical()),
            Addr::Unix(_) | Addr::Custom(..) => None,
        };
        let mut address = Self { ip: peer, scheme: own_scheme(request), host: own_host(request) };
        let proxy = peer.filter(|peer| is_trusted(*peer, trusted));
        if let Some(proxy) = proxy {
            address.believe(proxy, request.headers(), trusted);
        }
        address
    }

    /// Takes over what the proxy at `proxy` says.
    fn believe(&mut self, proxy: IpAddr, headers: &HeaderMap, trusted: &[AddressBlock]) {
        let place = if headers.contains_key(FORWARDED_FOR) {
            let (ip, place) = walk(proxy, headers, trusted);
            self.ip = Some(ip);
            place
        } else {
            self.ip = Some(real_ip(headers).unwrap_or(proxy));
            Place { from_right: 0, members: 1 }
        };
        let proto = place.pick(headers, &FORWARDED_PROTO);
        if let Some(scheme) = proto.and_then(known_scheme) {
            self.scheme = scheme;
        }
        if let Some(host) = place.pick(headers, &FORWARDED_HOST).filter(|host| is_host(host)) {
            self.host = HeaderValue::from_str(host).ok().map(Host::Header).or(self.host.take());
        }
    }
}

/// Which member of a list the outermost trusted proxy wrote.
#[derive(Debug, Clone, Copy)]
struct Place {
    from_right: usize,
    members: usize,
}

impl Place {
    /// The member of another list that belongs to the same hop. A list of another length was not kept hop by
    /// hop; its last member is the word of the nearest proxy.
    fn pick<'a>(self, headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
        let aligned = members(headers, name).count() == self.members;
        members(headers, name).rev().nth(if aligned { self.from_right } else { 0 })
    }
}

/// Follows the chain from the nearest proxy outwards, to the first address that is not trusted. What cannot
/// be read ends the chain: nobody trusted vouches for what stands left of it.
fn walk(proxy: IpAddr, headers: &HeaderMap, trusted: &[AddressBlock]) -> (IpAddr, Place) {
    let total = members(headers, &FORWARDED_FOR).count();
    let mut found = (proxy, Place { from_right: 0, members: total });
    for (from_right, member) in members(headers, &FORWARDED_FOR).rev().enumerate() {
        let Some(ip) = address(member) else { break };
        found = (ip, Place { from_right, members: total });
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    found
}

/// The members of a list that may be spread over several lines. A line that is no text is one member that
/// nothing can be read from.
fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.to_str().unwrap_or("?").split(',')).map(str::trim)
}

fn is_trusted(address: IpAddr, trusted: &[AddressBlock]) -> bool {
    trusted.iter().any(|block| block.contains(address))
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}

/// The one address in `X-Real-IP`.
fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    let mut values = headers.get_all(REAL_IP).iter();
    match (values.next(), values.next()) {
        (Some(only), None) => address(only.to_str().ok()?.trim()),
        _ => None,
    }
}

fn known_scheme(text: &str) -> Option<&'static str> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some("https")
    } else if is("http") || is("ws") {
        Some("http")
    } else {
        None
    }
}

fn own_scheme(request: &Request) -> &'static str {
    if *request.scheme() == Scheme::HTTPS { "https" } else { "http" }
}

/// The header of HTTP/1.1, or the authority of HTTP/2.
fn own_host(request: &Request) -> Option<Host> {
    let authority = request.uri().authority().filter(|authority| is_host(authority.as_str()));
    if let Some(authority) = authority {
        return Some(Host::Authority(authority.clone()));
    }
    let value = request.headers().get(header::HOST)?;
    value.to_str().is_ok_and(is_host).then(|| Host::Header(value.clone()))
}

/// Whether a text can be a host with or without a port; it goes into logs and tables.
fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=MAX_HOST_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests;
