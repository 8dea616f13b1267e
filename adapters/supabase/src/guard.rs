//! Where a request's own URL may lead: which hosts, and which addresses. Pure: nothing is looked up here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Hosts that are allowed where none are configured.
const USUAL: &str = ".supabase.co";

/// Hosts that a caller's URL may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRules {
    hosts: Vec<Host>,
    /// Plain http, ports of any number and private addresses, for the listed hosts.
    insecure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    /// With the dot that it begins with.
    Suffix(String),
    Address(IpAddr),
}

/// A text that lists no hosts. What it holds instead is not shown: it may be a URL with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must list host names, or suffixes such as .supabase.co, with commas in between; entry {0} is neither"
)]
pub struct InvalidHosts(usize);

impl Default for HostRules {
    fn default() -> Self {
        Self { hosts: vec![Host::Suffix(USUAL.to_owned())], insecure: false }
    }
}

impl HostRules {
    /// Reads a list of names and suffixes; empty means the usual one. `insecure` holds for listed hosts only.
    ///
    /// # Errors
    /// [`InvalidHosts`].
    pub fn parse(list: &str, insecure: bool) -> Result<Self, InvalidHosts> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let numbered = entries.zip(1..).map(|(entry, number)| host(entry).ok_or(InvalidHosts(number)));
        let hosts: Vec<Host> = numbered.collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { hosts, insecure })
    }

    /// Whether private addresses are allowed.
    pub(crate) fn insecure(&self) -> bool {
        self.insecure
    }

    /// The origin that a caller's URL names, without a slash at its end.
    ///
    /// # Errors
    /// Why it may not be asked, without anything of the URL.
    pub(crate) fn permit(&self, url: &str) -> Result<String, &'static str> {
        let url = Url::parse(url.trim()).map_err(|_| "it is not a URL")?;
        match url.scheme() {
            "https" => {}
            "http" if self.insecure => {}
            _ => return Err("it must begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must hold no user and no password");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("it must end after the host");
        }
        if url.port().is_some() && !self.insecure {
            return Err("it must name no port");
        }
        let named = url.host_str().ok_or("it names no host")?;
        let address = url.domain().is_none().then(|| named.trim_matches(['[', ']']).parse::<IpAddr>());
        let allowed = match address {
            // The parser has read decimal, octal and hexadecimal forms for what they are.
            Some(Ok(address)) => {
                let listed = self.hosts.contains(&Host::Address(address));
                listed && (self.insecure || is_public(address))
            }
            Some(Err(_)) => false,
            None => self.hosts.iter().any(|host| match host {
                Host::Name(name) => name == named,
                Host::Suffix(suffix) => named.len() > suffix.len() && named.ends_with(suffix.as_str()),
                Host::Address(_) => false,
            }),
        };
        if !allowed {
            return Err(
                "its host is not one of gateway.supabase_allowed_hosts, or is an address of no public network",
            );
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }
}

fn host(entry: &str) -> Option<Host> {
    let entry = entry.to_ascii_lowercase();
    if let Ok(address) = entry.trim_matches(['[', ']']).parse() {
        return Some(Host::Address(address));
    }
    let suffix = entry.strip_prefix('*').unwrap_or(&entry);
    let labels = suffix.strip_prefix('.').unwrap_or(suffix);
    let is_name = !labels.is_empty()
        && labels.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    match (is_name, suffix.starts_with('.')) {
        (true, true) => Some(Host::Suffix(suffix.to_owned())),
        (true, false) if suffix == entry => Some(Host::Name(entry)),
        _ => None,
    }
}

