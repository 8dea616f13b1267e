//! The names that a request may reach the server by. A page of somebody else can have its own name lead to this machine and
//! then read what the server answers; what it cannot do is name another host than its own.

use std::net::IpAddr;

/// A host that requests may name: a name, an address, or with a dot before it every name below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(Which);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Name(Box<str>),
    Below(Box<str>),
    Address(IpAddr),
}

impl AllowedHost {
    /// Reads one; a port, a scheme or a path is not part of it.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(address) = address(text) {
            return Some(Self(Which::Address(address)));
        }
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix('.').unwrap_or(&text);
        let label = |label: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(fits)
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return None;
        }
        Some(Self(if name.len() < text.len() { Which::Below(text.into()) } else { Which::Name(text.into()) }))
    }

    /// The names of this machine that lead nowhere else.
    pub fn loopback() -> Vec<Self> {
        ["localhost", ".localhost", "127.0.0.1", "::1"].iter().filter_map(|text| Self::parse(text)).collect()
    }

    /// Whether the host that a request names, with or without a port, is this one.
    pub(crate) fn is(&self, host: &str) -> bool {
        let host = without_port(host);
        match &self.0 {
            Which::Address(allowed) => address(host).is_some_and(|address| address == *allowed),
            Which::Name(name) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
            Which::Below(name) => host.trim_end_matches('.').to_ascii_lowercase().ends_with(&**name),
        }
    }
}

impl std::fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Which::Name(name) | Which::Below(name) => f.write_str(name),
            Which::Address(address) => write!(f, "{address}"),
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn without_port(host: &str) -> &str {
    if let Some(end) = host.find(']') {
        return &host[..=end];
    }
    match host.rsplit_once(':') {
        // An address of IPv6 without brackets has more than one.
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_addresses_or_whatever_is_below_a_name() {
        let check = |allowed: &str, host: &str, expected: bool| {
            let allowed = AllowedHost::parse(allowed).unwrap_or_else(|| panic!("{allowed}"));
            assert_eq!(allowed.is(host), expected, "{allowed} {host}");
        };
        check("api.example.com", "API.example.com:8443", true);
        check("api.example.com", "api.example.com.", true);
        check("api.example.com", "xapi.example.com", false);
        check("api.example.com", "api.example.com.evil.test", false);
        check(".example.com", "a.b.example.com:80", true);
        check(".example.com", "example.com", false);
        check(".example.com", "badexample.com", false);
        check("127.0.0.1", "127.0.0.1:4052", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("::1", "[::1]:4052", true);
        check("[::1]", "[::1]", true);
        check("10.0.0.1", "[::ffff:10.0.0.1]:80", true);
        check("localhost", "localhost:4052", true);
        for bad in ["", ".", "a..b", "http://a", "a/b", "a:80", "*", "a b", "ü"] {
            let read = AllowedHost::parse(bad);
            assert!(read.is_none(), "{bad}: {read:?}");
        }
    }
}
