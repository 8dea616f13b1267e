//! From what a client is made of to the URI that a gateway takes.

use reqwest::Url;

use super::builder::{KEY_VARIABLE, configuration};
use super::config::{BackendType, ClientConfig};
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
        BackendType::Scylla => {
            let url = if scheme.is_some() { given.to_owned() } else { format!("cql://{given}") };
            let key = connection.key.as_ref().map(|key| key.expose());
            // One connection carries many requests: what is bounded is how many are under way.
            filled(&url, config, key, |url| {
                if !url.query_pairs().any(|(name, _)| name == "max_concurrent") {
                    let most = config.pool.max_connections.clamp(1, 100_000).to_string();
                    url.query_pairs_mut().append_pair("max_concurrent", &most);
                }
            })
        }
        BackendType::Native | BackendType::PostgreSQL | BackendType::Neon | BackendType::Postgrest => {
            filled(given, config, None, |url| {
                let ssl = match (config.backend == BackendType::Neon, connection.ssl) {
                    (true, _) => "require",
                    (false, false) => "disable",
                    (false, true) => return,
                };
                if !url.query_pairs().any(|(name, _)| name == "sslmode") {
                    url.query_pairs_mut().append_pair("sslmode", ssl);
                }
            })
        }
    }
}

fn rest(kind: &str, url: &str, config: &ClientConfig) -> String {
    let key = config.connection.key.is_some();
    let join = if url.contains('?') { '&' } else { '?' };
    let key = if key { format!("{join}key_env={KEY_VARIABLE}") } else { String::new() };
    format!("{kind}+{url}{key}")
}

fn filled(
    text: &str,
    config: &ClientConfig,
    password: Option<&str>,
    finish: impl FnOnce(&mut Url),
) -> Result<String, AthenaError> {
    let connection = &config.connection;
    // Several hosts are more than this parser takes; such a URI has to say everything itself.
    let several_hosts = text.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?']).next().is_some_and(|authority| authority.contains(','))
    });
    if several_hosts {
        return Ok(text.to_owned());
    }
    let unreadable = || configuration("the connection URL cannot be read");
    let mut url = Url::parse(text).map_err(|_| unreadable())?;
    if let (None, Some(port)) = (url.port(), connection.port) {
        url.set_port(Some(port)).map_err(|()| unreadable())?;
    }
    if let (true, Some(user)) = (url.username().is_empty(), &connection.user) {
        url.set_username(user).map_err(|()| unreadable())?;
    }
    if url.password().is_none() && !url.username().is_empty() && password.is_some() {
        url.set_password(password).map_err(|()| unreadable())?;
    }
    if let (true, Some(database)) = (url.path().trim_matches('/').is_empty(), &connection.database) {
        url.path_segments_mut().map_err(|()| unreadable())?.clear().push(database);
    }
    finish(&mut url);
    Ok(url.into())
}

#[cfg(test)]
mod tests;