/// Whether an address is one of the open internet's (IANA's registries of special-purpose addresses).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [([u8; 4], u32); 16] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        // Shared by a carrier's customers.
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // Link-local, which is where clouds tell machines their secrets.
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        // Relays of 6to4.
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // Multicast, then what is reserved, broadcast included.
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
        // A cloud's own services behind an address that looks public.
        ([168, 63, 129, 16], 32),
    ];
    let bits = u32::from(address);
    !SPECIAL.iter().any(|(network, length)| (bits ^ u32::from_be_bytes(*network)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out. Mapped and compatible addresses, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), loopback,
    // local, link-local and multicast ones all lie outside of it.
    let [first, second, ..] = address.segments();
    let given_out = first & 0xe000 == 0x2000;
    // 2001::/23 holds Teredo, benchmarks and ORCHID.
    let protocols = first == 0x2001 && second < 0x200;
    let documentation = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let six_to_four = first == 0x2002;
    given_out && !protocols && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
    use super::*;

    #[test]
    fn only_addresses_of_the_open_internet_pass() {
        for public in
            ["8.8.8.8", "104.18.38.10", "172.32.0.1", "100.128.0.1", "2606:4700::6812:260a", "2a01::1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            // Unspecified, loopback, mapped, compatible, NAT64 (well-known and local), discard-only.
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            // Teredo, ORCHID, documentation, 6to4, unique-local, link-local, site-local, multicast.
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn urls_lead_to_listed_hosts_over_https() {
        let usual = HostRules::parse("", true).unwrap();
        assert!(!usual.insecure(), "nothing is listed that could be insecure");
        assert_eq!(usual.permit("https://abc.supabase.co").unwrap(), "https://abc.supabase.co");
        assert_eq!(usual.permit(" https://ABC.supabase.co/ ").unwrap(), "https://abc.supabase.co");
        for bad in [
            "http://abc.supabase.co",
            "ftp://abc.supabase.co",
            "abc.supabase.co",
            "https://supabase.co",
            "https://.supabase.co",
            "https://abcsupabase.co",
            "https://abc.supabase.co.evil.example",
            "https://abc.supabase.co.",
            "https://evil.example/#.supabase.co",
            "https://evil.example?.supabase.co",
            "https://abc.supabase.co@evil.example",
            "https://user:password@abc.supabase.co",
            "https://abc.supabase.co:22",
            "https://abc.supabase.co/rest",
            "https://abc.supabase.co/?a=1",
            "https://evil.example\\.supabase.co",
            "https://evil.example\\@abc.supabase.co",
            "",
        ] {
            assert!(usual.permit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn literal_addresses_are_read_whatever_their_form() {
        let forms = [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[fe80::1]",
            "[fd00::1]",
            "0",
            "[::]",
            "169.254.169.254",
            "2852039166",
        ];
        let secure = HostRules::parse(".supabase.co,127.0.0.1,::1,::ffff:127.0.0.1,64:ff9b::7f00:1", false);
        let secure = secure.unwrap();
        let insecure = HostRules::parse(".supabase.co,db.example", true).unwrap();
        for form in forms {
            assert!(secure.permit(&format!("https://{form}")).is_err(), "{form}, though it may be listed");
            assert!(insecure.permit(&format!("http://{form}")).is_err(), "{form}, which is not listed");
        }
        let listed = HostRules::parse("127.0.0.1", true).unwrap();
        assert_eq!(listed.permit("http://127.0.0.1:3000").unwrap(), "http://127.0.0.1:3000");
        assert_eq!(listed.permit("http://0x7f.1:3000/").unwrap(), "http://127.0.0.1:3000");
        assert!(listed.permit("http://127.0.0.2:3000").is_err());
    }

    #[test]
    fn lists_are_read_strictly() {
        let names = HostRules::parse("a.example, *.b.example,.C.example", false).unwrap();
        for (url, allowed) in [
            ("https://a.example", true),
            ("https://x.a.example", false),
            ("https://x.b.example", true),
            ("https://b.example", false),
            ("https://x.y.c.example", true),
        ] {
            assert_eq!(names.permit(url).is_ok(), allowed, "{url}");
        }
        for bad in ["https://a.example", "a b", "*", ".", "a..b", "*a.example", "a/b", "a:443"] {
            assert!(HostRules::parse(bad, false).is_err(), "{bad}");
        }
    }
}
