//! From what a client is made of to the URI that a gateway takes.

mod cql;

use reqwest::Url;

use super::builder::{KEY_VARIABLE, configuration};
use super::config::{BackendType, ClientConfig, ConnectionConfig};
use super::error::AthenaError;

/// The URI of the database: its URL, with what that leaves open filled in.
pub(super) fn uri(config: &ClientConfig) -> Result<String, AthenaError> {
    let connection = &config.connection;
    let given = connection.url.expose().trim();
    let scheme = given.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_http = matches!(scheme.as_deref(), Some("http" | "https"));
    match config.backend {
        BackendType::Supabase if is_http => Ok(rest("supabase", given, config)),
        BackendType::Postgrest if is_http => Ok(rest("postgrest", given, config)),
        BackendType::Supabase => Err(configuration("the URL of a Supabase project begins with https://")),
        BackendType::Scylla => cql::uri(given, config),
        BackendType::Native | BackendType::PostgreSQL | BackendType::Neon | BackendType::Postgrest => {
            postgres(given, config)
        }
    }
}

fn rest(kind: &str, url: &str, config: &ClientConfig) -> String {
    let key = config.connection.key.is_some();
    let join = if url.contains('?') { '&' } else { '?' };
    let key = if key { format!("{join}key_env={KEY_VARIABLE}") } else { String::new() };
    format!("{kind}+{url}{key}")
}

fn postgres(given: &str, config: &ClientConfig) -> Result<String, AthenaError> {
    let connection = &config.connection;
    let unreadable = || configuration("the connection URL cannot be read");
    let authority = given.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
    // A password may hold a comma.
    let hosts = authority.and_then(|authority| authority.rsplit('@').next());
    if hosts.is_some_and(|hosts| hosts.contains(',')) {
        return Err(configuration("the connection URL of a PostgreSQL names one host"));
    }
    let mut url = Url::parse(given).map_err(|_| unreadable())?;
    if let (None, Some(port)) = (url.port(), connection.port) {
        url.set_port(Some(port)).map_err(|()| unreadable())?;
    }
    fill(&mut url, connection, None)?;
    let ssl = match (config.backend == BackendType::Neon, connection.ssl) {
        (true, _) => Some("require"),
        (false, false) => Some("disable"),
        (false, true) => None,
    };
    if let Some(ssl) = ssl.filter(|_| !url.query_pairs().any(|(name, _)| name == "sslmode")) {
        url.query_pairs_mut().append_pair("sslmode", ssl);
    }
    Ok(url.into())
}

/// Fills in what a URL leaves open.
fn fill(url: &mut Url, connection: &ConnectionConfig, password: Option<&str>) -> Result<(), AthenaError> {
    let unreadable = || configuration("the connection URL cannot be read");
    if let (true, Some(user)) = (url.username().is_empty(), &connection.user) {
        url.set_username(user).map_err(|()| unreadable())?;
    }
    if url.password().is_none() && !url.username().is_empty() && password.is_some() {
        url.set_password(password).map_err(|()| unreadable())?;
    }
    if let (true, Some(database)) = (url.path().trim_matches('/').is_empty(), &connection.database) {
        url.path_segments_mut().map_err(|()| unreadable())?.clear().push(database);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
