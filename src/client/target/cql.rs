//! The URI of a CQL database: several hosts, a keyspace, a user with a password.

use reqwest::Url;

use super::fill;
use crate::client::builder::configuration;
use crate::client::config::ClientConfig;
use crate::client::error::AthenaError;

/// Stands for the hosts while the rest is filled in, as no parser of URLs takes several.
const HOSTS: &str = "hosts";

/// The URL with what it leaves open filled in; `host:port` alone will do.
pub(super) fn uri(given: &str, config: &ClientConfig) -> Result<String, AthenaError> {
    let connection = &config.connection;
    let unreadable = || configuration("the connection URL cannot be read");
    let (scheme, rest) = given.split_once("://").unwrap_or(("cql", given));
    let (place, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    // Of a password that holds one of these signs nobody knows where it ends.
    if query.contains('@') {
        return Err(unreadable());
    }
    let (user, place) = place.split_at(place.rfind('@').map_or(0, |at| at + 1));
    let (hosts, keyspace) = place.split_at(place.find('/').unwrap_or(place.len()));
    let mut url =
        Url::parse(&format!("{scheme}://{user}{HOSTS}{keyspace}{query}")).map_err(|_| unreadable())?;
    fill(&mut url, connection, connection.key.as_ref().map(|key| key.expose()))?;
    if connection.key.is_some() && url.username().is_empty() {
        return Err(configuration("the key of a CQL database is a password: name its user, too"));
    }
    let says = |option: &[&str]| url.query_pairs().any(|(name, _)| option.contains(&name.as_ref()));
    let (says_tls, says_most) = (says(&["tls", "sslmode"]), says(&["max_concurrent"]));
    if connection.ssl && !says_tls {
        url.query_pairs_mut().append_pair("tls", "true");
    }
    // One connection carries many requests: what is bounded is how many are under way.
    if !says_most {
        let most = config.pool.max_connections.clamp(1, 100_000).to_string();
        url.query_pairs_mut().append_pair("max_concurrent", &most);
    }
    let with_port = |host: &str| match connection.port {
        Some(port) if !has_port(host) => format!("{host}:{port}"),
        _ => host.to_owned(),
    };
    let hosts: Vec<String> = hosts.split(',').map(with_port).collect();
    // Neither user nor password has one of these signs any more.
    let whole = String::from(url);
    let (before, after) = whole.split_once("://").ok_or_else(unreadable)?;
    let end = after.find(['/', '?']).unwrap_or(after.len());
    let start = after[..end].rfind('@').map_or(0, |at| at + 1);
    Ok(format!("{before}://{}{}{}", &after[..start], hosts.join(","), &after[end..]))
}

/// Whether a host, which may be an address of IPv6 in brackets, is followed by a port.
fn has_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}
