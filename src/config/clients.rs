//! Sections `postgres_clients` and `clients`: the databases behind the gateway.

use athena_domain::ClientName;
use athena_domain::expand::{expand, literal, sole_variable};

use super::document::Document;
use super::gateway::GatewayConfig;
use super::keys::CLIENTS;
use super::reader::{Reader, is_override, scalar_text};
use super::secret::{ConnectionUri, Secret, redact};
use super::{Problem, Warning};

/// A database behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The name callers select it by.
    pub name: ClientName,
    /// The text of the configuration, its references in place; the client catalog keeps it and expands it again.
    pub template: Secret,
    /// `NAME` when the text is exactly `${NAME}`.
    pub variable: Option<String>,
    /// Where the database is, or why that is not known; the gateway runs without it then.
    pub target: Result<ConnectionUri, String>,
}

/// Reads every client, by name. Clients that cannot be reached are kept, each with a warning.
pub(super) fn read(
    document: &Document,
    reader: &Reader<'_>,
    gateway: &GatewayConfig,
    warnings: &mut Vec<Warning>,
    problems: &mut Vec<Problem>,
) -> Vec<ClientConfig> {
    let mut clients = Vec::new();
    for (key, written) in &document.client_names {
        let Some(name) = ClientName::parse(written) else {
            problems.push(Problem {
                origin: reader.origin(CLIENTS, key),
                key: CLIENTS.to_owned(),
                message: "holds a client whose name is blank, too long or has control characters".to_owned(),
            });
            continue;
        };
        if !name.has_one_folding() {
            problems.push(Problem {
                origin: reader.origin(CLIENTS, key),
                key: CLIENTS.to_owned(),
                message: format!(
                    "holds the client {:?}, whose name has capitals beyond A to Z; not every database knows their small forms",
                    redact(name.as_str())
                ),
            });
            continue;
        }
        let client = client(name, key, reader);
        if let Err(reason) = &client.target {
            let is_role = |role: &Option<String>| same(role.as_deref(), key);
            warnings.push(Warning::ClientUnavailable {
                name: redact(client.name.as_str()),
                reason: reason.clone(),
                essential: is_role(&gateway.logging_client) || is_role(&gateway.auth_client),
            });
        }
        clients.push(client);
    }
    let roles =
        [("gateway.logging_client", &gateway.logging_client), ("gateway.auth_client", &gateway.auth_client)];
    for (key, role) in roles {
        let Some(name) = role else { continue };
        let follows = key == "gateway.auth_client" && gateway.auth_client == gateway.logging_client;
        if !follows && !document.client_names.keys().any(|known| same(Some(name), known)) {
            warnings.push(Warning::ClientUndefined { key, name: redact(name) });
        }
    }
    clients
}

fn client(name: ClientName, key: &str, reader: &Reader<'_>) -> ClientConfig {
    let value = reader.raw(CLIENTS, key);
    let Some(raw) = value.map_or(Some(String::new()), scalar_text) else {
        let target = Err("expected a connection URI, found a list or a map".to_owned());
        return ClientConfig { name, template: Secret::new(""), variable: None, target };
    };
    // A password in a variable may hold `${`; only the file is expanded.
    let verbatim = value.is_some_and(is_override);
    let expanded = match verbatim {
        true => Ok(raw.clone()),
        false => expand(&raw, &|name| reader.environment().value(name)).map_err(|error| error.to_string()),
    };
    ClientConfig {
        name,
        variable: sole_variable(&raw).filter(|_| !verbatim).map(str::to_owned),
        target: expanded.and_then(|text| ConnectionUri::parse(&text).map_err(str::to_owned)),
        template: Secret::new(if verbatim { literal(&raw) } else { raw }),
    }
}

fn same(name: Option<&str>, key: &str) -> bool {
    name.is_some_and(|name| name.trim().to_lowercase() == key)
}
