//! Keys `api.cors_*`: which web sites may call the gateway from a browser.

use super::Warning;
use super::reader::Reader;

/// Which web sites may call the gateway from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    /// `api.cors_allow_any_origin`: every site may.
    pub allow_any_origin: bool,
    /// `api.cors_allowed_origins`: these sites may; written as browsers send them.
    pub allowed_origins: Vec<String>,
}

impl CorsConfig {
    pub(super) fn read(reader: &mut Reader<'_>, warnings: &mut Vec<Warning>) -> Self {
        let mut allowed_origins = reader.list(("api", "cors_allowed_origins"), origin);
        let mut seen = std::collections::HashSet::new();
        allowed_origins.retain(|origin| seen.insert(origin.clone()));
        let allow_any_origin = reader.boolean(("api", "cors_allow_any_origin"), false);
        if allow_any_origin && !allowed_origins.is_empty() {
            warnings.push(Warning::AnyOrigin);
        }
        Self { allow_any_origin, allowed_origins }
    }
}

/// An origin as browsers send it: lower case, without the scheme's own port.
fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err("an origin; for every origin set api.cors_allow_any_origin: true".to_owned());
    }
    let expected = || "an origin such as https://app.example.com or http://localhost:3000".to_owned();
    let (scheme, host) = text.split_once("://").ok_or_else(expected)?;
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    if host.contains(['/', '?', '#']) {
        return Err(format!("{} without a path or a trailing /", expected()));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host.as_str(), None),
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
    });
    if !is_scheme(&scheme) || !is_host(name) || !port_fits {
        return Err(expected());
    }
    let own = matches!((scheme.as_str(), port), ("http", Some("80")) | ("https", Some("443")));
    Ok(format!("{scheme}://{}", if own { name } else { &host }))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests;
